//! The kernel's own counters beside netpath's: what they grew by while tracing, what netpath has seen
//! of it, and whether the two can both be right.
//!
//! In: the counters at the beginning and at the end, and the ledger's witness. Out: a row a counter that
//! grew, or that netpath has counted itself.
//!
//! They are compared only where every packet that netpath could count was counted by the kernel
//! meanwhile: the counters were read before the first packet was recorded, and after the last. Then the
//! kernel's count is as large as netpath's or larger, for a namespace's counter is also of packets that
//! this path has not seen. Of the packets that the interface counts itself, netpath has to have seen all.

mod grown;
mod own;
mod table;

use serde::{Deserialize, Serialize};

use self::{
    grown::Grown,
    table::{Beside, COUNTERS, Row, Scope},
};
use crate::{
    ledger::Ledger,
    sample::Share,
    session::{Ending, Session},
};

/// A counter of the kernel's, and netpath's own count of the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CounterReport {
    /// Where it is counted; empty for what the whole machine counts together.
    pub netns: String,
    /// The device, of a device's or its qdisc's counter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dev: Option<String>,
    /// As `nstat` and `ip -s -s link` call it; `qdisc.drops`, `nf_conntrack.insert_failed`.
    pub name: String,
    /// What it grew by while tracing.
    pub kernel: u64,
    /// netpath's own count: packets of this path for a namespace's counter, all packets that were seen
    /// there for a device's. Null where it has none.
    pub netpath: Option<u64>,
    /// It counts packets that somebody wanted, and that did not get there.
    #[serde(default)]
    pub loss: bool,
    /// Whether both can be right; absent where that can't be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agrees: Option<bool>,
    /// What it counts, where netpath knows that.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub what: String,
}

impl CounterReport {
    /// `host/up0 qdisc.drops`, `srv UdpRcvbufErrors`.
    pub fn full_name(&self) -> String {
        let place = match &self.dev {
            Some(dev) => format!("{}/{dev} ", self.netns),
            None if self.netns.is_empty() => String::new(),
            None => format!("{} ", self.netns),
        };
        place + &self.name
    }

    /// Losses that the kernel has counted and no packet on this path shows.
    pub fn unseen(&self) -> u64 {
        if self.loss { self.kernel.saturating_sub(self.netpath.unwrap_or(0)) } else { 0 }
    }
}

/// The counters, and why they can't be compared with netpath's, where they can't.
pub(super) fn build(
    ledger: &Ledger,
    session: &Session,
    ending: &Ending,
) -> (Vec<CounterReport>, Option<String>) {
    let (begin, end) = (&session.facts, &ending.facts);
    if begin.read_ns == 0 || end.read_ns == 0 {
        return (Vec::new(), Some("they were not read".to_owned()));
    }
    let obstacle = obstacle(session, ending);
    let may_miss = may_miss(ledger, session, ending);
    let own = own::Counts { ledger, session };
    let grown = Grown::between(&ledger.topology, begin, end);
    let report = |(at, name, kernel): (grown::At, &str, u64)| {
        let row = COUNTERS.iter().find(|row| row.scope == at.scope && row.name == name);
        let netpath = row.and_then(|row| own.of(row, at.place));
        let must = row.is_some_and(|row| row.loss && row.beside == Beside::Within);
        if kernel == 0 && netpath.unwrap_or(0) == 0 && !(must && netpath.is_some()) {
            return None;
        }
        let agrees = match (row, netpath) {
            (Some(row), Some(netpath)) if obstacle.is_none() => {
                let or: u64 = row.or.iter().map(|name| grown.get(at, name)).sum();
                agrees(row, kernel + or, netpath, may_miss.filter(|_| own.must_see_all(at, row)))
            }
            _ => None,
        };
        Some(CounterReport {
            netns: own.netns(at),
            dev: matches!(at.scope, Scope::Device | Scope::Qdisc)
                .then(|| ledger.topology.dev_name(at.place)),
            name: name.to_owned(),
            kernel,
            netpath,
            loss: row.is_some_and(|row| row.loss),
            agrees,
            what: row.map_or_else(String::new, |row| row.what.to_owned()),
        })
    };
    let all = grown.with_known(COUNTERS).into_iter().filter_map(report).collect();
    (all, obstacle.map(str::to_owned))
}

/// Whether both counts can be right; `may_miss` is the share of the kernel's that netpath may lack,
/// where it has to have seen all.
fn agrees(row: &Row, kernel: u64, netpath: u64, may_miss: Option<f64>) -> Option<bool> {
    if row.beside == Beside::Apart {
        return None;
    }
    let seen_all = may_miss.is_none_or(|share| {
        (kernel.saturating_sub(netpath)) as f64 <= SOME_PACKETS + share * kernel as f64
    });
    Some(netpath <= kernel && seen_all)
}

/// Packets that a count may lack before a word is said: what passed while the counters were read.
const SOME_PACKETS: f64 = 8.0;
/// The share of an interface's packets from which it is worth a word.
const SOME: f64 = 0.005;
/// Traffic comes in bursts: so many times the mean rate can have passed while the counters were read.
const BURST: f64 = 8.0;

/// Why netpath's counts and the kernel's are not of the same packets.
fn obstacle(session: &Session, ending: &Ending) -> Option<&'static str> {
    let Session { facts, since_ns, .. } = session;
    match () {
        () if session.filter.is_some() => Some("only packets that match the filter are recorded"),
        () if session.sampling.share != Share::All => Some("only some packets are recorded"),
        () if ending.paused_ns > 0 => {
            Some("nothing was attached for part of the time, to keep to the budget")
        }
        () if facts.read_ns > *since_ns => Some("figures were begun anew while packets passed"),
        () if ending.until_ns == 0 || ending.facts.read_ns < ending.until_ns => {
            Some("the trace had not ended when they were read")
        }
        () => None,
    }
}

/// The share of an interface's packets that netpath can have missed: those of the time before and after
/// recording in which the kernel counted already, or still. None where netpath says itself that it has
/// not seen all.
fn may_miss(ledger: &Ledger, session: &Session, ending: &Ending) -> Option<f64> {
    let c = &ledger.coverage;
    if !ending.lost.is_empty() || c.incomplete > 0 || c.merged > 0 {
        return None;
    }
    let before = session.since_ns.saturating_sub(session.facts.read_ns);
    let after = ending.facts.read_ns.saturating_sub(ending.until_ns);
    let edges = (before + after) as f64 / ending.duration_ns.max(1) as f64;
    Some(SOME + BURST * edges)
}

#[cfg(test)]
mod tests;
