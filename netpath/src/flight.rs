//! Flights: from pieces of passages to whole passages of packets.
//!
//! # Which events belong to one packet
//!
//! An event names an sk_buff by its address. The address only *finds* the packet: the slab hands a
//! freed sk_buff out again within microseconds, often to the very next packet on the same CPU, and the
//! kernel frees many without a trace (TCP what it has taken, GRO what it has merged). So a flight is
//! known by a sequence number of its own, and these rules say where it begins and ends.
//!
//! 1. **Grammar.** The table of situations ([`netpath_common::situation`]) says which may follow which.
//!    What goes on for certain is the packet's. What can be another packet's too is looked at again by
//!    the recorder, and its headers decide. What can't follow is another packet: after INPUT, a socket's
//!    queue or a delivery nothing is transmitted; a TCP segment without payload is never copied to a
//!    process; into another namespace leads only a device that hands over.
//! 2. **Headers** are compared by all that tells packets apart and that neither NAT, GRO, segmentation
//!    nor reassembly changes ([`Headers::same_packet`]): protocol, TCP's sequence and acknowledgment
//!    number and flags, a datagram's first bytes, ICMP's type and sequence number, IP's identification,
//!    the length. Where they are equal and tell nothing (a pure ACK of IPv6 that is repeated), and the
//!    CPU has had something else at hand since, the flight is *ambiguous*: counted, and in no figure.
//! 3. **Birth.** A packet that a local socket sends is born where it leaves the socket
//!    (`__ip_local_out`, `ip6_xmit`, or the first link of OUTPUT), and its flight begins with the
//!    system call that sends it, where that is seen; one from a NIC at GRO's entry. Elsewhere a packet is
//!    met in mid-path, where a device or a hook is named. An event that only follows (a qdisc, a copy
//!    to user space, a free) is a *stray* where nothing is open: counted, and dropped. So is a driver's return
//!    that comes after its packet has gone on ([`netpath_common::situation::Situation::afterwards`]).
//! 4. **Tunnels.** A tunnel sends the packet that it has encapsulated through OUTPUT again: there the
//!    flight's last event is the tunnel device's transmit, the headers are the outer packet's, and the
//!    flight is known by those until it is received with its own again: GRO gets it, or the backlog where it
//!    is a clone (`gro_cells_receive`). Fragments of the outer packet are parts of the flight. What is too
//!    large for a tunnel below a bridge is answered by its device, which makes the answer of the packet's
//!    own memory and receives that (`skb_tunnel_check_pmtu`): the packet is dropped there, and the answer is
//!    another one.
//! 5. **NAT.** The tuple at birth stays with the flight. A different one that is read later is the
//!    translated tuple. Both are known from then on; the flight is the same.
//! 6. **Ends.** Copied to user space: *delivered*. Freed or silent after INPUT, or after receive
//!    on a host that has no links: *reached* its transport (an ACK, an ICMP message). Freed or
//!    silent after the driver returned: *transmitted*. Freed or silent right after it entered GRO, or
//!    as a fragment where fragments are put together: *merged*. `kfree_skb`: *dropped*, with the reason
//!    (a fragment that is freed with the whole packet is merged). Still in a queue, waiting for other
//!    fragments, or seen lately, when the trace ends: *under way*. Anything else that ends or falls silent has *vanished*.
//! 7. **Readers.** UDP copies small datagrams without a tracepoint that names the
//!    sk_buff, and newer kernels free them later, elsewhere. But datagrams leave a socket's queue
//!    in the order in which they entered it, and both ends name the socket. A datagram that was
//!    queued waits in its socket's line, and the next receive of its length is its delivery. The
//!    queue's length at its entry says whether the line is whole; where others stand before it
//!    that were never seen, as many receives are passed over. Raw sockets and ping's get a clone: the
//!    recorder finds it at the tail of the queue, and the flight goes on under its address ([`netpath_common::point::MOVED`]).
//!    TCP puts a segment's data into the sk_buff at the tail where it can: the flight joins that one's,
//!    and is read with it. A packet whose data is copied by its sk_buff waits for the return of the call
//!    that copied, known by the socket, where that is seen; where it does not come soon, the copy was the end.
//! 8. **Lineage.** Where a packet turns up at an unknown address and has the headers of one that the
//!    CPU had at hand just now, in a situation in which copies of that one turn up
//!    ([`netpath_common::situation::copies`]), it is its copy (a flooded frame, TEE, a mirror, a
//!    packet socket's), a fragment, a segment, or what XDP rebuilt. It begins with the marks that both
//!    have in common; where what the CPU had at hand is itself a copy that began at the like and has gone on, with the
//!    marks of what that was made of ([`Flight::inherited`]). (What XDP rebuilt and drops at once is the packet itself, which ends there.) All of them are a family, and are held until the last has ended: then the one that
//!    got furthest is the packet; the others are copies, counted apart where they passed the interface
//!    together with it, and what only went on as others is left out. What two of them have in common counts
//!    once: it is that one's which got further.
//! 9. **Silence.** A flight that reached its transport without data, or was merged, is closed after
//!    [`REACHED_NS`] without an event; one that lies in a queue, a fragment that waits for the others, or
//!    whose data may wait for its reader, after [`WAITING_NS`]; any other after [`SILENT_NS`].
//! 10. **Late.** A packet that was not drawn, and is found to be late ([`crate::sample::Tail`]), begins
//!     with a mark of its own ([`LATE`]) at the time at which it was refused; what happened between
//!     that and the next mark was not recorded.
//! 11. **Loss.** A flight is *incomplete*, counted and never averaged in, where a CPU lost events on
//!     which it can have been between two of its marks, before the first one if that is no packet's
//!     beginning, or after the last one if more was to come; where probes were changed meanwhile;
//!     where it has more than [`EVENTS_MAX`] events; where some of them arrive too late to be put in
//!     order; and where more than [`OPEN_MAX`] packets are under way ([`Incomplete`]). Where only probes
//!     were changed, its beginning and its end are known all the same ([`Flight::ends_are_known`]): it
//!     counts as a drop or in its round trip, and only its times within are left out.
//!
//! # What stays unknown
//! - Which sk_buff GRO merged a segment into: the survivor carries `gso_segs`.
//! - A host that only receives a tunnel's packets sees the outer packet reach its transport, and the
//!   inner one begin at GRO: two flights.

mod assemble;
mod family;
mod identity;
mod limbo;
mod loss;
mod marks;
mod reasons;
mod reassembly;
mod recent;
mod sockets;

pub use assemble::{Assembler, Counters};
use identity::role;
pub use loss::Incomplete;
use netpath_common::{
    point::{LATE, situation},
    situation::{At, Role},
};

use serde::{Deserialize, Serialize};

use crate::packet::{Bytes, Headers, Tuple};

/// While a CPU has a packet at hand, its marks follow each other within this, and a copy turns up within
/// this, ns. (Where an interrupt comes between, or the machine is emulated, that is longer than it takes.)
const AT_HAND_NS: u64 = 1_000_000;
/// A flight that reached its transport, or was merged, is closed after this long without an event,
/// ns.
pub const REACHED_NS: u64 = 1_000_000_000;
/// Any other flight is closed after this long without an event, ns.
pub const SILENT_NS: u64 = 10_000_000_000;
/// One that lies in a queue, or whose data may wait in its socket for a reader, is after this, ns.
pub const WAITING_NS: u64 = 130_000_000_000;
/// Events that a flight can hold: a packet that goes round until its hop limit is used up has 64 times
/// those of a host.
pub const EVENTS_MAX: usize = 2048;
/// Flights that can be open at once; beyond, the one that was silent longest is closed.
pub const OPEN_MAX: usize = 1 << 16;

/// An event of a flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// `CLOCK_MONOTONIC`, ns.
    pub at_ns: u64,
    pub arg: u64,
    pub point: u16,
    pub aux: u16,
    pub cpu: u16,
    /// This CPU was idle, and has left idle since the mark before.
    #[serde(default)]
    pub left_idle: bool,
    /// This CPU took the packet up here: it had something else at hand before.
    #[serde(default)]
    pub resumed: bool,
}

/// How a flight ended.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub enum End {
    /// Copied to a process.
    Delivered,
    /// Handed to its transport protocol, which took it.
    Reached,
    /// Given to a device whose other end is not on this machine.
    Transmitted,
    /// Put into another sk_buff, in which its data goes on: by GRO, or a fragment by reassembly.
    Merged,
    /// Dropped by the kernel, for `enum skb_drop_reason`.
    Dropped { reason: u16 },
    /// Still under way when the trace ended.
    UnderWay,
    /// Ended where packets don't end, or fell silent.
    #[default]
    Vanished,
}

impl End {
    /// Whether the packet got where it was going, or went on inside another.
    pub fn is_arrival(self) -> bool {
        matches!(self, Self::Delivered | Self::Reached | Self::Transmitted | Self::Merged)
    }
}

/// A packet's headers, as they were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// At first; with its link header where it got one before its addresses were translated.
    pub first: Bytes,
    /// At last, where they were read again.
    pub last: Option<Bytes>,
}

impl Flight {
    /// Whether it was recorded only because it was late: it is no part of a sample.
    pub fn is_late(&self) -> bool {
        self.marks.first().is_some_and(|mark| mark.point == LATE)
    }

    /// Whether it is known when it began and what became of it, though marks within are missing: probes
    /// that come and go while it is under way are none of those that show that.
    pub fn ends_are_known(&self) -> bool {
        let begins = self.marks.first().is_some_and(|m| role(m.point, m.aux) == Role::Birth);
        let ended = self.end.is_arrival() || matches!(self.end, End::Dropped { .. });
        self.incomplete.is_none_or(|why| why == Incomplete::ProbesChanged && begins && ended)
    }

    /// When it was last seen, ns.
    pub fn last_ns(&self) -> u64 {
        self.marks.last().map_or(0, |mark| mark.at_ns)
    }

    /// When it was put into its socket's queue, ns.
    pub fn queued_ns(&self) -> Option<u64> {
        let is_queued = |m: &&Mark| situation(m.point, m.aux) == Some(At::Ready);
        self.marks.iter().rev().find(is_queued).map(|mark| mark.at_ns)
    }

    /// Until when it had its way in common with others of its family, ns.
    pub fn shared_until_ns(&self) -> Option<u64> {
        Some(self.marks.get(self.shared.checked_sub(1)?)?.at_ns)
    }
}

/// One packet's passage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flight {
    /// Its identity: counts up from 1.
    pub seq: u64,
    /// Where its sk_buff was.
    pub skb: u64,
    /// In the order of time.
    pub marks: Vec<Mark>,
    /// The headers as they were first read.
    pub headers: Option<Headers>,
    /// The tuple after NAT, where it differs.
    pub translated: Option<Tuple>,
    /// The headers themselves, where they were captured.
    pub captured: Option<Box<Captured>>,
    pub end: End,
    /// The general situation that it was last seen in.
    pub at: Option<At>,
    /// The namespace that it was last seen in; 0 where none was named.
    pub netns: u32,
    /// The headers that it is known by now: after NAT, inside a tunnel the outer packet's.
    pub known: Option<Headers>,
    /// It is inside another packet, whose headers are none of its own.
    pub in_tunnel: bool,
    /// Nothing has shown that all of its events are one packet's.
    pub ambiguous: bool,
    /// The number of the flight that it, and others, are copies or parts of; 0 where there are none.
    pub family: u64,
    /// Of the marks, how many it has in common with others of its family.
    pub shared: usize,
    /// Of the marks, how many are of the packet that it was made of.
    pub inherited: usize,
    /// The packet that it is a copy of, or a part that did not get furthest.
    pub copy_of: Option<u64>,
    /// It only went on as others.
    pub absorbed: bool,
    /// A fragment, and what it waited for others in has gone on as the packet that they make.
    pub put_together: bool,
    /// Flights whose data TCP has put into this one's sk_buff.
    pub joined: Vec<Box<Flight>>,
    /// It lacks marks, or may.
    pub incomplete: Option<Incomplete>,
}
