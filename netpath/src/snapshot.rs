//! The snapshot: what the views see, and nothing else. Its JSON form is the report
//! (`netpath.report/1`).
//!
//! In: a ledger, what is attached, what was lost. Out: plain values with names instead of ids.
//! Times are ns; means are exact, percentiles have two digits.

mod build;
mod causes;
mod counters;
mod drops;
mod ends;
mod facts;
mod figures;
mod late;
mod round_trips;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use build::build;
pub(crate) use build::named;
pub use counters::CounterReport;
pub use drops::{Candidate, DropExample, DropReport};
pub(crate) use ends::{dropped, no_path, set_aside};
pub use facts::{NetnsReport, QdiscReport};
pub use late::{LatePacketReport, LatePieceReport, LateReport};

use crate::{facts::Softnet, host::HostFacts, inventory::Owner, ledger::Accounting, session::HERE};
pub use crate::{
    ledger::{Coverage, Sorts},
    session::ProbeCost,
};

/// The version of the JSON form.
pub const SCHEMA: &str = "netpath.report/1";

/// Everything that a run has found out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Snapshot {
    pub schema: String,
    /// netpath's version.
    pub version: String,
    /// RFC 3339, UTC.
    pub started: String,
    pub duration_ns: u64,
    /// The interface that was asked for; the first, where there are several.
    pub iface: String,
    /// The network namespace that it was looked up in.
    pub netns: String,
    /// All that was asked for, by the names that it has now; the first is `iface` in `netns`.
    #[serde(default)]
    pub selected: Vec<NamedPlace>,
    /// Everything was asked for; `iface` and `netns` say so in words.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    pub host: HostFacts,
    /// By hop: what serves it. Hops that nothing serves are in `absent`.
    pub backends: BTreeMap<String, String>,
    /// By hop: why it can't be measured here.
    pub absent: BTreeMap<String, String>,
    pub packets: Coverage,
    /// Where only some packets were recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampling: Option<SamplingReport>,
    /// Packets that were not drawn and recorded after all, because they were late; in no other figure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<LateReport>,
    /// What recording one event costs the packet, as it was measured on this machine at start.
    pub probe_cost_ns: ProbeCost,
    /// What netpath itself took of the machine while it traced.
    pub own_cost: OwnCost,
    pub lost_events: u64,
    /// By probe point; only those that lost any.
    pub lost_by_point: BTreeMap<String, u64>,
    /// What was recorded and is in no other figure.
    #[serde(default)]
    pub accounting: Accounting,
    pub paths: Vec<PathReport>,
    /// Round trips: a request flight, the answerer's time, the reply flight.
    pub transactions: Vec<TransactionReport>,
    /// The [`FLOWS_SHOWN`] flows with the most packets, and of the others as many with the slowest
    /// packet; most packets first.
    pub flows: Vec<FlowReport>,
    /// Packets that were lost or refused, most first.
    pub drops: Vec<DropReport>,
    /// Packets that the kernel threw away and nobody misses.
    #[serde(default)]
    pub other_ends: Vec<DropReport>,
    /// The kernel's own counters beside netpath's: those that grew, those that netpath has counted
    /// itself, and those of losses that have to agree with what it has seen.
    #[serde(default)]
    pub counters: Vec<CounterReport>,
    /// Why the kernel's counters and netpath's are not of the same packets, where they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counters_not_compared: Option<String>,
    /// What costs, why, and what to do about it; dearest first.
    pub findings: Vec<Finding>,
    /// By network namespace on the path: what explains figures there.
    pub netns_facts: BTreeMap<String, NetnsReport>,
    /// Of all CPUs, while tracing.
    pub softnet: Softnet,
    /// By network namespace: who lives there, where that is known.
    #[serde(default)]
    pub owners: BTreeMap<String, Owner>,
    /// What went wrong on the way without ending the run, in sentences.
    pub notes: Vec<String>,
}

/// Which packets were recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SamplingReport {
    /// As it was asked for: `1/8`, or `auto`.
    pub share: String,
    /// What is drawn: `packets` or `flows`.
    pub by: String,
    /// Packets that began on the path's devices.
    pub begun: u64,
    /// Of these, how many were recorded.
    pub recorded: u64,
    /// The share of the time in which probes were attached, 0 to 1: less than 1 where the budget
    /// would else have been passed. What began in between is in none of these numbers.
    pub listened: f64,
}

/// Flows in a snapshot, by each order.
pub const FLOWS_SHOWN: usize = 100;

/// Shares of one CPU: 1 is a whole one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OwnCost {
    /// Events recorded times their cost.
    pub kernel_cpus: f64,
    /// The process's user and system time.
    pub user_cpus: f64,
}

/// A device by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NamedPlace {
    pub netns: String,
    pub dev: String,
}

/// A direction as seen from an interface.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SeenFrom {
    pub netns: String,
    pub dev: String,
    /// `outbound` or `inbound`.
    pub direction: String,
}

/// A path's ledger.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PathReport {
    pub name: String,
    /// `outbound` or `inbound`; where several interfaces were asked for, as seen from the first that it passes.
    pub direction: String,
    /// Where several interfaces were asked for: those that it passes, and which way it goes as seen from each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen_from: Vec<SeenFrom>,
    /// `delivered`, `reached` or `transmitted`.
    pub end: String,
    /// How many packets ended how: `delivered`, `reached`, `transmitted`, `merged`, or what became of
    /// those that were thrown away there: `discarded`, `consumed`. With those in none of the times because
    /// probes were changed while they were under way.
    #[serde(default)]
    pub ends: BTreeMap<String, u64>,
    pub from: NamedPlace,
    pub to: NamedPlace,
    /// The devices that it passes, in order; the first is `from`, the last is `to`.
    pub places: Vec<NamedPlace>,
    pub packets: u64,
    /// Of these, how many conntrack called replies.
    pub replies: u64,
    /// Of these, how many NAT gave other addresses.
    pub translated: u64,
    /// Segments per packet: what GSO will make of it, or GRO has merged into it.
    pub segments_per_packet: f64,
    /// One flow of the path, before and after NAT.
    pub example: Option<FlowExample>,
    pub total: Summary,
    /// The total with the probes' cost taken out.
    pub compensated: Compensated,
    /// Mean, ns.
    pub unattributed_ns: f64,
    /// In the order in which packets meet them; see [`HopReport`].
    pub hops: Vec<HopReport>,
    /// Cost groups, in the order in which packets meet them. A packet's time in a group is the sum
    /// over the group's hops that it met.
    #[serde(default)]
    pub groups: Vec<GroupReport>,
    /// Distribution of the total.
    pub histogram: Vec<Bucket>,
    /// The last minutes, oldest first: the seconds in which packets of it ended.
    pub history: Vec<SecondReport>,
    /// Single packets: a typical one, a slow one, the slowest.
    pub packets_shown: Vec<PacketReport>,
}

/// What the packets that ended in one second took, ns. The last seconds can still grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SecondReport {
    /// When it began, since recording began.
    pub start_ns: u64,
    pub packets: u64,
    pub p50_ns: u64,
    pub p99_ns: u64,
    pub max_ns: u64,
}

/// What a total would be without netpath, ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Compensated {
    pub mean_ns: f64,
    pub p50_ns: f64,
    /// Half the width of the interval that holds it with 95 %.
    pub uncertainty_ns: f64,
}

/// One bucket of a histogram: packets with at most `upto_ns`, and more than the bucket before.
/// Eight buckets double the time; empty ones are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Bucket {
    pub upto_ns: u64,
    pub count: u64,
}

/// One packet's passage, cut into pieces that sum to its total.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PacketReport {
    /// `typical`, `p99` or `slowest`.
    pub label: String,
    /// Since recording began.
    pub start_ns: u64,
    pub total_ns: i64,
    pub pieces: Vec<PieceReport>,
}

/// A piece of a packet's time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PieceReport {
    /// Index in the path's `hops`; `None` is unattributed.
    pub hop: Option<usize>,
    /// Since the packet's beginning.
    pub at_ns: i64,
    pub ns: i64,
    /// The CPU at the beginning of the piece.
    pub cpu: u16,
}

/// Packets of one flow in one direction on a path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FlowReport {
    #[serde(flatten)]
    pub flow: FlowExample,
    pub direction: String,
    pub packets: u64,
    pub mean_ns: f64,
    pub max_ns: u64,
}

/// Round trips of one kind between two ends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TransactionReport {
    /// `client/eth0 ⇄ server/eth0 tcp`.
    pub name: String,
    /// `tcp`, `udp` or `icmp`.
    pub protocol: String,
    /// `request`: all that one side sent before the other's first byte, and what it sent back; `connect`: SYN,
    /// SYN-ACK, ACK; `ping`. Absent in older reports, which mix the first and the last.
    #[serde(default)]
    pub kind: String,
    pub count: u64,
    /// From the request's first event to the reply's last; of a connect, to the departure of the ACK.
    pub total: Summary,
    /// From the request's first event to the arrival of the reply's first packet.
    #[serde(default)]
    pub first_byte: Summary,
    pub compensated: Compensated,
    /// What it is made of, in order; of each, the mean times its count, they sum to the total's.
    pub parts: Vec<TransactionPart>,
    /// Packets that were sent again.
    #[serde(default)]
    pub retransmitted: u64,
    /// Round trips in which a packet was sent again.
    #[serde(default)]
    pub sent_again: u64,
    /// Of these: how long after the packet that was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_again_after: Option<Summary>,
    /// Of these: where the packet was lost, where that was seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost_at: Vec<LostAtReport>,
    /// Connects, echoes and DNS lookups that nobody answered, of all ends together; with the first of its kind.
    #[serde(default)]
    pub unanswered: u64,
    /// Round trips whose reply began before all of the request had arrived: what was the request's until then is
    /// its part.
    #[serde(default)]
    pub overlapped: u64,
}

/// Packets that were lost and sent again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LostAtReport {
    /// `enum skb_drop_reason`.
    pub reason: String,
    pub place: String,
    /// Round trips in which one was.
    pub count: u64,
}

/// A part of a round trip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TransactionPart {
    /// `retransmission timeout`, `sending`, `request`, `server`, `reply`, `receiving`, `acknowledging`; those that
    /// no round trip has are left out.
    pub part: String,
    /// The path that a flight took, by its name; absent where it is none's time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// How that path ends: paths of one name can end differently.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// Round trips that have it; the times are theirs. Absent in older reports: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    #[serde(flatten)]
    pub times: Summary,
    pub share: f64,
}

/// Something that costs, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Finding {
    /// Its anchor in docs/findings.md.
    pub id: String,
    pub title: String,
    /// What was seen, in a sentence with figures.
    pub summary: String,
    pub group: String,
    /// Packets that it has cost: lost or refused. What costs packets comes before what costs time.
    #[serde(default)]
    pub lost: u64,
    /// Of a mean packet (or round trip, where it says so), ns.
    pub cost_ns: f64,
    /// Of the mean total of the path it was found on, 0 to 1.
    pub share: f64,
    /// The path it was found on.
    pub path: String,
    pub evidence: BTreeMap<String, serde_json::Value>,
    pub advice: String,
    /// `docs/findings.md#id`.
    pub link: String,
}

/// A flow's addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FlowExample {
    pub before: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// A distribution's figures, ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Summary {
    pub mean_ns: f64,
    pub p50_ns: u64,
    pub p90_ns: u64,
    pub p99_ns: u64,
    pub p999_ns: u64,
    pub max_ns: u64,
    pub stddev_ns: f64,
}

/// A hop at a place on a path.
///
/// Times are the hop's own: what is measured inside it as a hop of its own is left out. So all
/// rows of a path and its `unattributed_ns` sum to the total.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
    /// Whether a bridge ran the hook, by br_netfilter.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bridged: bool,
    /// Which part of the hop this is, such as the table's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// Packets that met it.
    pub count: u64,
    #[serde(flatten)]
    pub times: Summary,
    /// Of the mean total of the path's packets, 0 to 1.
    pub share: f64,
    /// The mean with the probes' cost taken out, ns.
    pub compensated_ns: f64,
    pub causes: BTreeMap<String, serde_json::Value>,
    pub histogram: Vec<Bucket>,
}

/// A cost group on a path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GroupReport {
    pub group: String,
    /// Packets that met any of its hops.
    pub count: u64,
    #[serde(flatten)]
    pub times: Summary,
    /// Of the mean total of the path's packets, 0 to 1.
    pub share: f64,
}

/// Interfaces that a title names.
const NAMED: usize = 3;

impl Snapshot {
    /// What was asked for, in a few words: `eth0 in web`.
    pub fn what(&self) -> String {
        if self.all {
            let how = if self.netns == HERE { "of" } else { "around" };
            return format!("all {how} {}", self.netns);
        }
        let first = format!("{} in {}", self.iface, self.netns);
        let more =
            self.selected.iter().skip(1).map(|place| format!("{} in {}", place.dev, place.netns));
        let mut all: Vec<String> = std::iter::once(first).chain(more).collect();
        if all.len() > NAMED {
            let left = all.len() - (NAMED - 1);
            all.truncate(NAMED - 1);
            all.push(format!("{left} more"));
        }
        match all.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
            _ => all.concat(),
        }
    }

    /// Of the packets recorded, how many were followed to their end, 0 to 1.
    pub fn complete_share(&self) -> f64 {
        let p = &self.packets;
        if p.sampled == 0 { 0.0 } else { p.complete as f64 / p.sampled as f64 }
    }
}

impl TransactionReport {
    /// What a part takes of a mean round trip, ns; none where no round trip has it.
    pub fn mean_of(&self, part: &str) -> Option<f64> {
        let part = self.parts.iter().find(|p| p.part == part)?;
        let count = part.count.unwrap_or(self.count);
        Some(part.times.mean_ns * count as f64 / self.count.max(1) as f64)
    }
}

impl TransactionPart {
    /// The path that it went over.
    pub fn path_of<'a>(&self, snapshot: &'a Snapshot) -> Option<&'a PathReport> {
        let this = (self.path.as_ref()?, self.end.as_ref()?);
        snapshot.paths.iter().find(|p| (&p.name, &p.end) == this)
    }
}

impl Bucket {
    /// Where it begins, ns: its octave is cut into eight equal parts.
    pub fn begin_ns(&self) -> f64 {
        let end = self.upto_ns as f64 + 1.0;
        let octave = (end - 0.5).log2().floor().exp2();
        (end - (octave / 8.0).max(1.0)).max(0.0)
    }
}

impl HopReport {
    /// Where it is, for people: `host/veth0`, `host PREROUTING`, `host`.
    pub fn place(&self) -> String {
        placed(&self.netns, self.dev.as_deref(), self.hook.as_deref())
    }
}

/// A hop's place, for people.
pub(crate) fn placed(netns: &str, dev: Option<&str>, hook: Option<&str>) -> String {
    match (dev, hook) {
        (_, Some(hook)) => format!("{netns} {hook}"),
        (Some(dev), None) => format!("{netns}/{dev}"),
        (None, None) => netns.to_owned(),
    }
}
