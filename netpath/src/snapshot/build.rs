//! From a ledger to a snapshot: ids become names, distributions become figures.

use std::collections::{BTreeMap, BTreeSet};

use netpath_common::{
    group::Group,
    hop::{HOPS, HopId, Where},
    point::{Family, HOOK_SLOT, Hook, point},
    span::{SPANS, of_point},
};

use super::{
    FLOWS_SHOWN, FlowExample, FlowReport, GroupReport, HopReport, NamedPlace, OwnCost, PathReport,
    SCHEMA, SamplingReport, SecondReport, SeenFrom, Snapshot, causes, counters, drops, facts,
    figures::{compensated, end_name, histogram, packet, summary},
    late, round_trips,
};
use crate::{
    hooks::priority_name,
    inventory::Owner,
    ledger::{Direction, Ledger, Path, Row, RowKey, Second, Times},
    packet::Tuple,
    sample::{self, Sampling, Share},
    session::{Ending, Session},
    topo::{OTHERS, Place, Topology},
};

/// Makes a snapshot; its findings are not in it yet.
pub fn build(ledger: &mut Ledger, session: &Session, ending: &Ending) -> Snapshot {
    ledger.settle();
    let ledger = &*ledger;
    let mut paths: Vec<PathReport> =
        ledger.paths().iter().map(|p| path(p, ledger, session)).collect();
    let transactions = round_trips::build(ledger, &paths, session);
    paths.extend(ledger.others().map(|p| path(p, ledger, session)));
    paths.sort_by(|a, b| b.packets.cmp(&a.packets).then_with(|| b.direction.cmp(&a.direction)));
    let (mut backends, mut absent) = (BTreeMap::new(), BTreeMap::new());
    for hop in HOPS {
        match session.serving.of(hop) {
            Ok(by) => {
                let keys: Vec<&str> = by.iter().map(|b| b.key()).collect();
                backends.insert(hop.key.to_owned(), keys.join("+"))
            }
            Err(why) => absent.insert(hop.key.to_owned(), why),
        };
    }
    let netns_facts = facts::build(&ledger.topology, &session.facts, ending);
    let (drops, other_ends) = drops::build(ledger, session, ending);
    let (counters, counters_not_compared) = counters::build(ledger, session, ending);
    Snapshot {
        schema: SCHEMA.to_owned(),
        version: session.version.clone(),
        started: humantime::format_rfc3339_seconds(session.started()).to_string(),
        duration_ns: ending.duration_ns,
        iface: session.iface.clone(),
        netns: session.netns.clone(),
        selected: selected(&ledger.topology),
        all: ledger.topology.everything,
        host: session.host.clone(),
        backends,
        absent,
        late: late::build(ledger, session, ending),
        packets: ledger.coverage.of_all(ending.births, ending.listened()),
        sampling: sampling(&session.sampling, ending),
        probe_cost_ns: session.probe_cost,
        own_cost: own_cost(ledger, session, ending),
        lost_events: ending.lost.values().sum(),
        lost_by_point: ending.lost.iter().map(|(p, n)| (point_name(*p), *n)).collect(),
        accounting: ledger.accounting,
        paths,
        transactions,
        flows: flows(ledger),
        drops,
        other_ends,
        counters,
        counters_not_compared,
        findings: Vec::new(),
        netns_facts,
        softnet: facts::softnet(&session.facts, &ending.facts),
        owners: owners(&ledger.topology),
        notes: notes(session, ending),
    }
}

fn selected(topology: &Topology) -> Vec<NamedPlace> {
    topology.chosen.iter().map(|chosen| named_place(chosen.focus, topology)).collect()
}

fn named_place(place: Place, topology: &Topology) -> NamedPlace {
    NamedPlace { netns: topology.netns_name(place.netns), dev: topology.dev_name(place) }
}

/// By a namespace's name: who lives there.
fn owners(topology: &Topology) -> BTreeMap<String, Owner> {
    let hosts = topology.hosts.values();
    hosts.filter_map(|host| Some((host.name.clone(), host.owner.clone()?))).collect()
}

fn sampling(sampling: &Sampling, ending: &Ending) -> Option<SamplingReport> {
    let births = ending.births;
    (sampling.share != Share::All).then(|| SamplingReport {
        share: sampling.share.to_string(),
        by: sampling.by.key().to_owned(),
        begun: births.seen,
        recorded: births.taken,
        listened: ending.listened(),
    })
}

/// What a reader should know, in sentences.
fn notes(session: &Session, ending: &Ending) -> Vec<String> {
    let filter = session.filter.as_ref().map(|f| {
        format!("only packets that match `{}`, with their addresses before or after NAT", f.text())
    });
    let sampling = sample::note(&session.sampling, ending.births, ending.listened());
    let kept = session.notes.iter().chain(&ending.notes).cloned();
    filter.into_iter().chain(sampling).chain(kept).collect()
}

fn own_cost(ledger: &Ledger, session: &Session, ending: &Ending) -> OwnCost {
    let events = ledger.recorded();
    let refused = ending.births.begun.saturating_sub(ending.births.taken) as f64;
    let refused = refused * ledger.events_of_one();
    let duration_ns = ending.duration_ns.max(1) as f64;
    let cost = session.probe_cost;
    let passing = cost.passing(refused + events as f64, ending.births.checked as f64);
    OwnCost {
        kernel_cpus: (passing + cost.recording(events as f64)) / duration_ns,
        user_cpus: ending.own_cpu_ns as f64 / duration_ns,
    }
}

/// What a probe point is called.
fn point_name(number: u16) -> String {
    if number == HOOK_SLOT {
        return "netfilter link".to_owned();
    }
    if let Some((index, exit)) = of_point(number) {
        let name = SPANS[index].span.functions[0][0];
        return format!("{name}{}", if exit { " (exit)" } else { "" });
    }
    point(number).map_or_else(
        || format!("point {number}"),
        |p| p.tracepoint.unwrap_or_else(|| p.functions[0][0]).to_owned(),
    )
}

fn flows(ledger: &Ledger) -> Vec<FlowReport> {
    let row = |(tuple, direction, flow): (&Tuple, _, &crate::ledger::Flow)| FlowReport {
        flow: example(tuple, flow.translated.as_ref()),
        direction: crate::ledger::Direction::key(direction).to_owned(),
        packets: flow.packets,
        mean_ns: flow.sum_ns as f64 / flow.packets.max(1) as f64,
        max_ns: u64::try_from(flow.max_ns).unwrap_or(0),
    };
    ledger.flows.top(FLOWS_SHOWN).into_iter().map(row).collect()
}

fn example(before: &Tuple, after: Option<&Tuple>) -> FlowExample {
    FlowExample { before: before.to_string(), after: after.map(ToString::to_string) }
}

fn path(path: &Path, ledger: &Ledger, session: &Session) -> PathReport {
    let topology = &ledger.topology;
    let named = |place: &Place| named_place(*place, topology);
    let seen_from = |(focus, direction): &(Place, Direction)| {
        let NamedPlace { netns, dev } = named(focus);
        SeenFrom { netns, dev, direction: direction.key().to_owned() }
    };
    let end = |place: Option<&Place>| named(&place.copied().unwrap_or_default());
    let total_ns = path.total.sum_ns() as f64;
    let rows: Vec<(&Row, HopId)> =
        path.rows.iter().filter_map(|row| Some((row, row.key.hop?))).collect();
    let keys: Vec<RowKey> = rows.iter().map(|(row, _)| row.key).collect();
    PathReport {
        name: if path.key.places.is_empty() {
            OTHERS.to_owned()
        } else {
            path_name(&path.key.places, topology)
        },
        direction: path.key.direction.key().to_owned(),
        seen_from: path.seen_from.iter().map(seen_from).collect(),
        end: end_name(path.key.end).to_owned(),
        ends: path.ends.named().map(|(name, n)| (name.to_owned(), n)).collect(),
        from: end(path.key.places.first()),
        to: end(path.key.places.last()),
        places: path.key.places.iter().map(named).collect(),
        packets: path.total.count(),
        replies: path.replies,
        translated: path.translated,
        segments_per_packet: path.segments as f64 / path.total.count().max(1) as f64,
        example: path.example.as_ref().map(|(before, after)| example(before, after.as_ref())),
        total: summary(&path.total),
        compensated: compensated(&path.total, path.events, 1, session.probe_cost),
        unattributed_ns: path.unattributed.mean_ns(),
        hops: rows.iter().map(|(row, id)| hop(row, *id, total_ns, ledger, session)).collect(),
        groups: groups(path, total_ns),
        histogram: histogram(&path.total),
        history: path.history.seconds().map(|s| second(s, session.since_ns)).collect(),
        packets_shown: [
            ("typical", path.shown.nearest(path.total.quantile_ns(0.5))),
            ("p99", path.shown.nearest(path.total.quantile_ns(0.99))),
            ("slowest", path.shown.slowest()),
        ]
        .into_iter()
        .filter_map(|(label, specimen)| Some(packet(label, specimen?, &keys, session.since_ns)))
        .collect(),
    }
}

fn groups(path: &Path, total_ns: f64) -> Vec<GroupReport> {
    let report = |(group, times): (Group, &Times)| GroupReport {
        group: group.key().to_owned(),
        count: times.count(),
        times: summary(times),
        share: if total_ns > 0.0 { times.sum_ns() as f64 / total_ns } else { 0.0 },
    };
    path.groups.times(&path.rows).into_iter().map(report).collect()
}

fn second(s: Second, since_ns: u64) -> SecondReport {
    SecondReport {
        start_ns: s.start_ns.saturating_sub(since_ns),
        packets: s.packets,
        p50_ns: s.p50_ns,
        p99_ns: s.p99_ns,
        max_ns: s.max_ns,
    }
}

/// Where a row is, in names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) netns: String,
    pub(crate) dev: Option<String>,
    pub(crate) hook: Option<String>,
    /// Which part of the hop it is, such as the table's name.
    pub(crate) part: Option<String>,
}

/// Names the place of a row that a hop is booked in.
pub(crate) fn named(key: &RowKey, id: HopId, ledger: &Ledger) -> Named {
    let info = id.info();
    let walked = key.rules.and_then(|(_, rules)| ledger.names.name(rules)).map(str::to_owned);
    let part = walked.or_else(|| key.stage.map(priority_name));
    let NamedPlace { netns, dev } = named_place(key.place, &ledger.topology);
    Named {
        netns,
        dev: (info.place == Where::Device && !dev.is_empty()).then_some(dev),
        hook: key.hook.map(Hook::name).map(str::to_owned),
        part: part.filter(|part| *part != info.group.label()),
    }
}

/// The kinds of NAT that a hook's rules ask for.
fn nat_rules<'a>(key: &RowKey, session: &'a Session) -> BTreeSet<&'a str> {
    let hook = key.hook.map(Hook::name);
    let own = if key.family == Family::V6 as u8 { "ip6" } else { "ip" };
    let rules = session.facts.netns.get(&key.place.netns).and_then(|facts| facts.rules.as_ref());
    let chains = rules.into_iter().flat_map(|rules| &rules.chains).filter(|chain| {
        Some(chain.hook.as_str()) == hook && [own, "inet"].contains(&chain.family.as_str())
    });
    chains.flat_map(|chain| &chain.nat).map(String::as_str).collect()
}

fn hop(row: &Row, id: HopId, total_ns: f64, ledger: &Ledger, session: &Session) -> HopReport {
    let cost = session.probe_cost;
    let info = id.info();
    let share = if total_ns > 0.0 { row.sums.times.sum_ns() as f64 / total_ns } else { 0.0 };
    let qdisc = (info.group == Group::Qdisc)
        .then(|| ledger.topology.device(row.key.place).map(|d| d.qdisc.as_str()))
        .flatten();
    let nat = if id == HopId::Nat { nat_rules(&row.key, session) } else { BTreeSet::new() };
    let Named { netns, dev, hook, part } = named(&row.key, id, ledger);
    HopReport {
        hop: info.key.to_owned(),
        group: info.group.key().to_owned(),
        kind: info.kind.key().to_owned(),
        netns,
        dev,
        hook,
        bridged: row.key.bridged,
        part,
        count: row.sums.times.count(),
        times: summary(&row.sums.times),
        share,
        compensated_ns: row.sums.times.mean_ns()
            - cost.mean * row.sums.pieces as f64 / row.sums.times.count().max(1) as f64,
        causes: causes::build(&row.sums.causes, id, qdisc, &nat),
        histogram: histogram(&row.sums.times),
    }
}

/// `client/eth0 → host/veth0 → br0 → up0 → server/eth0`: the namespace where it changes.
fn path_name(places: &[Place], topology: &Topology) -> String {
    let mut parts = Vec::new();
    let mut netns = None;
    for place in places {
        let dev = topology.dev_name(*place);
        if netns == Some(place.netns) {
            parts.push(dev);
        } else {
            parts.push(format!("{}/{dev}", topology.netns_name(place.netns)));
        }
        netns = Some(place.netns);
    }
    parts.join(" → ")
}
