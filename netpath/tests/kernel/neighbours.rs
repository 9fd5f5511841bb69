//! Neighbours at a bridge: of many, only those are attached to that the path leads to.

use std::{fs, process::Child};

use nix::sys::signal::Signal;

use super::support::{Neighbour, bridge_nat, end_of, signal, trace_on, wait_for};
use crate::need_kernel;

/// More than are on the path from the start.
const NEIGHBOURS: u8 = 12;

/// Netfilter links that a process holds.
fn links(process: &Child) -> usize {
    let entries = fs::read_dir(format!("/proc/{}/fdinfo", process.id())).expect("it runs");
    let is_link = |text: &String| {
        text.lines().any(|line| line.starts_with("link_type:") && line.ends_with("netfilter"))
    };
    let texts = entries.flatten().filter_map(|entry| fs::read_to_string(entry.path()).ok());
    texts.filter(is_link).count()
}

#[test]
fn a_neighbour_is_attached_to_once_a_packet_has_gone_there() {
    need_kernel!();
    let lab = bridge_nat();
    let neighbours: Vec<Neighbour> = (1..=NEIGHBOURS).map(|n| Neighbour::start(&lab, n)).collect();
    let child = trace_on(&lab, &[]);
    let before = links(&child);
    let ping = |count: &str, to: &str| {
        let count = ["ping", "-q", "-i", "0.05", "-c", count, to];
        lab.command("client", &count).expect("each ping is answered")
    };
    let asked = &neighbours[4];
    ping("10", &asked.address);
    // Where functions are probed there are no links.
    let linked = before > 0;
    if linked {
        wait_for("links at the neighbour", || links(&child) > before);
    }
    ping("10", &asked.address);
    let after = links(&child);
    signal(&child, Signal::SIGINT);
    let snapshot = end_of(child);
    // Of each family one in INPUT and one in OUTPUT: nothing is registered there.
    assert!(!linked || after == before + 4, "{before} links, then {after}");
    let pings: u64 =
        snapshot.transactions.iter().filter(|t| t.kind == "ping").map(|t| t.count).sum();
    assert_eq!(pings, 20, "{:#?}", snapshot.transactions);
    let watched: Vec<&String> = snapshot.netns_facts.keys().collect();
    assert_eq!(watched.len(), 4, "client, host, server and one neighbour: {watched:?}");
    // Not all 20: what is under way while links are made counts in its round trip alone.
    let way: Vec<_> = snapshot.paths.iter().filter(|p| p.packets >= 5).map(|p| &p.name).collect();
    assert_eq!(way.len(), 2, "each way is one path from its first packet on: {way:?}");
}
