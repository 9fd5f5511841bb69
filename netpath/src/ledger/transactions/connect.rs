//! TCP's handshake as a round trip: SYN, SYN-ACK, and the ACK that the client sends at once.
//!
//! The passages of SYN-ACK and ACK end silently, so that they come here in any order, and late. The client has
//! connected when the SYN-ACK is there, so the time ends where its ACK departs.

use super::{
    leg::{Answer, Ask, Leg},
    trip::{Done, Kind, Trip},
};
use crate::packet::TCP;

/// Packets of one sort that are kept.
const COPIES_MAX: usize = 8;
/// An ACK that comes later after the SYN-ACK was held back, to go with data, ns.
const AT_ONCE_NS: u64 = 1_000_000;

/// A handshake that is under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Connect {
    /// The SYN, and those that repeat it.
    syns: Vec<Leg>,
    /// The SYN-ACK, and those that repeat it; the numbers of the first.
    syn_acks: Vec<Leg>,
    client_seq: Option<u32>,
    server_seq: u32,
    /// When the first ACK departed.
    acknowledged_ns: Option<u64>,
}

impl Connect {
    /// Takes a SYN. One with another number is another connection's, from the same port.
    pub(super) fn syn(&mut self, seq: u32, leg: Leg, done: &mut Done) {
        if self.client_seq.is_some_and(|known| known != seq) {
            std::mem::take(self).book(done);
        }
        self.client_seq = Some(seq);
        if self.syns.len() < COPIES_MAX {
            self.syns.push(leg);
        }
    }

    pub(super) fn syn_ack(&mut self, seq: u32, leg: Leg) {
        self.server_seq = seq;
        if self.syn_acks.len() < COPIES_MAX {
            self.syn_acks.push(leg);
        }
    }

    /// An ACK of the client's, which carries nothing.
    pub(super) fn ack(&mut self, ack: u32, start_ns: u64) {
        let known = !self.syn_acks.is_empty();
        if !known || ack == self.server_seq.wrapping_add(1) {
            let first = self.acknowledged_ns.map_or(start_ns, |at| at.min(start_ns));
            self.acknowledged_ns = Some(first);
        }
    }

    /// Whether all of it is there.
    pub(super) fn is_whole(&self) -> bool {
        !self.syns.is_empty() && !self.syn_acks.is_empty() && self.acknowledged_ns.is_some()
    }

    pub(super) fn last_ns(&self) -> u64 {
        let legs = self.syns.iter().chain(&self.syn_acks);
        legs.map(|leg| leg.end_ns).max().unwrap_or(0).max(self.acknowledged_ns.unwrap_or(0))
    }

    /// Whether it is a SYN that nobody had answered until then.
    pub(super) fn is_unanswered(&self, until_ns: u64) -> bool {
        self.syn_acks.is_empty()
            && self.acknowledged_ns.is_none()
            && self.syns.iter().any(|syn| syn.end_ns <= until_ns && syn.path.is_some())
    }

    /// Books it, if it was answered.
    pub(super) fn book(mut self, done: &mut Done) {
        if let Some(trip) = self.trip() {
            done.add(&trip);
        }
    }

    fn trip(&mut self) -> Option<Trip> {
        self.syns.sort_by_key(|leg| leg.start_ns);
        let mut reply = *self.syn_acks.iter().min_by_key(|leg| leg.end_ns)?;
        let replied_ns = self.syn_acks.iter().map(Leg::first_ns).min()?;
        let first = self.syns.first()?;
        let answered = self.syns.iter().rfind(|syn| syn.start_ns <= replied_ns).unwrap_or(first);
        let mut ask = Ask::of(*first);
        if answered.start_ns > first.start_ns {
            ask.troubles.put().timers.ran(first.start_ns, answered.start_ns);
            ask.ends_with(answered);
            ask.end_ns = answered.end_ns;
        }
        ask.unsure = answered.path.is_none();
        for syn in &self.syns[1..] {
            let after_ns = syn.start_ns - first.first_ns();
            ask.troubles.put().repeated.add(syn.again.count + 1, after_ns, syn.again.place);
        }
        if replied_ns < reply.first_ns() {
            reply.again.count += 1;
            reply.again.first_ns = replied_ns;
        }
        let answer = Answer::of(reply);
        let at_once = answer.end_ns..=answer.end_ns + AT_ONCE_NS;
        let acknowledged_ns = self.acknowledged_ns.filter(|at| at_once.contains(at));
        Some(Trip { kind: Kind::Connect, proto: TCP, ask, answer, acknowledged_ns })
    }
}
