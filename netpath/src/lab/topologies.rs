//! The topologies, as data: who there is, and the steps that bring it up.
//!
//! To add one, add a row to [`container`], [`switch`] or [`published`], or a file as [`guest`], and
//! name it in [`TOPOLOGIES`]. Hosts are namespaces; none of them is the initial one, so addresses
//! can't collide with anybody's.

pub(super) mod container;
pub(super) mod guest;
pub(super) mod published;
pub(super) mod switch;

use super::daemons::{Daemons, Makes};

/// A step of bringing a topology up. A device is written as host, name.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// A veth pair.
    Veth(End, End),
    /// A bridge and its ports.
    Bridge(End, &'static [&'static str]),
    /// A macvlan in bridge mode: the device below it, and itself.
    MacVlan(End, End),
    /// An ipvlan in L2 mode: the device below it, and itself.
    IpVlan(End, End),
    /// A VXLAN device: its id, its own address below, the address of the other end.
    Vxlan(End, u32, &'static str, &'static str),
    /// An address with its prefix length.
    Address(End, &'static str),
    /// The default route of a host, for the family of the gateway.
    Default(&'static str, &'static str),
    /// A route: host, destination with its prefix length, gateway.
    Route(&'static str, &'static str, &'static str),
    /// A sysctl, as a path below /proc/sys.
    Sysctl(&'static str, &'static str, &'static str),
    /// A file of the host's own sysfs, as a path below /sys, and what to write there.
    Sysfs(&'static str, &'static str, &'static str),
    /// A command, run in the host's namespace, and what it reads from stdin.
    Command(&'static str, &'static [&'static str]),
    /// Rules that no packet matches, in FORWARD of a host.
    Rules(&'static str, Flavour, u32),
    /// Connections that a host tracks, made by as many datagrams that the client sends through it.
    Connections(&'static str, u32),
    /// Daemons that run in a host's namespace from here on.
    Daemons(&'static str, &'static Daemons),
    /// Something that this machine must have.
    Needs(Need),
}

/// How rules are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// `iptables-legacy`: `ipt_do_table`.
    Legacy,
    /// `iptables-nft`: iptables' rules in `nf_tables`.
    Compat,
    /// `nft`: one rule after the other.
    Nft,
    /// `nft`: one rule that looks up a set with so many elements.
    Set,
    /// `nft`: one rule that looks up a map with so many verdicts.
    Map,
}

/// What a machine may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// `net.core.rps_sock_flow_entries`, one for the whole machine, is not 0.
    FlowSteering,
    /// This many CPUs.
    Cpus(usize),
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
    /// Steps in their order, in groups that topologies share.
    pub steps: &'static [&'static [Step]],
    /// Where requests come from, and where they go to.
    pub client: &'static str,
    pub server: &'static str,
    /// The server's addresses as the client uses them, IPv4 and IPv6.
    pub server_v4: &'static str,
    pub server_v6: Option<&'static str>,
    /// The client's address as the server uses it, where it can reach it by itself.
    pub client_v4: Option<&'static str>,
    /// A process between them that takes TCP connections at `server_v4` and passes them on.
    pub relay: Option<Relay>,
    /// The interface to trace.
    pub focus: End,
}

/// A relay in user space, as docker-proxy is one.
#[derive(Clone, Copy, Debug)]
pub struct Relay {
    pub host: &'static str,
    /// Where the server is, as the relay sees it.
    pub to: &'static str,
}

/// The topology with this name.
pub fn find(name: &str) -> Option<&'static Topology> {
    TOPOLOGIES.iter().find(|t| t.name == name).copied()
}

/// All topologies.
pub const TOPOLOGIES: &[&Topology] = &[
    &container::NATIVE,
    &container::HOST_NET,
    &container::BRIDGE,
    &container::BRIDGE_NAT,
    &container::DOCKER,
    &guest::GUEST,
    &switch::WIRE,
    &switch::LINUXBRIDGE,
    &switch::BRIDGE_NF,
    &switch::OVS,
    &switch::ROUTED,
    &switch::MACVLAN,
    &switch::IPVLAN,
    &switch::OVERLAY,
    &published::DIRECT,
    &published::DNAT,
    &published::RELAY,
    &published::DOCKER,
];

impl Topology {
    /// All steps, in their order.
    pub fn steps(&self) -> impl Iterator<Item = &'static Step> {
        self.steps.iter().copied().flatten()
    }
}

impl Step {
    /// The hosts that a step works on.
    pub fn hosts(&self) -> Vec<&'static str> {
        match *self {
            Self::Veth(a, b) | Self::MacVlan(a, b) | Self::IpVlan(a, b) => vec![a.0, b.0],
            Self::Bridge(end, _) | Self::Address(end, _) | Self::Vxlan(end, ..) => vec![end.0],
            Self::Default(host, _)
            | Self::Route(host, ..)
            | Self::Sysctl(host, ..)
            | Self::Sysfs(host, ..)
            | Self::Command(host, _)
            | Self::Rules(host, ..)
            | Self::Connections(host, _) => vec![host],
            Self::Daemons(host, what) => {
                what.makes.map(Makes::role).into_iter().chain([host]).collect()
            }
            Self::Needs(_) => Vec::new(),
        }
    }

    /// The host that a step makes: it is no namespace of the lab's own.
    pub fn makes(&self) -> Option<&'static str> {
        if let Self::Daemons(_, what) = self { what.makes.map(Makes::role) } else { None }
    }

    /// The programs of the system that a step calls.
    pub fn programs(&self) -> &'static [&'static str] {
        match *self {
            Self::Command(_, words) => &words[..words.len().min(1)],
            Self::Rules(_, Flavour::Legacy, _) => &["iptables-legacy-restore"],
            Self::Rules(_, Flavour::Compat, _) => &["iptables-nft-restore"],
            Self::Rules(..) => &["nft"],
            Self::Daemons(_, what) => what.programs,
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_names_hosts_of_its_topology() {
        for t in TOPOLOGIES {
            let named = t.steps().flat_map(Step::hosts);
            let relay = t.relay.iter().map(|r| r.host);
            for host in named.chain(relay).chain([t.client, t.server, t.focus.0]) {
                assert!(t.hosts.contains(&host), "{}: {host}", t.name);
            }
        }
    }

    #[test]
    fn names_are_unique_and_no_address_is_the_initial_namespaces() {
        for (i, t) in TOPOLOGIES.iter().enumerate() {
            assert!(TOPOLOGIES[..i].iter().all(|other| other.name != t.name), "{}", t.name);
            assert!(!format!("{t:?}").contains("192.0.2."), "{}", t.name);
        }
    }
}
