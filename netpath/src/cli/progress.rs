//! How a trace goes, on a line of the terminal's stderr, where nothing else shows it.
//!
//! In: a trace under way. Out: what it has gathered.

use std::{
    io::IsTerminal as _,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use nix::unistd::{getpgrp, tcgetpgrp};

use crate::{
    live::{Done, Live, LiveError, News},
    report::words,
    snapshot::Snapshot,
    units::count,
};

/// How often the line is written anew.
const EVERY: Duration = Duration::from_secs(1);

/// Does something that takes a moment, with a line that says what; then the line is gone.
pub(super) fn during<T>(what: &'static str, work: impl FnOnce() -> T) -> T {
    let line = is_looked_at().then(|| self::bar(what));
    let done = work();
    if let Some(line) = line {
        line.finish_and_clear();
    }
    done
}

/// A line with this on it.
fn bar(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar.tick();
    bar
}

/// Waits for a trace's end; `what` is being done.
pub(super) fn follow(
    live: Live,
    what: &'static str,
    time: Option<Duration>,
) -> Result<Done, LiveError> {
    if !is_looked_at() {
        return live.join();
    }
    let bar = bar(what);
    let mut due = Instant::now();
    let mut before = (0, 0);
    loop {
        match live.wait(due.saturating_duration_since(Instant::now())) {
            News::Snapshot(snapshot) => {
                bar.set_message(line(&snapshot, what, time, before));
                before = (snapshot.duration_ns, snapshot.packets.seen);
            }
            News::Nothing => {
                live.ask();
                due += EVERY;
            }
            News::Over => {
                bar.finish_and_clear();
                return live.join();
            }
        }
    }
}

/// `recording 0:12 of 1:00 · 481 packets/s · 5 772 packets · 100 % complete · 0 events lost`.
fn line(s: &Snapshot, what: &str, time: Option<Duration>, before: (u64, u64)) -> String {
    let clock = |seconds: u64| format!("{}:{:02}", seconds / 60, seconds % 60);
    let of = time.map_or_else(String::new, |time| format!(" of {}", clock(time.as_secs())));
    let seconds = s.duration_ns.saturating_sub(before.0) as f64 / 1e9;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative")]
    let rate = (s.packets.seen.saturating_sub(before.1) as f64 / seconds.max(0.001)).round() as u64;
    format!(
        "{what} {}{of} · {} packets/s · {} · {} complete · {} lost · Ctrl-C ends it",
        clock(s.duration_ns / 1_000_000_000),
        count(rate),
        words::counted(s.packets.seen, "packet"),
        words::complete(s),
        words::counted(s.lost_events, "event"),
    )
}

/// Whether stderr is a terminal, and this process is the one that it belongs to: a trace that a shell
/// or a lab runs in the background leaves the terminal alone.
fn is_looked_at() -> bool {
    let err = std::io::stderr();
    err.is_terminal() && tcgetpgrp(&err).is_ok_and(|owner| owner == getpgrp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::fixture;

    #[test]
    fn the_line_says_how_long_how_many_and_what_was_lost() {
        let mut snapshot = fixture();
        snapshot.duration_ns = 72_000_000_000;
        snapshot.packets.seen = 5_772;
        snapshot.lost_events = 1;
        let minutes = Some(Duration::from_mins(2));
        assert_eq!(
            line(&snapshot, "recording", minutes, (71_000_000_000, 5_291)),
            "recording 1:12 of 2:00 · 481 packets/s · 5 772 packets · 100 % complete · 1 event lost \
             · Ctrl-C ends it"
        );
        assert!(
            line(&snapshot, "tracing", None, (0, 0)).starts_with("tracing 1:12 · 80 packets/s")
        );
    }
}
