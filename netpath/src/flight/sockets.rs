//! Datagrams in sockets' queues, and who reads them: rule 7 of [`super`].
#![expect(clippy::vec_box, reason = "flights move between maps, lines and their assembler")]

use std::collections::VecDeque;

use netpath_common::point::{ReadyArg, SK_READY};
use rustc_hash::FxHashMap;

use super::{
    Flight,
    identity::Sighting,
    loss::Losses,
    marks::{Here, push},
};
use crate::{
    decode::Event,
    packet::{TCP, UDP},
};

/// Datagrams of one socket that are remembered; what is queued behind is not matched.
const LINE_MAX: usize = 4096;

/// A reader that has taken a datagram out of the queue has returned with it after this long, ns.
const HANDLED_NS: u64 = 50_000;

/// Between copying a packet's data and the call's return lies no more than this, ns; what comes later
/// is another call's, whose own return was not seen.
const RETURNED_NS: u64 = 1_000_000;

/// The line of one socket.
#[derive(Debug, Default)]
struct Line {
    flights: VecDeque<Box<Flight>>,
    /// Receives that belong to datagrams which were queued unseen.
    unseen: u32,
}

/// The lines of all sockets, by the low half of their address.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    lines: FxHashMap<u32, Line>,
    /// For a stream's socket, the sk_buff that was queued last.
    tails: FxHashMap<u32, u64>,
    /// Flights whose data has been copied, by a call that has yet to return.
    copied: FxHashMap<u32, Vec<Box<Flight>>>,
}

/// Whether the socket that was woken is the one that the packet is for.
pub(super) fn is_owner(flight: &Flight, ready: &Event) -> bool {
    let tuple = flight.translated.or_else(|| flight.headers.as_ref()?.tuple);
    tuple.is_some_and(|t| match t.proto {
        TCP => t.dport == ready.aux && flight.headers.is_some_and(|h| h.payload > 0),
        UDP => t.dport == ready.aux || flight.headers.is_some_and(|h| h.fragment),
        // The programs have looked whether it is in the queue.
        _ => true,
    })
}

/// Whether its data goes into a stream.
pub(super) fn is_stream(flight: &Flight) -> bool {
    flight.headers.as_ref().and_then(|h| h.tuple).is_some_and(|t| t.proto == TCP)
}

/// Whether the flight's packet is read as a whole, in its turn.
pub(super) fn is_datagram(flight: &Flight) -> bool {
    flight.headers.as_ref().and_then(|h| h.tuple).is_some_and(|t| t.proto == UDP)
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is what is asked for")]
fn low_half(address: u64) -> u32 {
    address as u32
}

impl Sockets {
    /// A flight enters its socket's queue. Returns those that must have left it unseen.
    pub(super) fn queue(&mut self, flight: Option<Box<Flight>>, ready: &Event) -> Vec<Box<Flight>> {
        let Some(flight) = flight else { return Vec::new() };
        let ReadyArg { sk, queued } = ReadyArg::unpack(ready.arg);
        let line = self.lines.entry(sk).or_default();
        let mut stale = Vec::new();
        if queued == 1 {
            // Alone in the queue: at most the one before it is still in its reader's hands, and
            // not for long.
            let late = |f: &Flight| {
                let last = f.marks.last().map_or(0, |m| m.at_ns);
                ready.at_ns.saturating_sub(last) > HANDLED_NS
            };
            while line.flights.len() > 1 || line.flights.front().is_some_and(|f| late(f)) {
                stale.extend(line.flights.pop_front());
            }
            line.unseen = 0;
        } else {
            let known = u32::try_from(line.flights.len()).unwrap_or(u32::MAX) + line.unseen;
            line.unseen += queued.saturating_sub(known + 1);
        }
        if queued == 0 || line.flights.len() >= LINE_MAX {
            stale.push(flight);
        } else {
            line.flights.push_back(flight);
        }
        stale
    }

    /// A stream's flight enters its socket's queue; comes back with the address of the sk_buff in the
    /// queue that its data was put into, where it was.
    pub(super) fn joins(&mut self, flight: &Flight, ready: &Event) -> Option<u64> {
        let ReadyArg { sk, queued: tail } = ReadyArg::unpack(ready.arg);
        if tail == low_half(flight.skb) || tail == 0 {
            self.tails.insert(sk, flight.skb);
            return None;
        }
        self.tails.get(&sk).copied().filter(|with| low_half(*with) == tail)
    }

    /// A process has received from a socket. Returns the flights that ended unseen before, and
    /// the one that this ends.
    pub(super) fn received(
        &mut self,
        event: &Event,
        here: &Here,
        losses: &Losses,
    ) -> (Vec<Box<Flight>>, Option<Box<Flight>>) {
        let mut stale = Vec::new();
        let sk = ReadyArg::unpack(event.arg).sk;
        let Some(line) = self.lines.get_mut(&sk) else { return (stale, None) };
        if line.unseen > 0 {
            line.unseen -= 1;
            return (stale, None);
        }
        // A receive brings a datagram whole or cut short, never more than it had.
        let holds =
            |f: &Flight| f.headers.is_some_and(|h| h.fragment || h.payload >= u32::from(event.aux));
        while line.flights.front().is_some_and(|f| !holds(f)) {
            stale.extend(line.flights.pop_front());
        }
        let mut flight = line.flights.pop_front();
        if line.flights.is_empty() {
            self.lines.remove(&sk);
        }
        if let Some(flight) = &mut flight {
            push(flight, &Sighting::of(event), here, losses);
            flight.end = super::End::Delivered;
        }
        (stale, flight)
    }

    /// A flight's data has been copied: it waits for the call's return. Comes back where it is not
    /// known which socket that is.
    pub(super) fn copied(&mut self, flight: Option<Box<Flight>>) -> Option<Box<Flight>> {
        let flight = flight?;
        let Some(ready) = flight.marks.iter().rev().find(|m| m.point == SK_READY) else {
            return Some(flight);
        };
        self.copied.entry(ReadyArg::unpack(ready.arg).sk).or_default().push(flight);
        None
    }

    /// A call that receives from a socket returns: the flights that it has copied from.
    pub(super) fn returned(
        &mut self,
        event: &Event,
        here: &Here,
        losses: &Losses,
    ) -> Vec<Box<Flight>> {
        if self.copied.is_empty() {
            return Vec::new();
        }
        let mut flights = self.copied.remove(&ReadyArg::unpack(event.arg).sk).unwrap_or_default();
        for flight in &mut flights {
            let copied_ns = flight.marks.last().map_or(0, |m| m.at_ns);
            if event.at_ns.saturating_sub(copied_ns) <= RETURNED_NS {
                push(flight, &Sighting::of(event), here, losses);
            }
        }
        flights
    }

    /// Takes out the flights whose call's return is not to be expected any more: their copy was it.
    pub(super) fn drain_copied(&mut self, now_ns: u64) -> Vec<Box<Flight>> {
        let mut out = Vec::new();
        self.copied.retain(|_, flights| {
            let late = |f: &Flight| {
                let copied_ns = f.marks.last().map_or(0, |m| m.at_ns);
                now_ns.saturating_sub(copied_ns) > RETURNED_NS
            };
            out.extend(flights.extract_if(.., |f| late(f)));
            !flights.is_empty()
        });
        out.sort_by_key(|f| f.seq);
        out
    }

    /// Takes out the flights that `which` says.
    pub(super) fn drain(&mut self, which: impl Fn(&Flight) -> bool) -> Vec<Box<Flight>> {
        let mut out = Vec::new();
        self.lines.retain(|_, line| {
            while line.flights.front().is_some_and(|f| which(f)) {
                out.extend(line.flights.pop_front());
            }
            !line.flights.is_empty()
        });
        out
    }
}
