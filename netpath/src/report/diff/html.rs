//! Differences as a page.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{
    Diff, HopDiff, PathDiff, Verdict,
    summary::{drift, sentence},
};
use crate::{
    report::{
        html::{POLICY, SCRIPT, STYLE, colours, percent_of},
        words,
    },
    units::{count, micros, signed_micros},
};

const COLUMNS: [(&str, bool); 8] = [
    ("what", false),
    ("where", false),
    ("kind", false),
    ("A", true),
    ("B", true),
    ("change", true),
    ("±", true),
    ("verdict", false),
];

pub(super) fn render(diff: &Diff) -> String {
    let (shown, minor) = diff.shown();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { "netpath: what changed" }
                style { (PreEscaped(STYLE)) (PreEscaped(colours::css())) }
            }
            body {
                header {
                    p.kicker { "netpath difference" }
                    h1 { "What changed from A to B" }
                    @for (name, side) in [("A", &diff.a), ("B", &diff.b)] {
                        p.facts {
                            b { (name) } " " (side.file) " · " (side.what) " · "
                            (side.started) " · Linux " (side.kernel) " · "
                            (words::counted(side.packets, "packet"))
                        }
                    }
                    div.opening { @for path in &shown { p { (path.direction) ", " (words::end_words(&path.end)) ": " (sentence(path)) } } }
                }
                main {
                    section {
                        p.legend {
                            "Mean times of a packet in µs. The rows' changes sum to the total's. “noise” is what "
                            "chance, or one run against another of the same thing, makes by itself; ± holds the "
                            "true difference of the means with 95 %."
                        }
                        @for path in &shown { (table(path)) }
                        @if minor > 0 { p.note { (words::counted(minor, "other path")) " with few packets." } }
                        p.note { (drift(diff)) }
                        @for (name, paths) in [("A", &diff.only_a), ("B", &diff.only_b)] {
                            @for path in paths { p.note { "Only in " (name) ": " (path) "." } }
                        }
                        @for note in &diff.notes { p.note { (note) "." } }
                    }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

fn table(path: &PathDiff) -> Markup {
    // Bars are for what changed, if anything did: noise can be larger, and is cut off.
    let most = |rows: &mut dyn Iterator<Item = &HopDiff>| {
        rows.map(|h| h.change.delta_ns.abs()).fold(0.0, f64::max)
    };
    let changed = most(&mut path.hops.iter().filter(|h| h.change.verdict.is_change()));
    let most = if changed > 0.0 { changed } else { most(&mut path.hops.iter()).max(1.0) };
    let t = &path.total;
    html! {
        h3 {
            (path.direction) ": " (path.name)
            small {
                " " (count(path.packets_a)) " and " (count(path.packets_b)) " packets, "
                (words::end_words(&path.end))
            }
        }
        div.wide tabindex="0" {
            table.diff data-sortable {
                thead { tr { @for (title, number) in COLUMNS { th scope="col" .n[number] { (title) } } } }
                tbody { @for hop in &path.hops { (row(hop, most)) } }
                tfoot {
                    tr {
                        th scope="row" colspan="5" { "unattributed" }
                        td.n { (signed_micros(path.unattributed_delta_ns)) }
                    }
                    tr.total {
                        th scope="row" colspan="3" { "total" }
                        td.n { (micros(t.a_ns)) }
                        td.n { (micros(t.b_ns)) }
                        td.n { (signed_micros(t.delta_ns)) }
                        td.n { (micros(t.uncertainty_ns)) }
                        td { (t.verdict.words()) }
                    }
                }
            }
        }
    }
}

fn row(hop: &HopDiff, most: f64) -> Markup {
    let c = &hop.change;
    let group = colours::class(words::group_of(&hop.group).group);
    let wait = if hop.kind == "wait" { "wait " } else { "" };
    let length = c.delta_ns.abs().min(most);
    let width = percent_of(length, most * 2.0);
    let left =
        if c.delta_ns < 0.0 { percent_of(most - length, most * 2.0) } else { percent_of(1.0, 2.0) };
    let both = !matches!(c.verdict, Verdict::OnlyA | Verdict::OnlyB);
    html! {
        tr class=(if c.verdict.is_change() { "changed" } else { "noise" }) {
            th scope="row" { i class={ "swatch " (wait) (group) } {} (hop.what) }
            td { (hop.place) }
            td { (hop.kind) }
            td.n data-value=(c.a_ns) { (if c.verdict == Verdict::OnlyB { "–".to_owned() } else { micros(c.a_ns) }) }
            td.n data-value=(c.b_ns) { (if c.verdict == Verdict::OnlyA { "–".to_owned() } else { micros(c.b_ns) }) }
            td.n.share data-value=(c.delta_ns) {
                (signed_micros(c.delta_ns))
                span.strip.apart { i class={ (wait) (group) } style={ "left:" (left) ";width:" (width) } {} }
            }
            td.n { @if both { (micros(c.uncertainty_ns)) } }
            td {
                (c.verdict.words())
                @for (name, q) in [("p50", hop.p50_ns), ("p99", hop.p99_ns)] {
                    @if let Some(q) = q.filter(|q| q.changed) {
                        br; small { (name) " " (micros(q.a as f64)) " → " (micros(q.b as f64)) }
                    }
                }
            }
        }
    }
}
