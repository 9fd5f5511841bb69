//! Experiments that take more than Linux: a guest, a container runtime.

use super::{BULK, Experiment, ONE_WAY, TCP_RR, UDP_RR, Variant, no_facts};
use crate::lab::topologies::{
    Need, Step,
    container::{self as topologies, BRIDGE_NAT},
};

pub(super) const VIRTIO: Experiment = Experiment {
    name: "virtio",
    question: "What does a virtual machine's network cost beside a container's?",
    variants: &[Variant {
        name: "guest",
        what: "a guest with virtio-net behind a tap",
        topology: &BRIDGE_NAT,
        also: &[&[Step::Needs(Need::Guest)]],
        against: "guest",
    }],
    measures: &[TCP_RR],
    published: &[],
    facts: no_facts,
};

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
