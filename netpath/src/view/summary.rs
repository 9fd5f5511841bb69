//! The summary: what the end of a trace prints, and what a ticket gets.
//!
//! One screen wide: 100 columns, 80 where the terminal is that narrow (the bars go first). Colour only
//! repeats what the text says.

use std::fmt::Write as _;

use super::table::{Align, Table};
use crate::{
    report::words,
    snapshot::{PathReport, Snapshot, Summary, TransactionReport},
    units::{bar, count, micros, percent, time},
};

/// Columns that a table with bars needs.
const WITH_BARS: usize = 96;
/// Findings that are named.
const FINDINGS: usize = 3;

/// How the summary is laid out.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Columns of the terminal.
    pub width: usize,
    /// Whether escape sequences may be used.
    pub color: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self { width: 100, color: false }
    }
}

impl Style {
    /// Text that stands out.
    pub(crate) fn bold(self, text: &str) -> String {
        self.escaped("1", text)
    }

    /// Text that stands back.
    pub(crate) fn dim(self, text: &str) -> String {
        self.escaped("2", text)
    }

    fn escaped(self, code: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// The whole summary.
pub fn render(snapshot: &Snapshot, style: Style) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}", head(snapshot));
    for trip in words::round_trips(snapshot) {
        let _ = write!(out, "\n{}", round_trip(trip, style));
    }
    let (major, minor) = words::major(snapshot);
    for path in &major {
        let _ = write!(out, "\n{}", path_table(path, snapshot, style));
    }
    if let Some(minor) = minor.words() {
        let _ = writeln!(out, "\n{minor} (in --format json)");
    }
    for line in foot(snapshot).lines() {
        let _ = write!(out, "\n{}", style.dim(line));
    }
    out.push('\n');
    let _ = write!(out, "\n{}", sentences(major.first().copied(), snapshot));
    out
}

fn head(s: &Snapshot) -> String {
    format!(
        "netpath {} · {} · {} · Linux {} · {}, {} complete, {}, {} lost",
        s.version,
        s.what(),
        time(s.duration_ns as f64),
        s.host.kernel,
        words::counted(s.packets.seen, "packet"),
        words::complete(s),
        words::dropped(&s.packets),
        words::counted(s.lost_events, "event"),
    )
}

fn path_table(path: &PathReport, snapshot: &Snapshot, style: Style) -> String {
    let mut out = format!(
        "{}   {} · {} · {}\n",
        style.bold(&path.name),
        path.direction,
        words::counted(path.packets, "packet"),
        words::end(path)
    );
    if let Some(example) = &path.example {
        let after = example.after.as_ref().map_or_else(String::new, |a| format!("  ⇒ NAT ⇒  {a}"));
        let _ = writeln!(out, "  such as {}{after}", example.before);
    }
    let bars = style.width >= WITH_BARS;
    let mut columns = vec![("what", Align::Left), ("where", Align::Left), ("kind", Align::Left)];
    columns.extend(
        ["count", "mean", "p50", "p90", "p99", "max", "share"].map(|title| (title, Align::Right)),
    );
    columns.push(("", Align::Left));
    if !bars {
        columns.retain(|(title, _)| *title != "p90" && !title.is_empty());
    }
    let mut table = Table::new(&columns);
    let cells = |first: [String; 4], times: &Summary, share: f64, bar: String| {
        let ns = [times.p50_ns, times.p90_ns, times.p99_ns, times.max_ns].map(|ns| ns as f64);
        let mut cells = first.to_vec();
        cells.push(micros(times.mean_ns));
        cells.extend(ns.map(micros));
        cells.push(percent(share));
        if bars {
            cells.push(bar);
        } else {
            cells.remove(6);
        }
        cells
    };
    for hop in &path.hops {
        let first = [words::what(hop), hop.place(), hop.kind.clone(), count(hop.count)];
        table.row(cells(first, &hop.times, hop.share, bar(hop.share, 8, words::is_wait(hop))));
    }
    let first = ["total".to_owned(), String::new(), String::new(), count(path.packets)];
    table.bold_row(cells(first, &path.total, 1.0, String::new()));
    out += &table.render(style);
    out += &totals(path);
    if let Some(words) = words::compensated(path, snapshot) {
        let _ = writeln!(out, "  of which netpath itself {words}");
    }
    out
}

/// Work and waiting behave differently: each has a total of its own.
fn totals(path: &PathReport) -> String {
    let (work, waiting) = words::work_and_waiting(path);
    let parts = [("work", work), ("waiting", waiting), ("unattributed", path.unattributed_ns)];
    let parts = parts
        .map(|(name, ns)| format!("{name} {} ({})", micros(ns), percent(words::share(path, ns))));
    format!("  times in µs · mean {}\n", parts.join(" · "))
}

fn round_trip(trip: &TransactionReport, style: Style) -> String {
    let mut out = format!("{}   {}", style.bold(&trip.name), words::trips_counted(trip));
    if trip.count > 0 {
        let _ = write!(
            out,
            ": mean {}, p50 {}, p99 {}",
            time(trip.total.mean_ns),
            time(trip.total.p50_ns as f64),
            time(trip.total.p99_ns as f64),
        );
        let parts: Vec<String> = trip
            .parts
            .iter()
            .map(|p| format!("{} {} ({})", p.part, time(p.times.mean_ns), percent(p.share)))
            .collect();
        let _ = write!(out, "\n  {}", parts.join(" + "));
    }
    if let Some(sentence) = words::sent_again(trip) {
        let _ = write!(out, "\n  {sentence}");
    }
    out.push('\n');
    out
}

fn foot(s: &Snapshot) -> String {
    let mut out = String::new();
    for (name, value) in words::trust(s) {
        // The head has these already, and a ticket seldom asks for the others.
        if matches!(name, "machine" | "mitigations" | "figures" | "made by") {
            continue;
        }
        // Nothing to see, unless the kernel tells of a loss, or contradicts.
        if name == words::counters::NAME && words::counters::telling(s).is_empty() {
            continue;
        }
        let _ = writeln!(out, "{name}: {value}");
    }
    out
}

/// What cost most, why, and where there is more.
fn sentences(path: Option<&PathReport>, snapshot: &Snapshot) -> String {
    let mut out = String::new();
    let findings = words::findings(snapshot);
    let (losses, others): (Vec<_>, Vec<_>) = findings.into_iter().partition(|f| f.lost > 0);
    for finding in &losses {
        let _ = writeln!(out, "! {}: {}", finding.title, finding.summary);
    }
    if let Some(path) = path {
        if let Some(most) = words::most(path) {
            let _ = writeln!(out, "{most}");
        }
        let groups: Vec<String> = words::by_group(path)
            .iter()
            .take(4)
            .map(|(group, ns)| {
                format!("{} {} ({})", group.label, time(*ns), percent(words::share(path, *ns)))
            })
            .collect();
        let _ = writeln!(out, "By group: {}.", groups.join(", "));
    }
    for finding in others.into_iter().take(FINDINGS) {
        let _ = writeln!(out, "· {}: {}", finding.title, finding.summary);
    }
    if !snapshot.findings.is_empty() {
        let _ = writeln!(out, "More: netpath explain · a page: --report FILE.html");
    }
    out
}
