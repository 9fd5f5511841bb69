//! The ledger of a difference: which hops make one way dearer than another.
//!
//! In: snapshots of two traced runs of the same load. Out: rows that sum to the difference of what
//! was traced. A round trip is what its packets spend in both directions; hops are summed over the
//! places where they are met, so that paths of different shape can be held against each other.
//!
//! A hop counts with its median: on a machine that does other things as well, one process that has
//! to wait for a CPU moves a mean by more than any hop costs. So what is traced is a typical round
//! trip, as the medians are that it is held against. The probes' own cost is taken out.

use std::collections::BTreeMap;

use netpath_common::{
    group::Group,
    hop::{HopId, Kind},
};
use serde::{Deserialize, Serialize};

use crate::snapshot::Snapshot;

/// The payload of a TCP segment on Ethernet, bytes.
pub const SEGMENT: f64 = 1448.0;

/// What times are given for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Per {
    /// A round trip of requests and replies, one in flight on each connection: the path with the
    /// most packets has one of them for every round trip.
    RoundTrip,
    /// A segment of [`SEGMENT`] bytes of a transfer that had so many of them.
    Segments(f64),
}

impl Per {
    /// Whether a kind of hop is part of it. Many segments wait at once, so only the work on each
    /// can be summed; with one request in flight, waiting is time like any other.
    fn counts(self, kind: &str) -> bool {
        self == Self::RoundTrip || kind == Kind::Span.key()
    }
}

/// The difference, in ns for a round trip or a segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// What the times are given for: `round trip`, or `segment` without what it waited.
    pub per: String,
    /// Between the medians of the clients' own clocks, without tracing.
    pub measured_ns: f64,
    /// Between the traced runs, less the probes; the rows sum to it.
    pub traced_ns: f64,
    /// Dearest first.
    pub rows: Vec<Row>,
    /// What this one spends, traced.
    pub total_ns: f64,
    pub packets: u64,
    /// Of the packets seen, how many were followed to their end, 0 to 1: less than all of them
    /// makes the ledger less than all of the difference.
    pub complete_share: f64,
    pub lost_events: u64,
}

/// A hop's part of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Key of the hop table.
    pub hop: String,
    pub group: String,
    pub label: String,
    /// `span` or `wait`.
    pub kind: String,
    /// What this one spends there for a round trip.
    pub ns: f64,
    /// How much more that is than with the other.
    pub more_ns: f64,
    /// How often a round trip meets it.
    pub times: f64,
    pub more_times: f64,
}

/// What a traced run spends for a round trip, by hop.
#[derive(Clone, Debug, Default)]
pub struct Spent {
    hops: BTreeMap<String, (f64, f64)>,
    total_ns: f64,
    per: &'static str,
    packets: u64,
    complete_share: f64,
    lost_events: u64,
}

impl Spent {
    /// Of a traced run; `None` where no packet was seen.
    pub fn of(snapshot: &Snapshot, per: Per) -> Option<Self> {
        let most = snapshot.paths.iter().map(|p| p.packets).max()?;
        let trips = match per {
            Per::RoundTrip => most as f64,
            Per::Segments(n) => n.max(1.0),
        };
        let mut this = Self {
            per: if per == Per::RoundTrip { "round trip" } else { "segment (work, no waits)" },
            packets: snapshot.packets.seen,
            complete_share: snapshot.complete_share(),
            lost_events: snapshot.lost_events,
            ..Self::default()
        };
        for path in &snapshot.paths {
            for hop in path.hops.iter().filter(|hop| per.counts(&hop.kind)) {
                let (ns, times) = this.hops.entry(hop.hop.clone()).or_default();
                let probes_ns = hop.times.mean_ns - hop.compensated_ns;
                *ns += (hop.times.p50_ns as f64 - probes_ns) * hop.count as f64 / trips;
                *times += hop.count as f64 / trips;
            }
        }
        this.total_ns = this.hops.values().map(|(ns, _)| ns).sum();
        Some(this)
    }

    /// Holds it against another one.
    pub fn against(&self, base: &Self, measured_ns: f64) -> Difference {
        let zero = (0.0, 0.0);
        let keys: std::collections::BTreeSet<&String> =
            self.hops.keys().chain(base.hops.keys()).collect();
        let mut rows: Vec<Row> = keys
            .into_iter()
            .map(|key| {
                let (ns, times) = *self.hops.get(key).unwrap_or(&zero);
                let (base_ns, base_times) = *base.hops.get(key).unwrap_or(&zero);
                let info = HopId::from_key(key).map(HopId::info);
                Row {
                    hop: key.clone(),
                    group: info.map_or("", |i| i.group.key()).to_owned(),
                    label: info.map_or_else(
                        || key.clone(),
                        |i| {
                            let group = i.group.label();
                            if group == i.label {
                                group.to_owned()
                            } else {
                                format!("{group} {}", i.label)
                            }
                        },
                    ),
                    kind: info.map_or(Kind::Span, |i| i.kind).key().to_owned(),
                    ns,
                    more_ns: ns - base_ns,
                    times,
                    more_times: times - base_times,
                }
            })
            .filter(|row| row.ns != 0.0 || row.more_ns != 0.0)
            .collect();
        rows.sort_by(|a, b| b.more_ns.abs().total_cmp(&a.more_ns.abs()));
        Difference {
            per: self.per.to_owned(),
            measured_ns,
            traced_ns: self.total_ns - base.total_ns,
            rows,
            total_ns: self.total_ns,
            packets: self.packets,
            complete_share: self.complete_share,
            lost_events: self.lost_events,
        }
    }
}

/// What people are shown of a difference: hops of a kind together.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    pub label: String,
    /// A cost group, for its colour.
    pub group: String,
    /// `span` or `wait`.
    pub kind: String,
    pub more_ns: f64,
}

/// Where less than this share of the packets was followed to its end, the rows say nothing of the
/// others.
const ENOUGH: f64 = 0.9;

impl Difference {
    /// Whether so many packets were followed that the rows explain the difference.
    pub fn explains(&self) -> bool {
        self.complete_share >= ENOUGH
    }

    /// The rows in parts, dearest first. Hops of a group are one part, but a socket's work and its
    /// wait; and routing is part of IP, since where no hook stands between the two they can't be
    /// told apart.
    pub fn parts(&self) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::new();
        for row in &self.rows {
            let info = HopId::from_key(&row.hop).map(HopId::info);
            let label = match (info.map(|i| i.group), row.kind == Kind::Wait.key()) {
                (Some(Group::Ip | Group::Routing), _) => "ip and routing".to_owned(),
                (Some(Group::Socket), true) => "socket wake-up".to_owned(),
                (Some(group), _) => group.label().to_owned(),
                (None, _) => row.label.clone(),
            };
            match parts.iter_mut().find(|p| p.label == label) {
                Some(part) => part.more_ns += row.more_ns,
                None => parts.push(Part {
                    label,
                    group: row.group.clone(),
                    kind: row.kind.clone(),
                    more_ns: row.more_ns,
                }),
            }
        }
        parts.sort_by(|a, b| b.more_ns.abs().total_cmp(&a.more_ns.abs()));
        parts
    }
}
