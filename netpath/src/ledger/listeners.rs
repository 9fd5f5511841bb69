//! SYNs that a listener had no room for.
//!
//! In: flights in the order in which they end. Out: SYNs that were lost at their listener. The kernel
//! frees a SYN as if it had been used, whatever became of it (`tcp_rcv_state_process`): a full queue is
//! only counted (`ListenOverflows`, `ListenDrops`). But a SYN that a listener takes is answered at once. So
//! one that has reached its transport is kept back until its SYN-ACK is seen; where the same SYN comes
//! there again before that, the one before it was lost. (A proxy that has taken it sends the same one to
//! another host.)

use std::collections::VecDeque;

use netpath_common::end::{ACK, RST, SYN};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::{
    filter::Filter,
    flight::{End, Flight},
    packet::{Headers, TCP, Tuple},
    session::Session,
};

/// SYNs that are kept back, and answers that are remembered, at most.
const MOST: usize = 4096;
/// A client that has not sent its SYN again by then has given up, ns: the longest of its timers.
const OVER_NS: u64 = 130_000_000_000;

/// A SYN: its addresses as its listener sees them, and its sequence number.
type Key = (Tuple, u32);

/// What is to be done with a flight.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It got where it was going.
    Booked(Box<Flight>),
    /// Its listener did not take it.
    Lost(Box<Flight>),
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
    answered: FxHashSet<Key>,
    answers: VecDeque<Key>,
}

impl Listeners {
    pub(super) fn of(session: &Session) -> Self {
        let blind = session.sampling.parts_packets();
        Self { blind, filter: session.filter.clone(), ..Self::default() }
    }

    /// Looks at a flight before it is booked; whether it is kept back. `out` gets those that no longer
    /// are.
    pub(super) fn keeps(&mut self, flight: &Flight, out: &mut Vec<Verdict>) -> bool {
        let Some(headers) = flight.headers.filter(|h| h.flags & SYN != 0 && h.flags & RST == 0)
        else {
            return false;
        };
        let Some(tuple) = headers.tuple.filter(|tuple| tuple.proto == TCP) else { return false };
        if self.blind || flight.is_late() || flight.ambiguous || flight.copy_of.is_some() {
            return false;
        }
        if headers.flags & ACK != 0 {
            self.answer((tuple.reversed(), headers.ack.wrapping_sub(1)), out);
            return false;
        }
        let reached = flight.end == End::Reached && flight.incomplete.is_none();
        let key = (flight.translated.unwrap_or(tuple), headers.seq);
        if !reached || self.answered.contains(&key) || !self.sees_answer(&headers, key.0) {
            return false;
        }
        let now_ns = flight.marks.last().map_or(0, |mark| mark.at_ns);
        self.forget_old(now_ns, out);
        let flight = Waiting { flight: Box::new(flight.clone()), again: false };
        if let Some(before) = self.waiting.get_mut(&key) {
            let again = before.flight.netns == flight.flight.netns;
            let before = std::mem::replace(before, Waiting { again, ..flight }).flight;
            out.push(if again { Verdict::Lost(before) } else { Verdict::Booked(before) });
            return true;
        }
        if self.waiting.len() >= MOST {
            return false;
        }
        self.line.push_back((now_ns, key));
        self.waiting.insert(key, flight);
        true
    }

    fn answer(&mut self, key: Key, out: &mut Vec<Verdict>) {
        if let Some(waiting) = self.waiting.remove(&key) {
            out.push(Verdict::Booked(waiting.flight));
        }
        if self.answered.insert(key) {
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
    }

    /// Nothing more comes.
    pub(super) fn finish(&mut self) -> Vec<Verdict> {
        let mut left: Vec<Waiting> = self.waiting.drain().map(|(_, waiting)| waiting).collect();
        left.sort_by_key(|waiting| waiting.flight.seq);
        left.into_iter().map(Waiting::over).collect()
    }
}

impl Waiting {
    /// What becomes of one that was never answered: where others were lost before it, it was too.
    fn over(self) -> Verdict {
        if self.again { Verdict::Lost(self.flight) } else { Verdict::Booked(self.flight) }
    }
}

#[cfg(test)]
mod tests;
