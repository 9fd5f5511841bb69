//! Checks about hand-offs between contexts: softirq backlogs, other CPUs, sleeping readers.

use super::super::{
    Hit,
    scene::{Scene, number, tally},
};
use crate::{
    snapshot::{HopReport, Snapshot},
    units::{count, percent, time},
};

const BACKLOG: &str = "handoff";
const READER: &str = "socket.wait";
/// Share of the total from which hand-offs matter.
const MATTERS: f64 = 0.05;
/// Share of the total from which the reader's wake-up does.
const WAKE_UP: f64 = 0.2;
/// Share of a wait's packets that go on elsewhere, from which that is no accident.
const ELSEWHERE: f64 = 0.1;
/// Waits of one sort from which their mean is no accident.
const SOME_WAITS: f64 = 10.0;
/// A reader that comes so late, at the median, was not asleep but away, ns: waking takes less.
const AWAY_NS: u64 = 1_000_000;
/// The softirq is late if its 99th percentile is so many times its median, and this long.
const LATE: u64 = 20;
const LATE_NS: u64 = 20_000;

fn backlogs<'a>(scene: &Scene<'a>) -> impl Iterator<Item = &'a HopReport> + use<'a> {
    scene.path.hops.iter().filter(|h| h.hop == BACKLOG)
}

pub(super) fn handoffs(scene: &Scene) -> Option<Hit> {
    let times = backlogs(scene).count();
    let cost = scene.cost_of(backlogs(scene));
    if times < 2 || scene.share(cost) < MATTERS {
        return None;
    }
    let places: Vec<String> = backlogs(scene).map(HopReport::place).collect();
    let text = format!(
        "{times} times on this path, into {}: {} together, {} each",
        places.join(" and "),
        time(cost),
        time(cost / times as f64)
    );
    Some(Hit::new(cost, text).with("places", places))
}

/// What packets that go on elsewhere wait longer than those that stay, spread over all of the hop's;
/// all of their wait where none stays.
fn moving(hop: &HopReport) -> f64 {
    let (same, other) = (tally(hop, "same_cpu"), tally(hop, "other_cpu"));
    let share = other.count / (same.count + other.count).max(1.0);
    (other.mean_ns - same.mean_ns).max(0.0) * share
}

pub(super) fn other_cpu(scene: &Scene) -> Option<Hit> {
    let moved = |hop: &&HopReport| {
        let (same, other) = (tally(hop, "same_cpu"), tally(hop, "other_cpu"));
        other.count >= ELSEWHERE * (same.count + other.count) && other.count >= SOME_WAITS
    };
    let cost = |hop: &HopReport| moving(hop) * hop.count as f64 / scene.path.packets.max(1) as f64;
    // A reader that is away is late on whichever CPU it comes back.
    let away = |hop: &HopReport| hop.hop == READER && is_away(hop);
    let waits =
        scene.path.hops.iter().filter(|h| h.kind == "wait" && h.group != "qdisc" && !away(h));
    let hop = waits.filter(moved).max_by(|a, b| cost(a).total_cmp(&cost(b)))?;
    let cost = cost(hop);
    // Where those that stay wait as long or longer, moving is not what costs.
    if scene.share(cost) < MATTERS {
        return None;
    }
    let (same, other) = (tally(hop, "same_cpu"), tally(hop, "other_cpu"));
    let share = other.count / (same.count + other.count);
    let mut text = format!(
        "{} of the packets go on elsewhere at {}, after {}",
        percent(share),
        hop.place(),
        time(other.mean_ns)
    );
    if same.count > 0.0 {
        text += &format!("; those that stay wait {}", time(same.mean_ns));
    }
    let mask = hop.dev.as_ref().and_then(|dev| scene.facts(&hop.netns)?.rps.get(dev));
    if let Some(mask) = mask {
        text += &format!("; RPS may choose CPUs {mask}");
    }
    let mut hit = Hit::new(cost, text)
        .with("place", hop.place())
        .with("share_of_packets", share)
        .with("other_cpu_mean_ns", other.mean_ns)
        .with("same_cpu_mean_ns", same.mean_ns);
    if let Some(mask) = mask {
        hit = hit.with("rps_cpus", mask.as_str());
    }
    Some(hit)
}

pub(super) fn idle_cpu(scene: &Scene) -> Option<Hit> {
    let woken = |hop: &HopReport| tally(hop, "idle_cpu").count / hop.count.max(1) as f64;
    // What such a wait takes longer than one at the same place that finds its CPU awake; all of it
    // where none does. One that is very long moves the mean of few: what is usual among the longest
    // waits, as many as found an idle CPU, bounds it.
    let longer = |hop: &HopReport| {
        let idle = tally(hop, "idle_cpu");
        let awake = hop.count as f64 - idle.count;
        let sum = hop.times.mean_ns * hop.count as f64 - idle.mean_ns * idle.count;
        let awake_mean_ns = if awake > 0.0 { sum / awake } else { 0.0 };
        let usual_ns = quantile(hop, 1.0 - woken(hop) / 2.0).unwrap_or(idle.mean_ns);
        (idle.mean_ns.min(usual_ns) - awake_mean_ns, awake_mean_ns)
    };
    let cost = |hop: &HopReport| {
        let of_all = hop.count as f64 / scene.path.packets.max(1) as f64;
        longer(hop).0.max(0.0) * woken(hop) * of_all
    };
    // A queue's timer wakes an idle CPU too, and in its time.
    let waits = scene.path.hops.iter().filter(|h| matches!(h.hop.as_str(), BACKLOG | READER));
    let waits = waits.filter(|h| {
        woken(h) >= ELSEWHERE && tally(h, "idle_cpu").count >= SOME_WAITS && !is_away(h)
    });
    let hop = waits.max_by(|a, b| cost(a).total_cmp(&cost(b)))?;
    if scene.share(cost(hop)) < MATTERS {
        return None;
    }
    let idle = tally(hop, "idle_cpu");
    let (_, awake_ns) = longer(hop);
    let mut text = format!(
        "{} of the waits at {} are for a CPU that was idle: {} each",
        percent(woken(hop)),
        hop.place(),
        time(idle.mean_ns)
    );
    if awake_ns > 0.0 {
        text += &format!("; those that find it awake take {}", time(awake_ns));
    }
    Some(
        Hit::new(cost(hop), text)
            .with("place", hop.place())
            .with("hop", hop.hop.as_str())
            .with("share_of_waits", woken(hop))
            .with("idle_cpu_mean_ns", idle.mean_ns)
            .with("awake_mean_ns", awake_ns),
    )
}

pub(super) fn ksoftirqd(scene: &Scene) -> Option<Hit> {
    let share = |hop: &HopReport| {
        let (in_line, daemon) = (tally(hop, "in_line").count, tally(hop, "ksoftirqd").count);
        daemon / (in_line + daemon).max(1.0)
    };
    // What such a wait takes longer than one that is served in line at the same place; all of it where
    // none is.
    let cost = |hop: &HopReport| {
        let of_all = hop.count as f64 / scene.path.packets.max(1) as f64;
        let longer = tally(hop, "ksoftirqd").mean_ns - tally(hop, "in_line").mean_ns;
        longer.max(0.0) * share(hop) * of_all
    };
    let waits = backlogs(scene).filter(|hop| share(hop) >= ELSEWHERE);
    let hop = waits.max_by(|a, b| cost(a).total_cmp(&cost(b)))?;
    if scene.share(cost(hop)) < MATTERS {
        return None;
    }
    let (in_line, daemon) = (tally(hop, "in_line"), tally(hop, "ksoftirqd"));
    let mut text = format!(
        "{} of the packets are taken up by ksoftirqd at {}, after {}",
        percent(share(hop)),
        hop.place(),
        time(daemon.mean_ns)
    );
    if in_line.count > 0.0 {
        text += &format!("; those that are taken up in line wait {}", time(in_line.mean_ns));
    }
    // Of a few packets, it can be that none was looked behind.
    let looked = hop.causes.contains_key("behind_mean");
    let (mean, most) = (number(hop, "behind_mean"), number(hop, "behind_max"));
    if looked {
        text +=
            &format!("; {mean:.1} packets lie behind each on average, {} at most", count_of(most));
    }
    let hit = Hit::new(cost(hop), text)
        .with("place", hop.place())
        .with("share_of_waits", share(hop))
        .with("ksoftirqd_mean_ns", daemon.mean_ns)
        .with("in_line_mean_ns", in_line.mean_ns);
    Some(if looked { hit.with("behind_mean", mean).with("behind_max", most) } else { hit })
}

pub(super) fn softirq_late(scene: &Scene) -> Option<Hit> {
    let late = |h: &&HopReport| {
        h.times.p99_ns >= LATE_NS && h.times.p99_ns >= LATE * h.times.p50_ns.max(1)
    };
    let hop = backlogs(scene).filter(late).max_by_key(|h| h.times.p99_ns)?;
    let cost = (hop.times.mean_ns - hop.times.p50_ns as f64).max(0.0);
    let text = format!(
        "one packet in a hundred waits {} or more for the softirq at {}, the median {}; softirqs ran out of budget {} times meanwhile, on all CPUs",
        time(hop.times.p99_ns as f64),
        hop.place(),
        time(hop.times.p50_ns as f64),
        count(scene.snapshot.softnet.squeezed)
    );
    Some(
        Hit::new(cost, text)
            .with("p50_ns", hop.times.p50_ns)
            .with("p99_ns", hop.times.p99_ns)
            .with("squeezed", scene.snapshot.softnet.squeezed),
    )
}

pub(super) fn backlog_drops(snapshot: &Snapshot) -> Option<Hit> {
    let softnet = snapshot.softnet;
    (softnet.dropped > 0).then(|| {
        let text = format!("{} packets found no room on a CPU's backlog", count(softnet.dropped));
        Hit::losing(softnet.dropped, text).with("dropped", softnet.dropped)
    })
}

/// How often as many are most.
const MOSTLY: f64 = 9.0;

/// The reader's hop, where it matters.
fn reader<'a>(scene: &Scene<'a>) -> Option<(&'a HopReport, f64)> {
    let hop = scene.path.hops.iter().find(|h| h.hop == READER)?;
    let cost = scene.cost(hop);
    (scene.share(cost) >= WAKE_UP).then_some((hop, cost))
}

/// Whether the reader was not waiting for the packet: being woken takes less.
fn is_away(hop: &HopReport) -> bool {
    hop.hop == READER && hop.times.p50_ns >= AWAY_NS
}

/// A time that so many of a hop's packets stay below, 0 to 1; `None` without a histogram.
fn quantile(hop: &HopReport, share: f64) -> Option<f64> {
    let all: u64 = hop.histogram.iter().map(|b| b.count).sum();
    let mut below = 0;
    let bucket = hop.histogram.iter().find(|b| {
        below += b.count;
        below as f64 >= share * all as f64
    });
    bucket.map(|b| b.upto_ns as f64)
}

pub(super) fn reader_away(scene: &Scene) -> Option<Hit> {
    let (hop, cost) = reader(scene)?;
    if !is_away(hop) {
        return None;
    }
    let text = format!(
        "data lies in the socket's queue in {} for {} at the median, {} at the 99th percentile, before \
         the program asks for it: {} of the path's time",
        hop.netns,
        time(hop.times.p50_ns as f64),
        time(hop.times.p99_ns as f64),
        percent(scene.share(cost))
    );
    Some(
        Hit::new(cost, text)
            .with("netns", hop.netns.as_str())
            .with("p50_ns", hop.times.p50_ns)
            .with("p99_ns", hop.times.p99_ns)
            .with("max_ns", hop.times.max_ns),
    )
}

pub(super) fn reader_wake_up(scene: &Scene) -> Option<Hit> {
    let (hop, cost) = reader(scene)?;
    if is_away(hop) {
        return None;
    }
    let (same, other) = (tally(hop, "same_cpu"), tally(hop, "other_cpu"));
    let mut text = format!(
        "{} from the socket's queue in {} to the process that reads it, {} of the path's time; {} on the same CPU, {} on another",
        time(cost),
        hop.netns,
        percent(scene.share(cost)),
        count_of(same.count),
        count_of(other.count)
    );
    let idle = tally(hop, "idle_cpu").count;
    if idle >= ELSEWHERE * hop.count as f64 {
        text += &format!("; {} of these CPUs had been idle", count_of(idle));
    }
    if same.count > MOSTLY * other.count {
        text += ": the reader gets that CPU when what brought the packet, and whoever else wants it, \
                 leave it";
    }
    let hit = Hit::new(cost, text)
        .with("same_cpu", same.count)
        .with("other_cpu", other.count)
        .with("p50_ns", hop.times.p50_ns)
        .with("p99_ns", hop.times.p99_ns);
    Some(if idle > 0.0 { hit.with("idle_cpu", idle) } else { hit })
}

/// A tally's count, which JSON keeps as a number of any kind.
fn count_of(n: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    count(n.max(0.0) as u64)
}
