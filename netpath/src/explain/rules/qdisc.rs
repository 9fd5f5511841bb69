//! Checks about queueing disciplines.

use super::super::{
    Hit,
    scene::{Scene, number},
};
use crate::{
    facts::Limit,
    snapshot::{HopReport, QdiscReport, Snapshot},
    units::{count, percent, time},
};

/// Share of the total from which waiting in a qdisc matters, and the time below which it doesn't.
const MATTERS: f64 = 0.1;
const MATTERS_NS: f64 = 2_000.0;
/// Kinds that hold packets back on purpose.
const SHAPERS: &[&str] = &["tbf", "htb", "hfsc", "netem", "cake", "ets", "taprio", "etf"];
/// An enqueue is contended if its 99th percentile is so many times its median, and this long.
const CONTENDED: u64 = 10;
const CONTENDED_NS: u64 = 2_000;
/// The share of packets from which finding a lock taken is no accident.
const LOCKED_OUT: f64 = 0.01;

fn kind<'a>(scene: &Scene<'a>, hop: &'a HopReport) -> &'a str {
    scene
        .qdisc(hop)
        .map(|q| q.kind.as_str())
        .or_else(|| hop.causes.get("qdisc")?.as_str())
        .unwrap_or("a qdisc")
}

/// The longest wait in a qdisc that matters.
fn waiting<'a>(scene: &Scene<'a>) -> Option<(&'a HopReport, f64)> {
    let all = scene.path.hops.iter().filter(|h| h.hop == "qdisc.wait");
    let (hop, cost) = all.map(|h| (h, scene.cost(h))).max_by(|a, b| a.1.total_cmp(&b.1))?;
    (cost >= MATTERS_NS && scene.share(cost) >= MATTERS).then_some((hop, cost))
}

fn hit(scene: &Scene, hop: &HopReport, cost: f64, how: &str) -> Hit {
    let kind = kind(scene, hop);
    let place = hop.place();
    let ahead = number(hop, "ahead_mean");
    let mut out = Hit::new(
        cost,
        format!(
            "a packet {how} {} in {kind} on {place}, behind {ahead:.1} packets on average and {} at most",
            time(hop.times.mean_ns),
            number(hop, "ahead_max")
        ),
    )
    .with("qdisc", kind)
    .with("place", place)
    .with("ahead_mean", ahead)
    .with("ahead_max", number(hop, "ahead_max"))
    .with("backlog_mean_bytes", number(hop, "backlog_mean"))
    .with("p99_ns", hop.times.p99_ns);
    if let Some(q) = scene.qdisc(hop) {
        out = out.with("overlimits", q.overlimits).with("drops", q.drops);
        out = with_limit(out, q);
    }
    out
}

/// Says how much the qdisc holds, where that is known.
fn with_limit(mut hit: Hit, q: &QdiscReport) -> Hit {
    let (key, many, unit) = match q.limit {
        Some(Limit::Packets(many)) => ("limit_packets", many, "packets"),
        Some(Limit::Bytes(many)) => ("limit_bytes", many, "bytes"),
        None => return hit,
    };
    hit.summary += &format!("; it holds {} {unit}", count(many.into()));
    hit.with(key, many)
}

pub(super) fn queue(scene: &Scene) -> Option<Hit> {
    let (hop, cost) = waiting(scene)?;
    if SHAPERS.contains(&kind(scene, hop)) {
        return None;
    }
    Some(hit(scene, hop, cost, "waits"))
}

pub(super) fn shaped(scene: &Scene) -> Option<Hit> {
    let (hop, cost) = waiting(scene)?;
    if !SHAPERS.contains(&kind(scene, hop)) {
        return None;
    }
    Some(hit(scene, hop, cost, "is held back"))
}

pub(super) fn on_veth(scene: &Scene) -> Option<Hit> {
    let rows = ["qdisc.enqueue", "qdisc.lock", "qdisc.wait", "qdisc.send", "qdisc.bypass"];
    let on_veth = |h: &&HopReport| {
        rows.contains(&h.hop.as_str())
            && scene.qdisc(h).is_some_and(|q| {
                q.dev_kind == "veth" && q.kind != "noqueue" && !SHAPERS.contains(&q.kind.as_str())
            })
    };
    let first = scene.path.hops.iter().find(on_veth)?;
    let here = |h: &&HopReport| on_veth(h) && h.place() == first.place();
    let cost = scene.cost_of(scene.path.hops.iter().filter(here));
    let (kind, place) = (kind(scene, first), first.place());
    let text = format!("{place} queues with {kind}: {} a packet, waiting included", time(cost));
    Some(Hit::new(cost, text).with("qdisc", kind).with("place", place))
}

pub(super) fn lock(scene: &Scene) -> Option<Hit> {
    lock_seen(scene).or_else(|| lock_suspected(scene))
}

/// The longest wait for a qdisc's lock.
fn lock_seen(scene: &Scene) -> Option<Hit> {
    let all = scene.path.hops.iter().filter(|h| h.hop == "qdisc.lock");
    let (hop, cost) = all.map(|h| (h, scene.cost(h))).max_by(|a, b| a.1.total_cmp(&b.1))?;
    let share = hop.count as f64 / scene.path.packets.max(1) as f64;
    if share < LOCKED_OUT || (hop.times.p99_ns < CONTENDED_NS && scene.share(cost) < MATTERS) {
        return None;
    }
    let text = format!(
        "{} of the packets find the lock of {} on {} taken, and wait {} for it, {} for one in a hundred of them",
        percent(share),
        kind(scene, hop),
        hop.place(),
        time(hop.times.mean_ns),
        time(hop.times.p99_ns as f64)
    );
    Some(
        Hit::new(cost, text)
            .with("share", share)
            .with("mean_ns", hop.times.mean_ns)
            .with("p99_ns", hop.times.p99_ns)
            .with("place", hop.place()),
    )
}

/// Where waiting is not seen apart, it shows in the enqueue.
fn lock_suspected(scene: &Scene) -> Option<Hit> {
    let hop = scene.path.hops.iter().find(|h| {
        h.hop == "qdisc.enqueue"
            && h.times.p99_ns >= CONTENDED_NS
            && h.times.p99_ns >= CONTENDED * h.times.p50_ns.max(1)
    })?;
    let cost = scene.cost(hop);
    let text = format!(
        "entering {} on {} takes {} at the median, {} for one packet in a hundred",
        kind(scene, hop),
        hop.place(),
        time(hop.times.p50_ns as f64),
        time(hop.times.p99_ns as f64)
    );
    Some(
        Hit::new(cost, text)
            .with("p50_ns", hop.times.p50_ns)
            .with("p99_ns", hop.times.p99_ns)
            .with("place", hop.place()),
    )
}

pub(super) fn drops(snapshot: &Snapshot) -> Option<Hit> {
    let all = snapshot.netns_facts.iter().flat_map(|(n, f)| f.qdiscs.iter().map(move |q| (n, q)));
    let (netns, q): (&String, &QdiscReport) =
        all.filter(|(_, q)| q.root && q.drops > 0).max_by_key(|(_, q)| q.drops)?;
    let share = f64::from(q.drops) / f64::from(q.packets.saturating_add(q.drops).max(1));
    let text = format!(
        "{} on {netns}/{} dropped {} packets, {} of what it was given",
        q.kind,
        q.dev,
        count(q.drops.into()),
        percent(share)
    );
    let hit = Hit::losing(q.drops.into(), text)
        .with("qdisc", q.kind.as_str())
        .with("place", format!("{netns}/{}", q.dev))
        .with("drops", q.drops)
        .with("overlimits", q.overlimits);
    Some(with_limit(hit, q))
}
