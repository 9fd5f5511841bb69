//! What the kernel counts by itself: each host's protocols, conntrack, devices and qdiscs.
//!
//! In: a lab, before and after. Out: what has grown, and which of it stands for lost packets.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use netpath::lab::Lab;

use super::{report::Sort, stage::StageError};

/// A counter of packets that did not get where they should, as [`Counters`] names it, and what became
/// of them. One that another one of these holds is not among them, nor is one of calls that come to no
/// packet: a socket that finds no route when it connects (`OutNoRoutes`).
pub(crate) const LOSSES: &[(&str, Sort)] = &[
    ("Ip.InHdrErrors", Sort::Lost),
    ("Ip.InAddrErrors", Sort::Lost),
    ("Ip.InUnknownProtos", Sort::Lost),
    ("Ip.InDiscards", Sort::Lost),
    ("Ip.OutDiscards", Sort::Lost),
    ("IpExt.InNoRoutes", Sort::Lost),
    ("IpExt.InTruncatedPkts", Sort::Lost),
    ("IpExt.InCsumErrors", Sort::Lost),
    ("Tcp.InCsumErrors", Sort::Lost),
    ("TcpExt.ListenDrops", Sort::Lost),
    ("TcpExt.TCPBacklogDrop", Sort::Lost),
    ("TcpExt.TCPReqQFullDrop", Sort::Lost),
    ("TcpExt.TCPRcvQDrop", Sort::Lost),
    ("TcpExt.TCPOFODrop", Sort::Lost),
    ("TcpExt.PFMemallocDrop", Sort::Lost),
    ("TcpExt.IPReversePathFilter", Sort::Refused),
    // Also counts RcvbufErrors and InCsumErrors.
    ("Udp.InErrors", Sort::Lost),
    ("Udp.NoPorts", Sort::Refused),
    ("Ip6InHdrErrors", Sort::Lost),
    ("Ip6InTooBigErrors", Sort::Lost),
    ("Ip6InNoRoutes", Sort::Lost),
    ("Ip6InAddrErrors", Sort::Lost),
    ("Ip6InUnknownProtos", Sort::Lost),
    ("Ip6InTruncatedPkts", Sort::Lost),
    ("Ip6InDiscards", Sort::Lost),
    ("Ip6OutDiscards", Sort::Lost),
    ("Udp6InErrors", Sort::Lost),
    ("Udp6NoPorts", Sort::Refused),
    ("conntrack.insert_failed", Sort::Lost),
    ("dev.dropped", Sort::Lost),
    ("qdisc.dropped", Sort::Lost),
    (TUNNEL_RETURNED, Sort::Lost),
];

/// Packets that a host's tunnels sent back as the answer that they are too large: the kernel counts no loss.
/// A tunnel's device counts such a packet as sent, and no outer packet leaves the host's stack for it
/// (`vxlan_encap_bypass`); the lab's hosts with tunnels send nothing else.
const TUNNEL_RETURNED: &str = "tunnel.returned";

/// What a host's tunnels were given to send.
const TUNNEL_SENT: &str = "tunnel.sent";

/// Each host's counters at one moment.
#[derive(Debug)]
pub(crate) struct Counters {
    hosts: BTreeMap<&'static str, BTreeMap<String, u64>>,
    /// Packets of the interface that is traced, both ways.
    focus: u64,
}

/// What has grown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Packets that passed the interface that is traced while it was, for certain.
    pub(crate) focus: u64,
    /// Those, and what passed while netpath was starting and ending.
    pub(crate) around: u64,
    /// By host and counter; only what has grown.
    pub(crate) grown: BTreeMap<(String, String), u64>,
}

impl Counters {
    pub(crate) fn read(lab: &Lab) -> Result<Self, StageError> {
        let mut hosts = BTreeMap::new();
        for host in lab.topology().hosts {
            let mut counters = lab
                .host(host)?
                .run(read_files)
                .map_err(|e| StageError::failed(format!("counters of {host}"), e))?;
            let qdiscs = lab.command(host, &["tc", "-s", "-j", "qdisc", "show"])?;
            counters.insert("qdisc.dropped".to_owned(), qdisc_drops(&qdiscs));
            let tunnels =
                lab.command(host, &["ip", "-s", "-j", "link", "show", "type", "vxlan"])?;
            counters.insert(TUNNEL_SENT.to_owned(), packets_sent(&tunnels));
            hosts.insert(*host, counters);
        }
        Ok(Self { hosts, focus: Self::focus(lab)? })
    }

    /// Packets that the traced interface had carried.
    pub(crate) fn passed(&self) -> u64 {
        self.focus
    }

    /// Packets that the traced interface has carried.
    pub(crate) fn focus(lab: &Lab) -> Result<u64, StageError> {
        let focus = lab.topology().focus;
        let devices = lab.host(focus.0)?.run(|| net("dev"));
        let devices = devices.map_err(|e| StageError::failed("the interface", e))?;
        let found = device_lines(&devices).find(|(name, _)| *name == focus.1);
        let (_, columns) = found.ok_or_else(|| StageError::failed("the interface", focus.1))?;
        Ok(columns[RX_PACKETS] + columns[TX_PACKETS])
    }

    /// What has grown since; on the interface also `around` that time.
    pub(crate) fn since(&self, before: &Self, around: u64) -> Seen {
        let mut grown = BTreeMap::new();
        for (host, counters) in &self.hosts {
            for (name, now) in counters {
                let was = before.hosts.get(host).and_then(|c| c.get(name)).copied().unwrap_or(0);
                if *now > was {
                    grown.insert(((*host).to_owned(), name.clone()), now - was);
                }
            }
            let of = |name: &str| grown.get(&((*host).to_owned(), name.to_owned())).copied();
            if let Some(given) = of(TUNNEL_SENT) {
                let returned = given.saturating_sub(of("Ip.OutRequests").unwrap_or(0));
                if returned > 0 {
                    grown.insert(((*host).to_owned(), TUNNEL_RETURNED.to_owned()), returned);
                }
            }
        }
        Seen { focus: self.focus - before.focus, around, grown }
    }
}

impl Seen {
    /// What a host lost or refused, by its counters.
    pub(crate) fn losses(&self, host: &str, sort: Sort) -> u64 {
        let counted = LOSSES.iter().filter(|(_, of)| *of == sort);
        counted.map(|(name, _)| self.of(host, name)).sum()
    }

    /// The counters of a sort of losses that have grown, with the host.
    pub(crate) fn named_losses(&self, sort: Sort) -> impl Iterator<Item = String> {
        self.grown
            .iter()
            .filter(move |((_, name), _)| LOSSES.iter().any(|(n, s)| n == name && *s == sort))
            .map(|((host, name), grown)| format!("{host} {name} {grown}"))
    }

    /// The hosts of which any counter has grown.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = &str> {
        let hosts: BTreeSet<&str> = self.grown.keys().map(|(host, _)| host.as_str()).collect();
        hosts.into_iter()
    }

    /// How much a host's counter has grown.
    pub(crate) fn of(&self, host: &str, name: &str) -> u64 {
        self.grown.get(&(host.to_owned(), name.to_owned())).copied().unwrap_or(0)
    }
}

/// A file of the calling thread's namespace.
fn net(file: &str) -> String {
    fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap_or_default()
}

fn read_files() -> BTreeMap<String, u64> {
    let mut counters = BTreeMap::new();
    for file in ["snmp", "netstat"] {
        let text = net(file);
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.chunks(2) {
            let [names, values] = pair else { continue };
            let group = names.split(':').next().unwrap_or_default();
            for (name, value) in names.split_whitespace().zip(values.split_whitespace()).skip(1) {
                if let Ok(value) = value.parse() {
                    counters.insert(format!("{group}.{name}"), value);
                }
            }
        }
    }
    for line in net("snmp6").lines() {
        if let [name, value] = line.split_whitespace().collect::<Vec<_>>()[..]
            && let Ok(value) = value.parse()
        {
            counters.insert(name.to_owned(), value);
        }
    }
    // A line of names, and one of hexadecimal values a CPU.
    let conntrack = net("stat/nf_conntrack");
    let mut lines = conntrack.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    for line in lines {
        for (name, value) in names.iter().zip(line.split_whitespace()) {
            let value = u64::from_str_radix(value, 16).unwrap_or(0);
            *counters.entry(format!("conntrack.{name}")).or_default() += value;
        }
    }
    let dropped = device_lines(&net("dev")).map(|(_, c)| c[RX_DROPPED] + c[TX_DROPPED]).sum();
    counters.insert("dev.dropped".to_owned(), dropped);
    counters
}

/// Columns of /proc/net/dev.
const RX_PACKETS: usize = 1;
const RX_DROPPED: usize = 3;
const TX_PACKETS: usize = 9;
const TX_DROPPED: usize = 11;
const COLUMNS: usize = 16;

fn device_lines(text: &str) -> impl Iterator<Item = (&str, [u64; COLUMNS])> {
    text.lines().filter_map(|line| {
        let (name, numbers) = line.split_once(':')?;
        let numbers: Vec<u64> = numbers.split_whitespace().flat_map(str::parse).collect();
        Some((name.trim(), numbers.try_into().ok()?))
    })
}

/// What these devices were given to send.
fn packets_sent(json: &str) -> u64 {
    let devices: Vec<serde_json::Value> = serde_json::from_str(json).unwrap_or_default();
    let sent = |device: &serde_json::Value| device["stats64"]["tx"]["packets"].as_u64();
    devices.iter().filter_map(sent).sum()
}

/// What all of a namespace's qdiscs have dropped.
fn qdisc_drops(json: &str) -> u64 {
    let qdiscs: Vec<serde_json::Value> = serde_json::from_str(json).unwrap_or_default();
    qdiscs.iter().filter_map(|qdisc| qdisc["drops"].as_u64()).sum()
}
