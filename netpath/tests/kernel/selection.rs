//! Which packets are recorded: filters and sampling.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use netpath::{
    lab::traffic::{Load, Sizes, Traffic},
    snapshot::{LateReport, Snapshot},
};

use super::support::{bridge_nat, emulated, netpath, run, trace};
use crate::need_kernel;

const LOADS: [Load; 2] = [
    Load::TcpRequests(Sizes { request: 100, reply: 200 }),
    Load::UdpRequests(Sizes { request: 100, reply: 200 }),
];

#[test]
fn a_filter_finds_packets_by_their_addresses_before_and_after_nat() {
    need_kernel!();
    let lab = bridge_nat();
    let _traffic = LOADS.map(|load| Traffic::start(&lab, load, false).expect("traffic"));
    // The container's address, which replies don't have at first, and the host's, which requests
    // don't have.
    for filter in ["udp and host 172.31.0.2", "udp and host 198.18.0.1"] {
        let snapshot = trace(&lab, &["--count", "400", filter]);
        for direction in ["outbound", "inbound"] {
            assert!(
                snapshot.paths.iter().any(|p| p.direction == direction),
                "{filter} {direction}"
            );
        }
        assert!(snapshot.flows.iter().all(|f| f.flow.before.starts_with("udp ")), "{filter}");
        let p = snapshot.packets;
        assert!(p.complete as f64 >= p.sampled as f64 * 0.98, "{filter}: {p:?}");
    }
}

#[test]
fn what_nobody_asked_for_is_not_recorded() {
    need_kernel!();
    let lab = bridge_nat();
    let _traffic = LOADS.map(|load| Traffic::start(&lab, load, false).expect("traffic"));
    let snapshot = trace(&lab, &["--for", "500ms", "host 203.0.113.7"]);
    assert_eq!(snapshot.packets.seen, 0);
    assert!(snapshot.notes.iter().any(|n| n.contains("203.0.113.7")), "{:?}", snapshot.notes);
}

#[test]
fn sampled_packets_are_whole_and_the_others_are_counted() {
    need_kernel!();
    let lab = bridge_nat();
    let _traffic = LOADS.map(|load| Traffic::start(&lab, load, false).expect("traffic"));
    let snapshot = trace(&lab, &["--count", "400", "--sample", "1/8"]);
    let p = snapshot.packets;
    assert!(p.sampled >= 400 && p.complete as f64 >= p.sampled as f64 * 0.98, "{p:?}");
    assert!(p.seen > p.sampled * 7 && p.seen < p.sampled * 9, "{p:?}");
    assert!(snapshot.notes.iter().any(|n| n.contains("one packet in 8")), "{:?}", snapshot.notes);
    // A recorded reply is seldom the one to the recorded request before it.
    assert!(snapshot.transactions.is_empty());
}

/// Reads reports until one has what is looked for.
fn reports_until(lines: &mut impl Iterator<Item = String>, wanted: impl Fn(&LateReport) -> bool) {
    for line in lines {
        let snapshot: Snapshot = serde_json::from_str(&line).expect("a report");
        if snapshot.late.as_ref().is_some_and(&wanted) {
            return;
        }
    }
    panic!("the trace ended first");
}

#[test]
fn late_packets_are_listed_beside_the_sample() {
    need_kernel!();
    let lab = bridge_nat();
    let shaper = ["tc", "qdisc", "add", "dev", "up0", "root", "tbf"];
    let limits = ["rate", "50mbit", "burst", "10kb", "limit", "100kb"];
    lab.command("host", &[&shaper[..], &limits[..]].concat()).unwrap();
    // Below the shaper's rate: nothing of it waits there.
    let _requests = Traffic::start(&lab, LOADS[1], false).expect("traffic");
    let netns = lab.full_name(lab.topology().focus.0);
    let arguments = ["--format", "ndjson", "--for", "60s", "--sample", "1/16"];
    let selection = ["trace", "--iface", lab.topology().focus.1, "--netns", &netns];
    let mut trace = netpath(&[&selection[..], &arguments[..]].concat())
        .stdout(Stdio::piped())
        .spawn()
        .expect("netpath can be run");
    let mut lines = BufReader::new(trace.stdout.take().unwrap()).lines().map(Result::unwrap);
    reports_until(&mut lines, |late| late.after_ns > 0);
    // Above it: the queue fills, and whoever is behind in it is late.
    let flood = Load::UdpFlood { bytes: 1000, rate: Some(20_000) };
    let _flood = Traffic::start(&lab, flood, false).expect("traffic");
    reports_until(&mut lines, |late| {
        late.slowest.iter().any(|packet| {
            let pieces: i64 = packet.pieces.iter().map(|piece| piece.ns).sum();
            assert_eq!(packet.before_ns + pieces, packet.total_ns);
            assert!(late.found >= late.recorded);
            packet.direction == "outbound" && packet.total_ns > 1_000_000
        })
    });
    trace.kill().expect("it runs");
    trace.wait().expect("it has ended");
}

#[test]
fn between_windows_nothing_is_attached_and_packets_stay_whole() {
    need_kernel!();
    let lab = bridge_nat();
    let _traffic = LOADS.map(|load| Traffic::start(&lab, load, false).expect("traffic"));
    // So little that passing the probes alone takes most of it; of an emulated machine's few packets, it
    // must still leave some.
    let budget = ["--sample", "auto", "--budget", if emulated() { "10%" } else { "0.01%" }];
    // The longest pause takes 10 s: there is a window before it and one after it, once everything is
    // attached again.
    let time = if emulated() { "40s" } else { "11500ms" };
    let snapshot = trace(&lab, &[&["--for", time], &budget[..]].concat());
    let p = snapshot.packets;
    assert!(p.sampled > 0 && p.complete as f64 >= p.sampled as f64 * 0.95, "{p:?}");
    let seconds = snapshot.paths.iter().flat_map(|path| &path.history);
    let starts: Vec<u64> = seconds.map(|second| second.start_ns / 1_000_000_000).collect();
    let (first, last) = (starts.iter().min().copied(), starts.iter().max().copied());
    assert!(last > first.map(|first| first + 5), "{starts:?}");
    assert!(snapshot.notes.iter().any(|n| n.contains("lets go")), "{:?}", snapshot.notes);
}

#[test]
fn a_filter_that_is_none_is_a_usage_error() {
    let output = run(&["trace", "--iface", "lo", "host", "example.org"]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("column 6") && text.contains("example.org"), "{text}");
}
