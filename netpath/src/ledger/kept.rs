//! What is kept back of a path's packets until it is booked.
//!
//! A row's histogram and tallies are several cache lines, and a packet meets a dozen rows: with many
//! paths it would find none of them in a cache. So what packets met is written down here, one after
//! the other, and booked many packets at once, in their order.

use super::{CtState, Rewritten, causes::Wait};

/// Packets of a path that are kept back.
pub(super) const KEPT: usize = 32;

/// Packets and their pieces, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    pub(super) packets: Vec<Packet>,
    pub(super) pieces: Vec<Piece>,
}

/// A packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    /// When its passage ended, on the events' clock, ns.
    pub(super) end_ns: u64,
    pub(super) total_ns: i64,
    pub(super) unattributed_ns: i64,
    /// How many of the pieces are its.
    pub(super) pieces: usize,
    /// What NAT did to it, and in which row.
    pub(super) rewritten: Option<(u32, Rewritten)>,
}

/// A piece of its time that belongs to a hop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) ns: i64,
    /// The index of the row.
    pub(super) row: u32,
    /// Where it was waiting.
    pub(super) wait: Option<Wait>,
    /// What conntrack said of the packet, in a hook.
    pub(super) state: Option<CtState>,
}

const _: () = assert!(size_of::<Piece>() == 24);
