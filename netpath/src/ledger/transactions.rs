//! Transactions: the flights of a connection joined into round trips, as an application sees them.
//!
//! In: complete flights that carry data, in the order in which they ended. Out: per pair of paths,
//! how long request, answerer and reply took.
//!
//! - A request and its reply meet by the tuple that the request has once it arrives: the reply is
//!   born with its reverse, whatever NAT did to either on the way.
//! - Which side asks is what conntrack says; where it says nothing, the side that was seen first.
//! - A round trip begins with the first packet of the request and ends with the last packet of the
//!   reply; what lies between the request's last arrival and the reply's first departure is the
//!   answerer's. It is booked when the next request begins, or at the end.
//! - Where requests overlap (a reply departs before the request has arrived, pipelining) no time is
//!   the answerer's alone: such round trips are counted, and left out.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::Times;
use crate::{
    decode::Gap,
    flight::Flight,
    packet::{Headers, ICMP, ICMPV6, TCP, Tuple, UDP},
};

/// Connections whose round trips are followed at once.
const OPEN_MAX: usize = 1 << 16;
/// A connection that was silent for this long makes room for others, ns.
const IDLE_NS: u64 = 1_000_000_000;
/// Gaps that are remembered: flights end soon after they begin.
const GAPS_MAX: usize = 64;

/// Round trips over the same two paths.
#[derive(Clone, Debug)]
pub struct RoundTrips {
    /// Indices of the paths of the request and of the reply.
    pub request_path: usize,
    pub reply_path: usize,
    /// IP protocol number.
    pub proto: u8,
    pub total: Times,
    pub request: Times,
    pub answerer: Times,
    pub reply: Times,
    /// Events of all flights.
    pub events: u64,
}

/// All round trips.
#[derive(Clone, Debug, Default)]
pub struct Transactions {
    open: FxHashMap<Tuple, Open>,
    /// When the last gaps ended, ns, ascending. A request from before one has no reply after it.
    gaps: VecDeque<u64>,
    /// How many there were before those.
    old_gaps: usize,
    done: Vec<RoundTrips>,
    /// Round trips whose requests and replies overlapped.
    pub overlapped: u64,
    /// Flights of connections beyond [`OPEN_MAX`].
    pub unfollowed: u64,
}

/// One way of a round trip.
#[derive(Clone, Copy, Debug, Default)]
struct Leg {
    path: usize,
    start_ns: u64,
    end_ns: u64,
    events: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Open {
    request: Option<Leg>,
    reply: Option<Leg>,
    /// How many gaps had passed when it began.
    after: usize,
}

/// The tuple of the packets that answer packets of this one.
fn answer_to(tuple: Tuple) -> Tuple {
    let Tuple { proto, src, dst, sport, dport } = tuple;
    match proto {
        // Identifier and sequence number come back as they are.
        ICMP | ICMPV6 => Tuple { proto, src: dst, dst: src, sport, dport },
        _ => Tuple { proto, src: dst, dst: src, sport: dport, dport: sport },
    }
}

/// Whether a packet asks or answers, as far as it says so itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Says {
    Nothing,
    Asks,
    Answers,
    /// It is no part of a round trip.
    Neither,
}

fn says(headers: &Headers, proto: u8) -> Says {
    match (proto, headers.flags) {
        (UDP, _) => Says::Nothing,
        (TCP, _) if headers.payload > 0 => Says::Nothing,
        (ICMP, 8) | (ICMPV6, 128) => Says::Asks,
        (ICMP, 0) | (ICMPV6, 129) => Says::Answers,
        _ => Says::Neither,
    }
}

impl Transactions {
    /// In the order in which they were first seen.
    pub fn done(&self) -> &[RoundTrips] {
        &self.done
    }

    /// Tells of a gap, before the flights that come after it.
    pub(super) fn gap(&mut self, gap: Gap) {
        if self.gaps.len() >= GAPS_MAX {
            self.gaps.pop_front();
            self.old_gaps += 1;
        }
        self.gaps.push_back(gap.until_ns);
    }

    /// Takes a flight that arrived over the path with this index; `is_reply` is what conntrack
    /// says of its direction.
    pub(super) fn add(&mut self, flight: &Flight, path: usize, is_reply: Option<bool>) {
        let Some(headers) = flight.headers else { return };
        let (Some(tuple), Some(first), Some(last)) =
            (headers.tuple, flight.marks.first(), flight.marks.last())
        else {
            return;
        };
        let events = flight.marks.len() as u64;
        let leg = Leg { path, start_ns: first.at_ns, end_ns: last.at_ns, events };
        let as_request = flight.translated.unwrap_or(tuple);
        let as_reply = answer_to(tuple);
        let answers = match says(&headers, tuple.proto) {
            Says::Neither => return,
            Says::Asks => false,
            Says::Answers => true,
            Says::Nothing => is_reply.unwrap_or_else(|| self.open.contains_key(&as_reply)),
        };
        let key = if answers { as_reply } else { as_request };
        if self.open.len() >= OPEN_MAX && !self.open.contains_key(&key) {
            self.make_room(leg.start_ns);
            if self.open.len() >= OPEN_MAX {
                self.unfollowed += 1;
                return;
            }
        }
        let once = matches!(tuple.proto, ICMP | ICMPV6);
        let after = self.old_gaps + self.gaps.partition_point(|until| *until <= leg.start_ns);
        let open = self.open.entry(key).or_default();
        if open.after != after {
            *open = Open { after, ..Open::default() };
        }
        if answers {
            // A reply whose request was not seen says nothing; but an echo's request can end after
            // its reply, whose sk_buff is freed later.
            if open.request.is_some() || once {
                join(&mut open.reply, leg);
            }
        } else if open.reply.is_some() && !once {
            let finished = std::mem::replace(open, Open { request: Some(leg), reply: None, after });
            self.book(finished, tuple.proto);
            return;
        } else {
            join(&mut open.request, leg);
        }
        let done = *open;
        if once && done.request.is_some() && done.reply.is_some() {
            self.open.remove(&key);
            self.book(done, tuple.proto);
        }
    }

    /// Forgets what is under way on a flight's connection: one of its packets did not arrive, or
    /// is not known to have.
    pub(super) fn forget(&mut self, flight: &Flight) {
        if let Some(tuple) = flight.headers.and_then(|h| h.tuple) {
            self.open.remove(&flight.translated.unwrap_or(tuple));
            self.open.remove(&answer_to(tuple));
        }
    }

    /// Books what is under way: nothing more comes.
    pub fn finish(&mut self) {
        for (tuple, open) in std::mem::take(&mut self.open) {
            self.book(open, tuple.proto);
        }
    }

    fn make_room(&mut self, now_ns: u64) {
        let old: Vec<(Tuple, Open)> = self
            .open
            .iter()
            .filter(|(_, o)| {
                let end = |leg: Option<Leg>| leg.map_or(0, |l| l.end_ns);
                end(o.request).max(end(o.reply)) + IDLE_NS < now_ns
            })
            .map(|(tuple, open)| (*tuple, *open))
            .collect();
        for (tuple, open) in old {
            self.open.remove(&tuple);
            self.book(open, tuple.proto);
        }
    }

    fn book(&mut self, open: Open, proto: u8) {
        let (Some(request), Some(reply)) = (open.request, open.reply) else { return };
        if reply.start_ns < request.end_ns {
            self.overlapped += 1;
            return;
        }
        let same = |t: &RoundTrips| {
            (t.request_path, t.reply_path, t.proto) == (request.path, reply.path, proto)
        };
        let index = self.done.iter().position(same).unwrap_or_else(|| {
            self.done.push(RoundTrips {
                request_path: request.path,
                reply_path: reply.path,
                proto,
                total: Times::default(),
                request: Times::default(),
                answerer: Times::default(),
                reply: Times::default(),
                events: 0,
            });
            self.done.len() - 1
        });
        let trips = &mut self.done[index];
        let between = |from: u64, to: u64| to.wrapping_sub(from).cast_signed();
        trips.total.add(between(request.start_ns, reply.end_ns));
        trips.request.add(between(request.start_ns, request.end_ns));
        trips.answerer.add(between(request.end_ns, reply.start_ns));
        trips.reply.add(between(reply.start_ns, reply.end_ns));
        trips.events += request.events + reply.events;
    }
}

/// Makes a leg of several packets longer.
fn join(leg: &mut Option<Leg>, with: Leg) {
    match leg {
        None => *leg = Some(with),
        Some(leg) => {
            leg.start_ns = leg.start_ns.min(with.start_ns);
            leg.end_ns = leg.end_ns.max(with.end_ns);
            leg.events += with.events;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{flight::Mark, testing};

    fn flight(src: (u8, u16), dst: (u8, u16), start_ns: u64, end_ns: u64) -> Flight {
        let tuple = testing::tuple([10, 0, 0, src.0], [10, 0, 0, dst.0], src.1, dst.1);
        Flight {
            marks: [start_ns, end_ns].map(|at_ns| Mark { at_ns, ..Mark::default() }).to_vec(),
            headers: Some(Headers { tuple: Some(tuple), payload: 10, ..Headers::default() }),
            ..Flight::default()
        }
    }

    #[test]
    fn a_round_trip_sums_up_through_nat() {
        let mut all = Transactions::default();
        // 10.0.0.2 is translated to 10.0.0.9 on its way to 10.0.0.3.
        let mut request = flight((2, 4000), (3, 80), 1000, 1600);
        request.translated = Some(testing::tuple([10, 0, 0, 9], [10, 0, 0, 3], 4000, 80));
        let mut reply = flight((3, 80), (9, 4000), 2000, 2700);
        reply.translated = Some(testing::tuple([10, 0, 0, 3], [10, 0, 0, 2], 80, 4000));
        all.add(&request, 0, None);
        all.add(&reply, 1, None);
        all.finish();
        let [trips] = all.done() else { panic!("{:?}", all.done()) };
        assert_eq!((trips.request_path, trips.reply_path), (0, 1));
        let sums = [&trips.request, &trips.answerer, &trips.reply, &trips.total].map(Times::sum_ns);
        assert_eq!(sums, [600, 400, 700, 1700]);
    }

    #[test]
    fn the_next_request_books_the_last_one() {
        let mut all = Transactions::default();
        for i in 0..3 {
            let at = 10_000 * i;
            all.add(&flight((2, 4000), (3, 80), at, at + 100), 0, None);
            all.add(&flight((3, 80), (2, 4000), at + 200, at + 400), 1, None);
        }
        assert_eq!(all.done()[0].total.count(), 2);
        all.finish();
        assert_eq!(all.done()[0].total.count(), 3);
        assert_eq!(all.done()[0].total.sum_ns(), 1200);
    }

    #[test]
    fn overlapping_ones_are_counted_and_left_out() {
        let mut all = Transactions::default();
        all.add(&flight((2, 4000), (3, 80), 0, 500), 0, None);
        all.add(&flight((3, 80), (2, 4000), 400, 900), 1, None);
        all.finish();
        assert_eq!((all.done().len(), all.overlapped), (0, 1));
    }

    #[test]
    fn conntrack_knows_who_asks_even_when_the_reply_is_seen_first() {
        let mut all = Transactions::default();
        all.add(&flight((3, 80), (2, 4000), 0, 100), 1, Some(true));
        all.add(&flight((2, 4000), (3, 80), 1000, 1100), 0, Some(false));
        all.add(&flight((3, 80), (2, 4000), 1200, 1300), 1, Some(true));
        all.finish();
        assert_eq!(all.done()[0].total.count(), 1);
        assert_eq!(all.done()[0].total.sum_ns(), 300);
    }

    #[test]
    fn a_request_before_a_gap_has_no_reply_after_it() {
        let mut all = Transactions::default();
        all.add(&flight((2, 4000), (3, 80), 0, 100), 0, None);
        all.gap(Gap { from_ns: 150, until_ns: 5000 });
        all.add(&flight((3, 80), (2, 4000), 6000, 6100), 1, Some(true));
        all.add(&flight((2, 4000), (3, 80), 6200, 6300), 0, Some(false));
        all.add(&flight((3, 80), (2, 4000), 6400, 6500), 1, Some(true));
        all.finish();
        assert_eq!(all.done()[0].total.count(), 1);
        assert_eq!(all.done()[0].total.sum_ns(), 300);
    }

    #[test]
    fn an_echo_joins_in_either_order() {
        let echo = |from: u8, to: u8, kind: u8, start: u64, end: u64| {
            let mut f = flight((from, 7), (to, 1), start, end);
            let headers = f.headers.as_mut().unwrap();
            headers.flags = kind;
            headers.tuple.as_mut().unwrap().proto = ICMP;
            f
        };
        let mut all = Transactions::default();
        all.add(&echo(3, 2, 0, 300, 500), 1, None);
        all.add(&echo(2, 3, 8, 0, 250), 0, None);
        assert_eq!(all.done()[0].total.sum_ns(), 500);
    }
}
