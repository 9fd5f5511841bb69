//! A virtual machine in a container's place: a tap on the host's bridge, and a server outside.

use super::{
    End, Step, Topology,
    container::{WAY_BACK, WIRE},
};
use crate::lab::daemons;

/// What `CONTAINER` has, with the guest's tap where the container's veth is. What the guest has for
/// addresses it is told by QEMU: see [`daemons::GUEST`].
const TAP: &[Step] = &[
    Step::Bridge(End("host", "br0"), &[]),
    Step::Address(End("host", "br0"), "172.31.0.1/24"),
    Step::Address(End("host", "br0"), "fd31::1/64"),
    Step::Sysctl("host", "net/ipv4/ip_forward", "1"),
    Step::Sysctl("host", "net/ipv6/conf/all/forwarding", "1"),
    Step::Daemons("host", &daemons::GUEST),
];

pub(in crate::lab) const GUEST: Topology = Topology {
    name: "guest",
    what: "a QEMU guest with virtio-net behind tap and bridge, routed without NAT, and a server \
           outside",
    hosts: &["client", "host", "server"],
    steps: &[WIRE, WAY_BACK, TAP],
    client: "client",
    server: "server",
    server_v4: "198.18.0.2",
    server_v6: Some("fd18::2"),
    client_v4: Some("172.31.0.2"),
    relay: None,
    focus: End("host", "tap0"),
};
