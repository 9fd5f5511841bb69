//! Findings with their evidence, and round trips.

use maud::{Markup, html};
use netpath_common::group::Group;

use super::{colours::class, percent_of};
use crate::{
    report::words,
    snapshot::{Finding, Snapshot, Summary, TransactionPart, TransactionReport},
    units::{micros, percent, time},
};

pub(super) const LEGEND: &str = "What costs packets or time, why, what was seen of it, and what would help. Losses first, then the dearest.";
pub(super) const TRIPS_LEGEND: &str = "From the request's first event to the reply's last: both \
    packets' ways, and what lies between them: the answering process. A connect is SYN, SYN-ACK and the \
    departure of the ACK. A part's times are of those that have it. Times in µs.";

pub(super) fn render(snapshot: &Snapshot) -> Markup {
    html! { ol.findings { @for finding in &snapshot.findings { (one(finding)) } } }
}

fn one(finding: &Finding) -> Markup {
    let group = words::group_of(&finding.group);
    html! {
        li class=(class(group.group)) {
            h3 {
                (finding.title) " "
                small {
                    @if finding.lost > 0 { (words::counted(finding.lost, "packet")) " · " }
                    @else if finding.cost_ns > 0.0 {
                        (time(finding.cost_ns)) ", " (percent(finding.share)) " · "
                    }
                    (group.label)
                }
            }
            p { (finding.summary) }
            p { "What would help: " (finding.advice) }
            @if !finding.evidence.is_empty() {
                dl { @for (key, value) in &finding.evidence {
                    @let (name, value) = words::evidence(key, value);
                    dt { (name) }
                    dd { (value) }
                } }
            }
            p { small { "on " (finding.path) " · " (finding.link) } }
        }
    }
}

pub(super) fn round_trips(snapshot: &Snapshot) -> Markup {
    html! { @for trip in words::round_trips(snapshot) { (round_trip(trip)) } }
}

fn round_trip(trip: &TransactionReport) -> Markup {
    let starts = trip.parts.iter().scan(0.0, |sum, part| {
        let at = *sum;
        *sum += part.share;
        Some(at)
    });
    html! {
        h3 { (trip.name) " " small { (words::trips_counted(trip)) } }
        @if let Some(sentence) = words::sent_again(trip) { p { (sentence) "." } }
        div.strip.trip {
            @for (part, at) in trip.parts.iter().zip(starts) {
                i class=(colour(part)) title={ (part.part) " " (time(part.times.mean_ns)) }
                    style={ "left:" (percent_of(at, 1.0)) ";width:" (percent_of(part.share, 1.0)) } {
                    span { (part.part) }
                }
            }
        }
        div.wide tabindex="0" { table {
            thead { tr {
                th scope="col" { "part" }
                @for title in ["mean", "p50", "p90", "p99", "max", "share"] { th.n scope="col" { (title) } }
            } }
            tbody { @for part in &trip.parts { tr {
                th scope="row" {
                    i class={ "swatch " (colour(part)) } {}
                    (part.part)
                    @if let Some(path) = &part.path { small { (path) } }
                }
                (figures(&part.times))
                td.n { (percent(part.share)) }
            } } }
            tfoot { tr.total { th scope="row" { "total" } (figures(&trip.total)) td.n { "100 %" } } }
        } }
    }
}

/// The request and the reply look alike, what is between them doesn't.
fn colour(part: &TransactionPart) -> String {
    class(if part.path.is_some() { Group::Ip } else { Group::Unattributed })
}

fn figures(times: &Summary) -> Markup {
    let ns = [times.p50_ns, times.p90_ns, times.p99_ns, times.max_ns];
    html! {
        td.n { (micros(times.mean_ns)) }
        @for ns in ns { td.n { (micros(ns as f64)) } }
    }
}
