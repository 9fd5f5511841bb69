//! Packets that netfilter dropped, told apart as far as a rule can tell them apart: which of them a rule
//! took is found later, from the rule sets that were in force then.
//!
//! In: dropped flights and where that was. Out: packets by what rules look at, and when they were there.

use indexmap::IndexMap;
use netpath_common::{
    netfilter::{Hook, HookAux},
    situation::At,
};
use rustc_hash::FxBuildHasher;

use std::collections::BTreeMap;

use super::{
    classify::Step,
    drops::{DropKey, is_in_bridge},
    ends::Example,
};
use crate::{flight::Flight, packet::Tuple, topo::Place};

/// Sorts of packets that are told apart; the others are counted at their [`DropKey`] only.
const SORTS_MAX: usize = 256;
/// Times that are told apart for a sort, and how long each is at first, ns.
const SPANS_MAX: usize = 64;
const SPAN_NS: u64 = 250_000_000;
/// Ports from here on are a client's, taken at random.
const RANDOM_PORTS: u16 = 32_768;

/// What rules can look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Filtered {
    /// As first read. Ports that are a client's are 0.
    pub tuple: Tuple,
    /// After NAT, where that was read.
    pub translated: Option<Tuple>,
    /// TCP's flags, or ICMP's type.
    pub flags: u8,
    /// `enum ip_conntrack_info` as the last hook found it; the outer `None` where no hook told.
    pub ctinfo: Option<Option<u8>>,
    /// The device that it came in by, and the one that it goes out by, where that is known.
    pub input: Option<Place>,
    pub output: Option<Place>,
}

/// Packets at about the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub first_ns: u64,
    pub last_ns: u64,
    pub count: u64,
}

/// When packets of a sort were dropped.
#[derive(Clone, Debug)]
struct Spans {
    width_ns: u64,
    spans: Vec<Span>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct FilteredDrops {
    /// What the kernel gives as the reason where a rule or a policy drops; none where it has no such reason.
    pub(super) reason: Option<u16>,
    sorts: IndexMap<(DropKey, Filtered), (Example, Spans), FxBuildHasher>,
    /// By namespace, when the last one was dropped.
    latest_ns: BTreeMap<u32, u64>,
}

/// The reason that a packet has which a rule or policy dropped, where the kernel has one.
pub const BY_RULE: &str = "NETFILTER_DROP";

impl FilteredDrops {
    pub(super) fn of(reasons: &BTreeMap<u16, String>) -> Self {
        let reason = reasons.iter().find(|(_, name)| *name == BY_RULE).map(|(number, _)| *number);
        Self { reason, ..Self::default() }
    }

    /// Notes a dropped flight, which `example` tells of.
    pub(super) fn add(
        &mut self,
        key: DropKey,
        flight: &Flight,
        steps: &[Step],
        example: impl FnOnce() -> Example,
    ) {
        let by_rule = key.within.is_some() || self.reason.map(u32::from) == Some(key.reason);
        let Some(last) = flight.marks.last().filter(|_| by_rule) else { return };
        let latest_ns = self.latest_ns.entry(key.place.netns).or_default();
        *latest_ns = last.at_ns.max(*latest_ns);
        let Some(packet) = Filtered::of(&key, flight, steps) else { return };
        let sort = (key, packet);
        if self.sorts.len() < SORTS_MAX || self.sorts.contains_key(&sort) {
            let of = || (example(), Spans::default());
            self.sorts.entry(sort).or_insert_with(of).1.add(last.at_ns);
        }
    }

    /// The sorts of packets that were dropped so, each with the first of them.
    pub fn sorts<'a>(
        &'a self,
        key: &'a DropKey,
    ) -> impl Iterator<Item = (&'a Filtered, Example, &'a [Span])> {
        self.sorts
            .iter()
            .filter(move |((of, _), _)| of == key)
            .map(|((_, packet), (example, spans))| (packet, *example, &*spans.spans))
    }

    /// When the last packet was dropped in a hook of this namespace, ns.
    pub fn latest_ns(&self, netns: u32) -> Option<u64> {
        self.latest_ns.get(&netns).copied()
    }
}

impl Default for Spans {
    fn default() -> Self {
        Self { width_ns: SPAN_NS, spans: Vec::new() }
    }
}

impl Spans {
    fn add(&mut self, at_ns: u64) {
        let within = |span: &&mut Span| at_ns < span.first_ns.saturating_add(self.width_ns);
        if let Some(last) = self.spans.last_mut().filter(within) {
            // Flights end in about the order of time.
            last.first_ns = last.first_ns.min(at_ns);
            last.last_ns = last.last_ns.max(at_ns);
            last.count += 1;
            return;
        }
        self.spans.push(Span { first_ns: at_ns, last_ns: at_ns, count: 1 });
        while self.spans.len() > SPANS_MAX {
            self.widen();
        }
    }

    /// Joins what is nearer than twice the width.
    fn widen(&mut self) {
        self.width_ns *= 2;
        let mut wider: Vec<Span> = Vec::with_capacity(self.spans.len());
        for span in self.spans.drain(..) {
            match wider.last_mut() {
                Some(last) if span.last_ns < last.first_ns.saturating_add(self.width_ns) => {
                    last.last_ns = last.last_ns.max(span.last_ns);
                    last.count += span.count;
                }
                _ => wider.push(span),
            }
        }
        self.spans = wider;
    }
}

impl Filtered {
    fn of(key: &DropKey, flight: &Flight, steps: &[Step]) -> Option<Self> {
        let headers = flight.headers.as_ref()?;
        let tuple = headers.tuple?;
        let hooked = steps.iter().rev().find_map(|step| Some((step, step.hook?)));
        let (input, output) = devices(key.within.and_then(|within| within.hook), steps);
        Some(Self {
            tuple: known_ports(tuple),
            translated: flight.translated.map(known_ports),
            flags: headers.flags,
            ctinfo: hooked.map(|(_, HookAux { ctinfo, .. })| ctinfo),
            input,
            output,
        })
    }
}

/// Without the ports that say nothing of who is meant.
fn known_ports(tuple: Tuple) -> Tuple {
    let Tuple { sport, dport, .. } = tuple;
    if !matches!(tuple.proto, crate::packet::TCP | crate::packet::UDP) {
        return Tuple { sport: 0, dport: 0, ..tuple };
    }
    match (sport >= RANDOM_PORTS, dport >= RANDOM_PORTS) {
        (true, _) => Tuple { sport: 0, ..tuple },
        (false, true) => Tuple { dport: 0, ..tuple },
        (false, false) => tuple,
    }
}

/// The devices in and out, as rules name them: not known in a bridge, whose name they see.
fn devices(hook: Option<Hook>, steps: &[Step]) -> (Option<Place>, Option<Place>) {
    let Some(last) = steps.iter().rposition(|step| matches!(step.at(), Some(at) if at != At::Drop))
    else {
        return (None, None);
    };
    let here = &steps[last];
    if here.at().is_some_and(is_in_bridge) || here.hook.is_none() {
        return (None, None);
    }
    let before = steps[..last].iter().rev().find(|step| step.place != here.place);
    let before = before.map(|step| step.place).filter(|place| place.netns == here.place.netns);
    match hook {
        Some(Hook::Prerouting | Hook::Input) => (Some(here.place), None),
        Some(Hook::Forward) => (before, Some(here.place)),
        Some(Hook::Output | Hook::Postrouting) => (None, Some(here.place)),
        None => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_stay_few_and_lose_no_packet() {
        let mut spans = Spans::default();
        for i in 0..10_000u64 {
            spans.add(i * SPAN_NS);
        }
        assert!(spans.spans.len() <= SPANS_MAX, "{}", spans.spans.len());
        assert_eq!(spans.spans.iter().map(|span| span.count).sum::<u64>(), 10_000);
        assert!(spans.spans.windows(2).all(|pair| pair[0].last_ns < pair[1].first_ns));
    }

    #[test]
    fn a_clients_port_tells_nothing() {
        let tuple = |sport, dport| Tuple {
            proto: crate::packet::UDP,
            src: [10, 0, 0, 1].into(),
            dst: [10, 0, 0, 2].into(),
            sport,
            dport,
        };
        assert_eq!(known_ports(tuple(40_000, 53)), tuple(0, 53));
        assert_eq!(known_ports(tuple(53, 40_000)), tuple(53, 0));
        assert_eq!(known_ports(tuple(40_000, 50_000)), tuple(0, 50_000));
        assert_eq!(known_ports(tuple(123, 123)), tuple(123, 123));
    }
}
