//! SYNs that a listener had no room for, and ACKs that were to complete a connection.
//!
//! In: flights in the order in which they end. Out: SYNs that were lost at their listener. The kernel
//! frees a SYN as if it had been used, whatever became of it (`tcp_rcv_state_process`): a full queue is
//! only counted (`ListenOverflows`, `ListenDrops`). But a SYN that a listener takes is answered at once. So
//! one that has reached its transport is kept back until its SYN-ACK is seen; where the same SYN comes
//! there again before that, the one before it was lost. (A proxy that has taken it sends the same one to
//! another host.) The queue can also become full after the answer: then the client's ACK is thrown away.

use std::collections::VecDeque;

use netpath_common::end::{self, ACK, FIN, RST, SYN};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::{
    filter::Filter,
    flight::{End, Flight, REACHED_NS},
    packet::{Headers, TCP, Tuple},
    session::Session,
};

/// SYNs that are kept back, and answers that are remembered, at most.
const MOST: usize = 4096;
/// A client that has not sent its SYN again by then has given up, ns: the longest of its timers.
const OVER_NS: u64 = 130_000_000_000;

/// An ACK that was thrown away belongs to no answer that has not come by then, ns: what reaches its transport
/// ends in silence.
const ANSWER_NS: u64 = 3 * REACHED_NS;

/// A SYN: its addresses as its listener sees them, and its sequence number.
type Key = (Tuple, u32);

/// What is to be done with a flight.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It got where it was going.
    Booked(Box<Flight>),
    /// Its listener did not take it, and why.
    Lost(Box<Flight>, &'static end::Row),
}

/// A SYN that waits for its answer.
#[derive(Debug)]
struct Waiting {
    flight: Box<Flight>,
    /// Others of its kind were lost before it.
    again: bool,
}

/// What is known of SYNs and their answers.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    /// Only some packets are recorded: an answer that is not seen says nothing.
    blind: bool,
    filter: Option<Filter>,
    waiting: FxHashMap<Key, Waiting>,
    /// In the order in which they came, with the time.
    line: VecDeque<(u64, Key)>,
    /// With the answer's sequence number.
    answered: FxHashMap<Key, u32>,
    answers: VecDeque<Key>,
    /// ACKs that were thrown away, with the SYN whose connection they can have been to complete, and the
    /// sequence number of its answer, until that is known to be one; in the order in which they came.
    completing: VecDeque<(Key, u32, Box<Flight>)>,
    /// The SYNs of the connections that ACKs were thrown away of: what else comes of such a connection, its
    /// first data or its end, would complete it, too.
    incomplete: FxHashSet<Key>,
}

impl Listeners {
    pub(super) fn of(session: &Session) -> Self {
        let blind = session.sampling.parts_packets();
        Self { blind, filter: session.filter.clone(), ..Self::default() }
    }

    /// Looks at a flight before it is booked; whether it is kept back. `out` gets those that no longer
    /// are.
    pub(super) fn keeps(&mut self, flight: &Flight, out: &mut Vec<Verdict>) -> bool {
        let dropped = matches!(flight.end, End::Dropped { .. });
        let concerns = |h: &Headers| (h.flags & SYN != 0 || dropped) && h.flags & RST == 0;
        let Some(headers) = flight.headers.filter(concerns) else { return false };
        let Some(tuple) = headers.tuple.filter(|tuple| tuple.proto == TCP) else { return false };
        if self.blind || flight.is_late() || flight.ambiguous || flight.copy_of.is_some() {
            return false;
        }
        if headers.flags & SYN == 0 {
            let to = flight.translated.unwrap_or(tuple);
            return self.completing(to, &headers, flight, out);
        }
        if headers.flags & ACK != 0 {
            let syn = (tuple.reversed(), headers.ack.wrapping_sub(1));
            self.answer(syn, headers.seq, out);
            return false;
        }
        let reached = flight.end == End::Reached && flight.incomplete.is_none();
        let key = (flight.translated.unwrap_or(tuple), headers.seq);
        if !reached || self.answered.contains_key(&key) || !self.sees_answer(&headers, key.0) {
            return false;
        }
        let now_ns = flight.marks.last().map_or(0, |mark| mark.at_ns);
        self.forget_old(now_ns, out);
        let flight = Waiting { flight: Box::new(flight.clone()), again: false };
        if let Some(before) = self.waiting.get_mut(&key) {
            let again = before.flight.netns == flight.flight.netns;
            let before = std::mem::replace(before, Waiting { again, ..flight }).flight;
            out.push(if again {
                Verdict::Lost(before, &end::UNANSWERED)
            } else {
                Verdict::Booked(before)
            });
            return true;
        }
        if self.waiting.len() >= MOST {
            return false;
        }
        self.line.push_back((now_ns, key));
        self.waiting.insert(key, flight);
        true
    }

    /// Takes what was thrown away and is no SYN, and says whether it keeps it.
    fn completing(
        &mut self,
        to: Tuple,
        headers: &Headers,
        flight: &Flight,
        out: &mut Vec<Verdict>,
    ) -> bool {
        let now_ns = flight.last_ns();
        self.forget_old(now_ns, out);
        let (syn, answer) = ((to, headers.seq.wrapping_sub(1)), headers.ack.wrapping_sub(1));
        if headers.flags & ACK == 0 || !(completes(headers) || self.incomplete.contains(&syn)) {
            return false;
        }
        if self.incomplete.len() >= MOST {
            self.incomplete.clear();
        }
        match self.answered.get(&syn) {
            Some(known) if *known != answer => false,
            Some(_) => {
                self.incomplete.insert(syn);
                out.push(Verdict::Lost(Box::new(flight.clone()), &end::UNACCEPTED));
                true
            }
            None if self.completing.len() >= MOST => false,
            None => {
                self.incomplete.insert(syn);
                self.completing.push_back((syn, answer, Box::new(flight.clone())));
                true
            }
        }
    }

    /// An answer with this sequence number.
    fn answer(&mut self, key: Key, seq: u32, out: &mut Vec<Verdict>) {
        if let Some(waiting) = self.waiting.remove(&key) {
            out.push(Verdict::Booked(waiting.flight));
        }
        // More than one, where the listener has answered again meanwhile.
        while let Some(at) = self.completing.iter().position(|(syn, ..)| *syn == key)
            && let Some((_, answer, flight)) = self.completing.remove(at)
        {
            out.push(if answer == seq {
                Verdict::Lost(flight, &end::UNACCEPTED)
            } else {
                Verdict::Booked(flight)
            });
        }
        if self.answered.insert(key, seq).is_none() {
            self.answers.push_back(key);
            if self.answers.len() > MOST
                && let Some(old) = self.answers.pop_front()
            {
                self.answered.remove(&old);
            }
        }
    }

    /// Whether the answer would have been recorded.
    fn sees_answer(&self, headers: &Headers, tuple: Tuple) -> bool {
        let answer =
            Headers { tuple: Some(tuple.reversed()), flags: SYN | ACK, payload: 0, ..*headers };
        self.filter.as_ref().is_none_or(|filter| filter.matches(&answer))
    }

    fn forget_old(&mut self, now_ns: u64, out: &mut Vec<Verdict>) {
        while let Some((_, key)) = self.line.pop_front_if(|(at, _)| *at + OVER_NS < now_ns) {
            if let Some(waiting) = self.waiting.remove(&key) {
                out.push(waiting.over());
            }
        }
        let is_old =
            |(_, _, flight): &mut (Key, u32, Box<Flight>)| flight.last_ns() + ANSWER_NS < now_ns;
        while let Some((.., flight)) = self.completing.pop_front_if(is_old) {
            out.push(Verdict::Booked(flight));
        }
    }

    /// Nothing more comes.
    pub(super) fn finish(&mut self) -> Vec<Verdict> {
        let mut left: Vec<Waiting> = self.waiting.drain().map(|(_, waiting)| waiting).collect();
        left.sort_by_key(|waiting| waiting.flight.seq);
        let completing = self.completing.drain(..).map(|(.., flight)| Verdict::Booked(flight));
        left.into_iter().map(Waiting::over).chain(completing).collect()
    }
}

impl Waiting {
    /// What becomes of one that was never answered: where others were lost before it, it was too.
    fn over(self) -> Verdict {
        if self.again {
            Verdict::Lost(self.flight, &end::UNANSWERED)
        } else {
            Verdict::Booked(self.flight)
        }
    }
}

/// Whether a packet can do no more than complete a connection.
fn completes(headers: &Headers) -> bool {
    headers.flags & (ACK | FIN) == ACK && headers.payload == 0
}

#[cfg(test)]
mod tests;
