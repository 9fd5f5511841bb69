//! What a path must have for a function to be worth a probe.
//!
//! In: the topology, and the hooks that are registered on it. Out: for a function, why no packet of
//! the path can pass it. Each probe that is left out starts and ends the trace sooner, and costs
//! the machine's other packets nothing.

use std::net::IpAddr;

use netpath_common::hop::Owner;

use crate::{
    hooks::{Registered, owner},
    topo::Topology,
};

/// Something that a path has or hasn't.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    V6,
    Bridge,
    Queue,
    QueueLock,
    Driver,
    Hooks(Owner),
}

impl Need {
    const fn without(self) -> &'static str {
        match self {
            Self::V6 => "no device of the path has an IPv6 address beyond its link",
            Self::Bridge => "there is no bridge on the path",
            Self::Queue => "no device of the path has a queue",
            Self::QueueLock => "no device of the path has a queue with a lock",
            Self::Driver => "every device of the path hands its packets on itself",
            Self::Hooks(Owner::Conntrack) => "connections are tracked nowhere on the path",
            Self::Hooks(Owner::Nat) => "there is no NAT on the path",
            Self::Hooks(_) => "no rules are registered on the path",
        }
    }
}

/// Functions that only some paths lead through, by any of their names.
const GATED: &[(Need, &[&str])] = &[
    (
        Need::V6,
        &[
            "tcp_v6_rcv",
            "udpv6_rcv",
            "icmpv6_rcv",
            "ip6_forward",
            "ip6_finish_output2",
            "ip6_output",
            "__ip6_local_out",
            "ip6_xmit",
            "udpv6_sendmsg",
            "ip6_rcv_core",
            "ip6_route_input",
            "ip6t_do_table",
            "ipv6_confirm",
        ],
    ),
    (
        Need::Bridge,
        &["br_nf_pre_routing", "br_pass_frame_up", "__br_forward", "br_flood", "ebt_do_table"],
    ),
    (Need::Queue, &["sch_direct_xmit"]),
    (Need::QueueLock, &["native_queued_spin_lock_slowpath", "__pv_queued_spin_lock_slowpath"]),
    (
        Need::Hooks(Owner::Conntrack),
        &["nf_conntrack_in", "resolve_normal_ct", "init_conntrack", "ipv4_confirm", "ipv6_confirm"],
    ),
    (
        Need::Hooks(Owner::Nat),
        &["nf_nat_inet_fn", "nf_nat_setup_info", "get_unique_tuple", "nf_nat_manip_pkt"],
    ),
    (Need::Hooks(Owner::Rules), &["ipt_do_table", "ip6t_do_table", "nft_do_chain"]),
];

/// Tracepoints that only some paths lead through, or that say nothing new on others.
const GATED_TRACEPOINTS: &[(Need, &str)] = &[
    (Need::Driver, "net_dev_xmit"),
    (Need::QueueLock, "contention_begin"),
    (Need::QueueLock, "contention_end"),
];

/// Queueing disciplines that take no lock for a packet to enter.
const LOCKLESS: &[&str] = &["noqueue", "pfifo_fast"];

/// Devices whose transmit ends with the packet on a CPU's backlog, or with another device's.
const HAND_ON: &[&str] = &["veth", "bridge"];

/// What a path lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lacking(Vec<Need>);

impl Lacking {
    /// What this path lacks, given the hooks that are registered on it; `None` where those are not
    /// known.
    pub(super) fn of(topology: &Topology, registered: Option<&[Registered]>) -> Self {
        let devices = || topology.devices().map(|(_, device)| device);
        let mut lacking = Vec::new();
        let mut unless = |has: bool, need| {
            if !has {
                lacking.push(need);
            }
        };
        let addresses = || devices().flat_map(|d| &d.addresses).map(|(ip, _)| ip);
        unless(addresses().any(|ip| reaches_beyond(*ip)), Need::V6);
        unless(devices().any(|d| d.kind == "bridge"), Need::Bridge);
        unless(devices().any(|d| d.qdisc != "noqueue"), Need::Queue);
        unless(devices().any(|d| !LOCKLESS.contains(&d.qdisc.as_str())), Need::QueueLock);
        unless(devices().any(|d| !HAND_ON.contains(&d.kind.as_str())), Need::Driver);
        if let Some(registered) = registered {
            for which in [Owner::Conntrack, Owner::Nat, Owner::Rules] {
                unless(registered.iter().any(|r| owner(r) == which), Need::Hooks(which));
            }
        }
        Self(lacking)
    }

    /// Why this tracepoint is of no use on the path.
    pub(super) fn for_tracepoint(&self, name: &str) -> Option<&'static str> {
        let (need, _) =
            GATED_TRACEPOINTS.iter().find(|(need, of)| *of == name && self.0.contains(need))?;
        Some(need.without())
    }

    /// Why none of the path's packets pass the function that has one of these names.
    pub(super) fn for_function(&self, names: &[&str]) -> Option<&'static str> {
        GATED
            .iter()
            .filter(|(need, _)| self.0.contains(need))
            .find(|(_, functions)| functions.iter().any(|f| names.contains(f)))
            .map(|(need, _)| need.without())
    }
}

/// Whether this is an IPv6 address that is good for more than its own link.
fn reaches_beyond(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if !v6.is_loopback() && !v6.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use netpath_common::{point::POINTS, span::SPANS};

    use super::*;

    fn functions() -> impl Iterator<Item = &'static &'static [&'static str]> {
        let spans = SPANS.iter().flat_map(|row| row.span.functions);
        POINTS.iter().flat_map(|p| p.functions).chain(spans)
    }

    #[test]
    fn what_is_gated_is_probed() {
        for (_, names) in GATED {
            for name in *names {
                assert!(functions().any(|f| f.contains(name)), "{name}");
            }
        }
    }

    #[test]
    fn functions_of_ipv6_need_it() {
        let lacking = Lacking(vec![Need::V6]);
        for names in functions() {
            let of_v6 = names.iter().any(|n| n.contains('6'));
            assert_eq!(lacking.for_function(names).is_some(), of_v6, "{names:?}");
        }
    }

    #[test]
    fn an_empty_path_needs_little() {
        let lacking = Lacking::of(&Topology::default(), Some(&[]));
        assert!(lacking.for_function(&["nf_conntrack_in"]).is_some());
        assert!(lacking.for_function(&["ip_forward"]).is_none());
        let unknown = Lacking::of(&Topology::default(), None);
        assert!(unknown.for_function(&["nf_conntrack_in"]).is_none());
        assert!(Lacking::default().for_function(&["br_flood"]).is_none());
    }
}
