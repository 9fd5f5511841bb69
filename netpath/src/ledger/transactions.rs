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
//! - Connections are looked up together, as flows are ([`super::flows`]).

use std::{collections::VecDeque, num::NonZeroU32};

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;

use super::{Times, flows::TOGETHER};
use crate::{
    decode::Gap,
    flight::Flight,
    packet::{Headers, ICMP, ICMPV6, TCP, Tuple, UDP},
};

/// Connections whose round trips are followed at once.
pub(super) const CONNECTIONS_MAX: usize = 1 << 17;
/// A connection that was silent for this long makes room for others, ns.
const IDLE_NS: u64 = 1_000_000_000;
/// Connections that are looked at to make room for one.
const LOOKED_AT: usize = 64;
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
    open: IndexMap<Tuple, Open, FxBuildHasher>,
    /// Where to look next for a connection that makes room.
    hand: usize,
    kept: Vec<Packet>,
    /// Where the connections of each packet that is kept were found.
    found: Vec<Found>,
    /// When the last gaps ended, ns, ascending. A request from before one has no reply after it.
    gaps: VecDeque<u64>,
    /// How many there were before those.
    old_gaps: usize,
    done: Vec<RoundTrips>,
    /// Round trips whose requests and replies overlapped.
    pub overlapped: u64,
    /// Flights of connections beyond [`CONNECTIONS_MAX`].
    pub unfollowed: u64,
}

/// One way of a round trip.
#[derive(Clone, Copy, Debug)]
struct Leg {
    path: u32,
    /// At least one: so that a leg that is not there takes no room of its own.
    events: NonZeroU32,
    start_ns: u64,
    end_ns: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Open {
    request: Option<Leg>,
    reply: Option<Leg>,
    /// How many gaps had passed when it began.
    after: usize,
}

/// A packet, as round trips see it.
#[derive(Clone, Copy, Debug)]
struct Packet {
    proto: u8,
    /// The connection that it belongs to if it asks.
    as_request: Tuple,
    /// The one that it belongs to if it answers.
    as_reply: Tuple,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    /// It arrived; whether it answers, where that is known.
    Arrived(Leg, Option<bool>),
    /// It did not arrive, or is not known to have.
    Lost,
}

/// Where connections are.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    as_request: Option<usize>,
    as_reply: Option<usize>,
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
        self.book();
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
        let answers = match says(&headers, tuple.proto) {
            Says::Neither => return,
            Says::Asks => Some(false),
            Says::Answers => Some(true),
            Says::Nothing => is_reply,
        };
        let leg = Leg {
            path: u32::try_from(path).unwrap_or(u32::MAX),
            events: u32::try_from(flight.marks.len())
                .ok()
                .and_then(NonZeroU32::new)
                .unwrap_or(NonZeroU32::MAX),
            start_ns: first.at_ns,
            end_ns: last.at_ns,
        };
        self.keep(tuple, flight.translated, What::Arrived(leg, answers));
    }

    /// Forgets what is under way on a flight's connection: one of its packets did not arrive, or
    /// is not known to have.
    pub(super) fn forget(&mut self, flight: &Flight) {
        if let Some(tuple) = flight.headers.and_then(|h| h.tuple) {
            self.keep(tuple, flight.translated, What::Lost);
        }
    }

    fn keep(&mut self, tuple: Tuple, translated: Option<Tuple>, what: What) {
        let as_request = translated.unwrap_or(tuple);
        let as_reply = answer_to(tuple);
        self.kept.push(Packet { proto: tuple.proto, as_request, as_reply, what });
        if self.kept.len() >= TOGETHER {
            self.book();
        }
    }

    /// Takes in what is kept back.
    pub(super) fn book(&mut self) {
        self.found.clear();
        self.found.extend(self.kept.iter().map(|packet| {
            let find = |key| self.open.get_index_of(key);
            let (asks, answers) = (&packet.as_request, &packet.as_reply);
            match packet.what {
                What::Lost => Found::default(),
                What::Arrived(_, Some(true)) => Found { as_request: None, as_reply: find(answers) },
                What::Arrived(_, Some(false)) => Found { as_request: find(asks), as_reply: None },
                What::Arrived(_, None) => {
                    let as_request = find(asks);
                    let as_reply = if as_request.is_none() { find(answers) } else { None };
                    Found { as_request, as_reply }
                }
            }
        }));
        for at in 0..self.kept.len() {
            let (packet, found) = (self.kept[at], self.found[at]);
            match packet.what {
                What::Arrived(leg, answers) => self.arrived(&packet, found, leg, answers),
                What::Lost => {
                    self.open.swap_remove(&packet.as_request);
                    self.open.swap_remove(&packet.as_reply);
                }
            }
        }
        self.kept.clear();
    }

    /// The place of a connection that was found at `found` before others came and went.
    fn place(&self, found: Option<usize>, key: &Tuple) -> Option<usize> {
        let there = |at: &usize| self.open.get_index(*at).is_some_and(|(known, _)| known == key);
        found.filter(there).or_else(|| self.open.get_index_of(key))
    }

    fn arrived(&mut self, packet: &Packet, found: Found, leg: Leg, answers: Option<bool>) {
        let Packet { proto, as_request, as_reply, .. } = *packet;
        let once = matches!(proto, ICMP | ICMPV6);
        // Where nobody says who asks, it is the side that was seen first.
        let (key, at, answers) = match answers {
            Some(true) => (as_reply, self.place(found.as_reply, &as_reply), true),
            Some(false) => (as_request, self.place(found.as_request, &as_request), false),
            None => match self.place(found.as_request, &as_request) {
                Some(at) => (as_request, Some(at), false),
                None => match self.place(found.as_reply, &as_reply) {
                    Some(at) => (as_reply, Some(at), true),
                    None => (as_request, None, false),
                },
            },
        };
        let at = match at {
            Some(at) => at,
            None if self.open.len() >= CONNECTIONS_MAX && !self.make_room(leg.start_ns) => {
                self.unfollowed += 1;
                return;
            }
            None => self.open.insert_full(key, Open::default()).0,
        };
        let after = self.old_gaps + self.gaps.partition_point(|until| *until <= leg.start_ns);
        let open = &mut self.open[at];
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
            self.round_trip(finished, proto);
            return;
        } else {
            join(&mut open.request, leg);
        }
        let done = *open;
        if once && done.request.is_some() && done.reply.is_some() {
            self.open.swap_remove_index(at);
            self.round_trip(done, proto);
        }
    }

    /// Books what is under way: nothing more comes.
    pub fn finish(&mut self) {
        self.book();
        for (tuple, open) in std::mem::take(&mut self.open) {
            self.round_trip(open, tuple.proto);
        }
    }

    /// Looks at some connections in turn, and ends those that are silent; whether there is room.
    fn make_room(&mut self, now_ns: u64) -> bool {
        for _ in 0..LOOKED_AT {
            let Some((tuple, open)) = self.open.get_index(self.hand) else {
                self.hand = 0;
                continue;
            };
            let end = |leg: Option<Leg>| leg.map_or(0, |l| l.end_ns);
            if end(open.request).max(end(open.reply)) + IDLE_NS >= now_ns {
                self.hand += 1;
                continue;
            }
            let (proto, open) = (tuple.proto, *open);
            // The last one comes here.
            self.open.swap_remove_index(self.hand);
            self.round_trip(open, proto);
        }
        self.open.len() < CONNECTIONS_MAX
    }

    fn round_trip(&mut self, open: Open, proto: u8) {
        let (Some(request), Some(reply)) = (open.request, open.reply) else { return };
        if reply.start_ns < request.end_ns {
            self.overlapped += 1;
            return;
        }
        let paths = (request.path as usize, reply.path as usize);
        let same =
            |t: &RoundTrips| (t.request_path, t.reply_path, t.proto) == (paths.0, paths.1, proto);
        let index = self.done.iter().position(same).unwrap_or_else(|| {
            self.done.push(RoundTrips {
                request_path: paths.0,
                reply_path: paths.1,
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
        trips.events += u64::from(request.events.get()) + u64::from(reply.events.get());
    }
}

/// Makes a leg of several packets longer.
fn join(leg: &mut Option<Leg>, with: Leg) {
    match leg {
        None => *leg = Some(with),
        Some(leg) => {
            leg.start_ns = leg.start_ns.min(with.start_ns);
            leg.end_ns = leg.end_ns.max(with.end_ns);
            leg.events = leg.events.saturating_add(with.events.get());
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
        all.book();
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
        all.book();
        assert_eq!(all.done()[0].total.sum_ns(), 500);
    }

    #[test]
    fn silent_connections_make_room_and_others_do_not() {
        let mut all = Transactions::default();
        let ask = |all: &mut Transactions, n: usize, at_ns: u64| {
            let [.., high, a, b] = n.to_be_bytes();
            let mut request =
                flight((high, u16::from_be_bytes([a, b])), (200, 80), at_ns, at_ns + 100);
            request.headers.as_mut().unwrap().payload = 10;
            all.add(&request, 0, None);
        };
        for n in 0..CONNECTIONS_MAX {
            ask(&mut all, n, 1000);
        }
        ask(&mut all, CONNECTIONS_MAX, 2000);
        all.book();
        assert_eq!((all.open.len(), all.unfollowed), (CONNECTIONS_MAX, 1));
        // A second later all the others are silent; a few of them are looked at, and let go.
        ask(&mut all, CONNECTIONS_MAX, 2000 + IDLE_NS);
        all.book();
        assert_eq!((all.open.len(), all.unfollowed), (CONNECTIONS_MAX - LOOKED_AT + 1, 1));
    }
}
