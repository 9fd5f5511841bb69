//! What a rule sees: a path, and the run that it belongs to.

use crate::{
    facts::Chain,
    snapshot::{HopReport, NetnsReport, PathReport, QdiscReport, Snapshot},
};

/// A path with enough packets, and its run.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    pub snapshot: &'a Snapshot,
    pub path: &'a PathReport,
}

/// A cause that is tallied: how often, and its mean, ns.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Tally {
    pub(super) count: f64,
    pub(super) mean_ns: f64,
}

/// The tally of this name among a hop's causes.
pub(super) fn tally(hop: &HopReport, key: &str) -> Tally {
    let value = hop.causes.get(key);
    let number = |name: &str| value.and_then(|v| v[name].as_f64()).unwrap_or(0.0);
    Tally { count: number("count"), mean_ns: number("mean_ns") }
}

/// A number among a hop's causes; 0 where it is not there.
pub(super) fn number(hop: &HopReport, key: &str) -> f64 {
    hop.causes.get(key).and_then(serde_json::Value::as_f64).unwrap_or(0.0)
}

impl<'a> Scene<'a> {
    /// The rows of these hops.
    pub fn hops(self, keys: &'a [&'a str]) -> impl Iterator<Item = &'a HopReport> {
        self.path.hops.iter().filter(move |h| keys.contains(&h.hop.as_str()))
    }

    /// What a hop costs a mean packet of the path, ns, with the probes' cost taken out.
    pub fn cost(self, hop: &HopReport) -> f64 {
        hop.compensated_ns.max(0.0) * hop.count as f64 / self.path.packets.max(1) as f64
    }

    /// What these hops cost together, ns.
    pub fn cost_of<'b>(self, hops: impl IntoIterator<Item = &'b HopReport>) -> f64 {
        hops.into_iter().map(|h| self.cost(h)).sum()
    }

    /// A time as a share of the path's mean total, 0 to 1.
    pub fn share(self, ns: f64) -> f64 {
        if self.path.total.mean_ns > 0.0 { ns / self.path.total.mean_ns } else { 0.0 }
    }

    pub fn facts(self, netns: &str) -> Option<&'a NetnsReport> {
        self.snapshot.netns_facts.get(netns)
    }

    /// The base chains whose rules a row of a hook walks.
    pub fn chains(self, hop: &HopReport) -> Vec<&'a Chain> {
        let Some(rules) = self.facts(&hop.netns).and_then(|f| f.rules.as_ref()) else {
            return Vec::new();
        };
        let Some(hook) = &hop.hook else { return Vec::new() };
        // NAT's chains are walked by NAT, for a connection's first packet.
        let in_row = |c: &&Chain| &c.hook == hook && c.table != "nat";
        rules.chains.iter().filter(in_row).collect()
    }

    /// The qdisc of a hop's device.
    pub fn qdisc(self, hop: &HopReport) -> Option<&'a QdiscReport> {
        let dev = hop.dev.as_ref()?;
        self.facts(&hop.netns)?.qdiscs.iter().find(|q| q.root && &q.dev == dev)
    }
}
