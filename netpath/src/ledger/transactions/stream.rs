//! The round trips of a TCP connection, by its sequence numbers.
//!
//! - A packet of the client's says with its acknowledgment how many of the server's bytes it had seen: those with
//!   the same one are one request, since they were sent before the reply's first byte was there.
//! - A reply's bytes begin where the request's acknowledgment has ended, and its own acknowledgment covers the
//!   request. So each packet of the server's belongs to one request, whatever the order in which passages end: a
//!   packet whose data TCP has put into another one's is found to be over a second later.
//! - What the server sends unasked belongs to no round trip, or, behind a reply, to that reply.
//! - Bytes that were seen before are sent again.

use super::{
    leg::{Answer, Ask, Leg},
    seen::{Segment, before},
    trip::{Done, Kind, Trip},
};
use crate::packet::TCP;

/// Bytes that are further apart are two connections', of which one followed the other on the same ports.
const FAR: u32 = 1 << 28;
/// Requests of one connection whose replies are still expected, besides the last one.
const OLDER_MAX: usize = 4;
/// Packets of the server's that are kept until their requests are seen.
const EARLY_MAX: usize = 64;

/// A request, and its reply.
#[derive(Clone, Debug)]
struct Exchange {
    /// The server's bytes that the request had seen: its reply's first one.
    begins: u32,
    /// The request's bytes that were seen.
    from: u32,
    to: u32,
    /// How far the reply's first packet has acknowledged them; they can be more.
    covered: u32,
    ask: Ask,
    answer: Option<Answer>,
    /// The reply's bytes.
    answer_from: u32,
    answer_to: u32,
}

/// A connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    now: Option<Exchange>,
    /// Those before it whose replies were not seen yet.
    older: Vec<Exchange>,
    /// Packets of the server's that acknowledge requests which were not seen yet, in the order of their bytes:
    /// a request that a packet socket has a copy of is over once that was read.
    early: Vec<(Segment, Leg)>,
    /// One of the ends closes.
    pub(super) closed: bool,
    pub(super) last_ns: u64,
}

impl Exchange {
    fn new(seg: Segment, leg: Leg) -> Self {
        Self {
            begins: seg.ack,
            from: seg.from,
            to: seg.to,
            covered: seg.to,
            ask: Ask::of(leg),
            answer: None,
            answer_from: 0,
            answer_to: 0,
        }
    }

    /// Whether the packet has bytes of the request that were seen.
    fn has_seen(&self, seg: Segment) -> bool {
        before(seg.from, self.to) && before(self.from, seg.to)
    }

    /// Whether the packet is of the request, which nothing but its reply has told of so far.
    fn lacks(&self, seg: Segment) -> bool {
        match self.answer {
            Some(_) => seg.ack == self.begins && before(seg.from, self.covered),
            None => seg.ack == self.begins,
        }
    }

    fn join(&mut self, seg: Segment, leg: Leg) {
        self.ask.join(leg);
        if before(seg.from, self.from) {
            self.from = seg.from;
        }
        if before(self.to, seg.to) {
            self.to = seg.to;
        }
        if before(self.covered, self.to) {
            self.covered = self.to;
        }
    }

    /// A packet with bytes that were seen before.
    fn repeat(&mut self, leg: Leg) {
        if self.ask.unsure {
            // It can be the same one, under another address.
        } else if self.answer.is_none() {
            self.ask.repeat(leg);
        } else {
            self.ask.repeat_late(leg);
        }
    }

    /// Whether a packet of the server's can belong to the reply.
    fn takes(&self, seg: Segment) -> bool {
        !before(seg.from, self.begins) && before(self.from, seg.ack)
    }

    fn reply(&mut self, seg: Segment, leg: Leg) {
        let Some(answer) = &mut self.answer else {
            self.answer = Some(Answer::of(leg));
            (self.answer_from, self.answer_to) = (seg.from, seg.to);
            if before(self.covered, seg.ack) {
                self.covered = seg.ack;
            }
            return;
        };
        if !before(self.answer_from, seg.to) {
            answer.precede(leg);
            self.answer_from = seg.from;
        } else if before(seg.from, self.answer_to) {
            answer.repeat(leg);
        } else {
            answer.join(leg);
        }
        if before(self.answer_to, seg.to) {
            self.answer_to = seg.to;
        }
    }

    /// Books it, if it has its reply.
    fn book(self, done: &mut Done) {
        let Self { ask, answer: Some(answer), .. } = self else { return };
        done.add(&Trip { kind: Kind::Request, proto: TCP, ask, answer, acknowledged_ns: None });
    }
}

impl Stream {
    /// Takes a packet of the client's with data.
    pub(super) fn asks(&mut self, seg: Segment, leg: Leg, done: &mut Done) {
        let mut known = self.older.iter_mut().chain(&mut self.now);
        if let Some(exchange) = known.rfind(|exchange| exchange.has_seen(seg)) {
            exchange.repeat(leg);
        } else {
            let mut known = self.older.iter_mut().chain(&mut self.now);
            match known.rfind(|exchange| exchange.lacks(seg)) {
                Some(exchange) => exchange.join(seg, leg),
                None => self.begin(seg, leg, done),
            }
        }
        for (seg, leg) in std::mem::take(&mut self.early) {
            self.answers(seg, leg);
        }
    }

    /// Another request begins: behind the first byte of the reply before, or behind what that
    /// acknowledges.
    fn begin(&mut self, seg: Segment, leg: Leg, done: &mut Done) {
        let new = Exchange::new(seg, leg);
        let Some(now) = &self.now else {
            self.now = Some(new);
            return;
        };
        let far = seg.from.wrapping_sub(now.from).cast_signed().unsigned_abs() > FAR;
        if !far && (before(seg.ack, now.begins) || before(seg.from, now.covered)) {
            // Of one that was booked.
            return;
        }
        if far || now.answer.is_some() && seg.ack != now.begins {
            self.finish(done);
        } else if let Some(now) = self.now.take() {
            if self.older.len() >= OLDER_MAX {
                self.older.remove(0).book(done);
            }
            self.older.push(now);
        }
        self.now = Some(new);
    }

    /// Takes a packet of the server's with data.
    pub(super) fn answers(&mut self, seg: Segment, leg: Leg) {
        // It acknowledges bytes that were not seen; one can be the client's FIN.
        let unseen = self.now.as_ref().is_none_or(|now| {
            now.answer.is_some()
                && before(now.covered.wrapping_add(1), seg.ack)
                && !before(seg.from, now.answer_to)
        });
        if unseen {
            if self.early.len() >= EARLY_MAX {
                self.early.remove(0);
            }
            let at = self.early.partition_point(|(known, _)| !before(seg.from, known.from));
            self.early.insert(at, (seg, leg));
            return;
        }
        let mut known = self.older.iter_mut().chain(&mut self.now);
        if let Some(exchange) = known.rfind(|exchange| exchange.takes(seg)) {
            exchange.reply(seg, leg);
        }
    }

    /// Whether there is a request whose reply has yet to come: a client can close when it has asked.
    pub(super) fn awaits(&self) -> bool {
        self.now.as_ref().is_some_and(|now| now.answer.is_none())
    }

    /// Books what has its reply: no more of it comes. What has none is forgotten.
    pub(super) fn finish(&mut self, done: &mut Done) {
        for exchange in self.older.drain(..).chain(self.now.take()) {
            exchange.book(done);
        }
    }
}
