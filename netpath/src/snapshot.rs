//! The snapshot: what the views see, and nothing else. Its JSON form is the report
//! (`netpath.report/1`).
//!
//! In: a ledger, what is attached, what was lost. Out: plain values with names instead of ids.
//! Times are ns; means are exact, percentiles have two digits.

mod build;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use build::build;

use crate::{host::HostFacts, ledger::Coverage};

/// The version of the JSON form.
pub const SCHEMA: &str = "netpath.report/1";

/// Everything that a run has found out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub schema: String,
    /// netpath's version.
    pub version: String,
    /// RFC 3339, UTC.
    pub started: String,
    pub duration_ns: u64,
    /// The interface that was asked for.
    pub iface: String,
    /// The network namespace that it was looked up in.
    pub netns: String,
    pub host: HostFacts,
    /// By hop: what serves it. Hops that nothing serves are in `absent`.
    pub backends: BTreeMap<String, String>,
    /// By hop: why it can't be measured here.
    pub absent: BTreeMap<String, String>,
    pub packets: Coverage,
    pub lost_events: u64,
    /// By probe point; only those that lost any.
    pub lost_by_point: BTreeMap<String, u64>,
    pub paths: Vec<PathReport>,
    pub drops: Vec<DropReport>,
    /// What went wrong on the way without ending the run, in sentences.
    pub notes: Vec<String>,
}

/// A device by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedPlace {
    pub netns: String,
    pub dev: String,
}

/// A path's ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PathReport {
    pub name: String,
    /// `outbound` or `inbound`.
    pub direction: String,
    /// `delivered`, `reached` or `transmitted`.
    pub end: String,
    pub from: NamedPlace,
    pub to: NamedPlace,
    pub packets: u64,
    /// Of these, how many conntrack called replies.
    pub replies: u64,
    /// Of these, how many NAT gave other addresses.
    pub translated: u64,
    /// One flow of the path, before and after NAT.
    pub example: Option<FlowExample>,
    pub total: Summary,
    /// Mean, ns.
    pub unattributed_ns: f64,
    pub hops: Vec<HopReport>,
}

/// A flow's addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowExample {
    pub before: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// A distribution's figures, ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub mean_ns: f64,
    pub p50_ns: u64,
    pub p90_ns: u64,
    pub p99_ns: u64,
    pub max_ns: u64,
}

/// A hop at a place on a path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HopReport {
    /// Key of the hop table.
    pub hop: String,
    pub group: String,
    /// `span` or `wait`.
    pub kind: String,
    pub netns: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dev: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook: Option<String>,
    /// Which part of the hop this is, such as the table's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// Packets that met it.
    pub count: u64,
    #[serde(flatten)]
    pub times: Summary,
    /// Of the mean total of the path's packets, 0 to 1.
    pub share: f64,
    pub causes: BTreeMap<String, serde_json::Value>,
}

/// Packets dropped at one place for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropReport {
    /// As the kernel names it (`SKB_DROP_REASON_…` without the prefix).
    pub reason: String,
    pub netns: String,
    pub dev: String,
    pub count: u64,
}

impl Snapshot {
    /// Of the packets seen, how many were followed to their end, 0 to 1.
    pub fn complete_share(&self) -> f64 {
        let p = &self.packets;
        if p.seen == 0 { 0.0 } else { p.complete as f64 / p.seen as f64 }
    }
}

impl HopReport {
    /// Where it is, for people: `host/veth0`, `host PREROUTING`, `host`.
    pub fn place(&self) -> String {
        match (&self.dev, &self.hook) {
            (_, Some(hook)) => format!("{} {hook}", self.netns),
            (Some(dev), None) => format!("{}/{dev}", self.netns),
            (None, None) => self.netns.clone(),
        }
    }
}
