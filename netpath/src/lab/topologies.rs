//! The topologies, as data: who there is, and the steps that bring it up.
//!
//! To add one, add a row. Hosts are namespaces; none of them is the initial one, so addresses
//! can't collide with anybody's.

/// A step of bringing a topology up. A device is written as host, name.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// A veth pair.
    Veth(End, End),
    /// A bridge and its ports.
    Bridge(End, &'static [&'static str]),
    /// An address with its prefix length.
    Address(End, &'static str),
    /// The default route of a host, for the family of the gateway.
    Default(&'static str, &'static str),
    /// A sysctl, as a path below /proc/sys.
    Sysctl(&'static str, &'static str, &'static str),
    /// A command, run in the host's namespace.
    Command(&'static str, &'static [&'static str]),
}

/// A device of a host.
#[derive(Clone, Copy, Debug)]
pub struct End(pub &'static str, pub &'static str);

/// A topology.
#[derive(Debug)]
pub struct Topology {
    pub name: &'static str,
    /// What it stands for, in a sentence.
    pub what: &'static str,
    pub hosts: &'static [&'static str],
    pub steps: &'static [Step],
    /// Where requests come from, and where they go to.
    pub client: &'static str,
    pub server: &'static str,
    /// The server's addresses as the client uses them, IPv4 and IPv6.
    pub server_v4: &'static str,
    pub server_v6: &'static str,
    /// The interface to trace.
    pub focus: End,
}

/// The topology with this name.
pub fn find(name: &str) -> Option<&'static Topology> {
    TOPOLOGIES.iter().find(|t| t.name == name)
}

/// All topologies.
pub const TOPOLOGIES: &[Topology] = &[Topology {
    name: "bridge-nat",
    what: "a container behind veth, bridge and MASQUERADE, and a server outside",
    hosts: &["client", "host", "server"],
    steps: &[
        Step::Veth(End("client", "eth0"), End("host", "veth0")),
        Step::Veth(End("host", "up0"), End("server", "eth0")),
        Step::Bridge(End("host", "br0"), &["veth0"]),
        Step::Address(End("client", "eth0"), "172.31.0.2/24"),
        Step::Address(End("client", "eth0"), "fd31::2/64"),
        Step::Address(End("host", "br0"), "172.31.0.1/24"),
        Step::Address(End("host", "br0"), "fd31::1/64"),
        Step::Address(End("host", "up0"), "198.18.0.1/24"),
        Step::Address(End("host", "up0"), "fd18::1/64"),
        Step::Address(End("server", "eth0"), "198.18.0.2/24"),
        Step::Address(End("server", "eth0"), "fd18::2/64"),
        Step::Default("client", "172.31.0.1"),
        Step::Default("client", "fd31::1"),
        Step::Default("host", "198.18.0.2"),
        Step::Default("host", "fd18::2"),
        Step::Sysctl("host", "net/ipv4/ip_forward", "1"),
        Step::Sysctl("host", "net/ipv6/conf/all/forwarding", "1"),
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
    ],
    client: "client",
    server: "server",
    server_v4: "198.18.0.2",
    server_v6: "fd18::2",
    focus: End("host", "veth0"),
}];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_names_hosts_of_its_topology() {
        for t in TOPOLOGIES {
            for step in t.steps {
                let hosts: &[&str] = match step {
                    Step::Veth(a, b) => &[a.0, b.0],
                    Step::Bridge(end, _) | Step::Address(end, _) => &[end.0],
                    Step::Default(host, _) | Step::Sysctl(host, _, _) | Step::Command(host, _) => {
                        &[host]
                    }
                };
                for host in hosts {
                    assert!(t.hosts.contains(host), "{}: {host}", t.name);
                }
            }
            for host in [t.client, t.server, t.focus.0] {
                assert!(t.hosts.contains(&host), "{}: {host}", t.name);
            }
        }
    }
}
