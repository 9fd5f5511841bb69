//! The assembler: applies the rules that [`super`] states.

use std::collections::{BTreeMap, VecDeque};

use netpath_common::{
    point::{CONSUME_SKB, KFREE_SKB, MOVED, SK_READY, SKB_COPY, SOCK_RECV},
    situation::{At, Role, goes_on_as_others},
};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::{
    End, Flight, Incomplete, Mark, OPEN_MAX, REACHED_NS, SILENT_NS, WAITING_NS,
    family::{self, Families},
    identity::{Asked, Fate, Sighting, awaits_parts, fate, is_in_reassembly, quiet_end, role},
    limbo::Limbo,
    loss::Losses,
    marks::{Here, keep, learn, push},
    reasons::Reasons,
    reassembly::Reassembly,
    recent::{self, Recent},
    sockets::{self, Sockets},
};
use crate::{
    decode::{Batch, Event, Gap, Missed, Piece},
    packet::Headers,
};

/// How often silent flights are looked for, ns of event time.
const SWEEP_NS: u64 = 100_000_000;
/// Flights with room for more marks than this are not kept to be used again.
const SPARE_MARKS: usize = 256;
/// Flights that are closed at once where too many are open.
const EVICTED_AT_ONCE: usize = OPEN_MAX / 16;
/// After a gap, packets that began in it are met in mid-path for this long, ns.
const RESUMED_NS: u64 = 50_000_000;
/// Packets whose data TCP has put into another's, and that are read with it, at most.
const JOINED_MAX: usize = 256;

/// What the assembler has counted. All are numbers of flights, but for `strays` and `late`.
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
    /// Flights that went on as others: fragmented, segmented or rebuilt.
    #[serde(default)]
    pub absorbed: u64,
    /// Pieces that arrived after the time that they belong to had been dealt with.
    pub late: u64,
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
    /// The newest piece's time, ns.
    now_ns: u64,
    recent: Recent,
    families: Families,
    reassembly: Reassembly,
    limbo: Limbo,
    /// Flights that began before are left out, ns.
    since_ns: u64,
    /// Gaps that are still ahead.
    gaps: VecDeque<Gap>,
    /// When the last gap ended, ns.
    resumed_ns: Option<u64>,
    losses: Losses,
    reasons: Reasons,
    /// Whether the reading of a datagram names its sk_buff, so that no lines are needed.
    exact_reads: bool,
    /// Whether a receiving call's return is seen, so that a packet that was copied waits for it.
    returns: bool,
    /// Datagrams that lie in sockets' queues.
    sockets: Sockets,
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

    /// Says what the kernel calls its drop reasons, by their numbers.
    pub fn drop_reasons(&mut self, names: &BTreeMap<u16, String>) {
        self.reasons = Reasons::of(names);
    }

    /// Says whether the reading of a datagram names its sk_buff (`skb_consume_udp` is probed).
    pub fn exact_reads(&mut self, exact: bool) {
        self.exact_reads = exact;
    }

    /// Says whether it is seen that a receiving call returns (`sock_recv_length`).
    pub fn seen_returns(&mut self, seen: bool) {
        self.returns = seen;
    }

    /// Tells that a CPU has lost events from this time on, ns, before the pieces that come after it.
    pub fn loses(&mut self, cpu: u16, from_ns: u64) {
        self.losses.open(cpu, from_ns);
    }

    /// Tells that it has recorded everything again from this time on, ns.
    pub fn records_again(&mut self, cpu: u16, from_ns: u64) {
        self.losses.close(cpu, from_ns);
    }

    /// Tells that probes were passed over between these times, ns, before the pieces of that time.
    pub fn missed(&mut self, missed: Missed) {
        self.losses.missed(missed.from_ns, missed.until_ns);
    }

    /// Tells that probes were changed between these times, ns.
    pub fn probes_changed(&mut self, from_ns: u64, to_ns: u64) {
        self.losses.changed(from_ns, to_ns);
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
                if quiet_end(&flight) == End::Reached {
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
        let begins = role(first.point, first.aux) == Role::Birth;
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

    /// Takes a batch that is sorted; `done` gets each flight that has ended.
    pub fn batch(&mut self, batch: &Batch, mut done: impl FnMut(&Flight)) {
        for piece in batch.in_order() {
            self.piece(piece, batch.events_of(piece), &mut done);
        }
    }

    /// Takes one piece.
    #[expect(clippy::too_many_lines, reason = "what an event can do, in its order")]
    pub fn piece(&mut self, piece: &Piece, events: &[Event], done: &mut impl FnMut(&Flight)) {
        self.now_ns = self.now_ns.max(piece.start_ns);
        self.pass_gaps(piece.start_ns, done);
        if piece.start_ns.saturating_sub(self.swept_ns) > SWEEP_NS {
            self.sweep(piece.start_ns, done);
        }
        if self.losses.breaks(piece.start_ns) {
            // Who reads which datagram is no longer known.
            for mut flight in self.sockets.drain(|_| true) {
                flight.incomplete.get_or_insert(Incomplete::Lost);
                self.finish(Some(flight), done);
            }
            self.close_copied(u64::MAX, done);
        }
        let here = Here::of(piece);
        if let [event] = events
            && event.point == SOCK_RECV
        {
            let copied = self.sockets.returned(event, &here, &self.losses);
            if !copied.is_empty() {
                for flight in copied {
                    self.close(Some(flight), done);
                }
                return;
            }
            let (stale, delivered) = self.sockets.received(event, &here, &self.losses);
            for flight in stale {
                self.finish(Some(flight), done);
            }
            self.close(delivered, done);
            return;
        }
        self.release_limbo(piece.start_ns, done);
        let mut flight = self.open.remove(&piece.skb);
        if piece.is_late {
            self.counters.late += 1;
            if let Some(open) = &mut flight {
                open.incomplete.get_or_insert(Incomplete::OutOfOrder);
            }
        }
        let last_ns = events.last().map_or(piece.start_ns, |e| e.at_ns);
        let lacks = piece.is_alone && self.losses.passed_over(piece.start_ns, last_ns + 1);
        let mut headers = piece.headers.as_ref();
        let mut bytes = piece.bytes.as_deref();
        for (i, event) in events.iter().enumerate() {
            let asked = Asked {
                judged: i > 0 || (piece.at_hand && piece.headers.is_none()),
                at_hand: i > 0 || piece.at_hand,
            };
            if event.point == MOVED {
                self.moved(flight.take(), event.arg, done);
                continue;
            }
            let seen = Sighting::of(event);
            let role = seen.role;
            let mut wrapped = false;
            if let Some(open) = &mut flight {
                let fate = fate(open, &seen, headers, asked);
                if fate == Fate::GoesOn && role != Role::Last {
                    for (skb, seq) in self.reassembly.goes_on(open, seen.at) {
                        if let Some(part) = self.open.get_mut(&skb).filter(|f| f.seq == seq) {
                            part.put_together = true;
                        }
                    }
                }
                match fate {
                    Fate::GoesOn => {}
                    Fate::GoneOn => continue,
                    Fate::Perhaps => open.ambiguous = true,
                    Fate::Wrapped => (open.in_tunnel, wrapped) = (true, true),
                    Fate::Unwrapped => open.in_tunnel = false,
                    Fate::TurnedBack => self.turn_back(flight.take(), event, &here, done),
                    Fate::Over => self.finish(flight.take(), done),
                }
            }
            if flight.is_none() {
                flight = match role {
                    Role::Birth | Role::Passage => Some(self.begin(piece, &seen, headers, done)),
                    Role::Last => self.ended_as_another(piece.cpu, seen.at, headers),
                    Role::Follow => None,
                };
            }
            let Some(open) = &mut flight else {
                self.counters.strays += 1;
                continue;
            };
            if lacks {
                open.incomplete.get_or_insert(Incomplete::Lost);
            }
            if let Some(headers) = headers.take() {
                if open.in_tunnel {
                    if wrapped || open.known.is_none() {
                        open.known = Some(*headers);
                    }
                } else {
                    learn(open, headers);
                    if let Some(bytes) = bytes.take() {
                        keep(open, bytes);
                    }
                }
            }
            if event.point == SK_READY {
                if !sockets::is_owner(open, event) {
                    continue;
                }
                push(open, &seen, &here, &self.losses);
                if !self.exact_reads && sockets::is_datagram(open) {
                    for stale in self.sockets.queue(flight.take(), event) {
                        self.finish(Some(stale), done);
                    }
                } else if sockets::is_stream(open)
                    && let Some(with) = self.sockets.joins(open, event)
                {
                    self.merge(flight.take(), with, done);
                }
                continue;
            }
            if role == Role::Last {
                let end = match event.point {
                    // With the whole packet that it has become a part of.
                    KFREE_SKB if self.frees_parts(open, event.aux) => End::Merged,
                    KFREE_SKB => End::Dropped { reason: event.aux },
                    CONSUME_SKB => quiet_end(open),
                    _ => End::Delivered,
                };
                open.end = end;
                if event.point != CONSUME_SKB {
                    push(open, &seen, &here, &self.losses);
                } else if can_go_on_as_another(open) {
                    self.keep_in_limbo(piece.cpu, event.at_ns, flight.take(), done);
                    continue;
                }
                if self.returns && end == End::Delivered {
                    // Those that no socket was woken for come back at once.
                    flight = self.sockets.copied(flight);
                }
                self.close(flight.take(), done);
                continue;
            }
            push(open, &seen, &here, &self.losses);
        }
        if let Some(flight) = flight {
            self.recent.touch(piece.cpu, &flight);
            self.reassembly.lies(&flight);
            self.open.insert(piece.skb, flight);
            if self.open.len() > OPEN_MAX {
                self.evict(done);
            }
        }
    }

    /// A packet was too large for its device, which has made the answer to it of its memory: nothing tells
    /// of its end.
    fn turn_back(
        &mut self,
        flight: Option<Box<Flight>>,
        answer: &Event,
        here: &Here,
        done: &mut impl FnMut(&Flight),
    ) {
        let Some(mut flight) = flight else { return };
        let end =
            Event { at_ns: answer.at_ns, point: KFREE_SKB, aux: self.reasons.too_large, arg: 0 };
        flight.end = End::Dropped { reason: self.reasons.too_large };
        push(&mut flight, &Sighting::of(&end), here, &self.losses);
        self.close(Some(flight), done);
    }

    /// Whether a drop for this reason is not this fragment's, but the reassembled packet's that holds it. Where the
    /// kernel gives none (before 6.2), there has to be such a packet.
    fn frees_parts(&self, flight: &Flight, reason: u16) -> bool {
        let stays_alone = !flight.put_together && self.reasons.unexplained.contains(&reason);
        is_in_reassembly(flight) && !stays_alone && !self.reasons.of_fragments.contains(&reason)
    }

    /// A socket has got a clone of the packet: the flight goes on under the clone's address.
    fn moved(&mut self, flight: Option<Box<Flight>>, to: u64, done: &mut impl FnMut(&Flight)) {
        let Some(mut flight) = flight else { return };
        let stale = self.open.remove(&to);
        self.finish(stale, done);
        flight.skb = to;
        self.open.insert(to, flight);
    }

    /// TCP has put the packet's data into the sk_buff at this address, which lies in its socket's queue:
    /// whoever reads that reads both.
    fn merge(&mut self, flight: Option<Box<Flight>>, with: u64, done: &mut impl FnMut(&Flight)) {
        let Some(flight) = flight else { return };
        match self.open.get_mut(&with) {
            Some(into) if into.joined.len() < JOINED_MAX => into.joined.push(flight),
            _ => self.finish(Some(flight), done),
        }
    }

    /// Keeps a flight that was freed where packets are rebuilt, cut up or copied: what it goes on as may
    /// turn up next on this CPU.
    fn keep_in_limbo(
        &mut self,
        cpu: u16,
        at_ns: u64,
        flight: Option<Box<Flight>>,
        done: &mut impl FnMut(&Flight),
    ) {
        let Some(flight) = flight else { return };
        self.recent.touch(cpu, &flight);
        let before = self.limbo.keep(cpu, at_ns, flight);
        self.close(before, done);
    }

    /// What this CPU freed as it made of it the packet that ends here, of which nothing else was seen.
    fn ended_as_another(
        &mut self,
        cpu: u16,
        at: Option<At>,
        headers: Option<&Headers>,
    ) -> Option<Box<Flight>> {
        let freed = self.limbo.find(cpu, at?, headers?)?;
        self.limbo.remove(freed)
    }

    /// Gives up on what was freed so long ago that nothing more comes of it.
    fn release_limbo(&mut self, now_ns: u64, done: &mut impl FnMut(&Flight)) {
        for freed in self.limbo.release(now_ns) {
            self.close(Some(freed), done);
        }
    }

    /// Closes every flight: the recording is over.
    pub fn finish_all(&mut self, mut done: impl FnMut(&Flight)) {
        self.pass_gaps(u64::MAX, &mut done);
        self.close_copied(u64::MAX, &mut done);
        for freed in self.limbo.take() {
            self.close(Some(freed), &mut done);
        }
        let now_ns = self.now_ns;
        for mut flight in self.take_all() {
            flight.end = quiet_end(&flight);
            let waits = flight.at.is_some_and(|at| at.row().waits);
            let fresh = waits || now_ns.saturating_sub(flight.last_ns()) < SILENT_NS;
            if (flight.end == End::Vanished && fresh) || awaits_parts(&flight) {
                flight.end = End::UnderWay;
            }
            if flight.incomplete.is_none() {
                flight.incomplete = self.losses.behind(&flight, now_ns);
            }
            self.close(Some(flight), &mut done);
        }
    }

    /// Begins a flight: of a packet's own, or of a copy or part of one that this CPU has at hand.
    fn begin(
        &mut self,
        piece: &Piece,
        seen: &Sighting<'_>,
        headers: Option<&Headers>,
        done: &mut impl FnMut(&Flight),
    ) -> Box<Flight> {
        self.counters.begun += 1;
        let mut flight = self.spare.pop().unwrap_or_default();
        flight.marks.clear();
        *flight = Flight {
            seq: self.counters.begun,
            skb: piece.skb,
            marks: std::mem::take(&mut flight.marks),
            ..Flight::default()
        };
        if let (Some(headers), Some(at)) = (headers, seen.at) {
            let before = self.find_parent(&mut flight, piece.cpu, at, seen.event, headers);
            self.close(before, done);
        }
        flight
    }

    /// Comes back with the one before, where that was freed and goes on as this one alone.
    fn find_parent(
        &mut self,
        flight: &mut Flight,
        cpu: u16,
        at: At,
        event: &Event,
        headers: &Headers,
    ) -> Option<Box<Flight>> {
        let mut freed = self.limbo.find(cpu, at, headers);
        let alive = self.recent.candidates(cpu, event.at_ns, headers).find_map(|(skb, seq)| {
            let known = self.open.get(&skb)?;
            let is_parent =
                recent::is_of(known, at, headers) && family::in_common(known, event) != Some(0);
            (known.seq == seq && is_parent).then_some(known)
        });
        // What has just been freed; but what was made of that, and got further, comes before it.
        let made_of = |alive: &Flight, freed: &Flight| {
            alive.family != 0 && alive.family == freed.family && alive.last_ns() > freed.last_ns()
        };
        if let (Some(alive), Some(before)) = (alive, freed.and_then(|key| self.limbo.get(key)))
            && made_of(alive, before)
        {
            freed = None;
        }
        let alive = alive.map(|known| known.skb);
        let parent = match (freed, alive) {
            (Some(freed), _) => self.limbo.get_mut(freed)?,
            (None, Some(skb)) => self.open.get_mut(&skb)?,
            (None, None) => return None,
        };
        self.families.join(parent, flight, (event, headers));
        flight.known = Some(*headers);
        // What was cut up stays there: other parts may follow.
        let whole = parent.known.as_ref().is_some_and(|known| known.is_as_long(headers));
        freed.filter(|_| whole).and_then(|freed| self.limbo.remove(freed))
    }

    /// Ends a flight that nothing has ended.
    fn finish(&mut self, flight: Option<Box<Flight>>, done: &mut impl FnMut(&Flight)) {
        if let Some(mut flight) = flight {
            flight.end = quiet_end(&flight);
            if flight.incomplete.is_none() {
                flight.incomplete = self.losses.behind(&flight, self.now_ns);
            }
            self.close(Some(flight), done);
        }
    }

    fn close(&mut self, flight: Option<Box<Flight>>, done: &mut impl FnMut(&Flight)) {
        let Some(mut flight) = flight else { return };
        // What was merged into it was read with it.
        for mut joined in std::mem::take(&mut flight.joined) {
            if flight.end == End::Delivered {
                joined.end = End::Delivered;
                let before = joined.marks.last().map_or(0, |m| m.at_ns);
                let read = flight
                    .marks
                    .iter()
                    .filter(|m| m.at_ns >= before && matches!(m.point, SKB_COPY | SOCK_RECV));
                let read: Vec<Mark> = read.copied().collect();
                joined.marks.extend(read);
            } else {
                joined.end = quiet_end(&joined);
            }
            self.close(Some(joined), done);
        }
        if flight.family == 0 {
            self.emit(flight, done);
            return;
        }
        for flight in self.families.ended(flight) {
            if flight.absorbed {
                self.counters.absorbed += 1;
                self.spare(flight);
            } else {
                self.emit(flight, done);
            }
        }
    }

    fn emit(&mut self, flight: Box<Flight>, done: &mut impl FnMut(&Flight)) {
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
        if self.spare.len() < 1024 && flight.marks.capacity() <= SPARE_MARKS {
            self.spare.push(flight);
        }
    }

    /// Closes what has been silent for too long.
    fn sweep(&mut self, now_ns: u64, done: &mut impl FnMut(&Flight)) {
        self.swept_ns = now_ns;
        self.reassembly.forget(|skb, seq| {
            self.open.get(&skb).is_some_and(|f| f.seq == seq && awaits_parts(f))
        });
        let mut silent: Vec<(u64, u64)> = self
            .open
            .iter()
            .filter(|(_, flight)| now_ns.saturating_sub(flight.last_ns()) > patience_ns(flight))
            .map(|(skb, flight)| (flight.last_ns(), *skb))
            .collect();
        // Round trips go by what ended first.
        silent.sort_unstable();
        for (_, skb) in silent {
            let flight = self.open.remove(&skb);
            self.finish(flight, done);
        }
        for unread in self.sockets.drain(|f| now_ns.saturating_sub(f.last_ns()) > WAITING_NS) {
            self.finish(Some(unread), done);
        }
        self.close_copied(now_ns, done);
        self.release_limbo(now_ns, done);
    }

    /// Closes those that were silent longest, a good many at once: looking for them takes a while.
    fn evict(&mut self, done: &mut impl FnMut(&Flight)) {
        let mut quietest: Vec<(u64, u64)> =
            self.open.iter().map(|(skb, flight)| (flight.last_ns(), *skb)).collect();
        let many = quietest.len().min(EVICTED_AT_ONCE);
        quietest.select_nth_unstable(many.saturating_sub(1));
        for (_, skb) in &quietest[..many] {
            self.counters.evicted += 1;
            let mut flight = self.open.remove(skb);
            if let Some(cut) = &mut flight {
                cut.incomplete.get_or_insert(Incomplete::Cut);
            }
            self.finish(flight, done);
        }
    }
}

/// After how long without an event a flight is over, ns.
fn patience_ns(flight: &Flight) -> u64 {
    let readable = |f: &Flight| f.headers.is_some_and(|h| h.payload > 0 || h.fragment);
    match quiet_end(flight) {
        _ if flight.at.is_some_and(|at| at.row().waits) || awaits_parts(flight) => WAITING_NS,
        // Its data may lie in a socket's queue.
        End::Reached if readable(flight) => WAITING_NS,
        End::Reached | End::Merged => REACHED_NS,
        _ => SILENT_NS,
    }
}

/// Whether a packet that is freed there can go on as others: rebuilt, cut up, copied.
fn can_go_on_as_another(flight: &Flight) -> bool {
    flight.end != End::Reached && flight.at.is_some_and(goes_on_as_others)
}

#[cfg(test)]
mod tests;
