//! The round trips of UDP, where nothing in a packet says what it belongs to: by what follows what.
//!
//! A datagram of the client's asks, and those of the server's that come then answer it. Datagrams that cross each
//! other on the way are a stream's (media, a tunnel, QUIC), not requests: where many do, a conversation has no
//! round trips.

use super::{
    leg::{Answer, Ask, Leg},
    trip::{Done, Kind, Trip},
};
use crate::packet::UDP;

/// Datagrams that follow each other faster are one request, ns; later, the one before was lost.
const TOGETHER_NS: u64 = 1_000_000;

/// Datagrams between two ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Datagrams {
    ask: Option<Ask>,
    answer: Option<Answer>,
    /// Requests that followed the reply before.
    in_turn: u32,
    /// Datagrams that crossed one of the other side's, or that nobody had asked for.
    crossed: u32,
    /// Something was asked: before, a reply can be to what was not seen.
    begun: bool,
    pub(super) last_ns: u64,
}

impl Datagrams {
    fn is_stream(&self) -> bool {
        self.crossed * 2 > self.in_turn + 1
    }

    pub(super) fn asks(&mut self, leg: Leg, done: &mut Done) {
        self.last_ns = self.last_ns.max(leg.end_ns);
        let begun = std::mem::replace(&mut self.begun, true);
        match (&mut self.ask, &self.answer) {
            (Some(ask), None) if leg.start_ns.abs_diff(ask.last_ns) < TOGETHER_NS => {
                ask.join(leg);
            }
            (Some(_), Some(answer)) => {
                if leg.start_ns < answer.end_ns {
                    self.crossed += 1;
                } else {
                    self.in_turn += 1;
                }
                self.finish(done);
                self.ask = Some(Ask::of(leg));
            }
            (None, Some(answer)) if answer.start_ns < leg.end_ns => {
                self.crossed += u32::from(begun);
                (self.ask, self.answer) = (Some(Ask::of(leg)), None);
            }
            _ => self.ask = Some(Ask::of(leg)),
        }
    }

    pub(super) fn answers(&mut self, leg: Leg) {
        self.last_ns = self.last_ns.max(leg.end_ns);
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
        let (ask, answer) = (self.ask.take(), self.answer.take());
        if let (Some(ask), Some(answer), false) = (ask, answer, self.is_stream()) {
            done.add(&Trip { kind: Kind::Request, proto: UDP, ask, answer, acknowledged_ns: None });
        }
    }
}
