//! What a container's network costs: veth, bridge and NAT, apart from each other.

use super::{
    BULK, CONNECT, Experiment, Figure, Published, TCP_RR, TCP_RR_APART, TCP_RR_MANY, UDP_RR,
    Variant, no_facts,
};
use crate::lab::topologies::container::{BRIDGE, BRIDGE_NAT, HOST_NET, NATIVE};

pub(super) const CONTAINER: Experiment = Experiment {
    name: "container",
    question: "What does a container's network cost, and which part of it is NAT?",
    variants: &[
        Variant {
            name: "native",
            what: NATIVE.what,
            topology: &NATIVE,
            also: &[],
            against: "native",
        },
        Variant {
            name: "host-net",
            what: HOST_NET.what,
            topology: &HOST_NET,
            also: &[],
            against: "native",
        },
        Variant {
            name: "bridge",
            what: BRIDGE.what,
            topology: &BRIDGE,
            also: &[],
            against: "native",
        },
        Variant {
            name: "bridge-nat",
            what: BRIDGE_NAT.what,
            topology: &BRIDGE_NAT,
            also: &[],
            against: "native",
        },
    ],
    measures: &[TCP_RR, UDP_RR, TCP_RR_APART, CONNECT, TCP_RR_MANY, BULK],
    published: &[
        Published {
            source: "IBM RC25482 (2014)",
            measure: "tcp-rr",
            figure: Figure::RoundTrip,
            variant: "bridge-nat",
            against: "native",
            ratio: 1.94,
            said: "72.7 µs against 37.5, two machines on 10 GbE",
        },
        Published {
            source: "IBM RC25482 (2014)",
            measure: "udp-rr",
            figure: Figure::RoundTrip,
            variant: "bridge-nat",
            against: "native",
            ratio: 2.10,
            said: "75.0 µs against 35.7, two machines on 10 GbE",
        },
        Published {
            source: "moby#7857 (2014)",
            measure: "tcp-rr-8",
            figure: Figure::Rate,
            variant: "host-net",
            against: "native",
            ratio: 0.91,
            said: "674,737 transactions/s against 742,020",
        },
        Published {
            source: "moby#7857 (2014)",
            measure: "tcp-rr-8",
            figure: Figure::Rate,
            variant: "bridge",
            against: "native",
            ratio: 0.58,
            said: "432,079 transactions/s against 742,020",
        },
        Published {
            source: "moby#7857 (2014)",
            measure: "tcp-rr-8",
            figure: Figure::Rate,
            variant: "bridge-nat",
            against: "native",
            ratio: 0.29,
            said: "213,721 transactions/s against 742,020",
        },
        Published {
            source: "IBM RC25482 (2014)",
            measure: "bulk",
            figure: Figure::Goodput,
            variant: "bridge-nat",
            against: "native",
            ratio: 1.0,
            said: "9.3 Gb/s both: the wire was the bottleneck",
        },
        Published {
            source: "IBM RC25482 (2014)",
            measure: "bulk",
            figure: Figure::CpuPerByte,
            variant: "bridge-nat",
            against: "native",
            ratio: 1.21,
            said: "transmit 2.57 cycles/B against 2.12, receive 2.74 against 2.29",
        },
    ],
    facts: no_facts,
};
