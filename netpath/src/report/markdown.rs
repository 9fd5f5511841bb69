//! Markdown: the report as a ticket gets it.

use std::fmt::Write as _;

use super::words;
use crate::{
    snapshot::{PathReport, Snapshot, Summary, TransactionReport},
    units::{count, micros, percent, time},
};

/// Flows that are shown.
const FLOWS: usize = 10;

/// The whole report.
pub(super) fn render(s: &Snapshot) -> String {
    let mut out = format!("# netpath: {}\n\n", text(&s.what()));
    for sentence in words::opening(s) {
        let _ = writeln!(out, "{}", text(&sentence));
    }
    let (paths, minor) = words::major(s);
    for transaction in words::round_trips(s) {
        round_trip(&mut out, transaction);
    }
    for path in paths {
        path_section(&mut out, path, s);
    }
    if let Some(minor) = minor.words() {
        let _ = writeln!(out, "\n{minor} are left out here.");
    }
    findings(&mut out, s);
    flows(&mut out, s);
    trust(&mut out, s);
    out
}

fn path_section(out: &mut String, path: &PathReport, s: &Snapshot) {
    let _ = writeln!(
        out,
        "\n## {}: {}\n\n{}, {}.",
        text(&path.direction),
        text(&path.name),
        words::counted(path.packets, "packet"),
        words::end(path),
    );
    if let Some(example) = &path.example {
        let after =
            example.after.as_ref().map_or_else(String::new, |a| format!(", after NAT `{a}`"));
        let _ = writeln!(out, "Such as `{}`{after}.", example.before);
    }
    out.push_str(
        "\n| what | where | kind | packets | mean µs | p50 | p90 | p99 | max | share |\n\
         | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for hop in &path.hops {
        let cells =
            [text(&words::what(hop)), text(&hop.place()), hop.kind.clone(), count(hop.count)];
        let _ = writeln!(
            out,
            "| {} | {} | {} |",
            cells.join(" | "),
            figures(hop.times.mean_ns, &hop.times),
            percent(hop.share)
        );
    }
    let (work, waiting) = words::work_and_waiting(path);
    let unattributed = path.unattributed_ns;
    for (name, ns) in [("work", work), ("waiting", waiting), ("unattributed", unattributed)] {
        let share = percent(words::share(path, ns));
        let _ = writeln!(out, "| *{name}* | | | | {} | | | | | {share} |", micros(ns));
    }
    let _ = writeln!(
        out,
        "| **total** | | | {} | {} | 100 % |",
        count(path.packets),
        figures(path.total.mean_ns, &path.total)
    );
    if !path.groups.is_empty() {
        out.push_str(
            "\n| group | packets | mean µs | p50 | p90 | p99 | max | share |\n\
             | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
        );
    }
    for group in &path.groups {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} |",
            words::group_of(&group.group).label,
            count(group.count),
            figures(group.times.mean_ns, &group.times),
            percent(group.share)
        );
    }
    if let Some(words) = words::compensated(path, s) {
        let _ = writeln!(out, "\nOf which netpath itself: {words}.");
    }
}

/// Five figures in µs, between bars.
fn figures(mean_ns: f64, times: &Summary) -> String {
    let ns = [times.p50_ns, times.p90_ns, times.p99_ns, times.max_ns].map(|ns| ns as f64);
    let [p50, p90, p99, max] = ns.map(micros);
    format!("{} | {p50} | {p90} | {p99} | {max}", micros(mean_ns))
}

fn round_trip(out: &mut String, t: &TransactionReport) {
    let _ = writeln!(
        out,
        "\n## Round trips: {}\n\n{}.\n\n| part | mean µs | p50 | p90 | p99 | max | share |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        text(&t.name),
        words::trips_counted(t),
    );
    for part in &t.parts {
        let name = match &part.path {
            Some(path) => format!("{}: {}", part.part, text(path)),
            None => part.part.clone(),
        };
        let cells = figures(part.times.mean_ns, &part.times);
        let _ = writeln!(out, "| {name} | {cells} | {} |", percent(part.share));
    }
    let _ = writeln!(out, "| **total** | {} | 100 % |", figures(t.total.mean_ns, &t.total));
    if let Some(sentence) = words::sent_again(t) {
        let _ = writeln!(out, "\n{}.", text(&sentence));
    }
}

fn findings(out: &mut String, s: &Snapshot) {
    if s.findings.is_empty() {
        return;
    }
    out.push_str("\n## Findings\n\n");
    for f in &s.findings {
        let cost = if f.cost_ns > 0.0 {
            format!(" ({}, {})", time(f.cost_ns), percent(f.share))
        } else {
            String::new()
        };
        let _ = writeln!(
            out,
            "- **{}**{cost}: {}. *What would help:* {}",
            text(&f.title),
            text(&f.summary),
            text(&f.advice)
        );
        let _ = writeln!(out, "  - on {}", text(&f.path));
        for (key, value) in &f.evidence {
            let (name, value) = words::evidence(key, value);
            let _ = writeln!(out, "  - {}: {}", text(&name), text(&value));
        }
    }
}

fn flows(out: &mut String, s: &Snapshot) {
    if s.flows.is_empty() {
        return;
    }
    out.push_str(
        "\n## Flows\n\n| flow | after NAT | direction | packets | mean µs | max |\n\
         | --- | --- | --- | ---: | ---: | ---: |\n",
    );
    for row in s.flows.iter().take(FLOWS) {
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} | {} | {} |",
            row.flow.before,
            row.flow.after.as_ref().map_or_else(String::new, |a| format!("`{a}`")),
            row.direction,
            count(row.packets),
            micros(row.mean_ns),
            micros(row.max_ns as f64)
        );
    }
    if s.flows.len() > FLOWS {
        let _ = writeln!(out, "\n{} more are left out here.", s.flows.len() - FLOWS);
    }
}

fn trust(out: &mut String, s: &Snapshot) {
    out.push_str("\n## How far to trust this\n\n| | |\n| --- | --- |\n");
    for (name, value) in words::trust(s) {
        let _ = writeln!(out, "| {name} | {} |", text(&value));
    }
    counters(out, s);
}

/// The counters that somebody should look at.
fn counters(out: &mut String, s: &Snapshot) {
    let telling = words::counters::telling(s);
    if telling.is_empty() {
        return;
    }
    out.push_str(
        "\n## The kernel's own counters\n\n| where | counter | kernel | netpath | | what it counts |\n\
         | --- | --- | ---: | ---: | --- | --- |\n",
    );
    for c in telling {
        let dev = c.dev.as_ref().map_or_else(String::new, |dev| format!("/{dev}"));
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} |",
            text(&format!("{}{dev}", c.netns)),
            text(&c.name),
            count(c.kernel),
            c.netpath.map_or_else(String::new, count),
            words::counters::verdict(c),
            text(&c.what)
        );
    }
}

/// Text that markdown takes as it is: no bar ends a cell, no star or underscore begins emphasis.
fn text(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for c in words.chars() {
        match c {
            '|' | '*' | '_' | '`' | '<' | '\\' => out.extend(['\\', c]),
            '\n' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
