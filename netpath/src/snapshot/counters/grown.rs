//! What counters grew by between two readings, by place and name.

use std::collections::BTreeMap;

use super::table::{Row, Scope};
use crate::{
    facts::{Facts, NetnsFacts, Qdisc},
    topo::{Place, Topology},
};

/// Where something is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    /// Of a namespace, the device is 0; of the machine, both are.
    pub(super) place: Place,
    pub(super) scope: Scope,
}

/// By place: what each counter grew by. Places without any are there, with none.
#[derive(Debug, Default)]
pub(super) struct Grown(BTreeMap<At, BTreeMap<String, u64>>);

impl Grown {
    pub(super) fn between(topology: &Topology, begin: &Facts, end: &Facts) -> Self {
        let mut this = Self::default();
        for (netns, end) in &end.netns {
            // One that has come since has no beginning to count from.
            if let Some(begin) = begin.netns.get(netns) {
                this.netns(topology, *netns, begin, end);
            }
        }
        let at = At { place: Place::default(), scope: Scope::Machine };
        this.add(at, &begin.machine, &end.machine);
        let (a, b) = (begin.softnet, end.softnet);
        this.put(at, "softnet.dropped", b.dropped.saturating_sub(a.dropped));
        this.put(at, "softnet.time_squeeze", b.squeezed.saturating_sub(a.squeezed));
        this
    }

    fn netns(&mut self, topology: &Topology, netns: u32, begin: &NetnsFacts, end: &NetnsFacts) {
        let at = |ifindex, scope| At { place: Place { netns, ifindex }, scope };
        self.add(at(0, Scope::Netns), &begin.counters.named, &end.counters.named);
        let on_path = |ifindex: u32| {
            let place = Place { netns, ifindex };
            topology.is_on_way(place)
        };
        for (ifindex, counts) in end.counters.devices.iter().filter(|(i, _)| on_path(**i)) {
            let none = BTreeMap::new();
            let begin = begin.counters.devices.get(ifindex).unwrap_or(&none);
            self.add(at(*ifindex, Scope::Device), begin, counts);
        }
        for q in end.qdiscs.iter().filter(|q| q.root && on_path(q.ifindex)) {
            let same =
                |b: &&Qdisc| (b.ifindex, b.handle, &b.kind) == (q.ifindex, q.handle, &q.kind);
            let b = begin.qdiscs.iter().find(same).cloned().unwrap_or_default();
            let at = at(q.ifindex, Scope::Qdisc);
            self.put(at, "qdisc.packets", q.packets.wrapping_sub(b.packets).into());
            self.put(at, "qdisc.drops", q.drops.wrapping_sub(b.drops).into());
            self.put(at, "qdisc.overlimits", q.overlimits.wrapping_sub(b.overlimits).into());
            self.put(at, "qdisc.requeues", q.requeues.wrapping_sub(b.requeues).into());
        }
    }

    fn add(&mut self, at: At, begin: &BTreeMap<String, u64>, end: &BTreeMap<String, u64>) {
        self.0.entry(at).or_default();
        for (name, end) in end {
            // Less than before: it is another device's, of the same index.
            let begin = begin.get(name).copied().unwrap_or(0);
            self.put(at, name, end.checked_sub(begin).unwrap_or(*end));
        }
    }

    fn put(&mut self, at: At, name: &str, n: u64) {
        let place = self.0.entry(at).or_default();
        if n > 0 {
            place.insert(name.to_owned(), n);
        }
    }

    pub(super) fn get(&self, at: At, name: &str) -> u64 {
        self.0.get(&at).and_then(|place| place.get(name)).copied().unwrap_or(0)
    }

    /// All that grew, and those of the table that did not, at each place that has such.
    pub(super) fn with_known<'a>(&'a self, known: &'a [Row]) -> Vec<(At, &'a str, u64)> {
        let mut out = Vec::new();
        for (at, counts) in &self.0 {
            let named = counts.iter().map(|(name, n)| (*at, name.as_str(), *n));
            out.extend(named);
            let still = known
                .iter()
                .filter(|row| row.scope == at.scope && !counts.contains_key(row.name))
                .map(|row| (*at, row.name, 0));
            out.extend(still);
        }
        out
    }
}
