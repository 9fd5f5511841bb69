//! What it is worth to leave segments together and checksums out.

use super::{BULK, Experiment, Figure, Measure, Published, Variant, no_facts};
use crate::lab::topologies::{Step, switch::WIRE};

const fn of(name: &'static str, what: &'static str, also: &'static [&'static [Step]]) -> Variant {
    Variant { name, what, topology: &WIRE, also, against: "all" }
}

/// Features of both ends of the wire.
macro_rules! set {
    ($($word:literal),+) => {
        &[
            Step::Command("client", &["ethtool", "-K", "eth0", $($word),+]),
            Step::Command("server", &["ethtool", "-K", "eth0", $($word),+]),
        ]
    };
}

/// Per packet as well: without offloads a packet is a segment.
const BULK_HERE: Measure = Measure { key: "bulk", ..BULK };

pub(super) const OFFLOAD: Experiment = Experiment {
    name: "offload",
    question: "What are GSO, GRO and checksum offload worth, per packet and per segment?",
    variants: &[
        of("all", "as veth has it: GSO and checksums left to whoever needs them", &[]),
        of("no-checksum", "checksums calculated, GSO off with them", &[set!("tx", "off")]),
        of(
            "no-gso",
            "every segment a packet of its own: TSO and GSO off",
            &[set!("tso", "off", "gso", "off")],
        ),
        of(
            "gro",
            "TSO and GSO off, GRO on: segments are put together again",
            &[set!("tso", "off", "gso", "off", "gro", "on")],
        ),
        of(
            "none",
            "TSO, GSO, GRO and checksum offload off",
            &[set!("tso", "off", "gso", "off", "gro", "off", "tx", "off")],
        ),
    ],
    measures: &[BULK_HERE],
    published: &[Published {
        source: "opencloudblog p=96 (i5-2500, Linux 3.13)",
        measure: "bulk",
        figure: Figure::Goodput,
        variant: "none",
        against: "all",
        ratio: 0.098,
        said: "3.7 Gb/s without offloads, 37.8 with",
    }],
    facts: no_facts,
};
