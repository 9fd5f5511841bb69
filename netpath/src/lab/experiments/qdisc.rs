//! What a queueing discipline costs, on the container's veth and on the uplink, at rest and when
//! several senders want it.

use super::{BULK, Experiment, ONE_WAY, ONE_WAY_TWICE, TCP_RR, TCP_RR_LOADED, Variant, no_facts};
use crate::lab::topologies::{Step, container::BRIDGE};

const fn at(name: &'static str, what: &'static str, also: &'static [&'static [Step]]) -> Variant {
    Variant { name, what, topology: &BRIDGE, also, against: "noqueue" }
}

/// A step that puts a qdisc on a device.
macro_rules! root {
    ($host:literal, $dev:literal, $($word:literal),+) => {
        Step::Command($host, &["tc", "qdisc", "replace", "dev", $dev, "root", $($word),+])
    };
}

/// An htb with one class that takes everything, faster than it will be asked to be.
macro_rules! htb {
    ($host:literal, $dev:literal) => {
        &[
            Step::Command(
                $host,
                &[
                    "tc", "qdisc", "replace", "dev", $dev, "root", "handle", "1:", "htb",
                    "default", "1",
                ],
            ),
            Step::Command(
                $host,
                &[
                    "tc", "class", "add", "dev", $dev, "parent", "1:", "classid", "1:1", "htb",
                    "rate", "100gbit", "burst", "1mb", "cburst", "1mb",
                ],
            ),
        ]
    };
}

pub(super) const QDISC: Experiment = Experiment {
    name: "qdisc",
    question: "What does a qdisc cost, and is it absent, contended or queueing?",
    variants: &[
        at("noqueue", "as Linux makes it: no queue on a veth", &[]),
        at(
            "veth-pfifo",
            "pfifo limit 1000 on the container's veth, as before Linux 4.3",
            &[&[root!("client", "eth0", "pfifo", "limit", "1000")]],
        ),
        at(
            "veth-fq_codel",
            "fq_codel on the container's veth",
            &[&[root!("client", "eth0", "fq_codel")]],
        ),
        at("veth-htb", "htb with one class on the container's veth", &[htb!("client", "eth0")]),
        at(
            "veth-tbf",
            "tbf on the container's veth: 1 Gb/s, 1 MB of queue",
            &[&[root!("client", "eth0", "tbf", "rate", "1gbit", "burst", "128kb", "limit", "1mb")]],
        ),
        at(
            "uplink-pfifo",
            "pfifo limit 1000 on the uplink",
            &[&[root!("host", "up0", "pfifo", "limit", "1000")]],
        ),
        at("uplink-fq_codel", "fq_codel on the uplink", &[&[root!("host", "up0", "fq_codel")]]),
        at("uplink-htb", "htb with one class on the uplink", &[htb!("host", "up0")]),
        at(
            "uplink-tbf",
            "tbf on the uplink: 1 Gb/s, 1 MB of queue",
            &[&[root!("host", "up0", "tbf", "rate", "1gbit", "burst", "128kb", "limit", "1mb")]],
        ),
    ],
    measures: &[TCP_RR, TCP_RR_LOADED, ONE_WAY, ONE_WAY_TWICE, BULK],
    // libcontainer#193 gives shares of cycles, not of time: 13.97 % in spin locks, 37.64 % of
    // them below dev_queue_xmit. docs/lab.md says what that is here.
    published: &[],
    facts: no_facts,
};
