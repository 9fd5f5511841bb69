//! The assembler: applies the rules that [`super`] states.

use std::collections::VecDeque;

use netpath_common::point::{CONSUME_SKB, KFREE_SKB, SK_READY, SOCK_RECV};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::{
    Captured, EVENTS_MAX, End, Flight, Mark, OPEN_MAX, REACHED_NS, SILENT_NS,
    role::{Role, enters_tunnel, goes_on, quiet_end, role},
    sockets::{self, Sockets},
};
use crate::{
    decode::{Batch, Event, Gap, Piece},
    packet::Bytes,
};

/// How often silent flights are looked for, ns of event time.
const SWEEP_NS: u64 = 100_000_000;
/// Flights that are closed at once where too many are open.
const EVICTED_AT_ONCE: usize = OPEN_MAX / 16;
/// Windows of loss that are remembered.
const WINDOWS_MAX: usize = 64;
/// After a gap, packets that began in it are met in mid-path for this long, ns.
const RESUMED_NS: u64 = 50_000_000;

/// What the assembler has counted. All are numbers of flights, but for `strays`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Flights begun.
    pub begun: u64,
    /// Events that belonged to no flight.
    pub strays: u64,
    /// Flights closed because too many were open.
    pub evicted: u64,
    /// Flights that began before everything was attached; they are left out.
    pub early: u64,
    /// Flights that a gap cut short, or that began in one; they are left out.
    pub cut: u64,
}

/// Turns pieces, in order, into finished flights.
#[derive(Debug, Default)]
pub struct Assembler {
    open: FxHashMap<u64, Box<Flight>>,
    /// Finished flights' memory, to be used again.
    #[expect(clippy::vec_box, reason = "flights move between maps, lines and here")]
    spare: Vec<Box<Flight>>,
    counters: Counters,
    swept_ns: u64,
    /// Flights that began before are left out, ns.
    since_ns: u64,
    /// Gaps that are still ahead.
    gaps: VecDeque<Gap>,
    /// When the last gap ended, ns.
    resumed_ns: Option<u64>,
    /// When events were lost: from, to, ns.
    lost: Vec<(u64, u64)>,
    /// Whether the reading of a datagram names its sk_buff, so that no lines are needed.
    exact_reads: bool,
    /// Whether a receiving call's return is seen, so that a packet that was copied waits for it.
    returns: bool,
    /// Datagrams that lie in sockets' queues.
    sockets: Sockets,
    /// Events were lost: who reads which datagram is no longer known.
    lines_broken: bool,
}

impl Assembler {
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Flights that are under way.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Leaves out flights that began before this time, ns.
    pub fn since(&mut self, since_ns: u64) {
        self.since_ns = since_ns;
    }

    /// Says whether the reading of a datagram names its sk_buff (`skb_consume_udp` is probed).
    pub fn exact_reads(&mut self, exact: bool) {
        self.exact_reads = exact;
    }

    /// Says whether it is seen that a receiving call returns (`sock_recv_length`).
    pub fn seen_returns(&mut self, seen: bool) {
        self.returns = seen;
    }

    /// Tells that events between these times were lost, ns.
    pub fn lost_between(&mut self, from_ns: u64, to_ns: u64) {
        if self.lost.len() >= WINDOWS_MAX {
            self.lost.remove(0);
        }
        self.lost.push((from_ns, to_ns));
        self.lines_broken = true;
    }

    /// Tells of a gap, before the pieces that come after it.
    pub fn gap(&mut self, gap: Gap) {
        self.gaps.push_back(gap);
    }

    /// Ends what was under way when a gap began that begins before this time, ns.
    fn pass_gaps(&mut self, now_ns: u64, done: &mut impl FnMut(&Flight)) {
        while let Some(gap) = self.gaps.pop_front_if(|gap| gap.from_ns <= now_ns) {
            if gap.from_ns == gap.until_ns {
                continue;
            }
            self.close_copied(u64::MAX, done);
            for flight in self.take_all() {
                if quiet_end(&flight.marks) == End::Reached {
                    self.finish(Some(flight), done);
                } else {
                    self.counters.cut += 1;
                    self.spare(flight);
                }
            }
            self.resumed_ns = Some(gap.until_ns);
        }
    }

    /// Closes flights that were copied to their reader, whose call's return nobody waits for by now.
    fn close_copied(&mut self, now_ns: u64, done: &mut impl FnMut(&Flight)) {
        for read in self.sockets.drain_copied(now_ns) {
            self.close(Some(read), done);
        }
    }

    /// Whether a flight may have begun in the last gap.
    fn began_in_gap(&self, first: &Mark) -> bool {
        let begins = matches!(role(first.point, first.aux), Role::Birth);
        !begins && self.resumed_ns.is_some_and(|until| first.at_ns < until + RESUMED_NS)
    }

    /// All that is under way, in the order in which it began.
    #[expect(clippy::vec_box, reason = "flights move between maps, lines and here")]
    fn take_all(&mut self) -> Vec<Box<Flight>> {
        let mut all: Vec<_> = self.open.drain().map(|(_, flight)| flight).collect();
        all.extend(self.sockets.drain(|_| true));
        all.sort_by_key(|f| f.seq);
        all
    }

    /// Takes a batch whose pieces are sorted; `done` gets each flight that has ended.
    pub fn batch(&mut self, batch: &Batch, mut done: impl FnMut(&Flight)) {
        for piece in &batch.pieces {
            self.piece(piece, batch.events_of(piece), &mut done);
        }
    }

    /// Takes one piece.
    pub fn piece(&mut self, piece: &Piece, events: &[Event], done: &mut impl FnMut(&Flight)) {
        self.pass_gaps(piece.start_ns, done);
        if piece.start_ns.saturating_sub(self.swept_ns) > SWEEP_NS {
            self.sweep(piece.start_ns, done);
        }
        if std::mem::take(&mut self.lines_broken) {
            for flight in self.sockets.drain(|_| true) {
                self.finish(Some(flight), done);
            }
            self.close_copied(u64::MAX, done);
        }
        if let [event] = events
            && event.point == SOCK_RECV
        {
            let copied = self.sockets.returned(event, Here::of(piece));
            if !copied.is_empty() {
                for flight in copied {
                    self.close(Some(flight), done);
                }
                return;
            }
            let (stale, delivered) = self.sockets.received(event, Here::of(piece));
            for flight in stale {
                self.finish(Some(flight), done);
            }
            self.close(delivered, done);
            return;
        }
        let here = Here::of(piece);
        let mut flight = self.open.remove(&piece.skb);
        let enters = flight.as_deref().is_some_and(|f| enters_tunnel(f, events));
        if let (Some(open), Some(headers)) = (&flight, &piece.headers)
            && !(open.in_tunnel || enters)
            && open.headers.as_ref().is_some_and(|known| !known.same_packet(headers))
        {
            self.finish(flight.take(), done);
        }
        let mut headers = piece.headers;
        let mut bytes = piece.bytes.as_deref();
        for event in events {
            let role = role(event.point, event.aux);
            if role == Role::Birth && !goes_on(flight.as_deref_mut(), event) {
                self.finish(flight.take(), done);
            }
            if flight.is_none() && matches!(role, Role::Birth | Role::Passage) {
                flight = Some(self.begin(piece.skb));
            }
            let Some(open) = &mut flight else {
                self.counters.strays += 1;
                continue;
            };
            if let Some(headers) = headers.take()
                && !open.in_tunnel
            {
                learn(open, headers);
                if let Some(bytes) = bytes.take() {
                    keep(open, bytes);
                }
            }
            if event.point == SK_READY {
                if !sockets::is_owner(open, event) {
                    continue;
                }
                push(open, event, here);
                if !self.exact_reads && sockets::is_datagram(open) {
                    for stale in self.sockets.queue(flight.take(), event) {
                        self.finish(Some(stale), done);
                    }
                }
                continue;
            }
            if role == Role::Last {
                let end = match event.point {
                    KFREE_SKB => End::Dropped { reason: event.aux },
                    CONSUME_SKB => quiet_end(&open.marks),
                    _ => End::Delivered,
                };
                open.end = end;
                if event.point != CONSUME_SKB {
                    push(open, event, here);
                }
                if self.returns && end == End::Delivered {
                    // Those that no socket was woken for come back at once.
                    flight = self.sockets.copied(flight);
                }
                self.close(flight.take(), done);
                continue;
            }
            push(open, event, here);
        }
        if let Some(flight) = flight {
            self.open.insert(piece.skb, flight);
            if self.open.len() > OPEN_MAX {
                self.evict(done);
            }
        }
    }

    /// Closes every flight: the recording is over.
    pub fn finish_all(&mut self, mut done: impl FnMut(&Flight)) {
        self.pass_gaps(u64::MAX, &mut done);
        self.close_copied(u64::MAX, &mut done);
        for flight in self.take_all() {
            self.finish(Some(flight), &mut done);
        }
    }

    fn begin(&mut self, skb: u64) -> Box<Flight> {
        self.counters.begun += 1;
        let mut flight = self.spare.pop().unwrap_or_default();
        flight.marks.clear();
        *flight = Flight {
            seq: self.counters.begun,
            skb,
            marks: std::mem::take(&mut flight.marks),
            ..Flight::default()
        };
        flight
    }

    /// Ends a flight that nothing has ended.
    fn finish(&mut self, flight: Option<Box<Flight>>, done: &mut impl FnMut(&Flight)) {
        if let Some(mut flight) = flight {
            flight.end = quiet_end(&flight.marks);
            self.close(Some(flight), done);
        }
    }

    fn close(&mut self, flight: Option<Box<Flight>>, done: &mut impl FnMut(&Flight)) {
        let Some(mut flight) = flight else { return };
        if let (Some(first), Some(last)) = (flight.marks.first(), flight.marks.last()) {
            flight.incomplete |=
                self.lost.iter().any(|&(from, to)| first.at_ns <= to && last.at_ns >= from);
        }
        if flight.marks.first().is_some_and(|m| m.at_ns < self.since_ns) {
            self.counters.early += 1;
        } else if flight.marks.first().is_some_and(|m| self.began_in_gap(m)) {
            self.counters.cut += 1;
        } else {
            done(&flight);
        }
        self.spare(flight);
    }

    /// Keeps a flight's memory.
    fn spare(&mut self, flight: Box<Flight>) {
        if self.spare.len() < 1024 {
            self.spare.push(flight);
        }
    }

    /// Closes what has been silent for too long.
    fn sweep(&mut self, now_ns: u64, done: &mut impl FnMut(&Flight)) {
        self.swept_ns = now_ns;
        let silent: Vec<u64> = self
            .open
            .iter()
            .filter(|(_, flight)| {
                let last = last_ns(flight);
                let over = matches!(quiet_end(&flight.marks), End::Reached | End::Merged);
                now_ns.saturating_sub(last) > if over { REACHED_NS } else { SILENT_NS }
            })
            .map(|(skb, _)| *skb)
            .collect();
        for skb in silent {
            let flight = self.open.remove(&skb);
            self.finish(flight, done);
        }
        for unread in self.sockets.drain(|f| now_ns.saturating_sub(last_ns(f)) > SILENT_NS) {
            self.finish(Some(unread), done);
        }
        self.close_copied(now_ns, done);
    }

    /// Closes those that were silent longest, a good many at once: looking for them takes a while.
    fn evict(&mut self, done: &mut impl FnMut(&Flight)) {
        let mut quietest: Vec<(u64, u64)> =
            self.open.iter().map(|(skb, flight)| (last_ns(flight), *skb)).collect();
        let many = quietest.len().min(EVICTED_AT_ONCE);
        quietest.select_nth_unstable(many.saturating_sub(1));
        for (_, skb) in &quietest[..many] {
            self.counters.evicted += 1;
            let flight = self.open.remove(skb);
            self.finish(flight, done);
        }
    }
}

fn last_ns(flight: &Flight) -> u64 {
    flight.marks.last().map_or(0, |m| m.at_ns)
}

/// The CPU on which an event happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Here {
    cpu: u16,
    /// When it left idle, where that was since the piece before, ns.
    left_idle_ns: Option<u64>,
}

impl Here {
    fn of(piece: &Piece) -> Self {
        Self { cpu: piece.cpu, left_idle_ns: piece.left_idle_ns }
    }
}

pub(super) fn push(flight: &mut Flight, event: &Event, here: Here) {
    if flight.marks.len() >= EVENTS_MAX {
        flight.incomplete = true;
        return;
    }
    let Event { at_ns, point, aux, arg } = *event;
    let before = flight.marks.last().map_or(u64::MAX, |m| m.at_ns);
    let left_idle = here.left_idle_ns.is_some_and(|left| left > before && left <= at_ns);
    flight.marks.push(Mark { at_ns, arg, point, aux, cpu: here.cpu, left_idle });
}

fn learn(flight: &mut Flight, headers: crate::packet::Headers) {
    match &flight.headers {
        None => flight.headers = Some(headers),
        Some(first) => {
            if headers.tuple.is_some() && headers.tuple != first.tuple {
                flight.translated = headers.tuple;
            }
        }
    }
}

fn keep(flight: &mut Flight, bytes: &Bytes) {
    match &mut flight.captured {
        None => {
            let captured = Captured { first: bytes.clone(), last: None };
            flight.captured = Some(Box::new(captured));
        }
        Some(known) => {
            // Its socket has just made it; on its first device it is whole.
            if known.first.link == 0 && known.last.is_none() && flight.translated.is_none() {
                known.first = bytes.clone();
            } else {
                known.last = Some(bytes.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests;
