//! The bill: what a round trip or a packet costs, in sentences, largest first, and what would help.

use std::fmt::Write as _;

use netpath_common::{
    group::Group,
    hop::{HopId, Kind},
};

use super::{ENOUGH, Explained};
use crate::{
    snapshot::{Finding, HopReport, PathReport, Snapshot, TransactionReport},
    view::units::{count, percent, time},
};

/// Parts of a group that are named.
const PARTS: usize = 4;

/// One group's part of a bill.
#[derive(Clone, Debug)]
struct Item {
    group: Group,
    ns: f64,
    /// Of it, waiting.
    wait_ns: f64,
    parts: Vec<(String, f64)>,
}

/// The whole text.
pub fn render(snapshot: &Snapshot, explained: &Explained) -> String {
    let mut out = String::new();
    let busiest =
        snapshot.transactions.iter().max_by_key(|t| t.count).filter(|t| t.count >= ENOUGH);
    if let Some(trip) = busiest {
        round_trip(&mut out, snapshot, trip);
    } else if let Some(path) = snapshot.paths.iter().max_by_key(|p| p.packets) {
        one_way(&mut out, path);
    } else {
        out += "No packet arrived, so there is nothing to explain.\n";
    }
    advice(&mut out, &explained.findings);
    for path in &explained.too_few {
        let _ = writeln!(out, "\nNot enough data yet on {path} (under {ENOUGH} packets).");
    }
    trust(&mut out, snapshot, busiest);
    out
}

fn round_trip(out: &mut String, snapshot: &Snapshot, trip: &TransactionReport) {
    let of = |part: &str| {
        let name = trip.parts.iter().find(|p| p.part == part)?.path.as_deref()?;
        snapshot.paths.iter().find(|p| p.name == name)
    };
    let paths: Vec<&PathReport> = [of("request"), of("reply")].into_iter().flatten().collect();
    let _ = writeln!(
        out,
        "A round trip {} takes {} here ({} at the median); without netpath about {} ± {}.\n",
        trip.name,
        time(trip.total.mean_ns),
        time(trip.total.p50_ns as f64),
        time(trip.compensated.mean_ns),
        time(trip.compensated.uncertainty_ns)
    );
    items(out, &paths);
    if let Some(server) = trip.parts.iter().find(|p| p.part == "server") {
        let _ = writeln!(
            out,
            "{:>10}  {:<10} from reading the request to sending the reply: the application's own",
            time(server.times.mean_ns),
            "server"
        );
    }
}

fn one_way(out: &mut String, path: &PathReport) {
    let _ = writeln!(
        out,
        "An {} packet takes {} here ({} at the median); without netpath about {} ± {}.\n  {}\n",
        path.direction,
        time(path.total.mean_ns),
        time(path.total.p50_ns as f64),
        time(path.compensated.mean_ns),
        time(path.compensated.uncertainty_ns),
        path.name
    );
    items(out, &[path]);
}

/// Every group, largest first, its parts beside it. The probes' cost is taken out, and is an item
/// of its own.
fn items(out: &mut String, paths: &[&PathReport]) {
    let mut items: Vec<Item> = Vec::new();
    let mut probes = 0.0;
    let mut unattributed = 0.0;
    for path in paths {
        unattributed += path.unattributed_ns;
        for hop in &path.hops {
            let weight = hop.count as f64 / path.packets.max(1) as f64;
            let ns = hop.compensated_ns * weight;
            probes += (hop.times.mean_ns - hop.compensated_ns) * weight;
            add(&mut items, hop, ns);
        }
    }
    items.sort_by(|a, b| b.ns.total_cmp(&a.ns));
    let no_queue = items.iter().any(|i| i.group == Group::Qdisc && i.wait_ns == 0.0);
    for item in &items {
        let _ = writeln!(out, "{:>10}  {:<10} {}", time(item.ns), item.group.label(), parts(item));
    }
    if no_queue {
        let _ = writeln!(
            out,
            "{:>10}  {:<10} nothing waits in one: no device on the path has a queue that fills",
            "0", "queues"
        );
    }
    if probes > 0.0 {
        let _ = writeln!(
            out,
            "{:>10}  {:<10} netpath's probes, not in the items above",
            time(probes),
            "probes"
        );
    }
    if unattributed.abs() >= 1.0 {
        let _ = writeln!(
            out,
            "{:>10}  {:<10} between probe points, no hop's",
            time(unattributed),
            "unknown"
        );
    }
}

fn add(items: &mut Vec<Item>, hop: &HopReport, ns: f64) {
    let Some(info) = HopId::from_key(&hop.hop).map(HopId::info) else { return };
    let index = items.iter().position(|i| i.group == info.group).unwrap_or_else(|| {
        items.push(Item { group: info.group, ns: 0.0, wait_ns: 0.0, parts: Vec::new() });
        items.len() - 1
    });
    let item = &mut items[index];
    item.ns += ns;
    if info.kind == Kind::Wait {
        item.wait_ns += ns;
    }
    let name = hop.part.clone().unwrap_or_else(|| info.label.to_owned());
    let place = hop.hook.clone().or_else(|| hop.dev.clone()).unwrap_or_else(|| hop.netns.clone());
    let label =
        if hop.hook.is_some() { format!("{name} in {place}") } else { format!("{name} {place}") };
    match item.parts.iter_mut().find(|(part, _)| *part == label) {
        Some((_, sum)) => *sum += ns,
        None => item.parts.push((label, ns)),
    }
}

fn parts(item: &Item) -> String {
    let mut parts = item.parts.clone();
    parts.sort_by(|a, b| b.1.total_cmp(&a.1));
    let rest = parts.len().saturating_sub(PARTS);
    let mut words: Vec<String> =
        parts.iter().take(PARTS).map(|(name, ns)| format!("{name} {}", time(*ns))).collect();
    if rest > 0 {
        words.push(format!("{rest} more"));
    }
    let waiting = if item.wait_ns <= 0.0 {
        String::new()
    } else if item.wait_ns >= item.ns * 0.995 {
        "all of it waiting: ".to_owned()
    } else {
        format!("{} of it waiting: ", percent(item.wait_ns / item.ns))
    };
    format!("{waiting}{}", words.join(" · "))
}

fn advice(out: &mut String, findings: &[Finding]) {
    if findings.is_empty() {
        *out += "\nNothing on this path costs more than it has to, as far as the rules know.\n";
        return;
    }
    *out += "\nWhat was found, by what it costs\n";
    let mut told: Vec<&Finding> = Vec::new();
    for finding in findings {
        // The same on the way back is said once.
        if told.iter().any(|t| t.id == finding.id) {
            continue;
        }
        told.push(finding);
        let cost = if finding.cost_ns > 0.0 { time(finding.cost_ns) } else { "–".to_owned() };
        let _ = writeln!(out, "{cost:>10}  {}: {}", finding.title, finding.summary);
        let _ = writeln!(out, "{:>10}  → {}  ({})", "", finding.advice, finding.link);
    }
}

fn trust(out: &mut String, snapshot: &Snapshot, trip: Option<&TransactionReport>) {
    let p = &snapshot.packets;
    let what = trip.map_or_else(
        || format!("{} packets", count(p.seen)),
        |t| format!("{} round trips", count(t.count)),
    );
    let cost = &snapshot.probe_cost_ns;
    let _ = writeln!(
        out,
        "\nHow sure: {what}, {} packets incomplete, {} events lost; an event costs {:.0} ± {:.0} ns here; netpath used {} of a CPU in the kernel and {} in user space.",
        count(p.incomplete),
        count(snapshot.lost_events),
        cost.mean,
        cost.stddev,
        percent(snapshot.own_cost.kernel_cpus),
        percent(snapshot.own_cost.user_cpus)
    );
}
