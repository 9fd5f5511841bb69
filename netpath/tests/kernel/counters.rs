//! The kernel's own counters beside netpath's.

use std::net::UdpSocket;

use netpath::{
    lab::{
        Lab,
        traffic::{Load, Sizes},
    },
    snapshot::{CounterReport, Snapshot},
};
use nix::sys::{
    signal::Signal,
    socket::{setsockopt, sockopt},
};

use super::support::{bridge_nat, end_of, enough, signal, trace_on, traced};
use crate::need_kernel;

/// Datagrams for a socket that nobody reads, and whose buffer holds a few of them.
const SENT: u64 = 40;

fn find<'a>(s: &'a Snapshot, netns: &str, name: &str) -> &'a CounterReport {
    let found = s.counters.iter().find(|c| c.netns == netns && c.dev.is_none() && c.name == name);
    found.unwrap_or_else(|| panic!("no {name} in {netns}: {:?}", s.counters))
}

fn address(lab: &Lab, host: &str) -> String {
    let words = ["ip", "-4", "-o", "addr", "show", "dev", "eth0"];
    let text = lab.command(host, &words).expect("ip tells the address");
    let address = text.split_whitespace().skip_while(|word| *word != "inet").nth(1);
    address.and_then(|a| a.split('/').next()).expect("the host has an address").to_owned()
}

#[test]
fn every_datagram_that_finds_no_room_is_counted_by_both() {
    need_kernel!();
    let lab = bridge_nat();
    let server = lab.host("server").expect("the lab has it");
    let bind = || UdpSocket::bind("0.0.0.0:9555").expect("the port is free");
    let reader = server.run(bind).expect("a namespace can be entered");
    setsockopt(&reader, sockopt::RcvBuf, &2304).expect("a buffer can be small");
    let to = format!("{}:9555", address(&lab, "server"));
    let send = |count: u64| {
        let client = lab.host("client").expect("the lab has it");
        let sent = client.run(|| {
            let socket = UdpSocket::bind("0.0.0.0:0").expect("there is a port");
            (0..count).for_each(|_| assert_eq!(socket.send_to(&[b'x'; 300], &to).unwrap(), 300));
        });
        sent.expect("a namespace can be entered");
    };
    // The buffer is full, and everybody knows his neighbours.
    send(SENT);
    let child = trace_on(&lab, &[]);
    send(SENT);
    signal(&child, Signal::SIGINT);
    let s = end_of(child);
    let c = find(&s, "server", "UdpRcvbufErrors");
    assert_eq!((c.kernel, c.netpath, c.agrees), (SENT, Some(SENT), Some(true)), "{c:?}");
    let ids: Vec<&str> = s.findings.iter().map(|f| f.id.as_str()).collect();
    assert!(ids.contains(&"receive-buffer-full"), "{ids:?}");
    assert!(!ids.contains(&"counters-disagree"), "{:?}", s.findings);
}

#[test]
fn what_the_interface_counts_netpath_has_seen() {
    need_kernel!();
    let lab = bridge_nat();
    let loads = [Load::UdpRequests(Sizes::default()), Load::TcpRequests(Sizes::default())];
    let s = traced(&lab, &loads, false, enough(500), &[]);
    assert_eq!(s.counters_not_compared, None);
    let wrong: Vec<_> = s.counters.iter().filter(|c| c.agrees == Some(false)).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    let passed = |name: &str| s.counters.iter().any(|c| c.name == name && c.agrees == Some(true));
    assert!(passed("rx_packets") && passed("tx_packets"), "{:?}", s.counters);
}

#[test]
fn a_filter_leaves_nothing_to_compare() {
    need_kernel!();
    let lab = bridge_nat();
    let s = traced(&lab, &[Load::UdpRequests(Sizes::default())], false, enough(200), &["tcp"]);
    assert!(s.counters_not_compared.is_some_and(|why| why.contains("filter")));
    assert!(s.counters.iter().all(|c| c.agrees.is_none()), "{:?}", s.counters);
}
