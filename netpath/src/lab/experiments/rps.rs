//! Receive packet steering: moving softirq work to another CPU.

use super::{BULK, Experiment, Figure, Published, TCP_RR_APART, Variant, no_facts};
use crate::lab::topologies::{Need, Step, container::BRIDGE};

const fn at(name: &'static str, what: &'static str, also: &'static [&'static [Step]]) -> Variant {
    Variant { name, what, topology: &BRIDGE, also, against: "off" }
}

/// Both devices at which the host takes up packets: from the container, and from the server.
macro_rules! steer {
    ($from_client:literal, $from_server:literal) => {
        &[
            Step::Needs(Need::Cpus(2)),
            Step::Sysfs("host", "class/net/veth0/queues/rx-0/rps_cpus", $from_client),
            Step::Sysfs("host", "class/net/up0/queues/rx-0/rps_cpus", $from_server),
        ]
    };
}

/// How many flows RFS remembers for each of the two devices.
const FLOWS: &[Step] = &[
    Step::Needs(Need::FlowSteering),
    Step::Sysfs("host", "class/net/veth0/queues/rx-0/rps_flow_cnt", "4096"),
    Step::Sysfs("host", "class/net/up0/queues/rx-0/rps_flow_cnt", "4096"),
];

pub(super) const RPS: Experiment = Experiment {
    name: "rps",
    question: "What does it cost, and bring, to let another CPU do the host's share?",
    variants: &[
        at("off", "the CPU that sends does the host's work as well", &[]),
        at("all", "RPS over two CPUs, by each flow's hash", &[steer!("3", "3")]),
        at("other", "RPS to the CPU that did not send", &[steer!("2", "1")]),
        at("rfs", "RFS: RPS to the CPU where the flow is read", &[steer!("3", "3"), FLOWS]),
    ],
    measures: &[TCP_RR_APART, BULK],
    published: &[
        Published {
            source: "Slim, NSDI'19 (overlay)",
            measure: "bulk",
            figure: Figure::Goodput,
            variant: "all",
            against: "off",
            ratio: 1.72,
            said: "24.1 Gb/s with RPS, 14.0 without",
        },
        Published {
            source: "Slim, NSDI'19 (overlay)",
            measure: "tcp-rr-apart",
            figure: Figure::RoundTrip,
            variant: "all",
            against: "off",
            ratio: 1.0,
            said: "20.8 µs with RPS, 20.9 without: it repairs throughput, not latency",
        },
    ],
    facts: no_facts,
};
