//! A real Docker daemon and container, beside the topology that stands for them.

use super::{BULK, Experiment, ONE_WAY, TCP_RR, UDP_RR, Variant, no_facts};
use crate::lab::topologies::container::{self as topologies, BRIDGE_NAT};

pub(super) const DOCKER: Experiment = Experiment {
    name: "docker",
    question: "Is a real Docker container's path the one that bridge-nat stands for?",
    variants: &[
        Variant {
            name: "bridge-nat",
            what: BRIDGE_NAT.what,
            topology: &BRIDGE_NAT,
            also: &[],
            against: "bridge-nat",
        },
        Variant {
            name: "container",
            what: topologies::DOCKER.what,
            topology: &topologies::DOCKER,
            also: &[],
            against: "bridge-nat",
        },
    ],
    measures: &[TCP_RR, UDP_RR, ONE_WAY, BULK],
    published: &[],
    facts: no_facts,
};
