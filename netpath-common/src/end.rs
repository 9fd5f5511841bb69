//! What an end means: the one table of what became of a packet that the kernel has thrown away.
//!
//! `kfree_skb` says that a packet was freed before its time, and `enum skb_drop_reason` why; neither
//! says whether anybody misses it. In: the reason's name (numbers differ between kernels), the function
//! that freed it, the part of the stack that had it last, and what kind of packet it is. Out: its
//! [`Sort`], in the view of the person who sent it. Only what was *lost* or *refused* is a drop.
//!
//! Three lists, of one kind of row, are asked in this order: [`REASONS`]; where the reason says nothing
//! ([`says_nothing`], or a name that this netpath doesn't know) or leaves open whose queue it was, [`FUNCTIONS`]; where that function is
//! none of them, the row of the [`Layer`].

mod functions;
mod reasons;

pub use functions::FUNCTIONS;
pub use reasons::REASONS;

use crate::hop::At;

/// Declares [`Sort`] from one list.
macro_rules! sorts {
    ($($name:ident $key:literal $label:literal $what:literal,)*) => {
        /// What became of a packet, for the person who sent it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Sort { $(#[doc = $what] $name,)* }

        impl Sort {
            /// What matters most first.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
            pub const COUNT: usize = Self::ALL.len();

            /// Its name in JSON.
            pub const fn key(self) -> &'static str {
                match self { $(Self::$name => $key,)* }
            }

            /// What people call packets of it: `3 lost`, `2 thrown away by the receiver`.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }

            /// What that means, in a sentence.
            pub const fn what(self) -> &'static str {
                match self { $(Self::$name => $what,)* }
            }
        }
    };
}

sorts! {
    Lost "lost" "lost" "Somebody wanted it, and it did not get there.",
    Refused "refused" "refused" "Somebody has decided so: a rule, a policy, a program, or nobody listens.",
    NotForUs "not_for_us" "not for us" "It was nobody's here: multicast without a listener, a frame for another host.",
    Discarded "discarded" "discarded by the receiver" "Its receiver had no use for it: unread at close, a duplicate, out of the window.",
    Consumed "consumed" "consumed" "It did what it was for: a FIN, a reset, an acknowledgment, a reply that was copied.",
}

impl Sort {
    /// Whether it is a drop: somebody misses it.
    pub const fn is_drop(self) -> bool {
        matches!(self, Self::Lost | Self::Refused)
    }

    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|sort| sort.key() == key)
    }
}

/// The part of the stack that had a packet last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layer {
    /// In a socket's queue, or in its reader's hands.
    Socket,
    /// Past INPUT: with its transport protocol, on its way to a socket.
    Transport,
    /// Being routed, forwarded or sent.
    Ip,
    /// Being given its next hop's link address.
    Neighbour,
    Bridge,
    Qdisc,
    /// A driver's, or between two devices.
    Device,
}

impl Layer {
    pub const ALL: &[Self] = &[
        Self::Socket,
        Self::Transport,
        Self::Ip,
        Self::Neighbour,
        Self::Bridge,
        Self::Qdisc,
        Self::Device,
    ];

    /// Who has a packet that was last seen in this situation.
    pub const fn of(at: At) -> Self {
        match at {
            At::Ready | At::Copy | At::Recv => Self::Socket,
            At::In | At::Transport => Self::Transport,
            At::Finishing | At::NeighQueue | At::Post => Self::Neighbour,
            At::RxPort
            | At::StartBridge
            | At::BrNf
            | At::BrUp
            | At::BrForward
            | At::BrFlood
            | At::BrPre
            | At::BrFwd
            | At::BrPost => Self::Bridge,
            At::Queue | At::Lock | At::Locked | At::Enqueue | At::Dequeue => Self::Qdisc,
            At::Direct | At::Start | At::Xmit | At::NetifRx | At::Gro | At::LeftIdle | At::Late => {
                Self::Device
            }
            _ => Self::Ip,
        }
    }

    /// Whether a packet there has passed INPUT.
    pub const fn is_receiving(self) -> bool {
        matches!(self, Self::Socket | Self::Transport)
    }

    /// What becomes of a packet there for no reason that is known.
    pub const fn row(self) -> &'static Row {
        match self {
            Self::Socket => &SOCKET,
            Self::Transport => &TRANSPORT,
            Self::Bridge => &BRIDGE,
            _ => &ELSEWHERE,
        }
    }
}

const SOCKET: Row = Row {
    name: "socket",
    sort: Sort::Discarded,
    unless: &[(When::Bare, Sort::Consumed)],
    whose: Whose::Socket,
    what: "thrown away from its socket's queue",
};
const TRANSPORT: Row = Row {
    name: "transport",
    sort: Sort::Lost,
    unless: &[
        (When::ToMany, Sort::NotForUs),
        (When::Bare, Sort::Consumed),
        (When::Segment, Sort::Discarded),
        (When::Icmp, Sort::Consumed),
    ],
    whose: Whose::Socket,
    what: "thrown away by its transport protocol",
};
const BRIDGE: Row = Row {
    name: "bridge",
    sort: Sort::Lost,
    unless: &[(When::ToMany, Sort::NotForUs)],
    whose: Whose::Bridge,
    what: "no port of the bridge took it",
};
const ELSEWHERE: Row = Row {
    name: "elsewhere",
    sort: Sort::Lost,
    unless: &[(When::ToMany, Sort::NotForUs)],
    whose: Whose::Nobody,
    what: "the kernel gives no reason",
};

/// What is known of a packet apart from its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Kind {
    /// Its destination is a multicast or broadcast address.
    pub to_many: bool,
    /// It is TCP's.
    pub tcp: bool,
    /// TCP's flags; of others, 0.
    pub flags: u8,
    /// It carries data.
    pub has_data: bool,
    /// It is an ICMP or ICMPv6 message …
    pub icmp: bool,
    /// … that answers: a reply, or an error.
    pub answers: bool,
    /// Connection tracking or NAT had it in a netfilter hook, not a rule.
    pub tracking: bool,
    /// It is of a TCP connection whose receiver was seen to send, and has a socket no more.
    pub over: bool,
}

impl Kind {
    /// TCP without data, that opens nothing.
    const fn is_bare(self) -> bool {
        self.tcp && !self.has_data && self.flags & SYN == 0
    }
}

/// TCP's flags.
pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const ACK: u8 = 0x10;

/// What makes a packet of a row an exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// To a multicast or broadcast address.
    ToMany,
    /// TCP without data, that opens nothing: an acknowledgment, a FIN, a reset.
    Bare,
    /// TCP that opens nothing, with data or not.
    Segment,
    /// An ICMP reply or error: nobody has to wait for it.
    Answer,
    /// Any ICMP message.
    Icmp,
    /// Past INPUT.
    Received,
    /// The same, and TCP without data that opens nothing.
    Spent,
    /// Connection tracking or NAT had it.
    Tracking,
    /// Its connection was open before.
    Over,
}

impl When {
    const fn holds(self, kind: Kind, layer: Layer) -> bool {
        match self {
            Self::ToMany => kind.to_many,
            Self::Bare => kind.is_bare(),
            Self::Segment => kind.tcp && kind.flags & SYN == 0,
            Self::Answer => kind.icmp && kind.answers,
            Self::Icmp => kind.icmp,
            Self::Received => layer.is_receiving(),
            Self::Spent => layer.is_receiving() && kind.is_bare(),
            Self::Tracking => kind.tracking,
            Self::Over => kind.over && kind.flags & SYN == 0,
        }
    }
}

/// Whose limit, or whose decision, an end was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    Nobody,
    Socket,
    Netfilter,
    Conntrack,
    Route,
    Neighbour,
    Bridge,
    Qdisc,
    Device,
    Cpu,
    Program,
    Fragments,
    Memory,
    Sender,
}

impl Whose {
    /// For people; empty where it is nobody's.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Nobody => "",
            Self::Socket => "socket",
            Self::Netfilter => "netfilter",
            Self::Conntrack => "connection tracking",
            Self::Route => "routing",
            Self::Neighbour => "neighbour",
            Self::Bridge => "bridge",
            Self::Qdisc => "qdisc",
            Self::Device => "device",
            Self::Cpu => "CPU's backlog",
            Self::Program => "BPF program",
            Self::Fragments => "reassembly",
            Self::Memory => "memory",
            Self::Sender => "sender",
        }
    }
}

/// A way to end.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// The reason, without `SKB_DROP_REASON_`; or the kernel function; or the layer.
    pub name: &'static str,
    pub sort: Sort,
    /// Exceptions; the first that holds decides.
    pub unless: &'static [(When, Sort)],
    pub whose: Whose,
    /// What happened, for people.
    pub what: &'static str,
}

impl Row {
    /// The sort of a packet of this kind that ended so in this layer.
    pub fn sort(&self, kind: Kind, layer: Layer) -> Sort {
        let exception = self.unless.iter().find(|(when, _)| when.holds(kind, layer));
        exception.map_or(self.sort, |(_, sort)| *sort)
    }

    /// Whether the function that frees says more than this reason.
    pub fn leaves_open(&self) -> bool {
        LEAVES_OPEN.contains(&self.name)
    }
}

/// Reasons that say nothing: the function that frees has none to give.
const SAYS_NOTHING: &[&str] = &["NOT_SPECIFIED", "NOT_DROPPED_YET", "CONSUMED", "MAX", ""];

/// Reasons that leave open whose queue it was: sockets, neighbours and devices purge theirs with one of the kernel's
/// functions. The one that calls it says so, where it is known.
const LEAVES_OPEN: &[&str] = &["QUEUE_PURGE"];

/// Whether this reason says nothing, so that the function decides.
pub fn says_nothing(reason: &str) -> bool {
    SAYS_NOTHING.contains(&reason)
}

/// The row of a reason by its name.
pub fn reason(name: &str) -> Option<&'static Row> {
    REASONS.iter().find(|row| row.name == name)
}

/// The row of a kernel function by its name, with what the compiler has added to it or without.
pub fn function(name: &str) -> Option<&'static Row> {
    let bare = name.split_once('.').map_or(name, |(bare, _)| bare);
    FUNCTIONS.iter().find(|row| row.name == bare)
}

/// The row of what ended for this reason, freed by this function, in this layer.
pub fn row(
    reason: Option<&'static Row>,
    function: Option<&'static Row>,
    layer: Layer,
) -> &'static Row {
    match (reason, function) {
        (Some(reason), Some(function)) if reason.leaves_open() => function,
        _ => reason.or(function).unwrap_or(layer.row()),
    }
}

/// A SYN that was not answered, and came again: a listener that has no room frees it as if it had been
/// used.
pub static UNANSWERED: Row = Row {
    name: "unanswered",
    sort: Sort::Lost,
    unless: &[],
    whose: Whose::Socket,
    what: "the listener did not answer it, and it came again: the listener's queue is full",
};

/// The ACK with which a client completes its connection, where the listener's queue has become full since it
/// answered the SYN (`tcp_v4_syn_recv_sock`, `tcp_v6_syn_recv_sock`): some kernels say then that there is no
/// socket, and the client takes itself for connected.
pub static UNACCEPTED: Row = Row {
    name: "unaccepted",
    sort: Sort::Lost,
    unless: &[],
    whose: Whose::Socket,
    what: "it completes a connection that the listener has no room for: its queue is full",
};

/// What a listener without room does to packets, where the kernel's reason does not say so.
pub static LISTENERS: [&Row; 2] = [&UNANSWERED, &UNACCEPTED];

/// Any row by its name.
pub fn named(name: &str) -> Option<&'static Row> {
    let layers = || Layer::ALL.iter().map(|layer| layer.row()).find(|row| row.name == name);
    let listeners = || LISTENERS.into_iter().find(|row| row.name == name);
    reason(name).or_else(|| function(name)).or_else(layers).or_else(listeners)
}

/// What a program writes down as the argument of a packet's end: the function that freed it, and the
/// half of the reason that says whose reason it is (`SKB_DROP_REASON_SUBSYS_MASK`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndArg {
    /// A kernel address; 0 where it is not known.
    pub location: u64,
    /// The reason's upper half.
    pub subsystem: u16,
}

impl EndArg {
    /// The bits of an address that tell: those above are all ones in the kernel.
    const ADDRESS: u64 = (1 << 48) - 1;

    #[inline]
    pub const fn pack(self) -> u64 {
        (self.location & Self::ADDRESS) | (self.subsystem as u64) << 48
    }

    pub const fn unpack(arg: u64) -> Self {
        let location = match arg & Self::ADDRESS {
            0 => 0,
            low => low | !Self::ADDRESS,
        };
        Self { location, subsystem: (arg >> 48) as u16 }
    }
}

#[cfg(test)]
mod tests;
