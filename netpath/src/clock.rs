//! A moment on both clocks, the events' and the wall's; and this process's CPU time.
//!
//! A packet's date is the moment at which recording began, on the wall's clock, and what the events'
//! clock says since. Both must be of one moment: they are read in turns, and the closest turn counts.

use nix::{
    sys::time::TimeSpec,
    time::{ClockId, clock_gettime},
};

/// How often the clocks are read: an interrupt can come between.
const TURNS: usize = 8;

/// A moment, ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment {
    /// `CLOCK_MONOTONIC`, the clock of the events.
    pub(crate) events_ns: u64,
    /// Since the epoch.
    pub(crate) unix_ns: u64,
}

impl Moment {
    /// This one.
    pub(crate) fn now() -> Self {
        closest((0..TURNS).map(|_| {
            let before = read(ClockId::CLOCK_MONOTONIC);
            let unix = read(ClockId::CLOCK_REALTIME);
            (before, unix, read(ClockId::CLOCK_MONOTONIC))
        }))
    }
}

/// The moment of the turn (events' clock, wall's, events' again) that took least.
fn closest(turns: impl Iterator<Item = (u64, u64, u64)>) -> Moment {
    let turn = turns.min_by_key(|(before, _, after)| after.saturating_sub(*before));
    turn.map_or_else(Moment::default, |(before, unix_ns, after)| Moment {
        events_ns: before + after.saturating_sub(before) / 2,
        unix_ns,
    })
}

/// A clock's time, ns.
fn read(clock: ClockId) -> u64 {
    let now = clock_gettime(clock).unwrap_or_else(|_| TimeSpec::new(0, 0));
    u64::try_from(now.tv_sec()).unwrap_or(0) * 1_000_000_000
        + u64::try_from(now.tv_nsec()).unwrap_or(0)
}

/// The events' clock, ns.
pub(crate) fn now_ns() -> u64 {
    read(ClockId::CLOCK_MONOTONIC)
}

/// CPU time that this process has used, user and system, ns.
pub(crate) fn own_cpu_ns() -> u64 {
    read(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_turn_that_was_not_interrupted_counts() {
        let turns = [(1_000, 9_500, 1_900), (2_000, 10_020, 2_040), (3_000, 11_300, 3_600)];
        let moment = closest(turns.into_iter());
        assert_eq!(moment, Moment { events_ns: 2_020, unix_ns: 10_020 });
    }

    #[test]
    fn both_clocks_are_of_one_moment() {
        // Whenever it is asked, the wall's clock is as far from the events': but for what the turns take.
        let (a, b) = (Moment::now(), Moment::now());
        let apart = |m: Moment| i128::from(m.unix_ns) - i128::from(m.events_ns);
        let turn = i128::from(b.events_ns - a.events_ns);
        assert!((apart(a) - apart(b)).abs() <= turn, "{a:?} {b:?}");
    }
}
