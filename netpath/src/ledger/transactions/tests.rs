//! Round trips from made flights.

mod tcp;
mod udp;

use super::{
    table::{IDLE_NS, LOOKED_AT},
    *,
};
use crate::{
    flight::Mark,
    packet::{Headers, ICMP, TCP, UDP},
    testing,
};

const MS: u64 = 1_000_000;

/// A flight from one address and port of 10.0.0.0/24 to another one.
fn flight(proto: u8, src: (u8, u16), dst: (u8, u16), start_ns: u64, end_ns: u64) -> Flight {
    let mut tuple = testing::tuple([10, 0, 0, src.0], [10, 0, 0, dst.0], src.1, dst.1);
    tuple.proto = proto;
    Flight {
        marks: [start_ns, end_ns].map(|at_ns| Mark { at_ns, ..Mark::default() }).to_vec(),
        headers: Some(Headers { tuple: Some(tuple), payload: 10, ..Headers::default() }),
        end: End::Delivered,
        ..Flight::default()
    }
}

fn udp(src: (u8, u16), dst: (u8, u16), start_ns: u64, end_ns: u64) -> Flight {
    flight(UDP, src, dst, start_ns, end_ns)
}

fn echo(from: u8, to: u8, seq: u16, kind: u8, start_ns: u64, end_ns: u64) -> Flight {
    let mut f = flight(ICMP, (from, 7), (to, seq), start_ns, end_ns);
    f.headers.as_mut().unwrap().flags = kind;
    f
}

fn drop_key() -> DropKey {
    DropKey {
        sort: netpath_common::end::Sort::Lost,
        reason: 2,
        location: 0,
        row: "",
        place: testing::UP0,
        after: None,
        within: None,
        before: false,
    }
}

/// Count and sum of the only round trips of a kind.
fn only(all: &Transactions, kind: Kind) -> (u64, i128) {
    let mut found = all.done().iter().filter(|t| t.kind == kind);
    let trips = found.next().unwrap_or_else(|| panic!("no {kind:?}: {:?}", all.done()));
    assert!(found.next().is_none(), "{:?}", all.done());
    (trips.total.count(), trips.total.sum_ns())
}

fn sums(trips: &RoundTrips, parts: &[Part]) -> Vec<i128> {
    parts.iter().map(|part| trips.part(*part).sum_ns()).collect()
}

#[test]
fn a_round_trip_sums_up_through_nat() {
    let mut all = Transactions::default();
    // 10.0.0.2 is translated to 10.0.0.9 on its way to 10.0.0.3.
    let mut request = udp((2, 4000), (3, 80), 1000, 1600);
    request.translated = Some(testing::tuple([10, 0, 0, 9], [10, 0, 0, 3], 4000, 80));
    let mut reply = udp((3, 80), (9, 4000), 2000, 2700);
    reply.translated = Some(testing::tuple([10, 0, 0, 3], [10, 0, 0, 2], 80, 4000));
    all.add(&request, 0, None);
    all.add(&reply, 1, None);
    all.finish();
    let [trips] = all.done() else { panic!("{:?}", all.done()) };
    assert_eq!((trips.request_path, trips.reply_path, trips.kind), (0, 1, Kind::Request));
    assert_eq!(sums(trips, &[Part::Request, Part::Server, Part::Reply]), [600, 400, 700]);
    assert_eq!((trips.total.sum_ns(), trips.overlapped), (1700, 0));
    assert_eq!(trips.part(Part::Timeout).count() + trips.part(Part::Sending).count(), 0);
}

#[test]
fn paths_over_the_same_devices_are_one_way() {
    let mut all = Transactions::default();
    for way in [0, 1, 0] {
        all.path(way, (0, 0));
    }
    for (at, path) in [(0, 0), (10_000, 2)] {
        all.add(&udp((2, 4000), (3, 80), at, at + 100), path, None);
        all.add(&udp((3, 80), (2, 4000), at + 200, at + 300), 1, None);
    }
    all.finish();
    assert_eq!(only(&all, Kind::Request), (2, 600));
}

#[test]
fn a_request_before_a_gap_has_no_reply_after_it() {
    let mut all = Transactions::default();
    all.add(&udp((2, 4000), (3, 80), 0, 100), 0, None);
    all.add(&udp((3, 80), (2, 4000), 120, 140), 1, None);
    all.add(&udp((2, 4000), (3, 80), 141, 145), 0, None);
    all.gap(Gap { from_ns: 150, until_ns: 5000 });
    all.add(&udp((3, 80), (2, 4000), 6000, 6100), 1, None);
    all.add(&udp((2, 4000), (3, 80), 6200, 6300), 0, None);
    all.add(&udp((3, 80), (2, 4000), 6400, 6500), 1, None);
    all.finish();
    // What was done before is not lost.
    assert_eq!(only(&all, Kind::Request), (2, 140 + 300));
}

#[test]
fn an_echo_joins_in_either_order() {
    let mut all = Transactions::default();
    all.add(&echo(3, 2, 1, 0, 300, 500), 1, None);
    all.add(&echo(2, 3, 1, 8, 0, 250), 0, None);
    all.book();
    assert_eq!(only(&all, Kind::Ping), (1, 500));
}

#[test]
fn echoes_under_way_at_once_are_told_apart_and_those_without_an_answer_counted() {
    let mut all = Transactions::default();
    for seq in 0..10 {
        all.add(&echo(2, 3, seq, 8, u64::from(seq), 100 + u64::from(seq)), 0, None);
    }
    // The answers come in another order; two are missing, and another request was dropped.
    for seq in [9_u16, 0, 7, 3, 5, 2, 8, 1] {
        let start_ns = 200 + u64::from(seq);
        all.add(&echo(3, 2, seq, 0, start_ns, start_ns + 100), 1, None);
    }
    all.add_lost(&echo(2, 3, 77, 8, 500, 501), &drop_key());
    // One more is under way at the end.
    all.add(&echo(2, 3, 78, 8, 3_000 * MS, 3_000 * MS + 5), 0, None);
    all.finish();
    assert_eq!(only(&all, Kind::Ping), (8, 8 * 300));
    assert_eq!(all.unanswered().get(&(Kind::Ping, ICMP)), Some(&3));
}

#[test]
fn what_was_not_seen_in_full_is_counted_and_spoils_nothing_else() {
    let mut all = Transactions::default();
    for seq in 0..3 {
        all.add(&echo(2, 3, seq, 8, 0, 100), 0, None);
        let answer = echo(3, 2, seq, 0, 200, 300);
        if seq == 1 {
            all.add_unsure(&answer);
        } else {
            all.add(&answer, 1, None);
        }
    }
    all.finish();
    assert_eq!(only(&all, Kind::Ping), (2, 600));
    assert_eq!((all.incomplete(), all.unanswered().len()), (1, 0));
}

#[test]
fn silent_connections_make_room_and_others_do_not() {
    let mut all = Transactions::default();
    let ask = |all: &mut Transactions, n: usize, at_ns: u64| {
        let [.., high, a, b] = n.to_be_bytes();
        let request = udp((high, u16::from_be_bytes([a, b])), (200, 80), at_ns, at_ns + 100);
        all.add(&request, 0, Some(false));
    };
    for n in 0..CONNECTIONS_MAX + 2 {
        ask(&mut all, n, 1000);
    }
    ask(&mut all, CONNECTIONS_MAX + 3, 2000);
    all.book();
    // Two of them have the port that they ask, and are nobody's clients.
    assert_eq!(all.datagrams.len(), CONNECTIONS_MAX);
    assert_eq!(all.unfollowed, 1);
    // A second later all the others are silent; a few of them are looked at, and let go.
    ask(&mut all, CONNECTIONS_MAX + 3, 2000 + IDLE_NS);
    all.book();
    assert_eq!((all.datagrams.len(), all.unfollowed), (CONNECTIONS_MAX - LOOKED_AT + 1, 1));
}
