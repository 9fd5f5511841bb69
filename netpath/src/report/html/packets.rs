//! Two packets of a path on one scale: a typical one, and one near the 99th percentile.

use maud::{Markup, html};
use netpath_common::group::Group;

use super::{
    colours::{class, of_hop},
    path_title, percent_of,
};
use crate::{
    report::words,
    snapshot::{PacketReport, PathReport, PieceReport},
    units::time,
};

pub(super) const LEGEND: &str = "Two packets that were really seen: one that took the median, and \
    the kept one that is nearest to the 99th percentile; on one scale, unless one is so much slower that \
    nothing of the other could be seen. Below, the same hop by hop: a bar stands where in the packet's \
    time it was there, the typical packet's above the slow one's.";

/// How many times slower a packet can be for both to be on one scale.
const APART: f64 = 30.0;

/// Marks on the scale, at most.
const TICKS: f64 = 6.0;

pub(super) fn render(paths: &[&PathReport]) -> Markup {
    html! {
        @for path in paths {
            @if let (Some(typical), Some(slow)) = (typical(path), slow(path)) {
                (path_title(path))
                (pair(path, typical, slow))
            }
        }
    }
}

fn typical(path: &PathReport) -> Option<&PacketReport> {
    path.packets_shown.iter().find(|p| p.label == "typical")
}

/// Of the slow packets that were kept, the one that is nearest to the 99th percentile.
fn slow(path: &PathReport) -> Option<&PacketReport> {
    let p99 = (path.total.p99_ns.max(1) as f64).ln();
    let far = |p: &PacketReport| ((p.total_ns.max(1) as f64).ln() - p99).abs();
    let kept = path.packets_shown.iter().filter(|p| p.label != "typical");
    kept.min_by(|a, b| far(a).total_cmp(&far(b)))
}

fn pair(path: &PathReport, typical: &PacketReport, slow: &PacketReport) -> Markup {
    let scale = |packet: &PacketReport| packet.total_ns.max(1) as f64;
    let one = scale(typical).max(scale(slow));
    let apart = one > APART * scale(typical).min(scale(slow));
    let scale = |packet: &PacketReport| if apart { scale(packet) } else { one };
    let both = [("typical", typical), ("slow", slow)];
    html! {
        p {
            (difference(path, typical, slow))
            @if apart { " Each has a scale of its own." }
        }
        div.falls {
            @for (name, packet) in both {
                div.fall {
                    b { (name) " " span.ns { (time(packet.total_ns as f64)) } }
                    div.strip { @for piece in &packet.pieces { (bar(path, piece, scale(packet))) } }
                }
                @if apart || name == "slow" { div.fall { b {} (ticks(scale(packet))) } }
            }
            table.pieces {
                thead { tr {
                    th scope="col" { "hop" }
                    th.n scope="col" { "typical" }
                    th.n scope="col" { "slow" }
                    th scope="col" { "when" }
                } }
                tbody { @for hop in hops(typical, slow) { (row(path, both.map(|(_, packet)| (packet, scale(packet))), hop)) } }
            }
        }
    }
}

/// A hop in both packets, each with its scale.
fn row(path: &PathReport, both: [(&PacketReport, f64); 2], hop: Option<usize>) -> Markup {
    let named = hop.and_then(|h| path.hops.get(h));
    html! {
        tr {
            th scope="row" {
                @match named {
                    Some(hop) => { (words::what(hop)) " " small { (hop.place()) } }
                    None => { "unattributed" }
                }
            }
            @for (packet, _) in both { td.n { (spent(packet, hop)) } }
            td.when {
                @for (packet, scale) in both {
                    div.strip {
                        @for piece in packet.pieces.iter().filter(|p| p.hop == hop) {
                            (bar(path, piece, scale))
                        }
                    }
                }
            }
        }
    }
}

/// Where the slow packet lost its time.
fn difference(path: &PathReport, typical: &PacketReport, slow: &PacketReport) -> String {
    let more = slow.total_ns - typical.total_ns;
    let longer = |hop: Option<usize>| sum(slow, hop) - sum(typical, hop);
    let dearest = hops(typical, slow).into_iter().max_by_key(|hop| longer(*hop));
    let Some(hop) = dearest.filter(|_| more > 0) else { return String::new() };
    let what = hop.and_then(|h| path.hops.get(h)).map_or_else(
        || "what is unattributed".to_owned(),
        |h| format!("{} at {}", words::what(h), h.place()),
    );
    format!(
        "The slow packet took {} longer than the typical one; {what} alone was {} longer.",
        time(more as f64),
        time(longer(hop) as f64)
    )
}

/// The hops that either packet met, in the order of the path; what is unattributed last.
fn hops(typical: &PacketReport, slow: &PacketReport) -> Vec<Option<usize>> {
    let mut hops: Vec<Option<usize>> =
        typical.pieces.iter().chain(&slow.pieces).filter(|p| p.ns != 0).map(|p| p.hop).collect();
    hops.sort_by_key(|h| h.unwrap_or(usize::MAX));
    hops.dedup();
    hops
}

fn sum(packet: &PacketReport, hop: Option<usize>) -> i64 {
    packet.pieces.iter().filter(|p| p.hop == hop).map(|p| p.ns).sum()
}

fn spent(packet: &PacketReport, hop: Option<usize>) -> String {
    if packet.pieces.iter().any(|p| p.hop == hop) {
        time(sum(packet, hop) as f64)
    } else {
        "–".to_owned()
    }
}

fn bar(path: &PathReport, piece: &PieceReport, scale: f64) -> Markup {
    let hop = piece.hop.and_then(|h| path.hops.get(h));
    let colour = hop.map_or_else(|| class(Group::Unattributed), of_hop);
    let name = hop.map_or_else(|| "unattributed".to_owned(), words::what);
    let (left, width) =
        (percent_of(piece.at_ns as f64, scale), percent_of(piece.ns.max(0) as f64, scale));
    html! {
        i class=(colour) style={ "left:" (left) ";width:" (width) }
            title={ (name) " " (time(piece.ns as f64)) ", CPU " (piece.cpu) } {}
    }
}

/// Round times along the scale.
fn ticks(scale: f64) -> Markup {
    let step = step(scale / TICKS);
    // A mark's words stand at its right: at the very end they would be beyond the page's edge.
    let marks = (0..=10).map(|i| f64::from(i) * step).filter(|at| *at <= scale * 0.85);
    html! {
        div.ticks aria-hidden="true" {
            @for at in marks { span style={ "left:" (percent_of(at, scale)) } { (short(at)) } }
        }
    }
}

/// The next of 1, 2, 5, 10, 20, … above, ns.
fn step(least: f64) -> f64 {
    let magnitude = 10_f64.powf(least.max(1.0).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * magnitude).find(|s| *s >= least).unwrap_or(least)
}

/// A round time with its unit and no digits after the point: `100 ns`, `20 µs`.
pub(super) fn short(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns < 1e3 => (ns, "ns"),
        ns if ns < 1e6 => (ns / 1e3, "µs"),
        ns if ns < 1e9 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    format!("{value:.0} {unit}")
}
