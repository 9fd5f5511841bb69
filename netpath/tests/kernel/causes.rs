//! Why it costs what it does, as seen on real packets.

use netpath::{
    lab::{
        Lab,
        traffic::{How, Load, Sizes, Traffic},
    },
    snapshot::{HopReport, Snapshot},
};

use nix::sys::signal::Signal;

use super::support::{bridge_nat, end_of, enough, path, signal, trace_on, traced, up, wait_for};
use crate::need_kernel;

/// How far the traced round trips' median may be from what the client measured of the same ones: the
/// client's clock also runs while its system calls are entered and left, where no probe is.
const APART: f64 = 0.08;
/// The same where the sender's call is not seen either: before the first event lies all that the socket
/// does (docs/truth.md).
const APART_UNSEEN: f64 = 0.16;

/// A trace of round trips on one CPU, and the median of what their client measured of the same ones, ns.
fn traced_and_measured(lab: &Lab, load: Load) -> (Snapshot, f64) {
    let how = How { cpus: Some((0, 0)), ..How::default() };
    // Everybody learns his neighbours.
    Traffic::start_as(lab, load, how).and_then(|mut t| t.stop()).expect("the traffic flows");
    let child = trace_on(lab, &[]);
    let mut traffic = Traffic::start_as(lab, load, how).expect("the traffic flows");
    wait_for("enough round trips", || traffic.count() >= enough(20_000));
    let measured = traffic.stop().expect("the traffic flowed");
    signal(&child, Signal::SIGINT);
    (end_of(child), measured.round_trips.value_at_quantile(0.5) as f64)
}

fn ids(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.findings.iter().map(|f| f.id.as_str()).collect()
}

/// Count and mean of a state, over the hops of a group.
fn state(snapshot: &Snapshot, group: &str, state: &str) -> (f64, f64) {
    let of = |h: &HopReport| {
        let tally = h.causes.get(state)?;
        Some((tally["count"].as_f64()?, tally["mean_ns"].as_f64()?))
    };
    let tallies = path(snapshot, "outbound").hops.iter().filter(|h| h.group == group);
    tallies.filter_map(of).fold((0.0, 0.0), |(n, sum), (count, mean)| (count.max(n), sum + mean))
}

#[test]
fn new_connections_pay_for_conntrack_and_nat_and_kept_ones_do_not() {
    need_kernel!();
    let lab = bridge_nat();
    let each = traced(&lab, &[Load::TcpConnects(Sizes::default())], false, enough(5_000), &[]);
    let kept = traced(&lab, &[Load::TcpRequests(Sizes::default())], false, enough(5_000), &[]);
    for group in ["netfilter/conntrack", "netfilter/nat"] {
        let (new, new_ns) = state(&each, group, "new");
        let (old, old_ns) = state(&each, group, "established");
        assert!(new > 50.0 && old > new, "{group}: {new} new, {old} established");
        assert!(new_ns > old_ns, "{group}: {new_ns} ns for new ones, {old_ns} for the others");
        assert!(state(&kept, group, "new").0 <= 2.0, "{group}: {:?}", state(&kept, group, "new"));
    }
    // What NAT did: to requests behind the container's host, and back to replies before it.
    for (direction, hook, done) in
        [("outbound", "POSTROUTING", "snat"), ("inbound", "PREROUTING", "snat_undone")]
    {
        let path = path(&kept, direction);
        let nat = path.hops.iter().find(|h| h.hop == "nat" && h.hook.as_deref() == Some(hook));
        let causes = &nat.expect("NAT's hop").causes;
        assert_eq!(causes[done]["count"], path.translated, "{direction}: {causes:?}");
        let rules = (direction == "outbound").then_some("masquerade");
        assert_eq!(
            causes.get("rules").and_then(|r| r[0].as_str()),
            rules,
            "{direction}: {causes:?}"
        );
    }
    assert!(ids(&each).contains(&"new-connections"), "{:?}", ids(&each));
    assert!(!ids(&kept).contains(&"new-connections"), "{:?}", ids(&kept));
}

#[test]
fn a_round_trip_sums_to_what_the_client_measured() {
    need_kernel!();
    let lab = bridge_nat();
    for load in [Load::TcpRequests(Sizes::default()), Load::UdpRequests(Sizes::default())] {
        let (snapshot, client_ns) = traced_and_measured(&lab, load);
        let trip = snapshot.transactions.iter().max_by_key(|t| t.count).expect("round trips");
        assert!(trip.count > enough(10_000), "{trip:?}");
        let parts: f64 = trip.parts.iter().map(|p| p.times.mean_ns).sum();
        assert!((parts - trip.total.mean_ns).abs() <= trip.total.mean_ns * 0.001, "{trip:?}");
        let path = path(&snapshot, "outbound");
        let sending = path.hops.iter().any(|h| h.hop == "socket.send");
        let (ours, apart) = (trip.total.p50_ns as f64, if sending { APART } else { APART_UNSEEN });
        assert!(
            (ours - client_ns).abs() <= client_ns * apart,
            "{ours} ns, by its own clock {client_ns} ns: {trip:?}"
        );
    }
}

#[test]
fn a_shaper_is_named_with_the_queue_that_was_met() {
    need_kernel!();
    let lab = bridge_nat();
    let shaper = ["tc", "qdisc", "add", "dev", "up0", "root", "tbf"];
    // So little that every machine can send more.
    let limits = ["rate", "2mbit", "burst", "4kb", "limit", "60kb"];
    lab.command("host", &[&shaper[..], &limits[..]].concat()).unwrap();
    let snapshot =
        traced(&lab, &[Load::UdpFlood { bytes: 1000, rate: Some(400) }], false, 1_000, &[]);
    let found = snapshot.findings.iter().find(|f| f.id == "qdisc-shaped").expect("a finding");
    assert_eq!(found.evidence["qdisc"], "tbf", "{found:?}");
    assert_eq!(found.evidence["place"], "host/up0", "{found:?}");
    // Sixty kilobytes hold 57 such packets.
    assert_eq!(found.evidence["limit_bytes"], 60 * 1024, "{found:?}");
    let ahead = found.evidence["ahead_mean"].as_f64().unwrap_or(0.0);
    assert!((30.0..=60.0).contains(&ahead), "{found:?}");
}

#[test]
fn who_takes_packets_up_is_told_and_what_lies_behind_them() {
    need_kernel!();
    let waits = |snapshot: &Snapshot| -> Vec<HopReport> {
        path(snapshot, "outbound").hops.iter().filter(|h| h.hop == "handoff").cloned().collect()
    };
    let count = |hop: &HopReport, key: &str| {
        hop.causes.get(key).and_then(|tally| tally["count"].as_u64()).unwrap_or(0)
    };
    let kept =
        traced(&bridge_nat(), &[Load::UdpRequests(Sizes::default())], false, enough(20_000), &[]);
    let kept_waits = waits(&kept);
    assert!(!kept_waits.is_empty(), "no hand-off: {:?}", path(&kept, "outbound"));
    for hop in kept_waits {
        // One request after the other: softirqs have little to do, and do it at once.
        let (in_line, daemon) = (count(&hop, "in_line"), count(&hop, "ksoftirqd"));
        assert!(in_line + daemon >= hop.count * 9 / 10, "{hop:?}");
        assert!(in_line >= 9 * daemon, "{hop:?}");
        let behind = hop.causes["behind_max"].as_u64().expect("it was looked behind some");
        assert!(behind <= 64, "{hop:?}");
    }
    assert!(!ids(&kept).contains(&"ksoftirqd"), "{:?}", ids(&kept));
    // Sent by one CPU, taken up by another, which is slower.
    let Some(lab) = up("rps/other") else { return };
    let how = How { cpus: Some((0, 1)), ..How::default() };
    let load = Load::UdpFlood { bytes: 64, rate: None };
    Traffic::start_as(&lab, load, how).and_then(|mut t| t.stop()).expect("the traffic flows");
    let child = trace_on(&lab, &[]);
    let mut traffic = Traffic::start_as(&lab, load, how).expect("the traffic flows");
    wait_for("a flood", || traffic.count() >= enough(200_000));
    signal(&child, Signal::SIGINT);
    traffic.stop().expect("the traffic flowed");
    let flood = end_of(child);
    let waits = waits(&flood);
    let handed_on = waits.iter().max_by_key(|hop| count(hop, "other_cpu")).expect("a hand-off");
    assert!(count(handed_on, "other_cpu") > handed_on.count / 2, "{handed_on:?}");
    assert!(handed_on.causes["behind_max"].as_u64() > Some(8), "{handed_on:?}");
}

#[test]
fn rules_are_counted_and_their_list_is_found() {
    need_kernel!();
    let lab = bridge_nat();
    let rule = "add rule ip long walked ip saddr 198.51.100.1 drop\n";
    let file = std::env::temp_dir().join(format!("{}.nft", lab.full_name("host")));
    let table =
        "add table ip long\nadd chain ip long walked { type filter hook forward priority 10; }\n";
    let rules = rule.repeat(300);
    std::fs::write(&file, format!("{table}{rules}")).expect("a temporary file");
    let load = lab.command("host", &["nft", "-f", &file.to_string_lossy()]);
    std::fs::remove_file(&file).expect("it was written");
    load.expect("the rules are loaded");
    let snapshot = traced(&lab, &[Load::UdpRequests(Sizes::default())], false, enough(5_000), &[]);
    let found = snapshot.findings.iter().find(|f| f.id == "linear-rules").expect("a finding");
    assert_eq!(found.evidence["chain"], "ip long walked", "{found:?}");
    assert!(found.evidence["rules"].as_u64() >= Some(300), "{found:?}");
}
