//! The ledger: a table per path, whose rows sum to its total.

use maud::{Markup, html};

use super::{
    colours::{class, of_hop},
    path_title, percent_of,
};
use crate::{
    report::words,
    snapshot::{HopReport, PathReport, Snapshot, Summary},
    units::{count, micros, percent},
};

pub(super) const LEGEND: &str = "Times in µs. A row's time is its own: what is measured inside it as a \
    row of its own is left out, so the means (of all packets) sum to the total. Percentiles don't add \
    up. Work and waiting are kept apart.";

/// Columns: title, whether it holds numbers.
const COLUMNS: [(&str, bool); 11] = [
    ("what", false),
    ("where", false),
    ("kind", false),
    ("packets", true),
    ("mean", true),
    ("p50", true),
    ("p90", true),
    ("p99", true),
    ("p99.9", true),
    ("max", true),
    ("share", true),
];

pub(super) fn render(paths: &[&PathReport], snapshot: &Snapshot) -> Markup {
    html! {
        @for path in paths { (path_title(path)) (table(path, snapshot)) }
        (glossary(paths))
    }
}

/// What the hops are, for who does not know them by name.
fn glossary(paths: &[&PathReport]) -> Markup {
    let mut known: Vec<(String, &str)> = Vec::new();
    for hop in paths.iter().flat_map(|p| &p.hops) {
        let name = words::what(hop);
        if let Some(what) = words::made_of(hop)
            && !known.iter().any(|(n, _)| *n == name)
        {
            known.push((name, what));
        }
    }
    html! {
        details {
            summary { "What these hops are" }
            dl { @for (name, what) in known { dt { (name) } dd { (what) } } }
        }
    }
}

fn table(path: &PathReport, snapshot: &Snapshot) -> Markup {
    let dearest = path.hops.iter().map(|h| h.share).fold(0.0, f64::max);
    let (work, waiting) = words::work_and_waiting(path);
    let parts = [("work", work), ("waiting", waiting), ("unattributed", path.unattributed_ns)];
    html! {
        div.wide tabindex="0" {
            table.ledger.hops data-sortable {
                thead { tr { @for (title, number) in COLUMNS { th scope="col" .n[number] { (title) } } } }
                tbody { @for hop in &path.hops { (row(hop, dearest)) } }
                tfoot {
                    @for (name, ns) in parts {
                        tr {
                            th scope="row" colspan="4" { (name) }
                            td.n { (micros(ns)) }
                            td colspan="5" {}
                            td.n { (percent(words::share(path, ns))) }
                        }
                    }
                    tr.total {
                        th scope="row" colspan="3" { "total" }
                        td.n { (count(path.packets)) }
                        (figures(path.total.mean_ns, &path.total))
                        td.n { "100 %" }
                    }
                }
            }
        }
        (by_group(path))
        @if let Some(words) = words::compensated(path, snapshot) {
            p.note { "Of the total's mean, netpath itself took " (words) "." }
        }
    }
}

/// The same by cost group: what a packet spent in all of a group's hops.
fn by_group(path: &PathReport) -> Markup {
    let columns = COLUMNS.iter().filter(|(title, _)| !matches!(*title, "where" | "kind"));
    html! {
        @if !path.groups.is_empty() {
            details {
                summary { "By cost group" }
                div.wide tabindex="0" {
                    table.ledger data-sortable {
                        thead { tr { @for (title, number) in columns { th scope="col" .n[*number] { (title) } } } }
                        tbody {
                            @for group in &path.groups {
                                tr {
                                    th scope="row" {
                                        i class={ "swatch " (class(words::group_of(&group.group).group)) } {}
                                        (words::group_of(&group.group).label)
                                    }
                                    td.n data-value=(group.count) { (count(group.count)) }
                                    (figures(group.times.mean_ns, &group.times))
                                    td.n data-value=(group.share) { (percent(group.share)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn row(hop: &HopReport, dearest: f64) -> Markup {
    let colour = of_hop(hop);
    html! {
        tr {
            th scope="row" {
                i class={ "swatch " (colour) } {}
                (words::what(hop))
                small.at { (hop.place()) }
                @if !hop.causes.is_empty() { small.causes { (words::causes(&hop.causes)) } }
            }
            td { (hop.place()) }
            td { (hop.kind) }
            td.n data-value=(hop.count) { (count(hop.count)) }
            (figures(hop.times.mean_ns, &hop.times))
            td.n.share data-value=(hop.share) {
                (percent(hop.share))
                span.bar { i class=(colour) style={ "width:" (percent_of(hop.share, dearest)) } {} }
            }
        }
    }
}

fn figures(mean_ns: f64, times: &Summary) -> Markup {
    let ns = [times.p50_ns, times.p90_ns, times.p99_ns, times.p999_ns, times.max_ns];
    html! {
        td.n data-value=(mean_ns) { (micros(mean_ns)) }
        @for ns in ns { td.n data-value=(ns) { (micros(ns as f64)) } }
    }
}
