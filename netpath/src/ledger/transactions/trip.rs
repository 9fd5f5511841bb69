//! Finished round trips: what each is made of, and what those between the same ends add up to.

use std::collections::{BTreeMap, VecDeque};

use super::{
    super::Times,
    leg::{Answer, Ask},
};

/// Declares [`Kind`] from one table.
macro_rules! kinds {
    ($($name:ident: $key:literal, $said:literal;)*) => {
        /// What sort of round trip it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind { $(#[doc = $said] $name,)* }

        impl Kind {
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name in a report.
            pub fn key(self) -> &'static str {
                match self { $(Self::$name => $key,)* }
            }
        }
    };
}

kinds! {
    Request: "request", "All that one side sent before the other's first byte, and what it sent back.";
    Connect: "connect", "TCP's handshake: SYN, SYN-ACK, ACK.";
    Ping: "ping", "An ICMP echo.";
}

/// Declares [`Part`] from one table, in the order in which parts are shown.
macro_rules! parts {
    ($($name:ident: $key:literal, $said:literal;)*) => {
        /// What a round trip's time is made of.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(usize)]
        pub enum Part { $(#[doc = $said] $name,)* }

        impl Part {
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name in a report.
            pub fn key(self) -> &'static str {
                match self { $(Self::$name => $key,)* }
            }
        }
    };
}

parts! {
    Timeout: "retransmission timeout", "From a packet that was lost until it was sent again: a timer ran.";
    Sending: "sending", "From the departure of a request's first packet to that of its last.";
    Request: "request", "The way of the request's last packet.";
    Server: "server", "From the request's arrival to the departure of the reply's first packet.";
    Reply: "reply", "The way of the reply's first packet.";
    Receiving: "receiving", "From the arrival of a reply's first packet to that of its last.";
    Acknowledging: "acknowledging", "From the SYN-ACK's arrival to the departure of the ACK.";
}

const PARTS: usize = Part::ALL.len();

/// One that is finished.
#[derive(Clone, Debug)]
pub(super) struct Trip {
    pub(super) kind: Kind,
    pub(super) proto: u8,
    pub(super) ask: Ask,
    pub(super) answer: Answer,
    /// Of a connect: when the ACK departed.
    pub(super) acknowledged_ns: Option<u64>,
}

/// Round trips of one kind over the same two ways.
#[derive(Clone, Debug)]
pub struct RoundTrips {
    pub kind: Kind,
    /// Numbers of the paths of the request and of the reply, or [`OTHERS`].
    pub request_path: usize,
    pub reply_path: usize,
    /// IP protocol number.
    pub proto: u8,
    pub total: Times,
    /// From the request's first event to the arrival of the reply's first packet.
    pub first_byte: Times,
    parts: [Times; PARTS],
    /// Events of the packets that make up the time.
    pub events: u64,
    /// Packets that were sent again.
    pub retransmitted: u64,
    /// Of round trips in which a packet was sent again: how long after it, ns.
    pub sent_again_after: Times,
    /// What became of packets that were sent again: how many, by [`super::Transactions::place`].
    pub lost_at: BTreeMap<u32, u64>,
    /// Round trips whose reply had begun before all of the request had arrived; what was the request's until
    /// then is its part.
    pub overlapped: u64,
}

/// Stands for paths that are forgotten.
pub const OTHERS: usize = usize::MAX;

impl RoundTrips {
    fn new(kind: Kind, proto: u8, request_path: usize, reply_path: usize) -> Self {
        Self {
            kind,
            request_path,
            reply_path,
            proto,
            total: Times::default(),
            first_byte: Times::default(),
            parts: Default::default(),
            events: 0,
            retransmitted: 0,
            sent_again_after: Times::default(),
            lost_at: BTreeMap::new(),
            overlapped: 0,
        }
    }

    fn merge(&mut self, other: &Self) {
        self.total.merge(&other.total);
        self.first_byte.merge(&other.first_byte);
        self.parts.iter_mut().zip(&other.parts).for_each(|(mine, more)| mine.merge(more));
        self.events += other.events;
        self.retransmitted += other.retransmitted;
        self.sent_again_after.merge(&other.sent_again_after);
        for (place, count) in &other.lost_at {
            *self.lost_at.entry(*place).or_default() += count;
        }
        self.overlapped += other.overlapped;
    }

    /// A part's times: of the round trips that have it.
    pub fn part(&self, part: Part) -> &Times {
        &self.parts[part as usize]
    }

    fn add(&mut self, trip: &Trip) {
        let Trip { ask, answer, .. } = trip;
        let between = |from: u64, to: u64| to.wrapping_sub(from).cast_signed();
        let (asked_for, answered) = (ask.troubles.get(), answer.troubles.get());
        let replied_ns = answer.first_ns;
        self.overlapped += u64::from(replied_ns < ask.end_ns);
        let asked_ns = ask.end_ns.min(replied_ns);
        let last_ns = ask.last_ns.min(replied_ns);
        let received_ns = answer.received_ns;
        let done_ns = trip.acknowledged_ns.unwrap_or(answer.end_ns);
        self.total.add(between(ask.first_ns, done_ns));
        self.first_byte.add(between(ask.first_ns, received_ns));
        let mut part = |part: Part, ns: i64| self.parts[part as usize].add(ns);
        part(Part::Request, between(last_ns, asked_ns));
        part(Part::Server, between(asked_ns, replied_ns));
        part(Part::Reply, between(answer.start_ns, received_ns));
        let mut sometimes = |which: Part, ns: i64| {
            if ns != 0 {
                part(which, ns);
            }
        };
        let (before_ns, after_ns) = (asked_for.timers.sum_ns, answered.timers.sum_ns);
        sometimes(Part::Timeout, before_ns + between(replied_ns, answer.start_ns) + after_ns);
        sometimes(Part::Sending, between(ask.first_ns, last_ns) - before_ns);
        sometimes(Part::Receiving, between(received_ns, answer.end_ns) - after_ns);
        if let Some(at_ns) = trip.acknowledged_ns {
            sometimes(Part::Acknowledging, between(answer.end_ns, at_ns));
        }
        self.events += u64::from(ask.events + answer.events + answer.last_events);
        let repeated = asked_for.repeated.join(answered.repeated);
        if repeated.count > 0 {
            self.retransmitted += u64::from(repeated.count);
            self.sent_again_after.add(repeated.after_ns.cast_signed());
            if let Some(place) = repeated.place {
                *self.lost_at.entry(place).or_default() += 1;
            }
        }
    }
}

/// Requests that nobody answered, by kind and protocol.
pub(in super::super) type Unanswered = BTreeMap<(Kind, u8), u64>;

/// Gaps that are remembered: flights end soon after they begin.
const GAPS_MAX: usize = 64;

/// All that are finished.
#[derive(Clone, Debug, Default)]
pub(super) struct Done {
    pub(super) all: Vec<RoundTrips>,
    /// By the index of a path: that of the first one over the same devices.
    pub(super) ways: Vec<usize>,
    /// Round trips of which a packet was not seen in full.
    pub(super) incomplete: u64,
    pub(super) unanswered: Unanswered,
    /// When the last gaps ended, ns, ascending; and when the last of those before did.
    gaps: VecDeque<u64>,
    old_gap_ns: u64,
}

impl Done {
    /// Puts the round trips over a path to those of others.
    pub(super) fn forget(&mut self, path: usize) {
        self.ways.iter_mut().filter(|way| **way == path).for_each(|way| *way = OTHERS);
        let over = |t: &RoundTrips| t.request_path == path || t.reply_path == path;
        let (gone, mut left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.all).into_iter().partition(over);
        for trips in gone {
            let same = |t: &RoundTrips| {
                (t.kind, t.proto, t.request_path) == (trips.kind, trips.proto, OTHERS)
            };
            let at = left.iter().position(same).unwrap_or_else(|| {
                left.push(RoundTrips::new(trips.kind, trips.proto, OTHERS, OTHERS));
                left.len() - 1
            });
            left[at].merge(&trips);
        }
        self.all = left;
    }

    pub(super) fn unanswered(&mut self, kind: Kind, proto: u8) {
        *self.unanswered.entry((kind, proto)).or_default() += 1;
    }

    /// Tells of a gap that ended then. Round trips do not reach across one: what was in it is not known.
    pub(super) fn gap(&mut self, until_ns: u64) {
        if self.gaps.len() >= GAPS_MAX {
            self.old_gap_ns = self.gaps.pop_front().unwrap_or(0);
        }
        self.gaps.push_back(until_ns);
    }

    fn spans_gap(&self, trip: &Trip) -> bool {
        let (from_ns, until_ns) = (trip.ask.first_ns, trip.answer.end_ns);
        let next = self.gaps.partition_point(|gap| *gap <= from_ns);
        from_ns < self.old_gap_ns || self.gaps.get(next).is_some_and(|gap| *gap <= until_ns)
    }

    pub(super) fn add(&mut self, trip: &Trip) {
        if self.spans_gap(trip) {
            return;
        }
        let paths = (trip.ask.path, trip.answer.path);
        let (Some(request), Some(reply)) = paths else {
            self.incomplete += 1;
            return;
        };
        if trip.ask.unsure || trip.answer.unsure {
            self.incomplete += 1;
            return;
        }
        let way = |path: u32| self.ways.get(path as usize).copied().unwrap_or(path as usize);
        let (mut request_path, mut reply_path) = (way(request), way(reply));
        if request_path == OTHERS || reply_path == OTHERS {
            (request_path, reply_path) = (OTHERS, OTHERS);
        }
        let same = |t: &RoundTrips| {
            (t.kind, t.proto, t.request_path, t.reply_path)
                == (trip.kind, trip.proto, request_path, reply_path)
        };
        let index = self.all.iter().position(same).unwrap_or_else(|| {
            self.all.push(RoundTrips::new(trip.kind, trip.proto, request_path, reply_path));
            self.all.len() - 1
        });
        self.all[index].add(trip);
    }
}
