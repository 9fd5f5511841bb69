//! A virtual machine's network beside a container's, and transmit against receive.

use super::{
    BULK, Experiment, Figure, Measure, Published, TCP_RR_APART, UDP_RR_APART, Variant, no_facts,
};
use crate::lab::topologies::{
    Topology,
    container::{BRIDGE, NATIVE},
    guest::GUEST,
};

const fn of(topology: &'static Topology) -> Variant {
    Variant { name: topology.name, what: topology.what, topology, also: &[], against: "native" }
}

/// From the guest's view, as IBM measured it.
const TRANSMIT: Measure = Measure {
    key: "transmit",
    what: "TCP, as much as one connection takes, from the client outwards",
    ..BULK
};

const RECEIVE: Measure = Measure {
    key: "receive",
    what: "TCP, as much as one connection takes, from outside to the client",
    reverse: true,
    ..BULK
};

/// IBM's figures for a guest with vhost-net, against none.
const fn ibm(measure: &'static str, figure: Figure, ratio: f64, said: &'static str) -> Published {
    let source = "IBM RC25482 (2014), KVM with vhost-net";
    Published { source, measure, figure, variant: "guest", against: "native", ratio, said }
}

pub(super) const VIRTIO: Experiment = Experiment {
    name: "virtio",
    question: "What does a virtual machine's network cost beside a container's, and why does it \
               receive worse than it transmits?",
    variants: &[of(&NATIVE), of(&BRIDGE), of(&GUEST)],
    // A guest has CPUs of its own, so the others are given two as well.
    measures: &[TCP_RR_APART, UDP_RR_APART, TRANSMIT, RECEIVE],
    published: &[
        ibm(
            "tcp-rr-apart",
            Figure::RoundTrip,
            1.80,
            "67.6 µs against 37.5, two machines on 10 GbE",
        ),
        ibm(
            "udp-rr-apart",
            Figure::RoundTrip,
            1.79,
            "63.8 µs against 35.7, two machines on 10 GbE",
        ),
        ibm("transmit", Figure::Goodput, 1.0, "9.3 Gb/s both: the wire was the bottleneck"),
        ibm("transmit", Figure::CpuPerByte, 1.07, "2.26 cycles/B against 2.12"),
        ibm("receive", Figure::CpuPerByte, 1.41, "3.24 cycles/B against 2.29"),
    ],
    facts: no_facts,
};
