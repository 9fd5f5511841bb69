//! Probe points: the places in the kernel where a timestamp is taken.
//!
//! Three kinds share one number space, the `point` of a wire event:
//! - points ([`POINTS`]): a packet passes; served by a tracepoint or by a function's entry;
//! - links ([`HOOK_SLOT`]): a netfilter BPF link; which slot of which hook stands in the event's
//!   `aux`, see [`HookAux`];
//! - spans ([`crate::span`]): a function's entry and exit.

pub use crate::netfilter::{
    CT_UNREPLIED, Family, HOOK_ENTRIES, HOOK_LISTS, HOOK_SLOTS, Hook, HookAux, HookEntry, HookList,
    IP_CT_IS_REPLY, IP_CT_NEW, IPS_CONFIRMED,
};
use crate::situation::At;

/// What a program needs of a probe point's arguments. Positions are found in BTF, by type or name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// The first argument that is a pointer to this struct. For `sk_buff`, one that leads to it
    /// will do: see [`ArgPos`].
    Pointer(&'static str),
    /// A number: its name among a function's parameters, its position among a tracepoint's.
    Number { name: &'static str, position: u8 },
    /// What the function returns, a pointer to this struct.
    Returned(&'static str),
}

const SKB: Want = Want::Pointer("sk_buff");
const DEV: Want = Want::Pointer("net_device");
const QDISC: Want = Want::Pointer("Qdisc");
const SK: Want = Want::Pointer("sock");

/// What a point's program reads, and how the packet can be known there. Each has a function of the
/// same name in `netpath-ebpf/src/point.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Leaves a local socket: the packet is born here.
    LocalOut,
    /// The same, before its IPv6 header is built: its addresses are the flow's.
    FlowOut,
    /// On its way out: the device is the skb's, headers are found by their offsets.
    Sending,
    /// On its way in: the device is the skb's, the network header is at `skb->data`.
    Receiving,
    /// The same, and nothing has been seen of the packet before.
    Arriving,
    /// On its way in, and IP has checked its header: the function returns it, or the clone with which IP
    /// goes on because others have the packet, too; NULL where it is refused.
    Checked,
    /// Handed to the driver of a device.
    Starting,
    /// The driver has returned. The skb may be gone.
    Transmitted,
    /// This CPU begins to wait for a spinlock; about the packet that it has at hand.
    Contended,
    /// It has got it.
    Acquired,
    /// Entered a qdisc.
    Enqueued,
    /// Left a qdisc; the skb may be NULL.
    Dequeued,
    /// Passes, and nothing more is read.
    Passing,
    /// Passes, on the skb's device.
    PassingOn,
    /// Waits to be sent by the skb's device; the skb may be NULL.
    Destined,
    /// Put on a CPU's backlog.
    Backlogged,
    /// Put into this socket's queue, of which the packet is known from the event before.
    Ready,
    /// A process has received from this socket; about no packet by itself.
    Received,
    /// Its data goes to user space.
    Copied,
    /// Freed after use.
    Consumed,
    /// Freed because it was dropped.
    Dropped,
    /// A process begins to send; there is no packet yet.
    SendBegins,
    /// A CPU goes idle, or leaves idle; about no packet.
    Idling,
}

impl Body {
    /// The arguments, in the order in which the program asks for them.
    pub const fn wants(self) -> &'static [Want] {
        const fn number(name: &'static str, position: u8) -> Want {
            Want::Number { name, position }
        }
        match self {
            Self::LocalOut => &[SKB, Want::Pointer("net")],
            Self::FlowOut => &[SKB, SK, Want::Pointer("flowi6")],
            Self::Sending
            | Self::Receiving
            | Self::Arriving
            | Self::Passing
            | Self::PassingOn
            | Self::Destined
            | Self::Consumed => &[SKB],
            Self::Checked => &[Want::Returned("sk_buff")],
            Self::Starting => &[SKB, DEV],
            Self::Transmitted => &[SKB, DEV, const { number("rc", 1) }],
            Self::Contended => &[const { number("lock", 0) }],
            Self::Acquired => &[],
            Self::Enqueued | Self::Dequeued => &[SKB, QDISC],
            Self::Backlogged => &[SKB, const { number("cpu", 1) }],
            Self::Ready | Self::SendBegins => &[SK],
            Self::Received => &[SK, const { number("ret", 1) }, const { number("flags", 2) }],
            Self::Copied => &[SKB, const { number("len", 1) }],
            Self::Dropped => &[SKB, const { number("reason", 2) }, const { number("location", 1) }],
            Self::Idling => &[const { number("state", 0) }],
        }
    }

    /// Whether the event's argument is a device.
    #[inline]
    pub const fn names_device(self) -> bool {
        matches!(
            self,
            Self::LocalOut
                | Self::FlowOut
                | Self::Sending
                | Self::Receiving
                | Self::Arriving
                | Self::Checked
                | Self::PassingOn
                | Self::Destined
                | Self::Starting
                | Self::Transmitted
                | Self::Backlogged
        )
    }

    /// Whether functions are probed where they return.
    pub const fn on_return(self) -> bool {
        matches!(self, Self::Acquired | Self::Checked)
    }
}

/// Arguments that a program asks for at most.
pub const ARGS: usize = 4;

/// Where an argument stands, as the programs are told it in a read-only global: the position, or
/// [`ArgPos::NONE`]; for the sk_buff, a mark above it says what the argument really is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgPos;

impl ArgPos {
    /// There is no such argument.
    pub const NONE: u8 = 0xff;
    /// The position's bits.
    pub const MASK: u8 = 0x0f;
    /// It is a `struct sk_buff **`.
    pub const INDIRECT: u8 = 0x10;
    /// It is a `struct nft_pktinfo *`, which holds the sk_buff and the hook's state.
    pub const PKTINFO: u8 = 0x20;
}

/// Functions that serve a point: all of them, each by the first of its names that the kernel has.
pub type Functions = &'static [&'static [&'static str]];

/// Which source is taken where both are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefer {
    /// The tracepoint: it needs no trampoline, and works where functions can't be traced.
    Tracepoint,
    /// The functions: they know more.
    Functions,
}

/// A place that packets pass.
#[derive(Debug)]
pub struct Point {
    pub point: u16,
    pub at: At,
    pub body: Body,
    /// The name in `TRACE_EVENT`, and of `btf_trace_NAME` in BTF.
    pub tracepoint: Option<&'static str>,
    pub functions: Functions,
    pub prefer: Prefer,
    /// What is known of the packet at this moment.
    pub what: &'static str,
}

/// Declares the points' numbers and [`POINTS`] from one list.
macro_rules! points {
    ($($number:literal $name:ident { $($field:ident: $value:expr),* $(,)? })*) => {
        $(pub const $name: u16 = $number;)*

        /// Every point, in the order in which they are attached: what ends a wait before what
        /// begins it, so that nobody waits for an end that was not seen.
        pub const POINTS: &[Point] = &[$(Point { point: $number, $($field: $value,)* },)*];
    };
}

/// The packet's sk_buff, which is at hand, was cloned, and the clone put into a socket's queue: the packet
/// goes on under the clone's address, which is the argument. Written right after [`SK_READY`].
pub const MOVED: u16 = HOOK_SLOT - 2;

/// A netfilter BPF link. Points below are [`POINTS`].
pub const HOOK_SLOT: u16 = 64;
/// Spans from here on: `SPAN_FIRST + 2 × index` is a span's entry, one more its exit.
pub const SPAN_FIRST: u16 = 128;
/// Numbers that a `point` can have, at most; loss is counted for each.
pub const POINTS_MAX: usize = 256;

points! {
    10 CONSUME_SKB {
        at: At::Consume, body: Body::Consumed,
        tracepoint: Some("consume_skb"),
        functions: &[&["consume_skb"]],
        prefer: Prefer::Tracepoint,
        what: "freed after use",
    }
    11 KFREE_SKB {
        at: At::Drop, body: Body::Dropped,
        tracepoint: Some("kfree_skb"),
        functions: &[&["sk_skb_reason_drop", "kfree_skb_reason"]],
        prefer: Prefer::Tracepoint,
        what: "freed because it was dropped, with the reason",
    }
    9 SKB_COPY {
        at: At::Copy, body: Body::Copied,
        tracepoint: Some("skb_copy_datagram_iovec"),
        functions: &[&["skb_copy_datagram_iter"]],
        prefer: Prefer::Tracepoint,
        what: "its data goes to the receiving process",
    }
    14 UDP_READ {
        at: At::Copy, body: Body::Copied,
        tracepoint: None,
        functions: &[&["skb_consume_udp"]],
        prefer: Prefer::Functions,
        what: "a process has read this datagram",
    }
    13 SOCK_RECV {
        at: At::Recv, body: Body::Received,
        tracepoint: Some("sock_recv_length"),
        functions: &[],
        prefer: Prefer::Tracepoint,
        what: "a process has received from the socket",
    }
    12 SK_READY {
        at: At::Ready, body: Body::Ready,
        tracepoint: Some("sk_data_ready"),
        functions: &[&["sock_def_readable"]],
        prefer: Prefer::Tracepoint,
        what: "lies in its socket's queue, whose owner is being woken",
    }
    15 TRANSPORT {
        at: At::Transport, body: Body::PassingOn,
        tracepoint: None,
        functions: &[&["tcp_v4_rcv"], &["tcp_v6_rcv"], &["udp_rcv"], &["udpv6_rcv"], &["icmp_rcv"], &["icmpv6_rcv"]],
        prefer: Prefer::Functions,
        what: "handed to its transport protocol",
    }
    16 IP_FORWARD {
        at: At::Forwarding, body: Body::Passing,
        tracepoint: None,
        functions: &[&["ip_forward"], &["ip6_forward"]],
        prefer: Prefer::Functions,
        what: "routed on to another device",
    }
    // Where the links in PREROUTING begin.
    31 IP_CHECKED {
        at: At::Pre, body: Body::Checked,
        tracepoint: None,
        functions: &[&["ip_rcv_core"], &["ip6_rcv_core"]],
        prefer: Prefer::Functions,
        what: "IP has checked its header",
    }
    8 NETIF_RECEIVE {
        at: At::Rx, body: Body::Receiving,
        tracepoint: Some("netif_receive_skb"),
        functions: &[&["__netif_receive_skb_one_core", "__netif_receive_skb_core"]],
        prefer: Prefer::Tracepoint,
        what: "the softirq took it up",
    }
    17 BRIDGE_NF {
        at: At::BrNf, body: Body::Passing,
        tracepoint: None,
        functions: &[&["br_nf_pre_routing"]],
        prefer: Prefer::Functions,
        what: "br_netfilter takes the frame to PREROUTING",
    }
    18 BRIDGE_UP {
        at: At::BrUp, body: Body::Passing,
        tracepoint: None,
        functions: &[&["br_pass_frame_up"]],
        prefer: Prefer::Functions,
        what: "the bridge hands the frame to its own host",
    }
    19 BRIDGE_FORWARD {
        at: At::BrForward, body: Body::Passing,
        tracepoint: None,
        functions: &[&["__br_forward"]],
        prefer: Prefer::Functions,
        what: "the bridge sends the frame out of a port",
    }
    20 BRIDGE_FLOOD {
        at: At::BrFlood, body: Body::Passing,
        tracepoint: None,
        functions: &[&["br_flood"]],
        prefer: Prefer::Functions,
        what: "the bridge knows no port for the frame and takes all",
    }
    7 GRO_RECEIVE {
        at: At::Gro, body: Body::Arriving,
        tracepoint: Some("napi_gro_receive_entry"),
        functions: &[&["gro_receive_skb", "napi_gro_receive"]],
        prefer: Prefer::Tracepoint,
        what: "entered GRO",
    }
    6 NETIF_RX {
        at: At::NetifRx, body: Body::Backlogged,
        tracepoint: Some("netif_rx"),
        functions: &[&["enqueue_to_backlog"]],
        prefer: Prefer::Functions,
        what: "put on a CPU's backlog",
    }
    5 NET_DEV_XMIT {
        at: At::Xmit, body: Body::Transmitted,
        tracepoint: Some("net_dev_xmit"),
        functions: &[],
        prefer: Prefer::Tracepoint,
        what: "the driver returned",
    }
    4 NET_DEV_START {
        at: At::Start, body: Body::Starting,
        tracepoint: Some("net_dev_start_xmit"),
        functions: &[&["dev_hard_start_xmit"]],
        prefer: Prefer::Tracepoint,
        what: "handed to the driver",
    }
    21 DIRECT_XMIT {
        at: At::Direct, body: Body::Passing,
        tracepoint: None,
        functions: &[&["sch_direct_xmit"]],
        prefer: Prefer::Functions,
        what: "on its way from the qdisc to the driver",
    }
    3 QDISC_DEQUEUE {
        at: At::Dequeue, body: Body::Dequeued,
        tracepoint: Some("qdisc_dequeue"),
        functions: &[],
        prefer: Prefer::Tracepoint,
        what: "left a queueing discipline",
    }
    2 QDISC_ENQUEUE {
        at: At::Enqueue, body: Body::Enqueued,
        tracepoint: Some("qdisc_enqueue"),
        functions: &[],
        prefer: Prefer::Tracepoint,
        what: "entered a queueing discipline",
    }
    // Both are written down as the packet is enqueued, where the lock is known to be the qdisc's.
    29 QDISC_LOCKED {
        at: At::Locked, body: Body::Acquired,
        tracepoint: Some("contention_end"),
        functions: SPINNING,
        prefer: Prefer::Functions,
        what: "got the lock of its queueing discipline",
    }
    28 QDISC_LOCK {
        at: At::Lock, body: Body::Contended,
        tracepoint: Some("contention_begin"),
        functions: SPINNING,
        prefer: Prefer::Functions,
        what: "waits for the lock of its queueing discipline",
    }
    1 NET_DEV_QUEUE {
        at: At::Queue, body: Body::Sending,
        tracepoint: Some("net_dev_queue"),
        functions: &[&["__dev_queue_xmit"]],
        prefer: Prefer::Tracepoint,
        what: "reached a device's transmit side",
    }
    22 NEIGH_QUEUE {
        at: At::NeighQueue, body: Body::Destined,
        tracepoint: None,
        functions: &[&["__neigh_event_send"]],
        prefer: Prefer::Functions,
        what: "waits for its next hop's link address",
    }
    23 IP_FINISH {
        at: At::Finishing, body: Body::Passing,
        tracepoint: None,
        functions: &[&["ip_finish_output2"], &["ip6_finish_output2"]],
        prefer: Prefer::Functions,
        what: "gets its link header",
    }
    24 IP_OUTPUT {
        at: At::Outputting, body: Body::Passing,
        tracepoint: None,
        functions: &[&["ip_output"], &["ip6_output"]],
        prefer: Prefer::Functions,
        what: "routed; goes to its device",
    }
    25 LOCAL_OUT {
        at: At::LocalOut, body: Body::LocalOut,
        tracepoint: None,
        functions: &[&["__ip_local_out"], &["__ip6_local_out", "ip6_local_out"]],
        prefer: Prefer::Functions,
        what: "leaves its socket",
    }
    // TCP's way out for IPv6, which calls the hook itself.
    27 IP6_XMIT {
        at: At::LocalOut, body: Body::FlowOut,
        tracepoint: None,
        functions: &[&["ip6_xmit"]],
        prefer: Prefer::Functions,
        what: "leaves its socket, and gets its IPv6 header",
    }
    // Its time is the event's argument: it is written down once there is a packet.
    26 SEND_BEGIN {
        at: At::Send, body: Body::SendBegins,
        tracepoint: Some("tcp_sendmsg_locked"),
        functions: &[&["udp_sendmsg"], &["udpv6_sendmsg"], &["tcp_sendmsg"]],
        prefer: Prefer::Functions,
        what: "a process sends",
    }
    // Its time is the event's argument: it is written down with the next packet on this CPU.
    30 LEFT_IDLE {
        at: At::LeftIdle, body: Body::Idling,
        tracepoint: Some("cpu_idle"),
        functions: &[],
        prefer: Prefer::Tracepoint,
        what: "its CPU leaves idle",
    }
}

/// No place that packets pass: the packet was not to be recorded, and is taken up in the midst of its
/// way because it is late already. The argument is when it began, and the point that found it so
/// follows.
pub const LATE: u16 = HOOK_SLOT - 1;

/// Where CPUs wait for a spinlock, on bare metal and on a hypervisor. The tracepoints leave out the first
/// one that waits on bare metal, and all that wait on hypervisors without spinlocks of their own.
const SPINNING: Functions = &[
    &["native_queued_spin_lock_slowpath", "queued_spin_lock_slowpath"],
    &["__pv_queued_spin_lock_slowpath"],
];

/// The general situation of an event; `None` for spans, and for what is no place.
#[inline]
pub const fn situation(number: u16, aux: u16) -> Option<At> {
    if number == HOOK_SLOT {
        return match Hook::from_number(HookAux::unpack(aux).hook) {
            Some(hook) => Some(At::hook(hook)),
            None => None,
        };
    }
    if number < HOOK_SLOT { SITUATION_OF[number as usize] } else { None }
}

/// The situation of each point.
const SITUATION_OF: [Option<At>; HOOK_SLOT as usize] = {
    let mut of = [None; HOOK_SLOT as usize];
    let mut i = 0;
    while i < POINTS.len() {
        of[POINTS[i].point as usize] = Some(POINTS[i].at);
        i += 1;
    }
    of[LATE as usize] = Some(At::Late);
    of
};

/// The point that sees a situation; `None` where only netfilter links do.
pub fn seen_by(at: At) -> Option<&'static Point> {
    POINTS.iter().find(|p| p.at as u8 == at.general() as u8)
}

/// Whether this point's events are written down after they happened: their argument is the time.
pub const fn is_told_later(number: u16) -> bool {
    matches!(number, SEND_BEGIN | QDISC_LOCK | QDISC_LOCKED | LATE)
}

/// The point, if it is always the same, that writes this one's events down.
pub const fn told_by(number: u16) -> Option<u16> {
    match number {
        QDISC_LOCK | QDISC_LOCKED => Some(QDISC_ENQUEUE),
        _ => None,
    }
}

/// The row of this point.
#[inline]
pub const fn point(number: u16) -> Option<&'static Point> {
    if number < HOOK_SLOT { ROW_OF[number as usize] } else { None }
}

/// The row of each point.
const ROW_OF: [Option<&Point>; HOOK_SLOT as usize] = {
    let mut rows = [None; HOOK_SLOT as usize];
    let mut i = 0;
    while i < POINTS.len() {
        rows[POINTS[i].point as usize] = Some(&POINTS[i]);
        i += 1;
    }
    rows
};

/// The `arg` of a [`SK_READY`] event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadyArg {
    /// What tells the socket from others: bits 6 to 37 of its address.
    pub sk: u32,
    /// Datagrams in the socket's queue, this one included; 0 where that is not known.
    pub queued: u32,
}

impl ReadyArg {
    pub const fn pack(self) -> u64 {
        self.sk as u64 | ((self.queued as u64) << 32)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the two halves are cut apart")]
    pub const fn unpack(arg: u64) -> Self {
        Self { sk: arg as u32, queued: (arg >> 32) as u32 }
    }
}

/// Bytes that the `peek` program reads at once.
pub const PEEK_BYTES: usize = 64;

/// What user space asks of the `peek` program, and what comes back.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Peek {
    /// Address of kernel memory.
    pub address: u64,
    pub bytes: [u8; PEEK_BYTES],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_unique_and_served() {
        for (i, a) in POINTS.iter().enumerate() {
            assert!(a.point > 0 && a.point < HOOK_SLOT);
            assert!(a.tracepoint.is_some() || !a.functions.is_empty(), "{}", a.point);
            assert!(a.body.wants().len() <= ARGS);
            assert_eq!(point(a.point).map(|p| p.point), Some(a.point));
            // Whether it is there is known when it is asked for.
            if let Some(by) = told_by(a.point) {
                assert!(is_told_later(a.point) && POINTS[..i].iter().any(|p| p.point == by));
            }
            for b in &POINTS[i + 1..] {
                assert!(a.point != b.point);
                assert!(a.tracepoint.is_none() || a.tracepoint != b.tracepoint);
            }
        }
    }
}
