//! A container and a server outside its host: from no container at all to bridge and NAT.

use super::{End, Step, Topology};
use crate::lab::daemons;

/// The host's uplink and a server behind it: a veth pair is the wire.
pub(super) const WIRE: &[Step] = &[
    Step::Veth(End("host", "up0"), End("server", "eth0")),
    Step::Address(End("host", "up0"), "198.18.0.1/24"),
    Step::Address(End("host", "up0"), "fd18::1/64"),
    Step::Address(End("server", "eth0"), "198.18.0.2/24"),
    Step::Address(End("server", "eth0"), "fd18::2/64"),
    Step::Default("host", "198.18.0.2"),
    Step::Default("host", "fd18::2"),
];

/// A container on a bridge of a host that forwards.
pub(super) const CONTAINER: &[Step] = &[
    Step::Veth(End("client", "eth0"), End("host", "veth0")),
    Step::Bridge(End("host", "br0"), &["veth0"]),
    Step::Address(End("client", "eth0"), "172.31.0.2/24"),
    Step::Address(End("client", "eth0"), "fd31::2/64"),
    Step::Address(End("host", "br0"), "172.31.0.1/24"),
    Step::Address(End("host", "br0"), "fd31::1/64"),
    Step::Default("client", "172.31.0.1"),
    Step::Default("client", "fd31::1"),
    Step::Sysctl("host", "net/ipv4/ip_forward", "1"),
    Step::Sysctl("host", "net/ipv6/conf/all/forwarding", "1"),
];

/// The server's way back to the container's own address.
pub(super) const WAY_BACK: &[Step] = &[
    Step::Route("server", "172.31.0.0/24", "198.18.0.1"),
    Step::Route("server", "fd31::/64", "fd18::1"),
];

/// What Docker adds: MASQUERADE, and a rule in FORWARD.
const MASQUERADE: &[Step] = &[
    Step::Command(
        "host",
        &[
            "iptables",
            "-t",
            "nat",
            "-A",
            "POSTROUTING",
            "-s",
            "172.31.0.0/24",
            "-o",
            "up0",
            "-j",
            "MASQUERADE",
        ],
    ),
    Step::Command(
        "host",
        &[
            "ip6tables",
            "-t",
            "nat",
            "-A",
            "POSTROUTING",
            "-s",
            "fd31::/64",
            "-o",
            "up0",
            "-j",
            "MASQUERADE",
        ],
    ),
    Step::Command("host", &["iptables", "-A", "FORWARD", "-i", "br0", "-j", "ACCEPT"]),
];

/// Docker sets this by itself, as long as nobody says that it must not.
const FORWARDING: &[Step] = &[Step::Sysctl("host", "net/ipv4/ip_forward", "1")];

/// Datagrams to this prefix go to the server, which forgets them.
const SINK: &[Step] =
    &[Step::Command("server", &["ip", "route", "add", "blackhole", "198.19.0.0/16"])];

pub(in crate::lab) const NATIVE: Topology = Topology {
    name: "native",
    what: "a process of the host's, with neither container nor netfilter, and a server outside",
    hosts: &["host", "server"],
    steps: &[WIRE],
    client: "host",
    server: "server",
    server_v4: "198.18.0.2",
    server_v6: Some("fd18::2"),
    client_v4: Some("198.18.0.1"),
    relay: None,
    focus: End("host", "up0"),
};

pub(in crate::lab) const HOST_NET: Topology = Topology {
    name: "host-net",
    what: "a container in its host's own namespace, which also has a bridge and MASQUERADE",
    hosts: &["client", "host", "server"],
    steps: &[CONTAINER, WIRE, MASQUERADE],
    client: "host",
    server: "server",
    server_v4: "198.18.0.2",
    server_v6: Some("fd18::2"),
    client_v4: Some("198.18.0.1"),
    relay: None,
    focus: End("host", "up0"),
};

pub(in crate::lab) const BRIDGE: Topology = Topology {
    name: "bridge",
    what: "a container behind veth and bridge, routed without NAT, and a server outside",
    hosts: &["client", "host", "server"],
    steps: &[CONTAINER, WIRE, WAY_BACK, SINK],
    client: "client",
    server: "server",
    server_v4: "198.18.0.2",
    server_v6: Some("fd18::2"),
    client_v4: Some("172.31.0.2"),
    relay: None,
    focus: End("host", "veth0"),
};

pub(in crate::lab) const BRIDGE_NAT: Topology = Topology {
    name: "bridge-nat",
    what: "a container behind veth, bridge and MASQUERADE, and a server outside",
    hosts: &["client", "host", "server"],
    steps: &[CONTAINER, WIRE, MASQUERADE, SINK],
    client: "client",
    server: "server",
    server_v4: "198.18.0.2",
    server_v6: Some("fd18::2"),
    client_v4: None,
    relay: None,
    focus: End("host", "veth0"),
};

pub(in crate::lab) const DOCKER: Topology = Topology {
    name: "docker",
    what: "a Docker container behind docker0, and a server outside",
    hosts: &["client", "host", "server"],
    steps: &[WIRE, FORWARDING, &[Step::Daemons("host", &daemons::DOCKER)], SINK],
    client: "client",
    server: "server",
    server_v4: "198.18.0.2",
    server_v6: None,
    client_v4: None,
    relay: None,
    // Docker's end of the veth has another name each time.
    focus: End("client", "eth0"),
};
