//! Checks about the rest of the stack: copies, segments, neighbours, floods, and the tail.

use super::super::{Hit, scene::Scene};
use crate::{
    snapshot::HopReport,
    units::{percent, time},
};

/// The tail is long if the 99th percentile is so many times the median,
const LONG_TAIL: f64 = 5.0;
/// and if so many packets are that slow: fewer are chance.
const IN_TAIL: u64 = 10;
/// Share of packets from which something happens often.
const OFTEN: f64 = 0.1;

pub(super) fn slow_tail(scene: &Scene) -> Option<Hit> {
    let total = &scene.path.total;
    if (total.p99_ns as f64) < LONG_TAIL * total.p50_ns.max(1) as f64 {
        return None;
    }
    let slow = slower(scene, LONG_TAIL * total.p50_ns as f64);
    if slow < IN_TAIL {
        return None;
    }
    let tail = |h: &HopReport| h.times.p99_ns.saturating_sub(h.times.p50_ns);
    let hop = scene.path.hops.iter().max_by_key(|h| tail(h))?;
    let text = format!(
        "one packet in a hundred takes {} or more, the median {}; most of that is {} at {} ({} at its 99th percentile)",
        time(total.p99_ns as f64),
        time(total.p50_ns as f64),
        hop.hop,
        hop.place(),
        time(hop.times.p99_ns as f64)
    );
    Some(
        Hit::new((total.mean_ns - total.p50_ns as f64).max(0.0), text)
            .with("hop", hop.hop.as_str())
            .with("place", hop.place())
            .with("p50_ns", total.p50_ns)
            .with("p99_ns", total.p99_ns)
            .with("slow_packets", slow),
    )
}

/// Packets that took at least so long, ns.
fn slower(scene: &Scene, ns: f64) -> u64 {
    let buckets = scene.path.histogram.iter().filter(|b| b.upto_ns as f64 >= ns);
    buckets.map(|b| b.count).sum()
}

/// A hop that costs as soon as packets meet it: where, how many, how long.
fn met(scene: &Scene, key: &str, least: f64, what: &str) -> Option<Hit> {
    let hop = scene.path.hops.iter().find(|h| h.hop == key && h.count > 0)?;
    let share = hop.count as f64 / scene.path.packets.max(1) as f64;
    if share < least {
        return None;
    }
    let text = format!(
        "{} of the packets {what} at {}, for {} each",
        percent(share),
        hop.place(),
        time(hop.times.mean_ns)
    );
    Some(
        Hit::new(scene.cost(hop), text)
            .with("share_of_packets", share)
            .with("mean_ns", hop.times.mean_ns)
            .with("place", hop.place()),
    )
}

pub(super) fn software_segmentation(scene: &Scene) -> Option<Hit> {
    let hit = met(scene, "gso.segment", 0.0, "are cut into segments")?;
    Some(hit.with("segments_per_packet", scene.path.segments_per_packet))
}

pub(super) fn header_copies(scene: &Scene) -> Option<Hit> {
    met(scene, "ip.copy", OFTEN, "have their headers copied")
}

pub(super) fn neighbour_wait(scene: &Scene) -> Option<Hit> {
    met(scene, "ip.neighbour.wait", 0.0, "wait for the next hop's link address")
}

pub(super) fn bridge_flood(scene: &Scene) -> Option<Hit> {
    met(scene, "bridge.flood", 0.0, "are copied to every port")
}
