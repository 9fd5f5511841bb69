//! The summary: what the end of a trace prints, and what a ticket gets.
//!
//! One screen wide: 100 columns, 80 where the terminal is that narrow (the bars go first).

use std::{collections::BTreeMap, fmt::Write as _};

use comfy_table::{Cell, CellAlignment, ContentArrangement, Row, Table, presets};
use netpath_common::hop::{HopId, Kind};

use super::units::{bar, count, micros, percent, time};
use crate::snapshot::{HopReport, PathReport, Snapshot};

/// Paths with a smaller share of the packets than this are counted in one line.
const MINOR_SHARE: f64 = 0.005;

/// How the summary is laid out.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Columns of the terminal.
    pub width: usize,
}

impl Default for Style {
    fn default() -> Self {
        Self { width: 100 }
    }
}

/// The whole summary.
pub fn render(snapshot: &Snapshot, style: Style) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}", head(snapshot));
    let packets: u64 = snapshot.paths.iter().map(|p| p.packets).sum();
    let (major, minor): (Vec<_>, Vec<_>) =
        snapshot.paths.iter().partition(|p| p.packets as f64 >= packets as f64 * MINOR_SHARE);
    for path in &major {
        let _ = write!(out, "\n{}", path_table(path, style));
    }
    if !minor.is_empty() {
        let packets = minor.iter().map(|p| p.packets).sum();
        let _ = writeln!(
            out,
            "\n{} on {} (in --format json)",
            counted(packets, "packet"),
            counted(minor.len() as u64, "other path")
        );
    }
    let _ = write!(out, "\n{}", foot(snapshot));
    if let Some(sentences) = sentences(&major) {
        let _ = write!(out, "\n{sentences}");
    }
    out
}

/// `1 packet`, `2 packets`.
fn counted(n: u64, what: &str) -> String {
    format!("{} {what}{}", count(n), if n == 1 { "" } else { "s" })
}

fn head(s: &Snapshot) -> String {
    format!(
        "netpath {} · {} in {} · {} · Linux {} · {}, {} complete, {} lost",
        s.version,
        s.iface,
        s.netns,
        time(s.duration_ns as f64),
        s.host.kernel,
        counted(s.packets.seen, "packet"),
        percent(s.complete_share()),
        counted(s.lost_events, "event"),
    )
}

fn path_table(path: &PathReport, style: Style) -> String {
    let end = match path.end.as_str() {
        "delivered" => "read by a process",
        "reached" => "taken by the transport",
        "transmitted" => "left the machine",
        other => other,
    };
    let mut out = format!(
        "{}   {} · {} · {end}\n",
        path.name,
        path.direction,
        counted(path.packets, "packet")
    );
    if let Some(example) = &path.example {
        let after = example.after.as_ref().map_or_else(String::new, |a| format!("  ⇒ NAT ⇒  {a}"));
        let _ = writeln!(out, "  such as {}{after}", example.before);
    }
    let bars = style.width >= 96;
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let mut columns =
        vec!["what", "where", "kind", "count", "mean", "p50", "p90", "p99", "max", "share"];
    if bars {
        columns.push("");
    }
    table.set_header(row(columns.into_iter().map(str::to_owned)));
    for hop in &path.hops {
        let mut cells = vec![what(hop), hop.place(), hop.kind.clone(), count(hop.count)];
        cells.extend(times(hop.times.mean_ns, &hop.times));
        cells.push(percent(hop.share));
        if bars {
            cells.push(bar(hop.share, 8, hop.kind == Kind::Wait.key()));
        }
        table.add_row(row(cells));
    }
    let mut total = vec!["total".to_owned(), String::new(), String::new(), count(path.packets)];
    total.extend(times(path.total.mean_ns, &path.total));
    table.add_row(row(total));
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((if i == 0 { 2 } else { 0 }, 1));
    }
    out.push_str(&table.trim_fmt());
    let share =
        if path.total.mean_ns > 0.0 { path.unattributed_ns / path.total.mean_ns } else { 0.0 };
    let _ = writeln!(
        out,
        "\n  times in µs · unattributed {} ({})",
        time(path.unattributed_ns),
        percent(share)
    );
    out
}

fn times(mean_ns: f64, s: &crate::snapshot::Summary) -> [String; 5] {
    [mean_ns, s.p50_ns as f64, s.p90_ns as f64, s.p99_ns as f64, s.max_ns as f64].map(micros)
}

fn row(cells: impl IntoIterator<Item = String>) -> Row {
    let cells = cells.into_iter().enumerate().map(|(i, text)| {
        let align = if (3..10).contains(&i) { CellAlignment::Right } else { CellAlignment::Left };
        Cell::new(text).set_alignment(align)
    });
    Row::from(cells.collect::<Vec<_>>())
}

/// `conntrack lookup`, `rules filter`.
pub(crate) fn what(hop: &HopReport) -> String {
    let Some(info) = HopId::from_key(&hop.hop).map(HopId::info) else { return hop.hop.clone() };
    let label = hop.part.as_deref().unwrap_or(info.label);
    let group = info.group.label();
    if label == group { group.to_owned() } else { format!("{group} {label}") }
}

fn foot(s: &Snapshot) -> String {
    let mut out = String::new();
    let p = &s.packets;
    let parts: Vec<String> = [
        (p.complete, "complete"),
        (p.incomplete, "incomplete"),
        (p.dropped, "dropped"),
        (p.vanished, "vanished"),
    ]
    .iter()
    .map(|(n, what)| format!("{} {what}", count(*n)))
    .collect();
    let _ = writeln!(
        out,
        "coverage: {} seen, {} recorded: {}",
        count(p.seen),
        count(p.sampled),
        parts.join(", ")
    );
    for drop in &s.drops {
        let _ = writeln!(
            out,
            "dropped: {} at {}/{}: {}",
            counted(drop.count, "packet"),
            drop.netns,
            drop.dev,
            drop.reason
        );
    }
    if s.lost_events > 0 {
        let by: Vec<String> =
            s.lost_by_point.iter().map(|(point, n)| format!("{point} {}", count(*n))).collect();
        let _ = writeln!(out, "lost: {} ({})", counted(s.lost_events, "event"), by.join(", "));
    } else {
        let _ = writeln!(out, "lost: 0 events");
    }
    if p.negative > 0 {
        let _ = writeln!(out, "negative times between CPUs: {}", count(p.negative));
    }
    let mut used: Vec<&str> = s.backends.values().flat_map(|b| b.split('+')).collect();
    used.sort_unstable();
    used.dedup();
    let _ = writeln!(
        out,
        "backends: {} ({} of {} hops)",
        used.join(", "),
        s.backends.len(),
        s.backends.len() + s.absent.len()
    );
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (hop, why) in &s.absent {
        by_reason.entry(why).or_default().push(hop);
    }
    for (why, hops) in by_reason {
        let _ = writeln!(out, "not measured: {} ({why})", hops.join(", "));
    }
    for note in &s.notes {
        let _ = writeln!(out, "note: {note}");
    }
    out
}

/// What cost most, in two sentences about the busiest path.
fn sentences(paths: &[&PathReport]) -> Option<String> {
    let path = paths.first()?;
    let mut groups: Vec<(String, f64)> = Vec::new();
    for hop in &path.hops {
        let label =
            HopId::from_key(&hop.hop).map_or(hop.group.as_str(), |h| h.info().group.label());
        match groups.iter_mut().find(|(name, _)| name == label) {
            Some((_, share)) => *share += hop.share,
            None => groups.push((label.to_owned(), hop.share)),
        }
    }
    groups.sort_by(|a, b| b.1.total_cmp(&a.1));
    let hop = path.hops.iter().max_by(|a, b| a.share.total_cmp(&b.share))?;
    let word = if hop.kind == Kind::Wait.key() { "waiting" } else { "work" };
    let mut out = format!(
        "Most of an {} packet's {} goes to {} at {}: {} of {word} on average ({}).\n",
        path.direction,
        time(path.total.mean_ns),
        what(hop),
        hop.place(),
        time(hop.share * path.total.mean_ns),
        percent(hop.share),
    );
    let words: Vec<String> = groups
        .iter()
        .take(4)
        .map(|(name, share)| {
            format!("{name} {} ({})", time(share * path.total.mean_ns), percent(*share))
        })
        .collect();
    let _ = writeln!(out, "By group: {}.", words.join(", "));
    Some(out)
}
