//! The hop table: what netpath can measure, under which name, and from which probe points.
//!
//! Everything that lists hops derives from [`HOPS`]: programs, attach order, `doctor`, `hops`,
//! labels, JSON keys, the ledger's rules and docs/hops.md.

use crate::{
    group::Group,
    point::{
        CONSUME_SKB, Hook, KFREE_SKB, NAPI_GRO_RECEIVE_ENTRY, NET_DEV_QUEUE, NET_DEV_START_XMIT,
        NET_DEV_XMIT, NETIF_RECEIVE_SKB, NETIF_RX, QDISC_DEQUEUE, QDISC_ENQUEUE, SK_DATA_READY,
        SKB_COPY_DATAGRAM_IOVEC, SOCK_RECV_LENGTH, tracepoint,
    },
};

/// A packet's situation at a probe point, as the ledger tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum At {
    /// `net_dev_queue`.
    Queue,
    /// `qdisc_enqueue`.
    Enqueue,
    /// `qdisc_dequeue`.
    Dequeue,
    /// `net_dev_start_xmit`.
    Start,
    /// `net_dev_start_xmit` of a bridge.
    StartBridge,
    /// `net_dev_xmit`.
    Xmit,
    /// `netif_rx`.
    NetifRx,
    /// `napi_gro_receive_entry`.
    Gro,
    /// `netif_receive_skb`.
    Rx,
    /// `netif_receive_skb` of a bridge's port.
    RxPort,
    /// A link in a hook, routed traffic.
    Pre,
    In,
    Fwd,
    Out,
    Post,
    /// A link in a hook that `br_netfilter` runs for bridged traffic.
    BrPre,
    BrFwd,
    BrPost,
    /// `sk_data_ready`.
    Ready,
    /// `skb_copy_datagram_iovec`.
    Copy,
    /// `sock_recv_length`.
    Recv,
    /// `consume_skb`.
    Consume,
    /// `kfree_skb`.
    Drop,
}

impl At {
    pub const COUNT: usize = Self::Drop as usize + 1;

    /// Where a link of `hook` is, given whether a bridge is handling the packet.
    pub const fn hook(hook: Hook, bridged: bool) -> Self {
        match (hook, bridged) {
            (Hook::Prerouting, false) => Self::Pre,
            (Hook::Forward, false) => Self::Fwd,
            (Hook::Postrouting, false) => Self::Post,
            (Hook::Prerouting, true) => Self::BrPre,
            (Hook::Forward, true) => Self::BrFwd,
            (Hook::Postrouting, true) => Self::BrPost,
            (Hook::Input, _) => Self::In,
            (Hook::Output, _) => Self::Out,
        }
    }

    /// The tracepoint that sees it; `None` for netfilter links.
    pub const fn tracepoint(self) -> Option<&'static str> {
        let point = match self {
            Self::Queue => NET_DEV_QUEUE,
            Self::Enqueue => QDISC_ENQUEUE,
            Self::Dequeue => QDISC_DEQUEUE,
            Self::Start | Self::StartBridge => NET_DEV_START_XMIT,
            Self::Xmit => NET_DEV_XMIT,
            Self::NetifRx => NETIF_RX,
            Self::Gro => NAPI_GRO_RECEIVE_ENTRY,
            Self::Rx | Self::RxPort => NETIF_RECEIVE_SKB,
            Self::Ready => SK_DATA_READY,
            Self::Recv => SOCK_RECV_LENGTH,
            Self::Copy => SKB_COPY_DATAGRAM_IOVEC,
            Self::Consume => CONSUME_SKB,
            Self::Drop => KFREE_SKB,
            Self::Pre
            | Self::In
            | Self::Fwd
            | Self::Out
            | Self::Post
            | Self::BrPre
            | Self::BrFwd
            | Self::BrPost => return None,
        };
        Some(tracepoint(point).name)
    }

    /// What people call it, in docs/hops.md.
    pub const fn name(self) -> &'static str {
        match self {
            Self::StartBridge => "net_dev_start_xmit of a bridge",
            Self::RxPort => "netif_receive_skb of a bridge's port",
            Self::Pre => "PREROUTING",
            Self::In => "INPUT",
            Self::Fwd => "FORWARD",
            Self::Out => "OUTPUT",
            Self::Post => "POSTROUTING",
            Self::BrPre => "PREROUTING inside a bridge",
            Self::BrFwd => "FORWARD inside a bridge",
            Self::BrPost => "POSTROUTING inside a bridge",
            _ => match self.tracepoint() {
                Some(name) => name,
                None => "",
            },
        }
    }
}

/// Whose function a registered netfilter hook calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Owner {
    /// Connection tracking (`ipv4_conntrack_in`, `nf_confirm`, …).
    Conntrack,
    /// NAT (`nf_nat_ipv4_pre_routing`, `nf_nat_ipv4_out`, …).
    Nat,
    /// A rule set: `ipt_do_table`, `nft_do_chain_*`.
    Rules,
    /// Defragmentation, helpers, br_netfilter's own, security modules.
    Other,
}

/// Whether a CPU worked on the packet or it sat in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Span,
    Wait,
}

impl Kind {
    pub const fn key(self) -> &'static str {
        match self {
            Self::Span => "span",
            Self::Wait => "wait",
        }
    }
}

/// What a hop's place is, beside its network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Where {
    Netns,
    Device,
    Hook,
}

/// The time from one situation to the next of several is this hop's.
#[derive(Debug)]
pub struct Edge {
    pub after: At,
    pub before: &'static [At],
}

/// A way to measure a hop.
#[derive(Debug)]
pub enum Measure {
    /// Between two probe points.
    Between(&'static [Edge]),
    /// Between the links before and after the registered hooks of this owner.
    Hooks(Owner),
}

/// Declares [`HopId`] and [`HOPS`] from one list.
macro_rules! hops {
    ($($id:ident { $($field:ident: $value:expr),* $(,)? })*) => {
        /// Names a row of [`HOPS`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum HopId { $($id,)* }

        /// The hop table, in the order in which a packet meets the hops on its way out.
        pub const HOPS: &[Hop] = &[$(Hop { id: HopId::$id, $($field: $value,)* },)*];
    };
}

/// A row of the hop table.
#[derive(Debug)]
pub struct Hop {
    pub id: HopId,
    /// Stable name: JSON, conditions, frames.
    pub key: &'static str,
    /// What stands beside the group's label in a table.
    pub label: &'static str,
    pub group: Group,
    pub kind: Kind,
    pub place: Where,
    /// What the time is made of, in a sentence.
    pub what: &'static str,
    /// In order of preference.
    pub measures: &'static [Measure],
}

impl HopId {
    pub const fn info(self) -> &'static Hop {
        &HOPS[self as usize]
    }

    /// The hop with this key.
    pub fn from_key(key: &str) -> Option<Self> {
        HOPS.iter().find(|h| h.key == key).map(|h| h.id)
    }
}

hops! {
    IpSend {
        key: "ip.send", label: "send", group: Group::Ip, kind: Kind::Span, place: Where::Netns,
        what: "a local packet between OUTPUT and POSTROUTING (dst_output)",
        measures: &[Measure::Between(&[
            Edge { after: At::Out, before: &[At::Post, At::Queue] },
        ])],
    }
    Conntrack {
        key: "conntrack", label: "lookup", group: Group::Conntrack, kind: Kind::Span, place: Where::Hook,
        what: "finding the packet's connection, or making an entry for it (nf_conntrack_in)",
        measures: &[Measure::Hooks(Owner::Conntrack)],
    }
    Nat {
        key: "nat", label: "nat", group: Group::Nat, kind: Kind::Span, place: Where::Hook,
        what: "NAT: the mapping is set up on a connection's first packet, every packet is rewritten (nf_nat_inet_fn)",
        measures: &[Measure::Hooks(Owner::Nat)],
    }
    Rules {
        key: "rules", label: "rules", group: Group::Rules, kind: Kind::Span, place: Where::Hook,
        what: "walking a table's or chain's rules (ipt_do_table, nft_do_chain)",
        measures: &[Measure::Hooks(Owner::Rules)],
    }
    HookOther {
        key: "hook.other", label: "other hook", group: Group::Rules, kind: Kind::Span, place: Where::Hook,
        what: "other netfilter hooks: defragmentation, helpers, br_netfilter's own",
        measures: &[Measure::Hooks(Owner::Other)],
    }
    IpReceive {
        key: "ip.receive", label: "receive", group: Group::Ip, kind: Kind::Span, place: Where::Device,
        what: "from the softirq's hands to PREROUTING: protocol dispatch and header checks (ip_rcv_core)",
        measures: &[Measure::Between(&[
            Edge { after: At::Rx, before: &[At::Pre] },
        ])],
    }
    IpRoute {
        key: "ip.route", label: "lookup", group: Group::Routing, kind: Kind::Span, place: Where::Netns,
        what: "route lookup, and the way to INPUT or FORWARD (ip_rcv_finish, ip_local_deliver or ip_forward)",
        measures: &[Measure::Between(&[
            Edge { after: At::Pre, before: &[At::In, At::Fwd] },
            Edge { after: At::Rx, before: &[At::In, At::Fwd] },
        ])],
    }
    IpForward {
        key: "ip.forward", label: "forward", group: Group::Ip, kind: Kind::Span, place: Where::Netns,
        what: "from FORWARD to POSTROUTING (ip_forward_finish, ip_output)",
        measures: &[Measure::Between(&[
            Edge { after: At::Fwd, before: &[At::Post, At::Queue] },
            Edge { after: At::Pre, before: &[At::Post, At::Queue] },
            Edge { after: At::Rx, before: &[At::Post, At::Queue] },
        ])],
    }
    IpOutput {
        key: "ip.output", label: "output", group: Group::Ip, kind: Kind::Span, place: Where::Netns,
        what: "from POSTROUTING to the device: neighbour and link header (ip_finish_output2); a new connection is confirmed here too (nf_confirm)",
        measures: &[Measure::Between(&[
            Edge { after: At::Post, before: &[At::Queue] },
        ])],
    }
    Bridge {
        key: "bridge", label: "forwarding", group: Group::Bridge, kind: Kind::Span, place: Where::Device,
        what: "the bridge: forwarding table, br_netfilter, passing up or on (br_handle_frame, br_forward)",
        measures: &[Measure::Between(&[
            Edge { after: At::RxPort, before: &[At::Rx, At::Queue, At::BrPre, At::BrFwd, At::BrPost] },
            Edge { after: At::BrPre, before: &[At::Rx, At::Queue, At::BrFwd, At::BrPost] },
            Edge { after: At::BrFwd, before: &[At::BrPost, At::Queue] },
            Edge { after: At::BrPost, before: &[At::Queue] },
            Edge { after: At::StartBridge, before: &[At::Queue, At::Xmit, At::BrPost] },
        ])],
    }
    QdiscEnqueue {
        key: "qdisc.enqueue", label: "enqueue", group: Group::Qdisc, kind: Kind::Span, place: Where::Device,
        what: "classification, the qdisc's lock and its enqueue (__dev_queue_xmit to qdisc_enqueue)",
        measures: &[Measure::Between(&[
            Edge { after: At::Queue, before: &[At::Enqueue] },
        ])],
    }
    QdiscWait {
        key: "qdisc.wait", label: "queue", group: Group::Qdisc, kind: Kind::Wait, place: Where::Device,
        what: "waiting in the qdisc",
        measures: &[Measure::Between(&[
            Edge { after: At::Enqueue, before: &[At::Dequeue, At::Start, At::StartBridge] },
            Edge { after: At::Xmit, before: &[At::Dequeue, At::Start] },
        ])],
    }
    QdiscSend {
        key: "qdisc.send", label: "send", group: Group::Qdisc, kind: Kind::Span, place: Where::Device,
        what: "from the qdisc to the driver: checks, GSO segmentation, the driver's lock (sch_direct_xmit)",
        measures: &[Measure::Between(&[
            Edge { after: At::Dequeue, before: &[At::Start, At::StartBridge] },
        ])],
    }
    QdiscNone {
        key: "qdisc.none", label: "none", group: Group::Qdisc, kind: Kind::Span, place: Where::Device,
        what: "transmit with no queue: noqueue, or an empty qdisc that lets packets bypass it (__dev_queue_xmit)",
        measures: &[Measure::Between(&[
            Edge { after: At::Queue, before: &[At::Start, At::StartBridge] },
        ])],
    }
    Device {
        key: "device", label: "driver", group: Group::Device, kind: Kind::Span, place: Where::Device,
        what: "the device's driver (veth_xmit, macvlan, vxlan, a NIC's ndo_start_xmit)",
        measures: &[Measure::Between(&[
            Edge {
                after: At::Start,
                before: &[At::NetifRx, At::Xmit, At::Queue, At::Gro, At::Rx, At::RxPort, At::Out, At::Post],
            },
            Edge { after: At::Rx, before: &[At::Rx] },
        ])],
    }
    Handoff {
        key: "handoff", label: "softirq", group: Group::Handoff, kind: Kind::Wait, place: Where::Device,
        what: "waiting on a CPU's backlog until its softirq takes the packet up (enqueue_to_backlog to process_backlog)",
        measures: &[Measure::Between(&[
            Edge { after: At::NetifRx, before: &[At::Rx, At::RxPort] },
        ])],
    }
    Gro {
        key: "gro", label: "gro", group: Group::GroGso, kind: Kind::Wait, place: Where::Device,
        what: "held by GRO for more segments, and batched (napi_gro_receive)",
        measures: &[Measure::Between(&[
            Edge { after: At::Gro, before: &[At::Rx, At::RxPort, At::NetifRx] },
        ])],
    }
    SocketReceive {
        key: "socket.receive", label: "receive", group: Group::Socket, kind: Kind::Span, place: Where::Netns,
        what: "the transport's work: finding the socket and queueing the data (udp_rcv, tcp_v4_rcv)",
        measures: &[Measure::Between(&[
            Edge { after: At::In, before: &[At::Ready] },
            Edge { after: At::Pre, before: &[At::Ready] },
            Edge { after: At::Rx, before: &[At::Ready] },
        ])],
    }
    SocketWait {
        key: "socket.wait", label: "wake-up", group: Group::Socket, kind: Kind::Wait, place: Where::Netns,
        what: "in the socket's queue until the process that reads it has been woken and has the data",
        measures: &[Measure::Between(&[
            Edge { after: At::Ready, before: &[At::Copy, At::Recv] },
            Edge { after: At::In, before: &[At::Copy] },
            Edge { after: At::Pre, before: &[At::Copy] },
            Edge { after: At::Rx, before: &[At::Copy] },
        ])],
    }
}

/// For every pair of situations, the hop that the time between them belongs to.
pub const fn edges() -> [[Option<HopId>; At::COUNT]; At::COUNT] {
    let mut map = [[None; At::COUNT]; At::COUNT];
    let mut h = 0;
    while h < HOPS.len() {
        let mut m = 0;
        while m < HOPS[h].measures.len() {
            if let Measure::Between(edges) = &HOPS[h].measures[m] {
                let mut e = 0;
                while e < edges.len() {
                    let mut b = 0;
                    while b < edges[e].before.len() {
                        let cell = &mut map[edges[e].after as usize][edges[e].before[b] as usize];
                        assert!(cell.is_none(), "two hops claim the same pair of points");
                        *cell = Some(HOPS[h].id);
                        b += 1;
                    }
                    e += 1;
                }
            }
            m += 1;
        }
        h += 1;
    }
    map
}

/// The hop that measures hooks of `owner`.
pub const fn of_owner(owner: Owner) -> HopId {
    let mut h = 0;
    while h < HOPS.len() {
        let mut m = 0;
        while m < HOPS[h].measures.len() {
            if let Measure::Hooks(o) = &HOPS[h].measures[m]
                && *o as u8 == owner as u8
            {
                return HOPS[h].id;
            }
            m += 1;
        }
        h += 1;
    }
    panic!("an owner without a hop")
}

const _: [[Option<HopId>; At::COUNT]; At::COUNT] = edges();
const _: () = {
    of_owner(Owner::Conntrack);
    of_owner(Owner::Nat);
    of_owner(Owner::Rules);
    of_owner(Owner::Other);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_the_enum_with_unique_keys() {
        for (i, hop) in HOPS.iter().enumerate() {
            assert_eq!(hop.id as usize, i, "{}", hop.key);
            assert_eq!(HopId::from_key(hop.key), Some(hop.id), "{}", hop.key);
            assert!(!hop.what.is_empty() && !hop.measures.is_empty(), "{}", hop.key);
        }
    }

    #[test]
    fn waiting_is_what_queues_do() {
        for (key, kind) in
            [("qdisc.wait", Kind::Wait), ("handoff", Kind::Wait), ("conntrack", Kind::Span)]
        {
            assert_eq!(HopId::from_key(key).unwrap().info().kind, kind);
        }
    }
}
