//! A server in a container, and a client outside that reaches it through a port of the host's.

use super::{End, Relay, Step, Topology};
use crate::lab::daemons::DOCKER_PUBLISHED;

const BASE: &[Step] = &[
    Step::Veth(End("host", "up0"), End("client", "eth0")),
    Step::Veth(End("server", "eth0"), End("host", "veth0")),
    Step::Bridge(End("host", "br0"), &["veth0"]),
    Step::Address(End("server", "eth0"), "172.31.0.2/24"),
    Step::Address(End("host", "br0"), "172.31.0.1/24"),
    Step::Address(End("host", "up0"), "198.18.0.1/24"),
    Step::Address(End("client", "eth0"), "198.18.0.2/24"),
    Step::Default("server", "172.31.0.1"),
    Step::Default("client", "198.18.0.1"),
    Step::Sysctl("host", "net/ipv4/ip_forward", "1"),
];

/// What `-p` adds: whatever comes to the host's address goes to the container.
const TO_CONTAINER: &[Step] = &[
    Step::Command(
        "host",
        &[
            "iptables",
            "-t",
            "nat",
            "-A",
            "PREROUTING",
            "-d",
            "198.18.0.1",
            "-j",
            "DNAT",
            "--to-destination",
            "172.31.0.2",
        ],
    ),
    Step::Command("host", &["iptables", "-A", "FORWARD", "-o", "br0", "-j", "ACCEPT"]),
];

const fn port(
    name: &'static str,
    what: &'static str,
    steps: &'static [&'static [Step]],
    server_v4: &'static str,
    relay: Option<Relay>,
) -> Topology {
    Topology {
        name,
        what,
        hosts: &["client", "host", "server"],
        steps,
        client: "client",
        server: "server",
        server_v4,
        server_v6: None,
        client_v4: None,
        relay,
        focus: End("host", "veth0"),
    }
}

pub(in crate::lab) const DIRECT: Topology = port(
    "unpublished",
    "a client outside that reaches a container by its own address, routed without NAT",
    &[BASE],
    "172.31.0.2",
    None,
);

pub(in crate::lab) const DNAT: Topology = port(
    "published-dnat",
    "a client outside that reaches a container through DNAT",
    &[BASE, TO_CONTAINER],
    "198.18.0.1",
    None,
);

pub(in crate::lab) const RELAY: Topology = port(
    "published-relay",
    "a client outside that reaches a container through a process of the host's, as docker-proxy",
    &[BASE],
    "198.18.0.1",
    Some(Relay { host: "host", to: "172.31.0.2" }),
);

/// The host's uplink and a client behind it; the rest is Docker's.
const OUTSIDE: &[Step] = &[
    Step::Veth(End("host", "up0"), End("client", "eth0")),
    Step::Address(End("host", "up0"), "198.18.0.1/24"),
    Step::Address(End("client", "eth0"), "198.18.0.2/24"),
    Step::Default("client", "198.18.0.1"),
    Step::Sysctl("host", "net/ipv4/ip_forward", "1"),
    Step::Daemons("host", &DOCKER_PUBLISHED),
];

pub(in crate::lab) const DOCKER: Topology = Topology {
    client_v4: Some("198.18.0.2"),
    // Docker's end of the veth has another name each time.
    focus: End("server", "eth0"),
    ..port(
        "docker-published",
        "a client outside that reaches a Docker container through its published ports",
        &[OUTSIDE],
        "198.18.0.1",
        None,
    )
};
