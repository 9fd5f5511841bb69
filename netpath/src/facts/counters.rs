//! What the kernel counts itself in the calling thread's namespace: protocols, connection tracking
//! and devices.
//!
//! In: /proc, rtnetlink. Out: [`Counters`], with the names that `nstat` gives them. What they mean, and
//! which of netpath's own counts stands beside them, is [`crate::snapshot`]'s table.

mod devices;

use std::{collections::BTreeMap, fs};

use serde::{Deserialize, Serialize};

use super::per_cpu;

/// Counts since the namespace was made; those that are 0 are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// `IpInReceives`, `TcpExtListenDrops`, `Ip6InReceives`, `nf_conntrack.insert_failed`.
    pub named: BTreeMap<String, u64>,
    /// By index of the device: `rx_dropped` and so on.
    pub devices: BTreeMap<u32, BTreeMap<String, u64>>,
}

/// Tables of the whole machine, which only the initial namespace shows.
const NEIGHBOURS: &[&str] = &["arp_cache", "ndisc_cache"];
/// What is written as a counter and is a setting, or a number of the moment.
const NO_COUNTERS: &[&str] = &[
    "IpForwarding",
    "IpDefaultTTL",
    "TcpRtoAlgorithm",
    "TcpRtoMin",
    "TcpRtoMax",
    "TcpMaxConn",
    "TcpCurrEstab",
    "nf_conntrack.entries",
    "arp_cache.entries",
    "ndisc_cache.entries",
];

pub(super) fn read() -> Counters {
    let mut named = BTreeMap::new();
    for file in ["snmp", "netstat"] {
        pairs_of_lines(&net(file), &mut named);
    }
    a_line_each(&net("snmp6"), &mut named);
    by_cpu("nf_conntrack", &mut named);
    keep_counters(&mut named);
    Counters { named, devices: devices::read() }
}

/// What is counted for all namespaces together, as far as the calling thread's shows it.
pub(super) fn read_machine() -> BTreeMap<String, u64> {
    let mut named = BTreeMap::new();
    for table in NEIGHBOURS {
        by_cpu(table, &mut named);
    }
    keep_counters(&mut named);
    named
}

fn net(file: &str) -> String {
    fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap_or_default()
}

fn keep_counters(named: &mut BTreeMap<String, u64>) {
    named.retain(|name, value| *value > 0 && !NO_COUNTERS.contains(&name.as_str()));
}

/// `Ip: InReceives …` above `Ip: 11623 …`.
fn pairs_of_lines(text: &str, out: &mut BTreeMap<String, u64>) {
    let mut lines = text.lines();
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        let (Some((group, names)), Some((_, values))) =
            (names.split_once(": "), values.split_once(": "))
        else {
            continue;
        };
        let pairs = names.split_whitespace().zip(values.split_whitespace());
        out.extend(pairs.filter_map(|(name, n)| Some((format!("{group}{name}"), n.parse().ok()?))));
    }
}

/// `Ip6InReceives   11623`.
fn a_line_each(text: &str, out: &mut BTreeMap<String, u64>) {
    out.extend(text.lines().filter_map(|line| {
        let (name, n) = line.split_once(char::is_whitespace)?;
        Some((name.to_owned(), n.trim().parse().ok()?))
    }));
}

/// A table with a line per CPU, as `TABLE.column`.
fn by_cpu(table: &str, out: &mut BTreeMap<String, u64>) {
    by_cpu_in(&net(&format!("stat/{table}")), table, out);
}

fn by_cpu_in(text: &str, table: &str, out: &mut BTreeMap<String, u64>) {
    let mut lines = text.lines();
    let names = lines.next().unwrap_or_default().split_whitespace();
    out.extend(
        names
            .enumerate()
            .map(|(at, name)| (format!("{table}.{name}"), per_cpu::sum(lines.clone(), at))),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(of: &[(&str, u64)]) -> BTreeMap<String, u64> {
        of.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect()
    }

    #[test]
    fn names_stand_above_their_numbers() {
        let mut out = BTreeMap::new();
        let text = "Ip: Forwarding InReceives\nIp: 1 20\nTcpExt: ListenDrops\nTcpExt: 3\nUdp: cut";
        pairs_of_lines(text, &mut out);
        assert_eq!(
            out,
            named(&[("IpForwarding", 1), ("IpInReceives", 20), ("TcpExtListenDrops", 3)])
        );
        keep_counters(&mut out);
        assert_eq!(out, named(&[("IpInReceives", 20), ("TcpExtListenDrops", 3)]));
    }

    #[test]
    fn one_a_line_and_one_a_column() {
        let mut out = BTreeMap::new();
        a_line_each("Ip6InReceives     \t7\nUdp6InErrors 0\nbroken\n", &mut out);
        by_cpu_in("entries drop\n00000010 0000000a\n00000010 00000001\n", "nf_conntrack", &mut out);
        keep_counters(&mut out);
        assert_eq!(out, named(&[("Ip6InReceives", 7), ("nf_conntrack.drop", 11)]));
    }

    #[test]
    fn the_own_namespace_has_received_something_or_nothing_at_all() {
        let counters = read();
        for device in counters.devices.values() {
            assert!(device.values().all(|n| *n > 0), "{device:?}");
        }
        assert!(counters.named.keys().all(|name| !NO_COUNTERS.contains(&name.as_str())));
    }
}
