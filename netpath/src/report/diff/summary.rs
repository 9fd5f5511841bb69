//! Differences for a terminal.

use std::fmt::Write as _;

use super::{Diff, HopDiff, PathDiff, Verdict};
use crate::{
    report::words,
    units::{count, micros, percent, signed_micros, time},
    view::{
        summary::Style,
        table::{Align, Table},
    },
};

pub(super) fn render(diff: &Diff, style: Style) -> String {
    let mut out = String::new();
    for (name, side) in [("A", &diff.a), ("B", &diff.b)] {
        let _ = writeln!(
            out,
            "{name}  {} · {} · {} · Linux {} · {}",
            side.file,
            side.what,
            side.started,
            side.kernel,
            words::counted(side.packets, "packet")
        );
    }
    let (shown, minor) = diff.shown();
    for path in shown {
        let _ = write!(out, "\n{}", path_table(path, style));
    }
    if minor > 0 {
        let _ = writeln!(out, "\n{} with few packets", words::counted(minor, "other path"));
    }
    for (name, paths) in [("A", &diff.only_a), ("B", &diff.only_b)] {
        for path in paths {
            let _ = writeln!(out, "\nonly in {name}: {path}");
        }
    }
    let _ = writeln!(out, "\n{}", drift(diff));
    for note in &diff.notes {
        let _ = writeln!(out, "note: {note}");
    }
    out
}

/// What is not called a change.
pub(super) fn drift(diff: &Diff) -> String {
    format!(
        "Differences up to {} are not called changes: by as much hops differ between these two runs \
         without one.",
        percent(diff.drift)
    )
}

fn path_table(path: &PathDiff, style: Style) -> String {
    let mut out = style.bold(&format!(
        "{}   {}, {} · {} and {} packets",
        path.name,
        path.direction,
        words::end_words(&path.end),
        count(path.packets_a),
        count(path.packets_b)
    ));
    out.push('\n');
    let mut table = Table::new(&[
        ("what", Align::Left),
        ("where", Align::Left),
        ("kind", Align::Left),
        ("A", Align::Right),
        ("B", Align::Right),
        ("change", Align::Right),
        ("±", Align::Right),
        ("", Align::Left),
    ]);
    for hop in path.hops.iter().filter(|h| h.change.verdict.is_change()) {
        table.row(row(hop));
    }
    let t = &path.total;
    table.row([
        "total".to_owned(),
        String::new(),
        String::new(),
        micros(t.a_ns),
        micros(t.b_ns),
        signed_micros(t.delta_ns),
        micros(t.uncertainty_ns),
        t.verdict.words().to_owned(),
    ]);
    out += &table.render(style);
    out += &format!("  mean times of a packet in µs{}\n", unchanged(path));
    out += &format!("  {}\n", sentence(path));
    out
}

fn row(hop: &HopDiff) -> [String; 8] {
    let c = &hop.change;
    let either = |there: bool, ns: f64| if there { micros(ns) } else { "–".to_owned() };
    let mut words = c.verdict.words().to_owned();
    for (name, quantile) in [("p50", hop.p50_ns), ("p99", hop.p99_ns)] {
        if let Some(q) = quantile.filter(|q| q.changed) {
            words += &format!(", {name} {} → {}", micros(q.a as f64), micros(q.b as f64));
        }
    }
    [
        hop.what.clone(),
        hop.place.clone(),
        hop.kind.clone(),
        either(c.verdict != Verdict::OnlyB, c.a_ns),
        either(c.verdict != Verdict::OnlyA, c.b_ns),
        signed_micros(c.delta_ns),
        if matches!(c.verdict, Verdict::OnlyA | Verdict::OnlyB) {
            String::new()
        } else {
            micros(c.uncertainty_ns)
        },
        words,
    ]
}

/// How many rows are left out, and what they come to.
fn unchanged(path: &PathDiff) -> String {
    let rest: Vec<&HopDiff> = path.hops.iter().filter(|h| !h.change.verdict.is_change()).collect();
    if rest.is_empty() {
        return String::new();
    }
    let sum: f64 = rest.iter().map(|h| h.change.delta_ns).sum();
    format!(
        "; {} did not change by more than runs differ by, {} µs together",
        words::counted(rest.len() as u64, "hop"),
        signed_micros(sum)
    )
}

/// What the difference of the totals is made of.
pub(super) fn sentence(path: &PathDiff) -> String {
    let t = &path.total;
    let mut parts: Vec<&HopDiff> =
        path.hops.iter().filter(|h| h.change.verdict.is_change()).collect();
    parts.sort_by(|a, b| b.change.delta_ns.abs().total_cmp(&a.change.delta_ns.abs()));
    let words: Vec<String> = parts
        .iter()
        .take(4)
        .map(|h| format!("{} at {} {} µs", h.what, h.place, signed_micros(h.change.delta_ns)))
        .collect();
    let words = words.join(", ");
    let share = signed_percent(t.delta_ns, t.a_ns);
    if t.verdict == Verdict::Noise {
        let but = if words.is_empty() { words } else { format!(" What did change: {words}.") };
        return format!(
            "The totals differ by {} µs ({share}), no more than by chance or from run to run.{but}",
            signed_micros(t.delta_ns)
        );
    }
    let made_of = if words.is_empty() { words } else { format!(": {words}") };
    format!(
        "A packet takes {} {} in B ({share}){made_of}.",
        time(t.delta_ns.abs()),
        if t.delta_ns < 0.0 { "less" } else { "more" },
    )
}

fn signed_percent(delta: f64, of: f64) -> String {
    if of <= 0.0 {
        return "from nothing".to_owned();
    }
    let share = delta / of;
    format!("{}{}", if share < 0.0 { "−" } else { "+" }, percent(share.abs()))
}
