//! The counters that netpath knows: where they are kept, what they mean, whether they count a loss, and
//! which of netpath's own counts stands beside them. One row a counter; what has none is reported as the
//! kernel has it.
//!
//! netpath's own count is of packets that it has seen thrown away for a reason (`enum skb_drop_reason`),
//! or pass a device. The kernel counts for the whole namespace, netpath for this path, so that the
//! kernel's is as large or larger: [`Beside::Within`]. Where one of the two counts something else (a
//! queue of fragments, and each fragment), they stand side by side and are not compared:
//! [`Beside::Apart`].

use netpath_common::{
    hop::{At, HopId},
    point::Hook,
};

use crate::packet::{ICMP, TCP, UDP};

/// What a counter is counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::snapshot) enum Scope {
    /// A namespace.
    Netns,
    /// A device of the path.
    Device,
    /// The root qdisc of a device of the path.
    Qdisc,
    /// All namespaces together.
    Machine,
}

/// What can be said of the two counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::snapshot) enum Beside {
    /// Every packet of netpath's is one of the kernel's.
    Within,
    /// They need not be the same.
    Apart,
}

/// netpath's own count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::snapshot) enum Own {
    /// It has none.
    None,
    /// Packets that were thrown away.
    Freed(Selector),
    /// Packets that a device has handed up.
    Received,
    /// Packets that a device was given to send.
    Sent,
}

/// Which of the packets that were thrown away.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::snapshot) struct Selector {
    /// `enum skb_drop_reason`, without its prefix.
    pub(in crate::snapshot) reasons: &'static [&'static str],
    /// IP protocol number; none for all, also of packets that are not IP.
    pub(in crate::snapshot) protocol: Option<u8>,
    pub(in crate::snapshot) family: Option<Family>,
    /// In one of these parts of a hook; empty for all.
    pub(in crate::snapshot) hops: &'static [HopId],
    /// In one of these hooks; empty for all.
    pub(in crate::snapshot) hooks: &'static [Hook],
    /// Or in no part that is known, but after one of these: what comes behind a hook's last link.
    pub(in crate::snapshot) after: &'static [At],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::snapshot) enum Family {
    V4,
    V6,
}

/// A counter.
#[derive(Clone, Copy, Debug)]
pub(in crate::snapshot) struct Row {
    pub(in crate::snapshot) scope: Scope,
    /// As in the report.
    pub(in crate::snapshot) name: &'static str,
    /// What it counts.
    pub(in crate::snapshot) what: &'static str,
    /// It counts packets that somebody wanted, and that did not get there.
    pub(in crate::snapshot) loss: bool,
    pub(in crate::snapshot) own: Own,
    pub(in crate::snapshot) beside: Beside,
    /// Other counters of the same place that the kernel may have counted such a packet in instead.
    pub(in crate::snapshot) or: &'static [&'static str],
}

const fn row(scope: Scope, name: &'static str, what: &'static str) -> Row {
    Row { scope, name, what, loss: false, own: Own::None, beside: Beside::Apart, or: &[] }
}

const fn netns(name: &'static str, what: &'static str) -> Row {
    row(Scope::Netns, name, what)
}

const fn device(name: &'static str, what: &'static str) -> Row {
    row(Scope::Device, name, what)
}

const fn freed(reasons: &'static [&'static str]) -> Selector {
    Selector { reasons, protocol: None, family: None, hops: &[], hooks: &[], after: &[] }
}

impl Selector {
    const fn of(self, protocol: u8) -> Self {
        Self { protocol: Some(protocol), ..self }
    }

    const fn v4(self) -> Self {
        Self { family: Some(Family::V4), ..self }
    }

    const fn v6(self) -> Self {
        Self { family: Some(Family::V6), ..self }
    }

    const fn tracking(self, hooks: &'static [Hook]) -> Self {
        const TRACKING: &[HopId] = &[
            HopId::Conntrack,
            HopId::ConntrackLookup,
            HopId::ConntrackCreate,
            HopId::ConntrackConfirm,
        ];
        // Confirming is a hook's last function, behind any link.
        Self { hops: TRACKING, hooks, after: &[At::Post, At::In], ..self }
    }
}

impl Row {
    const fn loss(self) -> Self {
        Self { loss: true, ..self }
    }

    const fn within(self, selector: Selector) -> Self {
        Self { own: Own::Freed(selector), beside: Beside::Within, ..self }
    }

    const fn apart(self, selector: Selector) -> Self {
        Self { own: Own::Freed(selector), beside: Beside::Apart, ..self }
    }

    const fn passing(self, own: Own) -> Self {
        Self { own, beside: Beside::Within, ..self }
    }

    const fn or(self, or: &'static [&'static str]) -> Self {
        Self { or, ..self }
    }
}

/// All counters that are known. Of what is a part of another one, only the part is a loss.
pub(in crate::snapshot) const COUNTERS: &[Row] = &[
    // IP.
    netns("IpInReceives", "IPv4 packets received"),
    netns("IpInDelivers", "IPv4 packets handed to their protocol"),
    netns("IpForwDatagrams", "IPv4 packets forwarded"),
    netns("IpOutRequests", "IPv4 packets sent by local sockets"),
    netns("IpInHdrErrors", "IPv4 packets with a bad header, or whose TTL ran out")
        .loss()
        .within(freed(&["IP_INHDR", "IP_CSUM"]).v4()),
    netns("IpInAddrErrors", "IPv4 packets for somebody else, where forwarding is off")
        .loss()
        .within(freed(&["IP_INADDRERRORS"]).v4()),
    netns("IpInUnknownProtos", "IPv4 packets of a protocol that nobody handles")
        .loss()
        .within(freed(&["IP_NOPROTO"]).v4()),
    netns("IpInDiscards", "IPv4 packets thrown away for want of memory").loss(),
    netns("IpOutDiscards", "IPv4 packets that could not be sent, for want of room or memory")
        .loss(),
    netns("IpOutNoRoutes", "IPv4 packets without a route to send them by")
        .loss()
        .within(freed(&["IP_OUTNOROUTES"]).v4()),
    netns("IpExtInNoRoutes", "IPv4 packets without a route to forward them by")
        .loss()
        .within(freed(&["IP_INNOROUTES"]).v4()),
    netns("IpExtInTruncatedPkts", "IPv4 packets shorter than their header says").loss(),
    netns("IpExtInCsumErrors", "IPv4 headers with a wrong checksum")
        .within(freed(&["IP_CSUM"]).v4()),
    netns("IpReasmReqds", "IPv4 fragments that were to be put together"),
    netns("IpReasmOKs", "IPv4 packets put together from fragments"),
    netns("IpReasmFails", "IPv4 packets that could not be put together").loss(),
    netns("IpReasmTimeout", "IPv4 packets whose other fragments did not come in time")
        .apart(freed(&["FRAG_REASM_TIMEOUT"]).v4()),
    netns("IpFragOKs", "IPv4 packets cut into fragments"),
    netns("IpFragCreates", "IPv4 fragments made"),
    netns("IpFragFails", "IPv4 packets too large for the next device that must not be cut")
        .loss()
        .apart(freed(&["PKT_TOO_BIG"]).v4()),
    netns("TcpExtIPReversePathFilter", "IPv4 packets that rp_filter refused")
        .loss()
        .within(freed(&["IP_RPFILTER"]).v4()),
    netns("Ip6InReceives", "IPv6 packets received"),
    netns("Ip6InHdrErrors", "IPv6 packets with a bad header, or whose hop limit ran out").loss(),
    netns("Ip6InAddrErrors", "IPv6 packets for an address that is none of theirs").loss(),
    netns("Ip6InNoRoutes", "IPv6 packets without a route to forward them by").loss(),
    netns("Ip6OutNoRoutes", "IPv6 packets without a route to send them by").loss(),
    netns("Ip6InTooBigErrors", "IPv6 packets too large for the next device").loss(),
    netns("Ip6InDiscards", "IPv6 packets thrown away"),
    netns("Ip6OutDiscards", "IPv6 packets that could not be sent").loss(),
    netns("Ip6ReasmFails", "IPv6 packets that could not be put together").loss(),
    netns("Ip6ReasmTimeout", "IPv6 packets whose other fragments did not come in time")
        .apart(freed(&["FRAG_REASM_TIMEOUT"]).v6()),
    netns("Ip6FragFails", "IPv6 packets too large for the next device"),
    // ICMP.
    netns("IcmpInCsumErrors", "ICMP messages with a wrong checksum")
        .loss()
        .within(freed(&["ICMP_CSUM"]).of(ICMP)),
    // UDP.
    netns("UdpInDatagrams", "IPv4 datagrams read by their programs"),
    netns("UdpOutDatagrams", "IPv4 datagrams sent"),
    netns("UdpInErrors", "IPv4 datagrams lost for any of the reasons below"),
    netns("UdpNoPorts", "IPv4 datagrams for a port on which nobody listens")
        .within(freed(&["NO_SOCKET"]).of(UDP).v4()),
    netns("UdpRcvbufErrors", "IPv4 datagrams that found their socket's receive buffer full")
        .loss()
        .within(freed(&["SOCKET_RCVBUFF"]).of(UDP).v4()),
    netns("UdpMemErrors", "IPv4 datagrams beyond what UDP may use of memory (udp_mem)")
        .loss()
        .within(freed(&["PROTO_MEM"]).of(UDP).v4()),
    netns("UdpSndbufErrors", "IPv4 datagrams that their sender's buffer or queue did not take")
        .loss(),
    netns("UdpInCsumErrors", "IPv4 datagrams with a wrong checksum")
        .loss()
        .within(freed(&["UDP_CSUM"]).of(UDP).v4()),
    netns("UdpIgnoredMulti", "IPv4 multicast datagrams that nobody listens to"),
    netns("Udp6InDatagrams", "IPv6 datagrams read by their programs"),
    netns("Udp6NoPorts", "IPv6 datagrams for a port on which nobody listens")
        .within(freed(&["NO_SOCKET"]).of(UDP).v6()),
    netns("Udp6RcvbufErrors", "IPv6 datagrams that found their socket's receive buffer full")
        .loss()
        .within(freed(&["SOCKET_RCVBUFF"]).of(UDP).v6()),
    netns("Udp6MemErrors", "IPv6 datagrams beyond what UDP may use of memory (udp_mem)")
        .loss()
        .within(freed(&["PROTO_MEM"]).of(UDP).v6()),
    netns("Udp6SndbufErrors", "IPv6 datagrams that their sender's buffer or queue did not take")
        .loss(),
    netns("Udp6InCsumErrors", "IPv6 datagrams with a wrong checksum")
        .loss()
        .within(freed(&["UDP_CSUM"]).of(UDP).v6()),
    // TCP, of both families.
    netns("TcpInSegs", "TCP segments received"),
    netns("TcpOutSegs", "TCP segments sent, those that were sent again left out"),
    netns("TcpRetransSegs", "TCP segments sent again"),
    netns("TcpOutRsts", "TCP resets sent"),
    netns("TcpInCsumErrors", "TCP segments with a wrong checksum")
        .loss()
        .within(freed(&["TCP_CSUM"]).of(TCP)),
    netns("TcpExtListenOverflows", "connections that a listener's full queue did not take").loss(),
    netns("TcpExtListenDrops", "SYNs and connections that a listener threw away, for any reason"),
    netns(
        "TcpExtTCPReqQFullDrop",
        "SYNs that a listener's full queue of half-open connections did not take",
    )
    .loss(),
    netns(
        "TcpExtTCPReqQFullDoCookies",
        "SYNs answered by a cookie: the queue of half-open connections is full",
    ),
    netns("TcpExtTCPSynRetrans", "SYNs and SYN-ACKs sent again"),
    netns("TcpExtTCPTimeouts", "TCP timers that ran out, so that segments were sent again"),
    netns("TcpExtTCPLostRetransmit", "segments sent again that were lost once more"),
    netns("TcpExtTCPFastRetrans", "segments sent again because later ones had been acknowledged"),
    netns("TcpExtTCPLossProbes", "last segments sent again to find out whether they were lost"),
    netns("TcpExtTCPSpuriousRTOs", "segments sent again that had not been lost"),
    netns("TcpExtTCPBacklogDrop", "segments beyond what may wait while a program has the socket")
        .loss()
        .within(freed(&["SOCKET_BACKLOG"]).of(TCP)),
    netns("TcpExtTCPRcvQDrop", "segments that found no room in the receive queue")
        .loss()
        .within(freed(&["PROTO_MEM"]).of(TCP))
        .or(&["TcpExtTCPOFODrop"]),
    netns("TcpExtTCPOFODrop", "segments out of order that found no room").loss(),
    netns("TcpExtTCPZeroWindowDrop", "segments that came though the window was closed")
        .loss()
        .within(freed(&["TCP_ZEROWINDOW"]).of(TCP)),
    netns("TcpExtTCPMinTTLDrop", "segments below the TTL that the socket asks for")
        .loss()
        .within(freed(&["TCP_MINTTL"]).of(TCP)),
    netns("TcpExtRcvPruned", "segments thrown away because the receive buffer was full").loss(),
    netns("TcpExtOfoPruned", "segments out of order thrown away to make room").loss(),
    netns("TcpExtTCPAbortOnMemory", "connections ended for want of memory"),
    // Connection tracking.
    netns("nf_conntrack.insert_failed", "new connections that could not be entered into the table")
        .loss()
        .within(freed(&["NETFILTER_DROP"]).tracking(&[Hook::Postrouting, Hook::Input]))
        .or(&["nf_conntrack.drop"]),
    netns(
        "nf_conntrack.drop",
        "packets that connection tracking threw away; those of insert_failed too",
    )
    .within(freed(&["NETFILTER_DROP"]).tracking(&[]))
    .or(&["nf_conntrack.insert_failed"]),
    netns("nf_conntrack.early_drop", "entries thrown out to make room"),
    netns("nf_conntrack.chaintoolong", "new connections refused because their chain was too long")
        .loss(),
    netns("nf_conntrack.invalid", "packets that belong to no connection"),
    // Devices.
    device("rx_packets", "packets received").passing(Own::Received),
    device("tx_packets", "packets sent").passing(Own::Sent).or(&["tx_dropped"]),
    device("rx_errors", "bad packets received").loss(),
    device("tx_errors", "packets that could not be sent").loss(),
    device(
        "rx_dropped",
        "packets received and thrown away, most often of protocols that nobody handles",
    )
    .apart(freed(&["UNHANDLED_PROTO", "CPU_BACKLOG"])),
    device("tx_dropped", "packets that the driver threw away").loss().apart(freed(&["FULL_RING"])),
    device("rx_missed_errors", "packets that found no room in the device's ring").loss(),
    device("rx_fifo_errors", "packets lost in the device's own queue"),
    device("rx_over_errors", "packets too large or too fast for the device"),
    device("rx_otherhost_dropped", "frames for another host's address")
        .apart(freed(&["OTHERHOST"])),
    row(Scope::Qdisc, "qdisc.packets", "packets that the qdisc has let through"),
    row(Scope::Qdisc, "qdisc.drops", "packets that the qdisc threw away").loss().within(freed(&[
        "QDISC_DROP",
        "QDISC_OVERLIMIT",
        "QDISC_CONGESTED",
    ])),
    row(Scope::Qdisc, "qdisc.overlimits", "times that a packet had to wait for its rate"),
    row(Scope::Qdisc, "qdisc.requeues", "times that the device did not take a packet"),
    // Of the whole machine.
    row(Scope::Machine, "softnet.dropped", "packets that found a CPU's backlog full")
        .loss()
        .within(freed(&["CPU_BACKLOG"])),
    row(Scope::Machine, "softnet.time_squeeze", "softirqs that ran out of budget"),
    row(Scope::Machine, "arp_cache.res_failed", "IPv4 neighbours whose link address was not found"),
    row(
        Scope::Machine,
        "ndisc_cache.res_failed",
        "IPv6 neighbours whose link address was not found",
    ),
    row(
        Scope::Machine,
        "arp_cache.unresolved_discards",
        "packets beyond what may wait for a link address",
    )
    .apart(freed(&["NEIGH_QUEUEFULL"]).v4()),
    row(
        Scope::Machine,
        "ndisc_cache.unresolved_discards",
        "packets beyond what may wait for a link address",
    )
    .apart(freed(&["NEIGH_QUEUEFULL"]).v6()),
    row(Scope::Machine, "arp_cache.table_fulls", "IPv4 neighbours that found the table full"),
    row(Scope::Machine, "ndisc_cache.table_fulls", "IPv6 neighbours that found the table full"),
];
