//! What must hold on every kernel, for every rule set and every backend: a container's NAT path
//! with a queue on its uplink, where each hop that this kernel can measure is seen.
//!
//! - [`rule_sets`]: the same NAT in the rule languages that there are;
//! - [`hops`]: which hops the traffic must pass.

mod hops;
pub(crate) mod rule_sets;

use std::{
    collections::BTreeSet,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use netpath::{
    lab::{
        Lab,
        traffic::{Load, Sizes},
    },
    snapshot::{HopReport, Snapshot},
};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use serde_json::Value;

use super::support::{self, assert_sums, loaded, path, run, wait_for};
use crate::need_kernel;
use rule_sets::RuleSet;
pub(super) use rule_sets::{NFT, bare};

/// What the uplink's queue delays packets by, ms.
const DELAY_MS: f64 = 5.0;
/// A ping in its Ethernet frame.
const PING_BYTES: usize = 14 + 20 + 8 + PING_PAYLOAD;
const PING_PAYLOAD: usize = 56;

/// Connections, or pings, that a trace is of.
const ENOUGH: u64 = 150;

/// Keeps this process, its traffic and the netpath that it starts on one CPU: there, no time
/// between two marks can be negative.
fn stay_on_one_cpu() {
    let mut set = CpuSet::new();
    set.set(0).expect("CPU 0 fits into a set");
    sched_setaffinity(Pid::from_raw(0), &set).expect("CPU 0 is always there");
}

/// A lab with a rule set.
fn lab(rules: &RuleSet) -> Lab {
    stay_on_one_cpu();
    let lab = Lab::up(rule_sets::bare()).expect("the lab comes up");
    rules.apply(&lab);
    lab
}

/// Puts a queue on the uplink that delays every packet, or, where the kernel has no such queue,
/// one that lets a ping leave that long after the one before.
fn delay_uplink(lab: &Lab) {
    let add = ["tc", "qdisc", "add", "dev", "up0", "root"];
    let delay = format!("{DELAY_MS}ms");
    let Err(error) = lab.command("host", &[&add[..], &["netem", "delay", &delay]].concat()) else {
        return;
    };
    // A kernel without netem says so; anything else is a fault.
    assert!(error.to_string().contains("no qdisc netem"), "{error}");
    let rate = format!("{}bit", PING_BYTES as f64 * 8.0 / (DELAY_MS / 1e3));
    let tbf = ["tbf", "rate", &rate, "burst", "100", "limit", "20kb"];
    lab.command("host", &[&add[..], &tbf].concat()).expect("every kernel has tbf");
}

/// By how much half of the timers of [`DELAY_MS`] that are set meanwhile are late, ms.
fn beside_a_timer<T>(run: impl FnOnce() -> T) -> (T, f64) {
    let (ended, end) = mpsc::channel::<()>();
    let timers = thread::spawn(move || {
        let delay = Duration::from_secs_f64(DELAY_MS / 1e3);
        let mut late = Vec::new();
        loop {
            let set = Instant::now();
            if end.recv_timeout(delay) != Err(RecvTimeoutError::Timeout) {
                late.sort_unstable();
                return late.get(late.len() / 2).copied().unwrap_or_default();
            }
            late.push(set.elapsed().saturating_sub(delay));
        }
    });
    let result = run();
    drop(ended);
    (result, timers.join().expect("the timers ran").as_secs_f64() * 1e3)
}

/// Traces TCP connections through the lab, one after the other: they pass all that packets can
/// pass, and leave the one CPU some time for the trace.
fn traced(lab: &Lab, v6: bool, arguments: &[&str]) -> Snapshot {
    let load = Load::TcpConnects(Sizes::default());
    support::traced(lab, &[load], v6, ENOUGH, arguments)
}

/// What `netpath doctor` says, with the lab's modules loaded.
fn doctor(arguments: &[&str]) -> Value {
    let output = run(&[&["doctor", "--json"], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Packets were followed, nothing was lost, rows sum to totals, and no time is negative.
fn assert_sound(snapshot: &Snapshot) {
    let p = &snapshot.packets;
    assert!(p.seen > 100, "{p:?}");
    // Dropped, among few, are what new devices tell their neighbours of themselves (MLD).
    let followed = p.complete + p.dropped;
    assert!(followed as f64 >= p.seen as f64 * 0.98, "{p:?} {:?}", snapshot.notes);
    assert!(p.dropped <= 20.max(p.seen / 50), "{:?}", snapshot.drops);
    assert_eq!(snapshot.lost_events, 0, "{:?}", snapshot.lost_by_point);
    assert_eq!(p.negative, 0);
    for direction in ["outbound", "inbound"] {
        let path = path(snapshot, direction);
        assert_eq!(path.translated, path.packets, "{}", path.name);
        assert_sums(path);
        for packet in &path.packets_shown {
            assert!(packet.pieces.iter().all(|piece| piece.ns >= 0), "{packet:?}");
            assert_eq!(packet.pieces.iter().map(|piece| piece.ns).sum::<i64>(), packet.total_ns);
        }
    }
}

/// Every hop that is served here, and that the traffic must pass, was seen.
fn assert_all_seen(snapshot: &Snapshot, served: &Value, queue: bool) {
    let seen: BTreeSet<&str> =
        hops_of(snapshot).filter(|h| h.count > 0).map(|h| h.hop.as_str()).collect();
    let rows = served["hops"].as_array().expect("a list of hops");
    let served = rows.iter().filter(|row| row["backends"].is_array());
    let missing: Vec<&str> = served
        .filter_map(|row| row["hop"].as_str())
        .filter(|hop| hops::must_be_passed(hop, queue) && !seen.contains(hop))
        .collect();
    assert!(missing.is_empty(), "{missing:?} are served, and not among {seen:?}");
}

fn hops_of(snapshot: &Snapshot) -> impl Iterator<Item = &HopReport> {
    snapshot.paths.iter().flat_map(|p| &p.hops)
}

fn every_hop_is_seen(rules: &RuleSet) {
    let lab = lab(rules);
    // A queue that no packet bypasses, and that delays none.
    let tbf = ["tc", "qdisc", "add", "dev", "up0", "root", "tbf"];
    let fast = ["rate", "1gbit", "burst", "1mb", "limit", "1mb"];
    lab.command("host", &[&tbf[..], &fast[..]].concat()).expect("every kernel has tbf");
    let served = doctor(&[]);
    for v6 in [false, true] {
        let snapshot = traced(&lab, v6, &[]);
        assert_sound(&snapshot);
        assert_all_seen(&snapshot, &served, true);
        let flow = path(&snapshot, "outbound").example.clone().expect("a flow");
        assert_eq!(flow.before.contains("fd31::2"), v6, "{flow:?}");
    }
    wait_for("the programs to go", || loaded().is_empty());
}

#[test]
fn every_hop_is_seen_with_iptables_nft() {
    need_kernel!();
    every_hop_is_seen(&rule_sets::IPTABLES_NFT);
}

#[test]
fn every_hop_is_seen_with_iptables_legacy() {
    need_kernel!();
    every_hop_is_seen(&rule_sets::IPTABLES_LEGACY);
}

#[test]
fn every_hop_is_seen_with_nft() {
    need_kernel!();
    every_hop_is_seen(&rule_sets::NFT);
}

/// Whether a backend works here; where it is expected to, nothing is asked.
fn has(backend: &str) -> bool {
    match std::env::var("NETPATH_BACKENDS") {
        Ok(expected) => expected.split(',').any(|name| name == backend),
        Err(_) => run(&["doctor", "--backend", backend]).status.success(),
    }
}

#[test]
fn a_queues_wait_is_what_the_queue_delays() {
    need_kernel!();
    let lab = lab(&rule_sets::NFT);
    delay_uplink(&lab);
    // One packet at a time: a machine that is busy is late.
    let ping = Load::Ping { bytes: PING_PAYLOAD };
    let (snapshot, late_ms) = beside_a_timer(|| support::traced(&lab, &[ping], false, ENOUGH, &[]));
    assert_sound(&snapshot);
    let out = path(&snapshot, "outbound");
    let wait = out.hops.iter().find(|h| h.hop == "qdisc.wait").expect("a wait in the qdisc");
    let counts: Vec<_> = out.hops.iter().map(|h| (&h.hop, h.place(), h.count)).collect();
    assert_eq!((wait.place().as_str(), wait.count), ("host/up0", out.packets), "{counts:?}");
    let p50_ms = wait.times.p50_ns as f64 / 1e6;
    // A queue waits for the machine's timers, and an emulated machine's can all be late.
    let late_ms = if support::emulated() { late_ms } else { 0.0 };
    let allowed = DELAY_MS * 0.95..=DELAY_MS * 1.05 + late_ms;
    assert!(allowed.contains(&p50_ms), "{p50_ms} ms, and not in {allowed:?}: {wait:?}");
}

/// The stages of netfilter hooks of a path, in order: hop and hook. Functions see more than links
/// do, which is left out: the rules that NAT runs are a part of its stage there. What only links see
/// is conntrack's defragmentation, in a stage of its own.
fn stages(snapshot: &Snapshot, direction: &str) -> Vec<(String, String)> {
    const STAGES: [&str; 3] = ["conntrack", "nat", "rules"];
    let mut stages: Vec<(String, String)> = path(snapshot, direction)
        .hops
        .iter()
        .filter(|h| STAGES.contains(&h.hop.as_str()) && h.netns == "host")
        .filter_map(|h| Some((h.hop.clone(), h.hook.clone()?)))
        .collect();
    stages.dedup_by(|next, last| {
        next.1 == last.1 && (next.0 == last.0 || (last.0 == "nat" && next.0 == "rules"))
    });
    stages
}

#[test]
fn each_backend_alone_names_the_same_stages_in_the_same_order() {
    need_kernel!();
    let lab = lab(&rule_sets::IPTABLES_NFT);
    let mut named = Vec::new();
    for backend in ["fentry", "kprobe", "netfilter-link"].into_iter().filter(|b| has(b)) {
        // Links see hooks, and the devices' tracepoints what is between them.
        let words = match backend {
            "netfilter-link" => "tracepoint,netfilter-link".to_owned(),
            function => function.to_owned(),
        };
        let snapshot = traced(&lab, false, &["--backend", &words]);
        let used: BTreeSet<&str> = snapshot.backends.values().flat_map(|b| b.split('+')).collect();
        let asked: BTreeSet<&str> = words.split(',').collect();
        assert_eq!(used, asked);
        assert_sound(&snapshot);
        assert_all_seen(&snapshot, &doctor(&["--backend", &words]), false);
        named
            .push((backend, ["outbound", "inbound"].map(|direction| stages(&snapshot, direction))));
        wait_for("the programs to go", || loaded().is_empty());
    }
    assert!(!named.is_empty(), "no backend sees netfilter's stages here");
    for pair in named.windows(2) {
        assert_eq!(pair[0].1, pair[1].1, "{} and {}", pair[0].0, pair[1].0);
    }
}
