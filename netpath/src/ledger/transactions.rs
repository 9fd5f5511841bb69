//! Transactions: the flights of a connection joined into round trips, as an application sees them.
//!
//! In: flights in the order in which they ended, what became of those that did not arrive, and who listens. Out:
//! per kind and pair of ways, how long round trips took, and which part of it was whose.
//!
//! - [`seen`]: what a packet is to round trips. Request and reply meet by the tuple that the request has once it
//!   arrives.
//! - [`stream`]: a TCP connection's requests, by its sequence numbers; [`connect`]: its handshake;
//! - [`once`]: echoes and DNS, which say themselves what they answer; [`datagrams`]: other UDP;
//! - [`roles`]: which side asks; [`lost`]: packets that did not arrive, until they are sent again;
//! - [`leg`]: what packets add up to; [`trip`]: what is finished; [`book`]: which packet goes where.
//!
//! A close, a packet that is dropped or one of which events were lost ends nothing that was done. Packets are
//! taken in together, and what they belong to is looked up together, as flows are ([`super::flows`]).

mod book;
mod connect;
mod datagrams;
mod leg;
mod lost;
mod once;
mod roles;
mod seen;
mod stream;
mod table;
mod trip;

use std::collections::VecDeque;

pub(super) use table::CONNECTIONS_MAX;
pub(super) use trip::Unanswered;
pub use trip::{Kind, OTHERS, Part, RoundTrips};

use super::{DropKey, flows::TOGETHER};
use crate::{
    decode::Gap,
    facts::Facts,
    flight::{End, Flight},
    packet::Tuple,
};

use connect::Connect;
use datagrams::Datagrams;
use leg::{Again, Leg};
use lost::LostPackets;
use once::Once;
use roles::Roles;
use seen::{Seen, answer_to, seen};
use stream::Stream;
use table::{Table, UnderWay};
use trip::Done;

/// Places in which packets were lost that are told apart.
const PLACES_MAX: usize = 256;
/// What was asked later than this before the end is under way, ns.
const UNDER_WAY_NS: u64 = 1_000_000_000;

/// All round trips.
#[derive(Clone, Debug, Default)]
pub struct Transactions {
    streams: Table<Tuple, Stream>,
    datagrams: Table<Tuple, Datagrams>,
    once: Table<(Tuple, u16), Once>,
    connects: Table<Tuple, Connect>,
    /// Connections of which an end has closed, in the order in which they did, and when.
    closed: VecDeque<(Tuple, u64)>,
    lost: LostPackets,
    /// Where packets were lost.
    places: Vec<DropKey>,
    roles: Roles,
    kept: Vec<Packet>,
    /// Where what each kept packet belongs to was found.
    found: Vec<Found>,
    /// A SYN is among the kept packets.
    keeps_syn: bool,
    /// When the last packet arrived, ns.
    now_ns: u64,
    done: Done,
    /// Flights of connections beyond [`CONNECTIONS_MAX`].
    pub unfollowed: u64,
}

/// A packet, as round trips see it.
#[derive(Clone, Copy, Debug)]
struct Packet {
    seen: Seen,
    /// The tuple that its sender gave it.
    born: Tuple,
    /// The one with which it arrived: that of what it belongs to if it asks.
    arrived: Tuple,
    leg: Leg,
    /// Whether it answers, where it says so, and where conntrack does.
    says: Option<bool>,
    conntrack: Option<bool>,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Arrived,
    /// It did not arrive; the index of the place where it was dropped.
    Lost(Option<u32>),
}

/// Where what a packet belongs to is.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    as_request: Option<usize>,
    as_reply: Option<usize>,
}

impl Packet {
    /// The tuple of what it belongs to if it answers.
    fn answered(&self) -> Tuple {
        answer_to(self.born)
    }
}

impl Transactions {
    /// With what is known of who listens.
    pub(super) fn of(facts: &Facts) -> Self {
        Self { roles: Roles::of(facts), ..Self::default() }
    }

    /// Tells of a path: its number is the next one. `way` is the number of the first one over the same devices, and
    /// `ends` are the namespaces that it comes from and goes to.
    pub(super) fn path(&mut self, way: usize, ends: (u32, u32)) {
        self.done.ways.push(way);
        self.roles.ends.push(ends);
    }

    /// Puts the round trips over a path that is forgotten to those of others.
    pub(super) fn forget_path(&mut self, path: usize) {
        self.done.forget(path);
    }

    /// In the order in which they were first seen.
    pub fn done(&self) -> &[RoundTrips] {
        &self.done.all
    }

    /// Requests that nobody answered, where that is known.
    pub fn unanswered(&self) -> &Unanswered {
        &self.done.unanswered
    }

    /// Round trips of which a packet was not seen in full: in none of the figures.
    pub fn incomplete(&self) -> u64 {
        self.done.incomplete
    }

    /// Where packets were lost that were sent again, by [`RoundTrips::lost_at`].
    pub fn place(&self, index: u32) -> Option<&DropKey> {
        self.places.get(index as usize)
    }

    /// Tells of a gap, before the flights that come after it.
    pub(super) fn gap(&mut self, gap: Gap) {
        self.book();
        self.done.gap(gap.until_ns);
    }

    /// Takes a flight that arrived over the path with this index; `is_reply` is what conntrack says of its
    /// direction.
    pub(super) fn add(&mut self, flight: &Flight, path: usize, is_reply: Option<bool>) {
        self.keep(flight, u32::try_from(path).ok(), is_reply, What::Arrived);
    }

    /// Takes a flight that was not seen in full: it may have arrived, at a time that is not known.
    pub(super) fn add_unsure(&mut self, flight: &Flight) {
        self.keep(flight, None, None, What::Arrived);
    }

    /// Takes a flight that was dropped there.
    pub(super) fn add_lost(&mut self, flight: &Flight, key: &DropKey) {
        let place = self.places.iter().position(|known| known == key).or_else(|| {
            (self.places.len() < PLACES_MAX).then(|| {
                self.places.push(*key);
                self.places.len() - 1
            })
        });
        self.keep(flight, None, None, What::Lost(place.and_then(|p| u32::try_from(p).ok())));
    }

    fn keep(&mut self, flight: &Flight, path: Option<u32>, conntrack: Option<bool>, what: What) {
        let Some(headers) = &flight.headers else { return };
        let (Some(born), Some(first), Some(last)) =
            (headers.tuple, flight.marks.first(), flight.marks.last())
        else {
            return;
        };
        let Some((seen, says)) = seen(headers, &born, flight.translated.as_ref()) else { return };
        match seen {
            Seen::Ack { .. } if self.connects.len() == 0 && !self.keeps_syn => return,
            Seen::Syn { .. } | Seen::SynAck { .. } => self.keeps_syn = true,
            _ => {}
        }
        let end_ns = last.at_ns;
        let there_ns = match (seen, flight.end) {
            (Seen::Datagram, End::Delivered) => flight.queued_ns().unwrap_or(end_ns),
            _ => end_ns,
        };
        let leg = Leg {
            path,
            events: u32::try_from(flight.marks.len()).unwrap_or(u32::MAX),
            start_ns: first.at_ns,
            end_ns,
            there_ns,
            received: matches!(flight.end, End::Delivered | End::Reached),
            in_parts: flight.family != 0,
            again: Again::default(),
        };
        let arrived = flight.translated.unwrap_or(born);
        self.kept.push(Packet { seen, born, arrived, leg, says, conntrack, what });
        if self.kept.len() >= TOGETHER {
            self.book();
        }
    }

    /// Takes in what is kept back.
    pub(super) fn book(&mut self) {
        let mut found = std::mem::take(&mut self.found);
        found.clear();
        found.extend(self.kept.iter().map(|packet| self.find(packet)));
        for (at, found) in found.iter().enumerate() {
            let mut packet = self.kept[at];
            self.now_ns = self.now_ns.max(packet.leg.end_ns);
            match packet.what {
                What::Arrived => {
                    if !self.lost.is_empty() {
                        let start_ns = packet.leg.start_ns;
                        packet.leg.again = self.lost.again(&packet.born, packet.seen, start_ns);
                    }
                    self.arrived(&packet, *found);
                }
                What::Lost(place) => self.lost(&packet, place),
            }
        }
        self.found = found;
        self.kept.clear();
        self.keeps_syn = false;
        self.sweep();
    }

    /// Looks for what a packet belongs to, if it is one of those of which there are many.
    fn find(&self, packet: &Packet) -> Found {
        fn both<V: UnderWay>(table: &Table<Tuple, V>, packet: &Packet) -> Found {
            let as_request = table.find(&packet.arrived);
            let as_reply = if as_request.is_none() { table.find(&packet.answered()) } else { None };
            Found { as_request, as_reply }
        }
        match packet.seen {
            Seen::Data(_) => both(&self.streams, packet),
            Seen::Datagram => both(&self.datagrams, packet),
            _ => Found::default(),
        }
    }

    /// Books what is under way and has its reply: nothing more comes.
    pub fn finish(&mut self) {
        self.book();
        let until_ns = self.now_ns.saturating_sub(UNDER_WAY_NS);
        let done = &mut self.done;
        self.streams.take().for_each(|(_, mut stream)| stream.finish(done));
        self.datagrams.take().for_each(|(_, mut datagrams)| datagrams.finish(done));
        for (_, connect) in self.connects.take() {
            self.end_connect(connect, until_ns);
        }
        for ((tuple, _), once) in self.once.take() {
            self.end_once(&tuple, &once, until_ns);
        }
        self.lost.finish(&mut self.done.unanswered);
        self.closed.clear();
    }
}

impl UnderWay for Stream {
    fn last_ns(&self) -> u64 {
        self.last_ns
    }
}

impl UnderWay for Datagrams {
    fn last_ns(&self) -> u64 {
        self.last_ns
    }
}

impl UnderWay for Once {
    fn last_ns(&self) -> u64 {
        Once::last_ns(self)
    }
}

impl UnderWay for Connect {
    fn last_ns(&self) -> u64 {
        Connect::last_ns(self)
    }
}

#[cfg(test)]
mod tests;
