//! The flights that a CPU has touched last: where a packet turns up at an address that is not known, it
//! can be a copy, a fragment or a segment of one of them. Rule 8 of [`super`].

use std::collections::VecDeque;

use netpath_common::situation::{At, copies};
use rustc_hash::FxHashMap;

use super::{AT_HAND_NS, Flight};
use crate::packet::Headers;

/// Flights that are remembered for a CPU.
const TOUCHED: usize = 4;
/// For how long a sender can be busy with the fragments of a packet, ns: what asks for a link address on
/// behalf of the first can have the answer, and send that one, before the others are sent. They have an
/// identification in common.
const CUT_NS: u64 = 100_000_000;

/// A flight that was touched.
#[derive(Clone, Copy, Debug)]
struct Touched {
    skb: u64,
    /// Its number: what is open at its address by now can be another.
    seq: u64,
    at_ns: u64,
    ip_id: u16,
    proto: u8,
    /// Of TCP and UDP, as [`Headers::seq`].
    number: u32,
    gso: bool,
}

/// What each CPU has touched, oldest first.
#[derive(Debug, Default)]
pub(super) struct Recent {
    cpus: FxHashMap<u16, VecDeque<Touched>>,
}

impl Recent {
    /// A CPU has had this flight at hand.
    pub(super) fn touch(&mut self, cpu: u16, flight: &Flight) {
        let Some(known) = &flight.known else { return };
        let touched = self.cpus.entry(cpu).or_default();
        let now = Touched {
            skb: flight.skb,
            seq: flight.seq,
            at_ns: flight.last_ns(),
            ip_id: known.ip_id,
            proto: known.tuple.map_or(0, |t| t.proto),
            number: known.seq,
            gso: known.gso_segs > 1,
        };
        match touched.back_mut() {
            // By what it is known now: in a tunnel, by the outer packet's headers.
            Some(last) if last.seq == flight.seq => *last = now,
            _ => {
                if touched.len() >= TOUCHED {
                    touched.pop_front();
                }
                touched.push_back(now);
            }
        }
    }

    /// Of which flight a packet with these headers, that turns up in `at` on this CPU, can be a copy or
    /// a part: its address and number, newest first.
    pub(super) fn candidates<'a>(
        &'a self,
        cpu: u16,
        at_ns: u64,
        headers: &'a Headers,
    ) -> impl Iterator<Item = (u64, u64)> + 'a {
        let proto = headers.tuple.map_or(0, |t| t.proto);
        let alike = move |t: &&Touched| {
            t.proto == proto
                // A whole IPv6 packet has no identification.
                && (t.gso || t.ip_id == headers.ip_id || t.ip_id == 0)
                && (t.gso || headers.is_fragment() || t.number == headers.seq || t.number == 0)
        };
        let touched = self.cpus.get(&cpu).into_iter().flat_map(|touched| touched.iter().rev());
        let within_ns = if headers.is_fragment() { CUT_NS } else { AT_HAND_NS };
        touched
            .take_while(move |t| at_ns.saturating_sub(t.at_ns) < within_ns)
            .filter(alike)
            .map(|t| (t.skb, t.seq))
    }
}

/// Whether a packet with these headers that turns up in `at` is a copy or a part of this flight.
pub(super) fn is_of(flight: &Flight, at: At, headers: &Headers) -> bool {
    flight.at.is_some_and(|last| copies(last, at))
        && flight.known.as_ref().is_some_and(|known| known.is_part_or_copy(headers))
}

/// The same where this CPU has freed it just now: what looks like it altogether is made of it, also where the
/// headers tell little (multicast listener reports).
pub(super) fn is_of_freed(flight: &Flight, at: At, headers: &Headers) -> bool {
    let alike = |known: &Headers| known.tuple == headers.tuple && known.same_packet(headers);
    is_of(flight, at, headers)
        || (flight.at.is_some_and(|last| copies(last, at))
            && flight.known.as_ref().is_some_and(alike))
}
