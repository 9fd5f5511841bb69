//! Fragments that lie where they are put together, until one of them goes on as the whole packet.
//!
//! The kernel frees a fragment whose data it has put into another one without a word, and one that stays
//! alone after seconds, with a reason. Which of the two a fragment waits for is told by the others: all of a
//! packet's are there once one of them goes on from the place where it lies. Rule 9 of [`super`].

use netpath_common::{
    netfilter::HookAux,
    point::{HOOK_SLOT, situation},
    situation::At,
};
use rustc_hash::FxHashMap;

use super::{Flight, Mark, identity::is_in_reassembly};
use crate::packet::Headers;

/// A place where fragments are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spot {
    at: At,
    /// Of a hook, which of its links was passed last.
    slot: u8,
    /// The device.
    arg: u64,
}

/// A fragment that lies there: its flight's address and number.
#[derive(Clone, Copy, Debug)]
struct Part {
    spot: Spot,
    skb: u64,
    seq: u64,
}

/// All fragments that wait, by the protocol and the identification that a packet's have in common.
#[derive(Debug, Default)]
pub(super) struct Reassembly {
    waiting: FxHashMap<(u8, u16), Vec<Part>>,
}

impl Reassembly {
    /// A CPU has left the flight where it is.
    pub(super) fn lies(&mut self, flight: &Flight) {
        if flight.put_together || !is_in_reassembly(flight) {
            return;
        }
        let Some((packet, spot)) = place(flight) else { return };
        let parts = self.waiting.entry(packet).or_default();
        let (skb, seq) = (flight.skb, flight.seq);
        parts.retain(|part| part.seq != seq);
        parts.push(Part { spot, skb, seq });
    }

    /// The flight goes on in this situation, of which there is no mark yet. Comes back with those of its packet's
    /// fragments that lay where it was: it is the packet that they make.
    #[inline]
    pub(super) fn goes_on(&mut self, flight: &Flight, at: Option<At>) -> Vec<(u64, u64)> {
        if self.waiting.is_empty() || at.is_none() {
            return Vec::new();
        }
        let Some((packet, spot)) = place(flight) else { return Vec::new() };
        let Some(parts) = self.waiting.get_mut(&packet) else { return Vec::new() };
        let here = |part: &mut Part| part.spot == spot && part.seq != flight.seq;
        let gone: Vec<_> = parts.extract_if(.., here).map(|part| (part.skb, part.seq)).collect();
        if parts.is_empty() {
            self.waiting.remove(&packet);
        }
        gone
    }

    /// Forgets those that wait no more.
    pub(super) fn forget(&mut self, waits: impl Fn(u64, u64) -> bool) {
        self.waiting.retain(|_, parts| {
            parts.retain(|part| waits(part.skb, part.seq));
            !parts.is_empty()
        });
    }
}

/// What a fragment is a part of, and where it was seen last.
fn place(flight: &Flight) -> Option<((u8, u16), Spot)> {
    let known = flight.known.as_ref().filter(|known| Headers::is_fragment(known))?;
    let is_place = |m: &&Mark| situation(m.point, m.aux).is_some();
    let last = flight.marks.iter().rev().find(is_place)?;
    let slot = if last.point == HOOK_SLOT { HookAux::unpack(last.aux).slot } else { 0 };
    let at = situation(last.point, last.aux)?;
    Some(((known.tuple?.proto, known.ip_id), Spot { at, slot, arg: last.arg }))
}
