//! How NAT's cost grows with the connections that are tracked, what a new one costs, and how much
//! memory it takes.

use super::{Experiment, Figure, Measure, ONE_WAY, Published, TCP_RR, Variant};
use crate::lab::{
    memory,
    outcome::{Fact, Outcome},
    stats::Estimate,
    topologies::{Step, container::BRIDGE_NAT},
    traffic::Load,
};

const fn of(name: &'static str, what: &'static str, also: &'static [&'static [Step]]) -> Variant {
    Variant { name, what, topology: &BRIDGE_NAT, also, against: "0" }
}

/// Connections stay for as long as an experiment may take.
const STAY: Step = Step::Sysctl("host", "net/netfilter/nf_conntrack_udp_timeout", "3600");

/// Connections made in one go, to see what one costs.
pub(super) const NEW: Measure = Measure {
    key: "one-way-new",
    what: "the same, each of a connection of its own, which has to be tracked and translated",
    load: Load::OneWay { datagrams: 20_000, new: true },
    ..ONE_WAY
};

pub(super) const NAT_ENTRIES: Experiment = Experiment {
    name: "nat-entries",
    question: "What do tracked connections cost, and what does a new one?",
    variants: &[
        of("0", "no connection tracked but the load's own", &[&[STAY]]),
        of(
            "1000",
            "1,000 connections tracked and translated",
            &[&[STAY, Step::Connections("host", 1_000)]],
        ),
        of(
            "10000",
            "10,000 connections tracked and translated",
            &[&[STAY, Step::Connections("host", 10_000)]],
        ),
        of(
            "100000",
            "100,000 connections tracked and translated",
            &[&[STAY, Step::Connections("host", 100_000)]],
        ),
    ],
    measures: &[TCP_RR, ONE_WAY, NEW],
    published: &[Published {
        source: "Chugh (2003), a Cisco router",
        measure: "one-way",
        figure: Figure::Each,
        variant: "1000",
        against: "0",
        ratio: 1.21,
        said: "30,250 packets/s with 1,000 entries against 36,625",
    }],
    facts,
};

fn facts(outcome: &Outcome) -> Vec<Fact> {
    let mut facts = Vec::new();
    let new = outcome.values("0", NEW.key, Figure::Each.key());
    let known = outcome.values("0", ONE_WAY.key, Figure::Each.key());
    let cost: Vec<f64> = new.iter().zip(known).map(|(n, k)| n - k).collect();
    if let Some(e) = Estimate::of(&cost) {
        facts.push(Fact {
            what: "a new connection costs, beyond a packet of a known one".to_owned(),
            here: format!("{:.2} µs ({:.2}–{:.2})", e.median, e.low, e.high),
            published: None,
        });
    }
    let many: Vec<f64> =
        outcome.values("10000", NEW.key, Figure::Each.key()).iter().map(|us| 1e3 / us).collect();
    if let Some(e) = Estimate::of(&many) {
        facts.push(Fact {
            what: "new translations per second with 10,000 entries".to_owned(),
            here: format!("{:.0} k/s ({:.0}–{:.0})", e.median, e.low, e.high),
            published: Some("40 a second, at 100 % CPU (Chugh 2003)".to_owned()),
        });
    }
    let (size, slab) = (memory::struct_size("nf_conn"), memory::slab_object("nf_conntrack"));
    let words: Vec<String> = [
        size.map(|n| format!("struct nf_conn is {n} bytes (BTF)")),
        slab.map(|n| format!("{n} bytes in its slab")),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !words.is_empty() {
        facts.push(Fact {
            what: "memory of one entry".to_owned(),
            here: words.join(", "),
            published: Some("124 bytes (Chugh 2003)".to_owned()),
        });
    }
    facts
}
