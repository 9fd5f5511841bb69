//! netpath's report, as far as its contract says what a row is judged by.
//!
//! In: JSON. Out: counts and means by what they are of.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Report {
    pub(crate) packets: Packets,
    pub(crate) lost_events: u64,
    pub(crate) notes: Vec<String>,
    pub(crate) paths: Vec<Path>,
    pub(crate) flows: Vec<Flow>,
    pub(crate) transactions: Vec<Trips>,
    pub(crate) drops: Vec<Drop>,
    pub(crate) counters: Vec<Counter>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Packets {
    pub(crate) seen: u64,
    pub(crate) incomplete: u64,
    /// How many, by why.
    pub(crate) incomplete_why: BTreeMap<String, u64>,
    pub(crate) vanished: u64,
    pub(crate) ambiguous: u64,
    pub(crate) not_ip: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Path {
    pub(crate) name: String,
    pub(crate) end: String,
    pub(crate) packets: u64,
    pub(crate) hops: Vec<Hop>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Hop {
    #[serde(rename = "hop")]
    pub(crate) key: String,
    pub(crate) netns: String,
    pub(crate) count: u64,
    pub(crate) mean_ns: f64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Flow {
    pub(crate) before: String,
    pub(crate) packets: u64,
}

impl Report {
    /// How often it says that a probe was passed over: what an interrupt brings while one runs is not probed.
    /// Functions' probes take so long where the machine is emulated that this happens there.
    pub(crate) fn passed_over(&self) -> u64 {
        let times =
            |note: &String| note.split_once(" times a probe was passed over")?.0.parse().ok();
        self.notes.iter().find_map(times).unwrap_or(0)
    }
}

/// What a round trip is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Request,
    Connect,
    Ping,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Request => "requests",
            Self::Connect => "connects",
            Self::Ping => "pings",
        }
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Trips {
    pub(crate) protocol: String,
    #[serde(default)]
    pub(crate) kind: Option<Kind>,
    pub(crate) count: u64,
    pub(crate) total: Mean,
    #[serde(default)]
    pub(crate) parts: Vec<Part>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Mean {
    pub(crate) mean_ns: f64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Part {
    pub(crate) part: String,
    pub(crate) path: Option<String>,
}

/// What became of a packet, for whom sent it.
#[derive(Default, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Sort {
    #[default]
    Lost,
    Refused,
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Drop {
    #[serde(default)]
    pub(crate) sort: Sort,
    pub(crate) reason: String,
    pub(crate) netns: String,
    #[serde(default)]
    pub(crate) dev: String,
    pub(crate) count: u64,
}

impl fmt::Display for Drop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, netns, dev, count, .. } = self;
        write!(f, "{count} × {reason} in {netns}/{dev}")
    }
}

/// What the kernel counted beside what netpath did.
#[derive(Debug, Deserialize)]
pub(crate) struct Counter {
    pub(crate) netns: String,
    #[serde(default)]
    pub(crate) dev: Option<String>,
    pub(crate) name: String,
    pub(crate) kernel: u64,
    #[serde(default)]
    pub(crate) netpath: Option<u64>,
    /// Absent where the two need not be the same.
    #[serde(default)]
    pub(crate) agrees: Option<bool>,
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { netns, name, kernel, .. } = self;
        let dev = self.dev.as_ref().map(|dev| format!("/{dev}")).unwrap_or_default();
        let netpath = self.netpath.map_or("none".to_owned(), |n| n.to_string());
        write!(f, "{netns}{dev} {name}: kernel {kernel}, netpath {netpath}")
    }
}

/// The end of packets that went on in another one.
const MERGED: &str = "merged";

impl Trips {
    fn kind(&self) -> Kind {
        let icmp = self.protocol.starts_with("icmp");
        self.kind.unwrap_or(if icmp { Kind::Ping } else { Kind::Request })
    }
}

impl Report {
    /// How many round trips there are of a kind, and how long they take in the mean.
    pub(crate) fn trips(&self, kind: Kind) -> (u64, f64) {
        let of_kind = || self.transactions.iter().filter(|t| t.kind() == kind);
        let count: u64 = of_kind().map(|t| t.count).sum();
        let sum: f64 = of_kind().map(|t| t.total.mean_ns * t.count as f64).sum();
        (count, if count == 0 { 0.0 } else { sum / count as f64 })
    }

    /// Of a kind's round trips, what the reply takes in the client's namespace in the mean: from its
    /// arrival there until it is read; of the hops that count.
    pub(crate) fn received_ns(&self, kind: Kind, client: &str, counts: fn(&str) -> bool) -> f64 {
        let of_kind = || self.transactions.iter().filter(|t| t.kind() == kind);
        let count: u64 = of_kind().map(|trips| trips.count).sum();
        let of_reply = |trips: &Trips| {
            let reply = trips.parts.iter().find(|part| part.part == "reply")?;
            // The same way in other ends is its fragments', which nobody reads.
            let paths = || {
                let way = self.paths.iter().filter(|path| Some(&path.name) == reply.path.as_ref());
                way.filter(|path| path.end != MERGED)
            };
            let there = paths().flat_map(|path| &path.hops);
            let there = there.filter(|hop| hop.netns == client && counts(&hop.key));
            let sum: f64 = there.map(|hop| hop.mean_ns * hop.count as f64).sum();
            let packets: u64 = paths().map(|path| path.packets).sum();
            Some(sum / packets.max(1) as f64 * trips.count as f64)
        };
        of_kind().filter_map(of_reply).sum::<f64>() / count.max(1) as f64
    }

    /// Datagrams to a port.
    pub(crate) fn datagrams_to(&self, port: u16) -> u64 {
        let end = format!(":{port}");
        let here = |flow: &&Flow| flow.before.starts_with("udp") && flow.before.ends_with(&end);
        self.flows.iter().filter(here).map(|flow| flow.packets).sum()
    }

    /// Drops by host.
    pub(crate) fn drops(&self, sort: Sort) -> BTreeMap<&str, u64> {
        let mut by_host = BTreeMap::new();
        for drop in self.drops.iter().filter(|d| d.sort == sort) {
            *by_host.entry(drop.netns.as_str()).or_default() += drop.count;
        }
        by_host
    }
}
