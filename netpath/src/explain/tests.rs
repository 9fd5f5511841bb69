//! Every rule both ways: a path that has no problem is left alone, and each problem is found by
//! its rule and by no other that it isn't also a case of.

mod counters;
mod robust;

use std::collections::BTreeSet;

use netpath_common::hop::HopId;
use serde_json::json;

use super::*;
use crate::{
    facts::{Chain, Conntrack, CpuQuota, Rules},
    snapshot::{
        Compensated, CounterReport, DropReport, FlowExample, FlowReport, HopReport, NetnsReport,
        PathReport, QdiscReport, Summary, TransactionReport,
    },
};

const PACKETS: u64 = 1000;

fn times(mean_ns: f64) -> Summary {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers")]
    let ns = mean_ns as u64;
    Summary { mean_ns, p50_ns: ns, p90_ns: ns, p99_ns: ns, p999_ns: ns, max_ns: ns, stddev_ns: 0.0 }
}

/// A row of host's, of this hop, with this mean; established connections where it is in a hook.
fn row(key: &str, at: &str, mean_ns: f64) -> HopReport {
    let info = HopId::from_key(key).expect("a hop of the table").info();
    let hook = at.chars().all(|c| c.is_ascii_uppercase()).then(|| at.to_owned());
    let mut causes = BTreeMap::new();
    if hook.is_some() {
        causes.insert("established".to_owned(), json!({"count": PACKETS, "mean_ns": mean_ns}));
    }
    if info.kind.key() == "wait" {
        causes.insert("same_cpu".to_owned(), json!({"count": PACKETS, "mean_ns": mean_ns}));
    }
    HopReport {
        hop: key.to_owned(),
        group: info.group.key().to_owned(),
        kind: info.kind.key().to_owned(),
        netns: "host".to_owned(),
        dev: hook.is_none().then(|| at.to_owned()),
        hook,
        bridged: false,
        part: None,
        count: PACKETS,
        times: times(mean_ns),
        share: 0.0,
        compensated_ns: mean_ns,
        causes,
        histogram: Vec::new(),
    }
}

/// A routed path with NAT, three rules, no queue, and one hand-off.
fn healthy() -> Snapshot {
    let hops = vec![
        row("ip.send", "eth0", 400.0),
        row("handoff", "veth0", 300.0),
        row("conntrack", "PREROUTING", 300.0),
        row("nat", "PREROUTING", 150.0),
        row("ip.route", "veth0", 500.0),
        row("rules", "FORWARD", 200.0),
        row("ip.forward", "veth0", 200.0),
        row("nat", "POSTROUTING", 300.0),
        row("qdisc.none", "up0", 200.0),
        row("device", "up0", 300.0),
        row("socket.receive", "eth0", 3000.0),
        row("socket.wait", "eth0", 500.0),
    ];
    let mean: f64 = hops.iter().map(|h| h.times.mean_ns).sum();
    let path = PathReport {
        name: "client/eth0 → host/veth0 → up0".to_owned(),
        direction: "outbound".to_owned(),
        packets: PACKETS,
        translated: PACKETS,
        segments_per_packet: 1.0,
        total: times(mean),
        compensated: Compensated { mean_ns: mean * 0.95, p50_ns: mean, uncertainty_ns: 1.0 },
        hops,
        ..PathReport::default()
    };
    let chain = |name: &str, hook: &str, rules| Chain {
        family: "ip".to_owned(),
        table: "filter".to_owned(),
        name: name.to_owned(),
        hook: hook.to_owned(),
        rules,
        reach: rules,
        ..Chain::default()
    };
    let qdisc = |dev: &str| QdiscReport {
        dev: dev.to_owned(),
        dev_kind: "veth".to_owned(),
        kind: "noqueue".to_owned(),
        root: true,
        packets: 1000,
        ..QdiscReport::default()
    };
    let host = NetnsReport {
        forwards: true,
        conntrack: Some(Conntrack {
            entries: 10,
            max: 1000,
            buckets: 1000,
            ..Conntrack::default()
        }),
        qdiscs: vec![qdisc("veth0"), qdisc("up0")],
        rules: Some(Rules { chains: vec![chain("FORWARD", "FORWARD", 3)], ..Rules::default() }),
        ..NetnsReport::default()
    };
    let mut snapshot = Snapshot {
        paths: vec![path],
        netns_facts: BTreeMap::from([("host".to_owned(), host)]),
        ..Snapshot::default()
    };
    snapshot.packets.seen = PACKETS;
    snapshot.packets.sampled = PACKETS;
    snapshot.packets.complete = PACKETS;
    snapshot.probe_cost_ns.mean = 80.0;
    snapshot.host.clocksource = "tsc".to_owned();
    snapshot.host.governor = "performance".to_owned();
    snapshot
}

fn host(s: &mut Snapshot) -> &mut NetnsReport {
    s.netns_facts.get_mut("host").expect("it was put there")
}

fn conntrack(s: &mut Snapshot) -> &mut Conntrack {
    host(s).conntrack.as_mut().expect("it was put there")
}

/// Adds a row and its time to the total.
fn add(s: &mut Snapshot, row: HopReport) {
    let path = &mut s.paths[0];
    path.total.mean_ns += row.times.mean_ns;
    path.compensated.mean_ns += row.times.mean_ns;
    path.hops.push(row);
}

fn get<'a>(s: &'a mut Snapshot, key: &str) -> &'a mut HopReport {
    s.paths[0].hops.iter_mut().find(|h| h.hop == key).expect("the path has this hop")
}

fn make_new(row: &mut HopReport) {
    row.causes.insert("new".to_owned(), json!({"count": 600, "mean_ns": 2000.0}));
    row.causes.insert("established".to_owned(), json!({"count": 400, "mean_ns": 300.0}));
}

fn queue(s: &mut Snapshot, kind: &str, dev_kind: &str) {
    let mut row = row("qdisc.wait", "up0", 40_000.0);
    row.causes.insert("ahead_mean".to_owned(), json!(212.0));
    row.causes.insert("ahead_max".to_owned(), json!(400));
    add(s, row);
    let q = host(s).qdiscs.iter_mut().find(|q| q.dev == "up0").expect("it was put there");
    q.kind = kind.to_owned();
    q.dev_kind = dev_kind.to_owned();
}

/// A counter of host's that grew.
fn counted(s: &mut Snapshot, name: &str, kernel: u64, netpath: Option<u64>) {
    let loss = !["UdpNoPorts", "TcpRetransSegs", "TcpOutSegs"].contains(&name);
    let counter = CounterReport {
        netns: "host".to_owned(),
        name: name.to_owned(),
        what: "packets of a sort".to_owned(),
        kernel,
        netpath,
        loss,
        ..CounterReport::default()
    };
    s.counters.push(counter);
}

/// A problem, and the rule that finds it.
type Case = (&'static str, fn(&mut Snapshot));

const CASES: &[Case] = &[
    ("bridge-netfilter", |s| get(s, "conntrack").bridged = true),
    ("bridge-netfilter", |s| add(s, row("bridge.netfilter", "br0", 500.0))),
    ("linear-rules", |s| {
        let chain = &mut host(s).rules.as_mut().unwrap().chains[0];
        (chain.rules, chain.reach) = (500, 500);
    }),
    ("empty-chains", |s| {
        let chain = &mut host(s).rules.as_mut().unwrap().chains[0];
        (chain.rules, chain.reach) = (0, 0);
    }),
    ("new-connections", |s| make_new(get(s, "conntrack"))),
    ("nat-setup", |s| make_new(get(s, "nat"))),
    ("nat-copy", |s| add(s, row("nat.copy", "POSTROUTING", 200.0))),
    ("conntrack-unused", |s| {
        s.paths[0].hops.retain(|h| h.hop != "nat");
        host(s).rules.as_mut().unwrap().chains.clear();
    }),
    ("tracked-twice", |s| {
        let mut row = row("conntrack", "INPUT", 300.0);
        row.netns = "server".to_owned();
        add(s, row);
    }),
    ("conntrack-full", |s| conntrack(s).entries = 900),
    ("conntrack-full", |s| conntrack(s).early_drop = 1),
    ("conntrack-drop", |s| conntrack(s).drop = 3),
    ("conntrack-chains", |s| conntrack(s).buckets = 4),
    ("conntrack-resized", |s| conntrack(s).buckets_before = 500),
    // The kernel counts such a packet in both.
    ("conntrack-insert-failed", |s| {
        let c = conntrack(s);
        (c.insert_failed, c.drop) = (3, 3);
    }),
    ("qdisc-queue", |s| queue(s, "pfifo", "dummy")),
    ("qdisc-shaped", |s| queue(s, "tbf", "dummy")),
    ("qdisc-on-veth", |s| {
        add(s, row("qdisc.enqueue", "veth0", 100.0));
        host(s).qdiscs[0].kind = "fq_codel".to_owned();
    }),
    ("qdisc-lock", |s| {
        let mut row = row("qdisc.enqueue", "up0", 300.0);
        (row.times.p50_ns, row.times.p99_ns) = (150, 9000);
        add(s, row);
    }),
    ("qdisc-lock", |s| {
        let mut row = row("qdisc.lock", "up0", 3000.0);
        row.count = PACKETS / 4;
        add(s, row);
    }),
    ("qdisc-drops", |s| host(s).qdiscs[1].drops = 12),
    ("hand-offs", |s| add(s, row("handoff", "up0", 600.0))),
    ("other-cpu", |s| {
        let causes = &mut get(s, "handoff").causes;
        causes.insert("other_cpu".to_owned(), json!({"count": 900, "mean_ns": 4000.0}));
    }),
    ("idle-cpu", |s| {
        let hop = get(s, "handoff");
        hop.times.mean_ns = 2000.0;
        hop.causes.insert("idle_cpu".to_owned(), json!({"count": 600, "mean_ns": 3000.0}));
        s.paths[0].total.mean_ns += 1700.0;
        s.paths[0].compensated.mean_ns += 1700.0;
    }),
    ("softirq-late", |s| get(s, "handoff").times.p99_ns = 90_000),
    ("ksoftirqd", |s| {
        let hop = get(s, "handoff");
        hop.times.mean_ns = 2000.0;
        hop.causes.insert("in_line".to_owned(), json!({"count": 700, "mean_ns": 500.0}));
        hop.causes.insert("ksoftirqd".to_owned(), json!({"count": 300, "mean_ns": 5500.0}));
        s.paths[0].total.mean_ns += 1700.0;
        s.paths[0].compensated.mean_ns += 1700.0;
    }),
    ("backlog-drops", |s| s.softnet.dropped = 7),
    ("reader-wake-up", |s| {
        s.paths[0].hops.retain(|h| h.hop != "socket.wait");
        add(s, row("socket.wait", "eth0", 9000.0));
    }),
    ("reader-away", |s| {
        s.paths[0].hops.retain(|h| h.hop != "socket.wait");
        add(s, row("socket.wait", "eth0", 60_000_000.0));
    }),
    ("cpu-quota", |s| {
        s.paths[0].to.netns = "host".to_owned();
        host(s).cpu_quotas.push(CpuQuota {
            cgroup: "/docker/1".to_owned(),
            quota_us: 10_000,
            period_us: 100_000,
            throttled: 16,
            stopped_ns: 1_200_000_000,
        });
    }),
    ("slow-tail", |s| {
        s.paths[0].total.p99_ns = 500_000;
        s.paths[0].histogram = robust::histogram(&[(6_000, 980), (500_000, 20)]);
        get(s, "device").times.p99_ns = 400_000;
    }),
    ("software-segmentation", |s| add(s, row("gso.segment", "up0", 3000.0))),
    ("header-copies", |s| add(s, row("ip.copy", "veth0", 300.0))),
    ("neighbour-wait", |s| add(s, row("ip.neighbour.wait", "veth0", 30_000.0))),
    ("bridge-flood", |s| add(s, row("bridge.flood", "br0", 900.0))),
    ("sent-again", |s| {
        s.transactions.push(TransactionReport {
            kind: "connect".to_owned(),
            count: 300,
            retransmitted: 3,
            sent_again: 3,
            sent_again_after: Some(times(1e9)),
            ..TransactionReport::default()
        });
    }),
    ("drops", |s| {
        s.packets.dropped = 50;
        s.drops.push(DropReport {
            reason: "NETFILTER_DROP".to_owned(),
            netns: "host".to_owned(),
            dev: "veth0".to_owned(),
            count: 50,
            ..DropReport::default()
        });
    }),
    ("listen-overflow", |s| counted(s, "TcpExtListenOverflows", 10, None)),
    ("receive-buffer-full", |s| counted(s, "UdpRcvbufErrors", 37, Some(37))),
    ("send-buffer-full", |s| counted(s, "UdpSndbufErrors", 2, None)),
    ("checksum-errors", |s| counted(s, "UdpInCsumErrors", 2, Some(2))),
    ("reassembly-failed", |s| counted(s, "IpReasmFails", 3, None)),
    ("too-large", |s| counted(s, "IpFragFails", 3, None)),
    ("reverse-path", |s| counted(s, "TcpExtIPReversePathFilter", 3, Some(3))),
    ("no-route", |s| counted(s, "IpExtInNoRoutes", 3, Some(3))),
    ("neighbour-queue-full", |s| counted(s, "arp_cache.unresolved_discards", 9, Some(4))),
    ("device-drops", |s| counted(s, "tx_dropped", 9, None)),
    ("retransmissions", |s| counted(s, "TcpRetransSegs", 9, None)),
    ("kernel-losses", |s| counted(s, "IpInDiscards", 1, None)),
    ("counters-disagree", |s| {
        counted(s, "UdpNoPorts", 3, Some(5));
        s.counters[0].agrees = Some(false);
    }),
    ("probe-cost", |s| s.paths[0].compensated.mean_ns *= 0.8),
    ("incomplete", |s| s.lost_events = 4),
    ("clock", |s| s.host.clocksource = "hpet".to_owned()),
    ("governor", |s| s.host.governor = "powersave".to_owned()),
];

fn ids(snapshot: &Snapshot) -> BTreeSet<String> {
    explain(snapshot).findings.into_iter().map(|f| f.id).collect()
}

#[test]
fn a_healthy_path_is_left_alone() {
    assert_eq!(ids(&healthy()), BTreeSet::new());
}

#[test]
fn every_problem_is_found_by_its_rule() {
    for (id, break_it) in CASES {
        let mut snapshot = healthy();
        break_it(&mut snapshot);
        assert_eq!(ids(&snapshot), BTreeSet::from([(*id).to_owned()]), "{id}");
    }
}

#[test]
fn packets_that_nobody_has_answered_open_no_connection() {
    let mut snapshot = healthy();
    for hop in snapshot.paths[0].hops.iter_mut().filter(|h| h.hook.is_some()) {
        let first = json!({"count": 1, "mean_ns": 5000.0});
        let rest = json!({"count": PACKETS - 1, "mean_ns": 300.0});
        hop.causes = BTreeMap::from([("new".to_owned(), first), ("unreplied".to_owned(), rest)]);
    }
    assert_eq!(ids(&snapshot), BTreeSet::new());
}

#[test]
fn every_rule_has_a_case_and_a_page() {
    let page = include_str!("../../../docs/findings.md");
    let cases: BTreeSet<&str> = CASES.iter().map(|(id, _)| *id).collect();
    assert_eq!(cases, RULES.iter().map(|r| r.id).collect());
    for rule in RULES {
        assert!(page.contains(&format!("\n## {}\n", rule.id)), "docs/findings.md: {}", rule.id);
    }
}

#[test]
fn too_few_packets_prove_nothing() {
    let mut snapshot = healthy();
    add(&mut snapshot, row("bridge.flood", "br0", 900.0));
    snapshot.paths[0].packets = ENOUGH - 1;
    let explained = explain(&snapshot);
    assert_eq!((explained.findings.len(), explained.too_few.len()), (0, 1));
}

#[test]
fn the_bill_names_what_costs_most_first_and_sums_up() {
    let mut snapshot = healthy();
    add(&mut snapshot, row("bridge.flood", "br0", 50_000.0));
    let explained = explain(&snapshot);
    let text = bill::render(&snapshot, &explained);
    let first = text.lines().nth(3).unwrap_or_default();
    assert!(first.contains("50.0 µs") && first.contains("bridge"), "{text}");
    assert!(text.contains("docs/findings.md#bridge-flood"), "{text}");
    assert!(text.contains("nothing waits in one"), "{text}");
}

#[test]
fn a_stream_that_nobody_answers_opens_no_connections() {
    let mut s = healthy();
    make_new(get(&mut s, "conntrack"));
    make_new(get(&mut s, "nat"));
    let found = |s: &Snapshot| explain(s).findings.iter().any(|f| f.id == "new-connections");
    assert!(found(&s));
    let flow = |packets| FlowReport {
        flow: FlowExample { before: "udp 1 > 2".to_owned(), after: None },
        direction: "outbound".to_owned(),
        packets,
        mean_ns: 1.0,
        max_ns: 1,
    };
    s.flows = vec![flow(PACKETS)];
    assert!(!found(&s));
    s.flows = vec![flow(2); usize::try_from(PACKETS / 2).unwrap()];
    assert!(found(&s));
}
