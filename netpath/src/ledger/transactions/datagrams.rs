//! The round trips of UDP, where nothing in a packet says what it belongs to: by what follows what.
//!
//! A datagram of the client's asks, and those of the server's that come then answer it. Datagrams that cross each
//! other on the way are a stream's (media, a tunnel, QUIC), not requests: where many do, a conversation has no
//! round trips.
//!
//! Passages of datagrams that went in parts (fragments) end when nothing more of their parts is waited for, and
//! those that lie in a socket's queue when their reader comes, which may be behind by some: where there are such,
//! all of a conversation are put in order by when they departed.

use std::collections::VecDeque;

use super::{
    leg::{Answer, Ask, Leg},
    trip::{Done, Kind, Trip},
};
use crate::{flight::REACHED_NS, packet::UDP};

/// Datagrams that follow each other faster are one request, ns; later, the one before was lost.
const TOGETHER_NS: u64 = 1_000_000;

/// Of datagrams whose passages end late, those are waited for that departed before so long, ns; parts are waited
/// for by [`REACHED_NS`].
const HELD_NS: u64 = 2 * REACHED_NS;
const HELD_MAX: usize = 32;

/// Datagrams between two ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Datagrams {
    ask: Option<Ask>,
    answer: Option<Answer>,
    /// Requests that followed the reply before.
    followed: u32,
    /// Datagrams that crossed one of the other side's, or that nobody had asked for.
    crossed: u32,
    /// Something was asked: before, a reply can be to what was not seen.
    begun: bool,
    pub(super) last_ns: u64,
    /// Where passages end late: the latest, in the order in which they departed, and whether they answer.
    held: Option<VecDeque<(Leg, bool)>>,
}

impl Datagrams {
    fn is_stream(&self) -> bool {
        self.crossed * 2 > self.followed + 1
    }

    /// Takes a datagram, which answers or asks.
    pub(super) fn take(&mut self, leg: Leg, answers: bool, done: &mut Done) {
        self.last_ns = self.last_ns.max(leg.end_ns);
        let ends_late = leg.in_parts || leg.end_ns - leg.there_ns > TOGETHER_NS;
        if !ends_late && self.held.is_none() {
            return self.in_turn(leg, answers, done);
        }
        let held = self.held.get_or_insert_default();
        let at = held.partition_point(|(known, _)| known.start_ns <= leg.start_ns);
        held.insert(at, (leg, answers));
        let many = held.len();
        let is_due =
            |first: &mut (Leg, bool)| many > HELD_MAX || first.0.start_ns + HELD_NS < self.last_ns;
        if let Some((leg, answers)) = held.pop_front_if(is_due) {
            self.in_turn(leg, answers, done);
        }
    }

    fn in_turn(&mut self, leg: Leg, answers: bool, done: &mut Done) {
        if answers { self.answers(leg) } else { self.asks(leg, done) }
    }

    fn asks(&mut self, leg: Leg, done: &mut Done) {
        let begun = std::mem::replace(&mut self.begun, true);
        match (&mut self.ask, &self.answer) {
            (Some(ask), None) if leg.start_ns.abs_diff(ask.last_ns) < TOGETHER_NS => {
                ask.join(leg);
            }
            (Some(_), Some(answer)) => {
                if leg.start_ns < answer.there_ns {
                    self.crossed += 1;
                } else {
                    self.followed += 1;
                }
                self.book(done);
                self.ask = Some(Ask::of(leg));
            }
            (None, Some(answer)) if answer.start_ns < leg.end_ns => {
                self.crossed += u32::from(begun);
                (self.ask, self.answer) = (Some(Ask::of(leg)), None);
            }
            _ => self.ask = Some(Ask::of(leg)),
        }
    }

    fn answers(&mut self, leg: Leg) {
        match (&self.ask, &mut self.answer) {
            (_, Some(answer)) => answer.join(leg),
            // Sent before it can have been asked for.
            (Some(ask), None) if leg.start_ns < ask.end_ns => self.crossed += 1,
            // The request's passage can end later.
            (_, None) => self.answer = Some(Answer::of(leg)),
        }
    }

    /// Books what has its reply: no more of it comes.
    pub(super) fn finish(&mut self, done: &mut Done) {
        for (leg, answers) in self.held.take().unwrap_or_default() {
            self.in_turn(leg, answers, done);
        }
        self.book(done);
    }

    fn book(&mut self, done: &mut Done) {
        let (ask, answer) = (self.ask.take(), self.answer.take());
        if let (Some(ask), Some(answer), false) = (ask, answer, self.is_stream()) {
            done.add(&Trip { kind: Kind::Request, proto: UDP, ask, answer, acknowledged_ns: None });
        }
    }
}
