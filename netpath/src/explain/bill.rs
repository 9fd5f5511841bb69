//! The bill: what a round trip or a packet costs, in sentences, largest first, and what would help.

use std::fmt::Write as _;

use netpath_common::{
    group::Group,
    hop::{HopId, Kind},
};

use super::{ENOUGH, Explained};
use crate::{
    snapshot::{Finding, HopReport, PathReport, Snapshot, TransactionReport, no_path},
    units::{count, percent, time},
};

/// Parts of a group that are named.
const PARTS: usize = 4;
/// Columns.
const WIDTH: usize = 100;
/// Where sentences begin, after the figure.
const INDENT: &str = "            ";
/// Less than this is nothing, ns: compensation is not that exact.
const NOTHING_NS: f64 = 1.0;

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
    // Requests come before handshakes and echoes.
    let busiest = snapshot.transactions.iter().find(|t| t.count >= ENOUGH);
    if let Some(trip) = busiest {
        round_trip(&mut out, snapshot, trip);
    } else if let Some(path) = snapshot.paths.iter().max_by(|a, b| spent(a).total_cmp(&spent(b))) {
        one_way(&mut out, path);
    } else {
        wrapped(&mut out, "", "", &no_path(snapshot));
    }
    advice(&mut out, &explained.findings);
    for path in &explained.too_few {
        let _ = writeln!(out, "\nNot enough data yet on {path} (under {ENOUGH} packets).");
    }
    trust(&mut out, snapshot, busiest);
    out
}

/// Time that all packets of a path took together, ns.
fn spent(path: &PathReport) -> f64 {
    path.total.mean_ns * path.packets as f64
}

fn round_trip(out: &mut String, snapshot: &Snapshot, trip: &TransactionReport) {
    let paths: Vec<&PathReport> =
        trip.parts.iter().filter_map(|part| part.path_of(snapshot)).collect();
    let _ = writeln!(
        out,
        "A {} {} takes {} here ({} at the median); without netpath about {} ± {}.\n",
        if trip.kind.is_empty() { "round trip" } else { &trip.kind },
        trip.name,
        time(trip.total.mean_ns),
        time(trip.total.p50_ns as f64),
        time(trip.compensated.mean_ns),
        time(trip.compensated.uncertainty_ns)
    );
    items(out, &paths);
    if let Some(server) = trip.parts.iter().find(|p| p.part == "server") {
        let text = "from reading the request to sending the reply: the application's own";
        line(out, &figure(server.times.mean_ns), "server", text);
    }
    for (part, text) in [
        (
            "sending",
            "between the request's first packet and its last: the sender's, or held back by its TCP",
        ),
        ("receiving", "between the reply's first packet and its last"),
        ("retransmission timeout", "a packet was lost, and its sender waited to send it again"),
    ] {
        if let Some(mean_ns) = trip.mean_of(part) {
            line(out, &figure(mean_ns), part, text);
        }
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
        line(out, &figure(item.ns), item.group.label(), &parts(item));
    }
    if no_queue {
        let _ = writeln!(
            out,
            "{:>10}  {:<10} nothing waits in one: no device on the path has a queue that fills",
            "0", "queues"
        );
    }
    if probes > 0.0 {
        line(out, &figure(probes), "probes", "netpath's own, not in the items above");
    }
    if unattributed.abs() >= 1.0 {
        line(out, &figure(unattributed), "unknown", "between probe points, no hop's");
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
    let label = match nat_kinds(hop) {
        Some(kinds) => format!("{name} in {place} ({kinds})"),
        None if hop.hook.is_some() => format!("{name} in {place}"),
        None => format!("{name} {place}"),
    };
    match item.parts.iter_mut().find(|(part, _)| *part == label) {
        Some((_, sum)) => *sum += ns,
        None => item.parts.push((label, ns)),
    }
}

/// What a hook's NAT is there for, as its rules have it: `MASQUERADE`.
fn nat_kinds(hop: &HopReport) -> Option<String> {
    let kinds = hop.causes.get("rules")?.as_array()?;
    let kinds: Vec<&str> = kinds.iter().filter_map(serde_json::Value::as_str).collect();
    Some(kinds.join(", ").to_uppercase())
}

/// One item: its figure, its name, and what it is made of.
fn line(out: &mut String, figure: &str, name: &str, text: &str) {
    let first = format!("{figure:>10}  {name:<10} ");
    let next = " ".repeat(first.len());
    wrapped(out, &first, &next, text);
}

/// A sentence that fits the screen.
fn wrapped(out: &mut String, first: &str, next: &str, text: &str) {
    let options = textwrap::Options::new(WIDTH).initial_indent(first).subsequent_indent(next);
    for line in textwrap::wrap(text, options.break_words(false)) {
        let _ = writeln!(out, "{line}");
    }
}

/// A time, or that there is none: taking the probes out of a short one can leave less than nothing.
fn figure(ns: f64) -> String {
    if ns < NOTHING_NS { "~0 ns".to_owned() } else { time(ns) }
}

fn parts(item: &Item) -> String {
    let mut parts: Vec<_> =
        item.parts.iter().filter(|(_, ns)| *ns >= NOTHING_NS).cloned().collect();
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
        *out += "\nNothing is wrong on this path, and nothing costs more than it has to, as far as the rules know.\n";
        return;
    }
    *out += "\nWhat was found, packets first, then by what it costs\n";
    let mut told: Vec<&Finding> = Vec::new();
    for finding in findings {
        // The same on the way back is said once.
        if told.iter().any(|t| t.id == finding.id) {
            continue;
        }
        told.push(finding);
        let cost = finding.price();
        let text = format!("{}: {}", finding.title, finding.summary);
        wrapped(out, &format!("{cost:>10}  "), INDENT, &text);
        let arrow = format!("{INDENT}→ ");
        wrapped(out, &arrow, &format!("{INDENT}  "), &finding.advice);
        let _ = writeln!(out, "{INDENT}  {}", finding.link);
    }
}

fn trust(out: &mut String, snapshot: &Snapshot, trip: Option<&TransactionReport>) {
    let p = &snapshot.packets;
    let what = trip.map_or_else(
        || format!("{} packets", count(p.seen)),
        |t| format!("{} round trips", count(t.count)),
    );
    let cost = &snapshot.probe_cost_ns;
    let text = format!(
        "How sure: {what}, {} packets incomplete, {} events lost; an event costs {:.0} ± {:.0} ns \
         here; netpath used {} of a CPU in the kernel and {} in user space.",
        count(p.incomplete),
        count(snapshot.lost_events),
        cost.mean,
        cost.stddev,
        percent(snapshot.own_cost.kernel_cpus),
        percent(snapshot.own_cost.user_cpus)
    );
    out.push('\n');
    wrapped(out, "", "", &text);
}
