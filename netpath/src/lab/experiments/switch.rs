//! What connects two containers: nothing but a wire, a bridge, routing, a tunnel.

use super::{BULK, Experiment, Figure, Published, TCP_RR, UDP_RR, Variant, no_facts};
use crate::lab::topologies::{
    Topology,
    switch::{BRIDGE_NF, IPVLAN, LINUXBRIDGE, MACVLAN, OVERLAY, OVS, ROUTED, WIRE},
};

const fn of(topology: &'static Topology) -> Variant {
    Variant { name: topology.name, what: topology.what, topology, also: &[], against: "wire" }
}

pub(super) const SWITCH: Experiment = Experiment {
    name: "switch",
    question: "What does each way of connecting two containers cost?",
    variants: &[
        of(&WIRE),
        of(&LINUXBRIDGE),
        of(&BRIDGE_NF),
        of(&OVS),
        of(&ROUTED),
        of(&MACVLAN),
        of(&IPVLAN),
        of(&OVERLAY),
    ],
    measures: &[TCP_RR, UDP_RR, BULK],
    published: &[
        Published {
            source: "Suo et al., INFOCOM'18",
            measure: "bulk",
            figure: Figure::Goodput,
            variant: "linuxbridge",
            against: "wire",
            ratio: 0.82,
            said: "bridge −18 % up, −30 % down",
        },
        Published {
            source: "Suo et al., INFOCOM'18",
            measure: "bulk",
            figure: Figure::Goodput,
            variant: "overlay",
            against: "wire",
            ratio: 0.17,
            said: "overlay −83 %",
        },
        Published {
            source: "Suo et al., INFOCOM'18",
            measure: "tcp-rr",
            figure: Figure::RoundTrip,
            variant: "overlay",
            against: "wire",
            ratio: 1.55,
            said: "overlay +55 % latency",
        },
    ],
    facts: no_facts,
};
