//! The HTML report: one file that opens from disk, needs no network, and explains itself.
//!
//! In: a snapshot. Out: a page. All that it shows is in the markup, so that it can be read without
//! scripts and printed; the script adds zoom, search and sorting. The page holds the whole report as
//! JSON too.

pub(super) mod colours;
mod findings;
mod flame;
mod histograms;
mod ledger;
mod map;
mod packets;
mod trust;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{ReportError, words};
use crate::{
    snapshot::{PathReport, Snapshot},
    units::time,
};

pub(super) const STYLE: &str = include_str!("html/report.css");
pub(super) const SCRIPT: &str = include_str!("html/report.js");
/// The page loads nothing, from nowhere.
pub(super) const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// Paths that get pictures of their own; there are seldom more than one for each direction.
const PATHS_SHOWN: usize = 8;

/// The page.
pub(super) fn render(snapshot: &Snapshot) -> Result<String, ReportError> {
    let (mut paths, minor) = words::major(snapshot);
    let left_out = paths.len().saturating_sub(PATHS_SHOWN);
    paths.truncate(PATHS_SHOWN);
    let title = snapshot.what();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="generator" content=(format!("netpath {}", snapshot.version));
                title { "netpath: " (title) }
                style { (PreEscaped(STYLE)) (PreEscaped(colours::css())) }
            }
            body {
                (header(snapshot, &title))
                main {
                    @if paths.is_empty() {
                        p.note { (words::no_path(snapshot)) }
                    } @else {
                        (section("path", "The path", map::LEGEND, &map::render(&paths, snapshot)))
                        (section("flame", "Where the time goes", flame::LEGEND, &flame::render(&paths)))
                        (section("packets", "A typical packet and a slow one", packets::LEGEND, &packets::render(&paths)))
                        (section("ledger", "The ledger", ledger::LEGEND, &ledger::render(&paths, snapshot)))
                        (section("histograms", "How the times are spread", histograms::LEGEND, &histograms::render(&paths)))
                    }
                    @if !snapshot.transactions.is_empty() {
                        (section("round-trips", "Round trips", findings::TRIPS_LEGEND, &findings::round_trips(snapshot)))
                    }
                    @if !snapshot.findings.is_empty() {
                        (section("findings", "Findings", findings::LEGEND, &findings::render(snapshot)))
                    }
                    @if !snapshot.flows.is_empty() {
                        (section("flows", "Flows", trust::FLOWS_LEGEND, &trust::flows(snapshot)))
                    }
                    @if let Some(minor) = minor.words() { p.note { (minor) " are in the data only." } }
                    @if left_out > 0 { p.note { (left_out) " more paths are in the data only." } }
                    (section("trust", "How far to trust this", trust::LEGEND, &trust::render(snapshot)))
                }
                (footer(snapshot))
                script type="application/json" id="report" { (PreEscaped(data(snapshot)?)) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    Ok(page.into_string())
}

fn header(snapshot: &Snapshot, title: &str) -> Markup {
    html! {
        header {
            p.kicker { "netpath report" }
            h1 { (title) }
            p.facts {
                time datetime=(snapshot.started) { (snapshot.started.replace('T', " ").replace('Z', " UTC")) }
                " · " (time(snapshot.duration_ns as f64))
                " · Linux " (snapshot.host.kernel)
                " · " (snapshot.host.cpus) " × " (snapshot.host.cpu)
            }
            div.opening { @for sentence in words::opening(snapshot) { p { (unbroken(&sentence)) } } }
        }
    }
}

fn section(id: &str, title: &str, legend: &str, content: &Markup) -> Markup {
    html! {
        section id=(id) aria-labelledby=(format!("{id}-title")) {
            h2 id=(format!("{id}-title")) { (title) }
            p.legend { (legend) }
            (content)
        }
    }
}

/// What stands over each path's part of a section.
fn path_title(path: &PathReport) -> Markup {
    html! {
        h3 {
            (path.direction) ": " (path.name)
            small { " " (words::counted(path.packets, "packet")) ", " (words::end(path)) }
        }
    }
}

fn footer(snapshot: &Snapshot) -> Markup {
    html! {
        footer {
            p {
                "Made by netpath " (snapshot.version) ", a per-hop path latency tracer for Linux. "
                "The figures are also in this file as JSON (" (snapshot.schema) ")"
                span.script-only { ": " button type="button" id="download" { "save them" } }
                "."
            }
        }
    }
}

/// The report as JSON that can stand in a page: no tag can begin in it.
fn data(snapshot: &Snapshot) -> Result<String, ReportError> {
    Ok(serde_json::to_string(snapshot)?.replace('<', "\\u003c"))
}

/// Text in whose figures no line ends: between a digit and its unit, or the next digits.
fn unbroken(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut last = ' ';
    while let Some(c) = chars.next() {
        let unit = chars.peek().is_some_and(|n| n.is_ascii_digit() || "µnm%".contains(*n));
        out.push(if c == ' ' && last.is_ascii_digit() && unit { '\u{a0}' } else { c });
        last = c;
    }
    out
}

/// A CSS length in per cent.
pub(super) fn percent_of(part: f64, whole: f64) -> String {
    let share = if whole > 0.0 { part / whole * 100.0 } else { 0.0 };
    format!("{share:.3}%")
}
