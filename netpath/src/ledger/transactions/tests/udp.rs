//! UDP: DNS by its numbers, other datagrams by their order.

use netpath_common::point::{SK_READY, SKB_COPY};

use super::*;

/// A DNS message with this number.
fn dns(src: (u8, u16), dst: (u8, u16), id: u16, start_ns: u64, end_ns: u64) -> Flight {
    let mut f = udp(src, dst, start_ns, end_ns);
    f.headers.as_mut().unwrap().seq = u32::from(id) << 16 | 0x0100;
    f
}

const CLIENT: (u8, u16) = (2, 40_000);
const SERVER: (u8, u16) = (3, 53);

#[test]
fn lookups_at_once_on_one_socket_are_told_apart() {
    let mut all = Transactions::default();
    let (a, aaaa) = (7, 8);
    all.add(&dns(CLIENT, SERVER, a, 0, 100), 0, None);
    all.add(&dns(CLIENT, SERVER, aaaa, 10, 110), 0, None);
    all.add(&dns(SERVER, CLIENT, aaaa, 200, 260), 1, None);
    all.add(&dns(SERVER, CLIENT, a, 900, 1000), 1, None);
    all.book();
    assert_eq!(only(&all, Kind::Request), (2, 1000 + 250));
    assert_eq!(all.done()[0].overlapped, 0);
}

#[test]
fn a_lookup_that_is_repeated_is_named_and_its_timer_is_nobodys() {
    let mut all = Transactions::default();
    let (a, aaaa) = (7, 8);
    all.add(&dns(CLIENT, SERVER, a, 0, 100), 0, None);
    all.add_lost(&dns(CLIENT, SERVER, aaaa, 10, 60), &drop_key());
    all.add(&dns(SERVER, CLIENT, a, 200, 300), 1, None);
    // As glibc: both again.
    let later = 5_000 * MS;
    for (id, at) in [(a, later), (aaaa, later + 10)] {
        all.add(&dns(CLIENT, SERVER, id, at, at + 100), 0, None);
        all.add(&dns(SERVER, CLIENT, id, at + 200, at + 300), 1, None);
    }
    all.finish();
    assert_eq!(only(&all, Kind::Request), (3, 900));
    let trips = &all.done()[0];
    assert_eq!(trips.part(Part::Timeout).count(), 0);
    assert_eq!((trips.retransmitted, trips.sent_again_after.sum_ns()), (1, i128::from(later)));
    assert_eq!(trips.lost_at.values().sum::<u64>(), 1);
    assert!(all.unanswered().is_empty());
}

#[test]
fn conntrack_knows_who_asks_even_when_the_reply_is_seen_first() {
    let mut all = Transactions::default();
    // By their ports it would be the other one.
    let (client, server) = ((2, 4000), (3, 5000));
    all.add(&udp(server, client, 0, 100), 1, Some(true));
    all.add(&udp(client, server, 1000, 1100), 0, Some(false));
    all.add(&udp(server, client, 1200, 1300), 1, Some(true));
    all.finish();
    assert_eq!(only(&all, Kind::Request), (1, 300));
}

#[test]
fn who_was_seen_first_asks_nothing() {
    let mut all = Transactions::default();
    let server = (3, 9000);
    all.add(&udp(server, CLIENT, 0, 100), 1, None);
    for at in (1..10).map(|n| n * 20 * MS) {
        all.add(&udp(CLIENT, server, at, at + 100), 0, None);
        all.add(&udp(server, CLIENT, at + 200, at + 300), 1, None);
    }
    all.finish();
    assert_eq!(only(&all, Kind::Request), (9, 9 * 300));
}

#[test]
fn streams_have_no_round_trips() {
    let mut all = Transactions::default();
    // One way, in both directions.
    for at in (0..1000).map(|n| n * 1000) {
        all.add(&udp((2, 4001), (3, 514), at, at + 100), 0, None);
        all.add(&udp((3, 5001), (2, 40_001), at, at + 100), 1, None);
    }
    // A tunnel: what answers is inside.
    for at in (0..20).map(|n| n * 1000) {
        all.add(&udp((2, 4000), (3, 4000), at, at + 100), 0, None);
        all.add(&udp((3, 4000), (2, 4000), at + 200, at + 300), 1, None);
    }
    // Both ways, each at its own pace.
    for n in 0..1000 {
        all.add(&udp((2, 40_002), (3, 443), n * 2_700, n * 2_700 + 2_000), 0, None);
        all.add(&udp((3, 443), (2, 40_002), n * 2_600, n * 2_600 + 2_500), 1, None);
    }
    all.finish();
    let invented: u64 = all.done().iter().map(|t| t.total.count()).sum();
    assert!(invented <= 2, "{invented}: {:?}", all.done());
}

#[test]
fn a_request_that_was_lost_lends_its_time_to_no_other() {
    let mut all = Transactions::default();
    let server = (3, 9000);
    all.add(&udp(CLIENT, server, 0, 100), 0, None);
    let later = 2_000 * MS;
    all.add(&udp(CLIENT, server, later, later + 100), 0, None);
    all.add(&udp(server, CLIENT, later + 200, later + 300), 1, None);
    all.finish();
    assert_eq!(only(&all, Kind::Request), (1, 300));
}

#[test]
fn fragmented_datagrams_meet_in_whatever_order_their_passages_end() {
    let (server, mut all) = ((3, 9000), Transactions::default());
    let in_parts = |flight: Flight| Flight { family: 1, ..flight };
    let mut passages = Vec::new();
    for n in 0..10 {
        let at = n * 50_000_000;
        passages.push((in_parts(udp(CLIENT, server, at, at + 100)), 0, false));
        passages.push((in_parts(udp(server, CLIENT, at + 200, at + 300)), 1, true));
    }
    passages.swap(5, 9);
    passages.swap(0, 3);
    for (flight, path, is_reply) in &passages {
        all.add(flight, *path, Some(*is_reply));
    }
    all.finish();
    assert_eq!(only(&all, Kind::Request), (10, 10 * 300));
}

#[test]
fn a_reply_of_many_datagrams_ends_with_its_last_one() {
    let mut all = Transactions::default();
    let server = (3, 11_211);
    all.add(&udp(CLIENT, server, 0, 100), 0, None);
    for at in [200, 300, 400] {
        all.add(&udp(server, CLIENT, at, at + 50), 1, None);
    }
    all.finish();
    assert_eq!(only(&all, Kind::Request), (1, 450));
    let trips = &all.done()[0];
    assert_eq!(trips.part(Part::Receiving).sum_ns(), 200);
    assert_eq!(trips.first_byte.sum_ns(), 250);
}

/// A client that has given up on one reply and then reads each a turn late: what it reads answers what was asked
/// before, and lies in its queue when it asks again.
#[test]
fn a_client_that_is_a_reply_behind_has_its_round_trips() {
    let mut all = Transactions::default();
    let mut passages = Vec::new();
    for turn in 0..50 {
        let asked = turn * 20 * MS;
        let replied = asked + 200;
        passages.push((udp(CLIENT, (3, 9000), asked, asked + 100), 0, false));
        let mut reply = udp((3, 9000), CLIENT, replied, replied + 50);
        reply.marks.last_mut().unwrap().point = SK_READY;
        let read = Mark { at_ns: asked + 20 * MS + 10, point: SKB_COPY, ..Mark::default() };
        reply.marks.push(read);
        passages.push((reply, 1, true));
    }
    passages.sort_by_key(|(flight, ..)| flight.last_ns());
    for (flight, path, is_reply) in &passages {
        all.add(flight, *path, Some(*is_reply));
    }
    all.finish();
    assert_eq!(only(&all, Kind::Request), (50, 50 * i128::from(20 * MS + 10)));
}
