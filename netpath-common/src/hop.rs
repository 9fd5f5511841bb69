//! The hop table: what netpath can measure, under which name, and from which probe points.
//!
//! Everything that lists hops derives from [`HOPS`]: programs, attach order, `doctor`, `hops`,
//! labels, JSON keys, the ledger's rules and docs/hops.md.

pub use crate::situation::At;
use crate::{
    group::{GROUPS, Group},
    point::Functions,
};

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

/// The time from any of some situations to the next of others is this hop's.
#[derive(Debug)]
pub struct Edge {
    pub after: &'static [At],
    pub before: &'static [At],
}

/// What else a function's probes write down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// Nothing.
    None,
    /// The hook that it runs in, from its `struct nf_hook_state *`.
    Hook,
    /// The hook, and the address of the rules that it walks.
    Rules(RuleSet),
}

/// What rules stand in, as the kernel keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RuleSet {
    /// `struct xt_table`, of iptables and ip6tables.
    XtTable,
    /// `struct ebt_table`, of ebtables.
    EbtTable,
    /// `struct nft_chain`.
    NftChain,
}

/// Functions whose time, less that of spans inside them, is a hop's.
#[derive(Debug)]
pub struct Span {
    /// They have their arguments in the same places.
    pub functions: Functions,
    pub note: Note,
}

/// A way to measure a hop.
#[derive(Debug)]
pub enum Measure {
    /// Between two points.
    Between(&'static [Edge]),
    /// From a function's entry to its exit.
    Span(Span),
    /// What another hop measures, inside a function of a group.
    Inside { hop: HopId, group: Group },
    /// Between the links before and after the registered hooks of this owner.
    Hooks(Owner),
    /// Where another hop's time would be, and the CPU had left the packet in between: see
    /// [`when_resumed`].
    Resumed,
    /// Between two points, where another hop's time would be, and a filter of the receiving device's ingress
    /// sends packets out of the device that follows: see [`can_be_redirected`].
    Redirected(&'static Edge),
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
    #[inline]
    pub const fn info(self) -> &'static Hop {
        &HOPS[self as usize]
    }

    /// The hop with this key.
    pub fn from_key(key: &str) -> Option<Self> {
        HOPS.iter().find(|h| h.key == key).map(|h| h.id)
    }
}

/// What can follow once a received packet has been routed.
const ROUTED: &[At] = &[At::In, At::Fwd, At::Forwarding, At::Transport];

/// From where to where a packet goes that is redirected on receive.
const REDIRECTED: Edge = Edge { after: &[At::Rx, At::RxPort], before: &[At::Queue] };

hops! {
    SocketSend {
        key: "socket.send", label: "send", group: Group::Socket, kind: Kind::Span, place: Where::Netns,
        what: "the sending process's system call until the packet leaves its socket (udp_sendmsg, tcp_sendmsg; without functions TCP's alone, from Linux 6.17)",
        measures: &[Measure::Between(&[
            Edge { after: &[At::Send], before: &[At::LocalOut, At::Out] },
        ])],
    }
    IpSend {
        key: "ip.send", label: "send", group: Group::Ip, kind: Kind::Span, place: Where::Netns,
        what: "a local packet from its socket to its output routine (ip_local_out, dst_output)",
        measures: &[Measure::Between(&[
            Edge { after: &[At::LocalOut], before: &[At::Out, At::Outputting, At::Post, At::Finishing, At::Queue] },
            Edge { after: &[At::Out], before: &[At::Outputting, At::Post, At::Finishing, At::Queue] },
        ])],
    }
    Conntrack {
        key: "conntrack", label: "track", group: Group::Conntrack, kind: Kind::Span, place: Where::Hook,
        what: "finding the packet's connection, or making an entry for it (nf_conntrack_in)",
        measures: &[
            Measure::Span(Span { functions: &[&["nf_conntrack_in"]], note: Note::Hook }),
            Measure::Hooks(Owner::Conntrack),
        ],
    }
    ConntrackLookup {
        key: "conntrack.lookup", label: "lookup", group: Group::Conntrack, kind: Kind::Span, place: Where::Hook,
        what: "looking the tuple up in the connection table (resolve_normal_ct)",
        measures: &[Measure::Span(Span {
            functions: &[&["resolve_normal_ct", "__nf_conntrack_find_get"]],
            note: Note::None,
        })],
    }
    ConntrackCreate {
        key: "conntrack.create", label: "create", group: Group::Conntrack, kind: Kind::Span, place: Where::Hook,
        what: "making an entry for a connection's first packet (init_conntrack)",
        measures: &[Measure::Span(Span {
            functions: &[&["init_conntrack", "__nf_conntrack_alloc"]],
            note: Note::None,
        })],
    }
    ConntrackConfirm {
        key: "conntrack.confirm", label: "confirm", group: Group::Conntrack, kind: Kind::Span, place: Where::Hook,
        what: "putting a new connection into the table once its first packet got through (nf_confirm, __nf_conntrack_confirm)",
        measures: &[Measure::Span(Span {
            functions: &[&["ipv4_confirm", "nf_confirm", "__nf_conntrack_confirm"], &["ipv6_confirm"]],
            note: Note::Hook,
        })],
    }
    Nat {
        key: "nat", label: "nat", group: Group::Nat, kind: Kind::Span, place: Where::Hook,
        what: "NAT: the mapping is set up on a connection's first packet, every packet is rewritten (nf_nat_inet_fn)",
        measures: &[
            Measure::Span(Span { functions: &[&["nf_nat_inet_fn"]], note: Note::Hook }),
            Measure::Hooks(Owner::Nat),
        ],
    }
    NatSetup {
        key: "nat.setup", label: "set-up", group: Group::Nat, kind: Kind::Span, place: Where::Hook,
        what: "choosing a connection's new addresses and ports (nf_nat_setup_info)",
        measures: &[Measure::Span(Span { functions: &[&["nf_nat_setup_info"]], note: Note::None })],
    }
    NatUnique {
        key: "nat.unique", label: "free tuple", group: Group::Nat, kind: Kind::Span, place: Where::Hook,
        what: "searching for a tuple that no other connection uses (get_unique_tuple)",
        measures: &[Measure::Span(Span { functions: &[&["get_unique_tuple"]], note: Note::None })],
    }
    NatRewrite {
        key: "nat.rewrite", label: "rewrite", group: Group::Nat, kind: Kind::Span, place: Where::Hook,
        what: "writing the new addresses into the headers, and mending checksums (nf_nat_manip_pkt)",
        measures: &[Measure::Span(Span { functions: &[&["nf_nat_manip_pkt"]], note: Note::None })],
    }
    NatCopy {
        key: "nat.copy", label: "copy", group: Group::Nat, kind: Kind::Span, place: Where::Hook,
        what: "copying headers that are shared, before NAT can write to them (pskb_expand_head inside NAT's functions)",
        measures: &[Measure::Inside { hop: HopId::SkbCopy, group: Group::Nat }],
    }
    Rules {
        key: "rules", label: "rules", group: Group::Rules, kind: Kind::Span, place: Where::Hook,
        what: "walking a table's or chain's rules (ipt_do_table, nft_do_chain)",
        measures: &[
            Measure::Span(Span {
                functions: &[&["ipt_do_table"], &["ip6t_do_table"]],
                note: Note::Rules(RuleSet::XtTable),
            }),
            Measure::Span(Span {
                functions: &[&["ebt_do_table"]],
                note: Note::Rules(RuleSet::EbtTable),
            }),
            Measure::Span(Span {
                functions: &[&["nft_do_chain"]],
                note: Note::Rules(RuleSet::NftChain),
            }),
            Measure::Hooks(Owner::Rules),
        ],
    }
    QueuedToUser {
        key: "rules.queue", label: "nfqueue", group: Group::Rules, kind: Kind::Wait, place: Where::Hook,
        what: "queued to a program in user space until its verdict comes back (NFQUEUE, nft queue)",
        measures: &[Measure::Resumed],
    }
    HookOther {
        key: "hook.other", label: "other hook", group: Group::Rules, kind: Kind::Span, place: Where::Hook,
        what: "other netfilter hooks: helpers, security modules, br_netfilter's own",
        measures: &[Measure::Hooks(Owner::Other)],
    }
    IpReceive {
        key: "ip.receive", label: "receive", group: Group::Ip, kind: Kind::Span, place: Where::Device,
        what: "from the softirq's hands to PREROUTING: protocol dispatch and header checks (ip_rcv_core)",
        measures: &[
            Measure::Span(Span { functions: &[&["ip_rcv_core"], &["ip6_rcv_core"]], note: Note::None }),
            Measure::Between(&[Edge { after: &[At::Rx], before: &[At::Pre] }]),
        ],
    }
    RouteInput {
        key: "route.input", label: "lookup", group: Group::Routing, kind: Kind::Span, place: Where::Netns,
        what: "route lookup of a received packet (ip_route_input_noref, ip6_route_input)",
        measures: &[Measure::Span(Span {
            functions: &[&["ip_route_input_noref"], &["ip6_route_input"]],
            note: Note::None,
        })],
    }
    IpRoute {
        key: "ip.route", label: "route", group: Group::Routing, kind: Kind::Span, place: Where::Netns,
        what: "from receive to the packet's handler: route lookup where it is not seen apart, local delivery or forwarding (ip_rcv_finish)",
        measures: &[Measure::Between(&[
            Edge { after: &[At::Pre, At::Rx], before: ROUTED },
            Edge { after: &[At::In], before: &[At::Transport] },
        ])],
    }
    Reassembly {
        key: "ip.reassembly", label: "reassembly", group: Group::Ip, kind: Kind::Wait, place: Where::Netns,
        what: "a fragment from its receipt until it is one packet with the others: what the other fragments take to arrive, and putting them together (ip_defrag)",
        measures: &[Measure::Between(&[Edge { after: &[At::Rx, At::RxPort, At::Pre, At::In], before: &[At::Joined] }])],
    }
    IpForward {
        key: "ip.forward", label: "forward", group: Group::Ip, kind: Kind::Span, place: Where::Netns,
        what: "forwarding: TTL, FORWARD hook, until the output routine (ip_forward, ip_forward_finish)",
        measures: &[Measure::Between(&[
            Edge { after: &[At::Forwarding], before: &[At::Fwd, At::Outputting, At::Post, At::Queue] },
            Edge { after: &[At::Fwd], before: &[At::Outputting, At::Post, At::Queue] },
            Edge { after: &[At::Pre, At::Rx], before: &[At::Outputting, At::Post, At::Queue] },
        ])],
    }
    IpOutput {
        key: "ip.output", label: "output", group: Group::Ip, kind: Kind::Span, place: Where::Netns,
        what: "from the output routine to the device: POSTROUTING hook, fragmentation, and what is not seen apart of neighbour and confirm (ip_output, ip_finish_output)",
        measures: &[Measure::Between(&[
            Edge { after: &[At::Outputting], before: &[At::Post, At::Finishing, At::Queue] },
            Edge { after: &[At::Post], before: &[At::Finishing, At::Queue] },
        ])],
    }
    SkbCopy {
        key: "ip.copy", label: "copy", group: Group::Ip, kind: Kind::Span, place: Where::Netns,
        what: "copying headers that are shared, or making room before them, where the packet is changed or gets a longer link header (pskb_expand_head)",
        measures: &[Measure::Span(Span { functions: &[&["pskb_expand_head"]], note: Note::None })],
    }
    Neighbour {
        key: "ip.neighbour", label: "neighbour", group: Group::Ip, kind: Kind::Span, place: Where::Netns,
        what: "finding the next hop's link address, and writing the link header (ip_finish_output2)",
        measures: &[Measure::Between(&[
            Edge { after: &[At::Finishing], before: &[At::Queue, At::NeighQueue] },
        ])],
    }
    NeighbourWait {
        key: "ip.neighbour.wait", label: "address wait", group: Group::Ip, kind: Kind::Wait, place: Where::Netns,
        what: "waiting until ARP or neighbour discovery has found the next hop's link address",
        measures: &[Measure::Between(&[
            Edge { after: &[At::NeighQueue], before: &[At::Queue] },
        ])],
    }
    Bridge {
        key: "bridge", label: "forwarding", group: Group::Bridge, kind: Kind::Span, place: Where::Device,
        what: "the bridge: forwarding table, and what is not seen apart of br_netfilter, passing up or on (br_handle_frame)",
        measures: &[Measure::Between(&[
            Edge {
                after: &[At::RxPort],
                before: &[At::BrNf, At::BrUp, At::BrForward, At::BrFlood, At::Rx, At::Queue, At::BrPre, At::BrFwd, At::BrPost],
            },
            Edge { after: &[At::BrPre], before: &[At::BrUp, At::BrForward, At::BrFlood, At::Rx, At::Queue, At::BrFwd, At::BrPost] },
            Edge { after: &[At::BrFwd], before: &[At::BrPost, At::Queue] },
            Edge { after: &[At::BrPost], before: &[At::Queue] },
            Edge { after: &[At::StartBridge], before: &[At::BrForward, At::BrFlood, At::Queue, At::Xmit, At::BrPost] },
        ])],
    }
    BridgeNetfilter {
        key: "bridge.netfilter", label: "br_netfilter", group: Group::Bridge, kind: Kind::Span, place: Where::Device,
        what: "taking a bridged frame to the IP hooks and back (br_nf_pre_routing), less what runs in them",
        measures: &[Measure::Between(&[
            Edge { after: &[At::BrNf], before: &[At::BrPre, At::BrUp, At::BrForward, At::BrFlood, At::Rx, At::Queue] },
        ])],
    }
    BridgeUp {
        key: "bridge.up", label: "up", group: Group::Bridge, kind: Kind::Span, place: Where::Device,
        what: "from the bridge to its own host (br_pass_frame_up)",
        measures: &[Measure::Between(&[
            Edge { after: &[At::BrUp], before: &[At::Rx] },
        ])],
    }
    BridgeForward {
        key: "bridge.forward", label: "out of a port", group: Group::Bridge, kind: Kind::Span, place: Where::Device,
        what: "from the bridge to one of its ports (__br_forward, br_dev_queue_push_xmit)",
        measures: &[Measure::Between(&[
            Edge { after: &[At::BrForward], before: &[At::BrFwd, At::BrPost, At::Queue] },
        ])],
    }
    BridgeFlood {
        key: "bridge.flood", label: "flood", group: Group::Bridge, kind: Kind::Span, place: Where::Device,
        what: "copying a frame to every port, its address being unknown (br_flood)",
        measures: &[Measure::Between(&[
            Edge { after: &[At::BrFlood], before: &[At::BrForward, At::Queue] },
        ])],
    }
    QdiscEnqueue {
        key: "qdisc.enqueue", label: "enqueue", group: Group::Qdisc, kind: Kind::Span, place: Where::Device,
        what: "classification, and the qdisc's enqueue (__dev_queue_xmit to qdisc_enqueue), less what is seen apart of waiting for its lock",
        measures: &[Measure::Between(&[
            Edge { after: &[At::Queue], before: &[At::Enqueue] },
        ])],
    }
    // Lies within the one above, or within others: its marks end no hop, they interrupt one.
    QdiscLock {
        key: "qdisc.lock", label: "lock", group: Group::Qdisc, kind: Kind::Wait, place: Where::Device,
        what: "before the enqueue, waiting for the qdisc's lock while another CPU has it (native_queued_spin_lock_slowpath; by tracepoint, from Linux 5.19, and on bare metal a lock's first waiter is not seen by it), or for that CPU to take the packet over (Linux 6.19)",
        measures: &[Measure::Between(&[
            Edge { after: &[At::Lock], before: &[At::Locked] },
        ])],
    }
    QdiscWait {
        key: "qdisc.wait", label: "queue", group: Group::Qdisc, kind: Kind::Wait, place: Where::Device,
        what: "waiting in the qdisc",
        measures: &[Measure::Between(&[
            Edge { after: &[At::Enqueue], before: &[At::Dequeue, At::Direct, At::Start, At::StartBridge] },
            Edge { after: &[At::Xmit], before: &[At::Dequeue, At::Direct, At::Start] },
        ])],
    }
    QdiscSend {
        key: "qdisc.send", label: "send", group: Group::Qdisc, kind: Kind::Span, place: Where::Device,
        what: "from the qdisc to the driver: checks, checksums, the driver's lock (sch_direct_xmit)",
        measures: &[Measure::Between(&[
            Edge { after: &[At::Dequeue], before: &[At::Direct, At::Start, At::StartBridge] },
            Edge { after: &[At::Direct], before: &[At::Start, At::StartBridge] },
        ])],
    }
    QdiscBypass {
        key: "qdisc.bypass", label: "bypass", group: Group::Qdisc, kind: Kind::Span, place: Where::Device,
        what: "past an empty qdisc that lets packets bypass it (__dev_xmit_skb)",
        measures: &[Measure::Between(&[
            Edge { after: &[At::Queue], before: &[At::Direct] },
        ])],
    }
    QdiscNone {
        key: "qdisc.none", label: "none", group: Group::Qdisc, kind: Kind::Span, place: Where::Device,
        what: "transmit with no queue: noqueue, or a bypass that is not seen apart (__dev_queue_xmit)",
        measures: &[Measure::Between(&[
            Edge { after: &[At::Queue], before: &[At::Start, At::StartBridge] },
        ])],
    }
    Redirect {
        key: "tc.redirect", label: "redirect", group: Group::Qdisc, kind: Kind::Span, place: Where::Device,
        what: "from receive to the transmit side of another device, to which a filter of this one's ingress redirects (tc's mirred), past bridge and IP",
        measures: &[Measure::Redirected(&REDIRECTED)],
    }
    GsoSegment {
        key: "gso.segment", label: "segment", group: Group::GroGso, kind: Kind::Span, place: Where::Device,
        what: "cutting a large packet into segments in software (__skb_gso_segment)",
        measures: &[Measure::Span(Span { functions: &[&["__skb_gso_segment"]], note: Note::None })],
    }
    Device {
        key: "device", label: "driver", group: Group::Device, kind: Kind::Span, place: Where::Device,
        what: "the device's driver (veth_xmit, tun, macvlan, vxlan, a NIC's ndo_start_xmit)",
        measures: &[Measure::Between(&[
            Edge {
                after: &[At::Start],
                before: &[At::NetifRx, At::Xmit, At::Queue, At::Rx, At::RxPort, At::LocalOut, At::Out, At::Outputting, At::Post],
            },
            Edge { after: &[At::Rx], before: &[At::Rx] },
        ])],
    }
    Handoff {
        key: "handoff", label: "softirq", group: Group::Handoff, kind: Kind::Wait, place: Where::Device,
        what: "waiting on a CPU's backlog until its softirq takes the packet up (enqueue_to_backlog to process_backlog)",
        measures: &[Measure::Between(&[
            Edge { after: &[At::NetifRx], before: &[At::Rx, At::RxPort] },
        ])],
    }
    DeviceWait {
        key: "handoff.device", label: "device queue", group: Group::Handoff, kind: Kind::Wait, place: Where::Device,
        what: "in the device's own queue until its NAPI thread or softirq, its tasklet or worker takes the packet up (veth with GRO or XDP, IFB); with the driver's work where its return is not seen",
        measures: &[Measure::Between(&[
            Edge { after: &[At::Start], before: &[At::Gro] },
            Edge { after: &[At::Xmit], before: &[At::Gro, At::Queue, At::Rx, At::RxPort] },
        ])],
    }
    Interrupted {
        key: "handoff.interrupted", label: "interrupted", group: Group::Handoff, kind: Kind::Wait, place: Where::Netns,
        what: "the CPU left the packet in the midst of its way and did something else first: an interrupt's packets, another process",
        measures: &[Measure::Resumed],
    }
    TapWait {
        key: "handoff.tap", label: "tap", group: Group::Handoff, kind: Kind::Wait, place: Where::Device,
        what: "in a tap's or tun's queue until the process behind it (QEMU for a guest, vhost-net, a VPN) has been woken and reads it (tun_net_xmit to tun_do_read)",
        measures: &[Measure::Between(&[
            Edge { after: &[At::Start, At::Xmit], before: &[At::Copy] },
        ])],
    }
    Gro {
        key: "gro", label: "gro", group: Group::GroGso, kind: Kind::Wait, place: Where::Device,
        what: "held by GRO for more segments, and batched (napi_gro_receive)",
        measures: &[Measure::Between(&[
            Edge { after: &[At::Gro], before: &[At::Rx, At::RxPort, At::NetifRx, At::Joined] },
        ])],
    }
    SocketReceive {
        key: "socket.receive", label: "receive", group: Group::Socket, kind: Kind::Span, place: Where::Netns,
        what: "the transport's work: finding the socket and queueing the data (udp_rcv, tcp_v4_rcv)",
        measures: &[Measure::Between(&[
            Edge { after: &[At::Transport, At::In, At::Pre, At::Rx], before: &[At::Ready] },
        ])],
    }
    SocketWait {
        key: "socket.wait", label: "wake-up", group: Group::Socket, kind: Kind::Wait, place: Where::Netns,
        what: "in the socket's queue until the process that reads it has been woken and has the data",
        measures: &[Measure::Between(&[
            Edge { after: &[At::Ready, At::Transport, At::In, At::Pre, At::Rx], before: &[At::Copy, At::Recv] },
        ])],
    }
    SocketCopy {
        key: "socket.copy", label: "copy", group: Group::Socket, kind: Kind::Span, place: Where::Netns,
        what: "copying the data to the process that reads it, until its call returns from the socket (skb_copy_datagram_iter to sock_recvmsg)",
        measures: &[Measure::Between(&[
            Edge { after: &[At::Copy], before: &[At::Recv] },
        ])],
    }
}

const fn claim(map: &mut [[Option<HopId>; At::COUNT]; At::COUNT], hop: HopId, edge: &Edge) {
    let mut a = 0;
    while a < edge.after.len() {
        let mut b = 0;
        while b < edge.before.len() {
            let cell = &mut map[edge.after[a] as usize][edge.before[b] as usize];
            assert!(cell.is_none(), "two hops claim the same pair of situations");
            *cell = Some(hop);
            b += 1;
        }
        a += 1;
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
                    claim(&mut map, HOPS[h].id, &edges[e]);
                    e += 1;
                }
            }
            m += 1;
        }
        h += 1;
    }
    map
}

/// The hop that time of `hop` belongs to inside a function of `group`.
pub const fn inside(hop: HopId, group: Group) -> HopId {
    match INSIDE[hop as usize][group as usize] {
        Some(inner) => inner,
        None => hop,
    }
}

/// For every hop and group, the hop that the time inside such a group's function belongs to, where it is another.
const INSIDE: [[Option<HopId>; GROUPS.len()]; HOPS.len()] = {
    let mut inside = [[None; GROUPS.len()]; HOPS.len()];
    let mut h = 0;
    while h < HOPS.len() {
        let mut m = 0;
        while m < HOPS[h].measures.len() {
            if let Measure::Inside { hop, group } = &HOPS[h].measures[m] {
                inside[*hop as usize][*group as usize] = Some(HOPS[h].id);
            }
            m += 1;
        }
        h += 1;
    }
    inside
};

/// Whether a packet that was redirected on receive goes from the one to the other.
pub const fn can_be_redirected(after: At, before: At) -> bool {
    FROM_REDIRECT >> after as u8 & TO_REDIRECT >> before as u8 & 1 != 0
}

/// The situations of [`REDIRECTED`], as bits.
const FROM_REDIRECT: u64 = bits_of(REDIRECTED.after);
const TO_REDIRECT: u64 = bits_of(REDIRECTED.before);

const fn bits_of(set: &[At]) -> u64 {
    let (mut bits, mut i) = (0, 0);
    while i < set.len() {
        bits |= 1 << set[i] as u8;
        i += 1;
    }
    bits
}

/// Whose the time is that would be `hop`'s, when the CPU had left the packet before it came to `before`.
pub const fn when_resumed(hop: HopId, before: At) -> HopId {
    match hop {
        HopId::Rules | HopId::HookOther => HopId::QueuedToUser,
        HopId::IpSend | HopId::IpForward | HopId::IpOutput | HopId::Neighbour
            if matches!(before, At::Queue) =>
        {
            HopId::NeighbourWait
        }
        _ => match hop.info().kind {
            Kind::Wait => hop,
            Kind::Span => HopId::Interrupted,
        },
    }
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
