//! Checks about the run as a whole: drops, and how far its figures can be trusted.

use super::super::{Hit, scene::Scene, trips};
use crate::{
    snapshot::{Snapshot, dropped},
    units::{count, percent, time},
};

/// Share of packets that may be incomplete before that is worth a word.
const SOME: f64 = 0.005;
/// Share of a path's time from which the probes' part is large.
const LARGE: f64 = 0.1;
/// TCP waits longer for an acknowledgment, ns: what was sent again before was so as not to wait.
const WAITED_NS: u64 = 100_000_000;
/// Clock sources that cost a read of a register, or are the hypervisor's page of it.
const FAST_CLOCKS: &[&str] =
    &["tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page", "xen"];

pub(super) fn drops(snapshot: &Snapshot) -> Option<Hit> {
    let all = || snapshot.drops.iter().filter(|d| d.is_drop());
    let worst = all().max_by_key(|d| d.count)?;
    let p = &snapshot.packets;
    let share = p.dropped as f64 / p.sampled.max(1) as f64;
    let mut text = format!("{} of {} packets", dropped(p), count(p.sampled));
    if share >= SOME {
        text += &format!(" ({})", percent(share));
    }
    text += if all().nth(1).is_some() { "; most often at " } else { " at " };
    text += &format!("{}: {}", worst.place(), worst.why());
    if all().nth(1).is_some() {
        text += &format!(", {} of them", count(worst.count));
    }
    if let Some(example) = worst.such_as() {
        text += &format!("; for example {example}");
    }
    let mut hit = Hit::losing(p.dropped, text)
        .with("sort", worst.sort.as_str())
        .with("reason", worst.reason.as_str())
        .with("place", worst.place())
        .with("chains", worst.chains.clone())
        .with("rule", worst.rule.clone())
        .with("dropped", p.dropped);
    if let Some(whose) = &worst.whose {
        hit = hit.with("whose", whose.as_str());
    }
    if let Some(example) = worst.such_as() {
        hit = hit.with("example", example);
    }
    Some(hit)
}

/// A quota that stopped a namespace's processes, where packets of a path are read.
pub(super) fn cpu_quota(snapshot: &Snapshot) -> Option<Hit> {
    let reads = |netns: &str| {
        let paths = snapshot.paths.iter().filter(|path| path.to.netns == netns);
        paths.map(|path| path.packets).sum::<u64>()
    };
    let all = snapshot.netns_facts.iter().filter(|(netns, _)| reads(netns) > 0);
    let quotas = all.flat_map(|(netns, facts)| facts.cpu_quotas.iter().map(move |q| (netns, q)));
    let (netns, q) =
        quotas.filter(|(_, q)| q.throttled > 0).max_by_key(|(_, q)| (q.stopped_ns, q.throttled))?;
    let text = format!(
        "the processes in {netns} used up their quota in {} periods, and stood still for {} together: their \
         cgroup {} may use {} of CPU time in {}",
        count(q.throttled),
        time(q.stopped_ns as f64),
        q.cgroup,
        time(q.quota_us as f64 * 1e3),
        time(q.period_us as f64 * 1e3),
    );
    let cost_ns = q.stopped_ns as f64 / reads(netns) as f64;
    Some(
        Hit::new(cost_ns, text)
            .with("netns", netns.as_str())
            .with("cgroup", q.cgroup.as_str())
            .with("throttled", q.throttled)
            .with("stopped_ns", q.stopped_ns)
            .with("quota_us", q.quota_us)
            .with("period_us", q.period_us),
    )
}

/// Not `retransmitted` alone: a needless copy makes nothing slower.
pub(super) fn sent_again(snapshot: &Snapshot) -> Option<Hit> {
    let told: Vec<_> = snapshot.transactions.iter().filter(|t| t.sent_again > 0).collect();
    let worst = told.iter().max_by_key(|t| {
        (t.sent_again, t.sent_again_after.as_ref().map_or(0, |after| after.max_ns))
    })?;
    let after = worst.sent_again_after.as_ref()?;
    if !told.iter().any(|t| t.sent_again_after.as_ref().is_some_and(|a| a.max_ns >= WAITED_NS)) {
        return None;
    }
    let sentences: Vec<String> = told.iter().filter_map(|t| trips::sent_again(t)).collect();
    let count: u64 = told.iter().map(|t| t.sent_again).sum();
    Some(
        Hit::new(0.0, sentences.join("; "))
            .with("round_trips", count)
            .with("retransmitted", told.iter().map(|t| t.retransmitted).sum::<u64>())
            .with("after_p50_ns", after.p50_ns)
            .with("after_max_ns", after.max_ns)
            .with(
                "lost_at",
                worst.lost_at.iter().map(|l| l.place.clone()).collect::<Vec<String>>(),
            ),
    )
}

pub(super) fn probe_cost(scene: &Scene) -> Option<Hit> {
    let cost = scene.path.total.mean_ns - scene.path.compensated.mean_ns;
    let per_event = scene.snapshot.probe_cost_ns.mean;
    if per_event <= 0.0 || scene.share(cost) < LARGE {
        return None;
    }
    let text = format!(
        "{:.0} events of {} each: {} of {}; without netpath about {} ± {}",
        cost / per_event,
        time(per_event),
        time(cost),
        time(scene.path.total.mean_ns),
        time(scene.path.compensated.mean_ns),
        time(scene.path.compensated.uncertainty_ns)
    );
    Some(
        Hit::new(cost, text)
            .with("events", cost / per_event)
            .with("ns_per_event", per_event)
            .with("compensated_mean_ns", scene.path.compensated.mean_ns),
    )
}

pub(super) fn incomplete(snapshot: &Snapshot) -> Option<Hit> {
    let p = &snapshot.packets;
    // Those that are incomplete for other reasons would be so with fewer events as well.
    let lacking = p.incomplete_why.lost + p.incomplete_why.out_of_order;
    if snapshot.lost_events == 0 && (lacking as f64) < SOME * p.sampled.max(1) as f64 {
        return None;
    }
    let text = format!(
        "{} lost; {} of {} packets are incomplete for that",
        match snapshot.lost_events {
            1 => "1 event was".to_owned(),
            n => format!("{} events were", count(n)),
        },
        count(lacking),
        count(p.seen)
    );
    Some(Hit::new(0.0, text).with("lost_events", snapshot.lost_events).with("incomplete", lacking))
}

pub(super) fn clock(snapshot: &Snapshot) -> Option<Hit> {
    let source = snapshot.host.clocksource.as_str();
    if source.is_empty() || FAST_CLOCKS.contains(&source) {
        return None;
    }
    Some(Hit::new(0.0, format!("its clock source is {source}")).with("clocksource", source))
}

pub(super) fn governor(snapshot: &Snapshot) -> Option<Hit> {
    let governor = snapshot.host.governor.as_str();
    if matches!(governor, "" | "none" | "performance") {
        return None;
    }
    Some(Hit::new(0.0, format!("its governor is {governor}")).with("governor", governor))
}
