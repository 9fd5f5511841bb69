//! A container's port that is published: by DNAT in the kernel, or by a process that relays.

use super::{BULK, CONNECT, Experiment, TCP_RR, Variant, no_facts};
use crate::lab::topologies::published::{DIRECT, DNAT, RELAY};

pub(super) const PUBLISHED_PORT: Experiment = Experiment {
    name: "published-port",
    question: "What does a published port cost, by DNAT and by a relaying process?",
    variants: &[
        Variant {
            name: "direct",
            what: DIRECT.what,
            topology: &DIRECT,
            also: &[],
            against: "direct",
        },
        Variant { name: "dnat", what: DNAT.what, topology: &DNAT, also: &[], against: "direct" },
        Variant { name: "relay", what: RELAY.what, topology: &RELAY, also: &[], against: "direct" },
    ],
    measures: &[TCP_RR, CONNECT, BULK],
    published: &[],
    facts: no_facts,
};
