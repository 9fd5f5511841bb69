//! Two containers, and what connects them.

use super::{End, Step, Topology};
use crate::lab::daemons::OPEN_VSWITCH;

/// Both containers in one subnet.
const ADDRESSES: &[Step] = &[
    Step::Address(End("client", "eth0"), "172.31.0.2/24"),
    Step::Address(End("client", "eth0"), "fd31::2/64"),
    Step::Address(End("server", "eth0"), "172.31.0.3/24"),
    Step::Address(End("server", "eth0"), "fd31::3/64"),
];

/// Each container's veth into the host.
const PAIRS: &[Step] = &[
    Step::Veth(End("client", "eth0"), End("host", "veth0")),
    Step::Veth(End("server", "eth0"), End("host", "veth1")),
];

const fn between(
    name: &'static str,
    what: &'static str,
    hosts: &'static [&'static str],
    steps: &'static [&'static [Step]],
    focus: End,
) -> Topology {
    Topology {
        name,
        what,
        hosts,
        steps,
        client: "client",
        server: "server",
        server_v4: "172.31.0.3",
        server_v6: Some("fd31::3"),
        client_v4: Some("172.31.0.2"),
        relay: None,
        focus,
    }
}

const HOSTS: &[&str] = &["client", "host", "server"];

pub(in crate::lab) const WIRE: Topology = between(
    "wire",
    "two containers at the ends of one veth pair",
    &["client", "server"],
    &[&[Step::Veth(End("client", "eth0"), End("server", "eth0"))], ADDRESSES],
    End("client", "eth0"),
);

/// A bridge whose frames are not given to iptables.
const PLAIN_BRIDGE: &[Step] = &[
    Step::Bridge(End("host", "br0"), &["veth0", "veth1"]),
    Step::Sysctl("host", "net/bridge/bridge-nf-call-iptables", "0"),
    Step::Sysctl("host", "net/bridge/bridge-nf-call-ip6tables", "0"),
];

pub(in crate::lab) const LINUXBRIDGE: Topology = between(
    "linuxbridge",
    "two containers on one Linux bridge, which netfilter does not see",
    HOSTS,
    &[PAIRS, PLAIN_BRIDGE, ADDRESSES],
    End("host", "veth0"),
);

/// A bridge whose frames run through iptables, with conntrack switched on, as Docker has it.
const FILTERED_BRIDGE: &[Step] = &[
    Step::Bridge(End("host", "br0"), &["veth0", "veth1"]),
    Step::Sysctl("host", "net/bridge/bridge-nf-call-iptables", "1"),
    Step::Command(
        "host",
        &[
            "iptables",
            "-A",
            "FORWARD",
            "-m",
            "conntrack",
            "--ctstate",
            "ESTABLISHED,RELATED",
            "-j",
            "ACCEPT",
        ],
    ),
];

pub(in crate::lab) const BRIDGE_NF: Topology = between(
    "bridge-nf",
    "two containers on one Linux bridge with bridge-nf-call-iptables = 1 and conntrack",
    HOSTS,
    &[PAIRS, FILTERED_BRIDGE, ADDRESSES],
    End("host", "veth0"),
);

const VSWITCH: &[Step] = &[Step::Daemons("host", &OPEN_VSWITCH)];

pub(in crate::lab) const OVS: Topology = between(
    "ovs",
    "two containers on one Open vSwitch bridge",
    HOSTS,
    &[PAIRS, VSWITCH, ADDRESSES],
    End("host", "veth0"),
);

pub(in crate::lab) const ROUTED: Topology = Topology {
    server_v4: "172.30.0.2",
    server_v6: Some("fd30::2"),
    ..between(
        "routed",
        "two containers in subnets of their own, and a host that routes between their veths",
        HOSTS,
        &[
            PAIRS,
            &[
                Step::Address(End("client", "eth0"), "172.31.0.2/24"),
                Step::Address(End("client", "eth0"), "fd31::2/64"),
                Step::Address(End("host", "veth0"), "172.31.0.1/24"),
                Step::Address(End("host", "veth0"), "fd31::1/64"),
                Step::Address(End("server", "eth0"), "172.30.0.2/24"),
                Step::Address(End("server", "eth0"), "fd30::2/64"),
                Step::Address(End("host", "veth1"), "172.30.0.1/24"),
                Step::Address(End("host", "veth1"), "fd30::1/64"),
                Step::Default("client", "172.31.0.1"),
                Step::Default("client", "fd31::1"),
                Step::Default("server", "172.30.0.1"),
                Step::Default("server", "fd30::1"),
                Step::Sysctl("host", "net/ipv4/ip_forward", "1"),
                Step::Sysctl("host", "net/ipv6/conf/all/forwarding", "1"),
            ],
        ],
        End("host", "veth0"),
    )
};

/// A device for macvlans and ipvlans to stand on.
const BELOW: &[Step] = &[Step::Veth(End("host", "up0"), End("outside", "eth0"))];

const WITH_OUTSIDE: &[&str] = &["client", "host", "server", "outside"];

pub(in crate::lab) const MACVLAN: Topology = between(
    "macvlan",
    "two containers with a macvlan each, in bridge mode, over one device of the host's",
    WITH_OUTSIDE,
    &[
        BELOW,
        &[
            Step::MacVlan(End("host", "up0"), End("client", "eth0")),
            Step::MacVlan(End("host", "up0"), End("server", "eth0")),
        ],
        ADDRESSES,
    ],
    End("client", "eth0"),
);

pub(in crate::lab) const IPVLAN: Topology = between(
    "ipvlan",
    "two containers with an ipvlan each, in L2 mode, over one device of the host's",
    WITH_OUTSIDE,
    &[
        BELOW,
        &[
            Step::IpVlan(End("host", "up0"), End("client", "eth0")),
            Step::IpVlan(End("host", "up0"), End("server", "eth0")),
        ],
        ADDRESSES,
    ],
    End("client", "eth0"),
);

/// Two hosts, each with a bridge, a container, and a VXLAN device to the other.
const TUNNEL: &[Step] = &[
    Step::Veth(End("host", "up0"), End("host2", "up0")),
    Step::Address(End("host", "up0"), "198.18.0.1/24"),
    Step::Address(End("host2", "up0"), "198.18.0.2/24"),
    Step::Vxlan(End("host", "vxlan0"), 42, "198.18.0.1", "198.18.0.2"),
    Step::Vxlan(End("host2", "vxlan0"), 42, "198.18.0.2", "198.18.0.1"),
    Step::Veth(End("client", "eth0"), End("host", "veth0")),
    Step::Veth(End("server", "eth0"), End("host2", "veth0")),
    Step::Bridge(End("host", "br0"), &["veth0", "vxlan0"]),
    Step::Bridge(End("host2", "br0"), &["veth0", "vxlan0"]),
    Step::Sysctl("host", "net/bridge/bridge-nf-call-iptables", "0"),
    Step::Sysctl("host2", "net/bridge/bridge-nf-call-iptables", "0"),
];

pub(in crate::lab) const OVERLAY: Topology = between(
    "overlay",
    "two containers on two hosts, with bridges that a VXLAN connects",
    &["client", "host", "host2", "server"],
    &[TUNNEL, ADDRESSES],
    End("host", "veth0"),
);
