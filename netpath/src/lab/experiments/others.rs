//! Experiments that take more than Linux: a guest, a container runtime.

use super::{Experiment, TCP_RR, Variant, no_facts};
use crate::lab::topologies::{Need, Step, container::BRIDGE_NAT};

pub(super) const VIRTIO: Experiment = Experiment {
    name: "virtio",
    question: "What does a virtual machine's network cost beside a container's?",
    variants: &[Variant {
        name: "guest",
        what: "a KVM guest with virtio-net behind a tap and vhost-net",
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
    variants: &[Variant {
        name: "container",
        what: "a Docker container behind docker0",
        topology: &BRIDGE_NAT,
        also: &[&[Step::Needs(Need::Docker)]],
        against: "container",
    }],
    measures: &[TCP_RR],
    published: &[],
    facts: no_facts,
};
