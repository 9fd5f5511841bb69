//! The identity rules, one by one.

use netpath_common::{
    hop::HopId,
    point::{
        CONSUME_SKB, GRO_RECEIVE, HOOK_SLOT, Hook, KFREE_SKB, NET_DEV_QUEUE, NET_DEV_START,
        NET_DEV_XMIT, NETIF_RECEIVE, NETIF_RX, QDISC_DEQUEUE, QDISC_ENQUEUE, SK_READY, SOCK_RECV,
    },
    span::{SPANS, entry},
};
use proptest::prelude::*;

use super::{super::EVENTS_MAX, *};

mod lineage;

use crate::{
    packet::{ACK, Headers, ICMP, TCP, Tuple},
    pipeline::Pipeline,
    testing::{
        BR0, CLIENT_ETH0, Chunk, SERVER_ETH0, UP0, VETH0, at_dev, at_hook, fly, headers, points,
        ready, received, request, tuple,
    },
    topo::Place,
};

#[test]
fn a_request_is_one_flight_from_socket_to_reader() {
    let chunk = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&headers(1)))
        .events(&request(), 100)
        .skb(0x77, None)
        .event(received(0x77, 100), 0);
    let flights = fly(&[chunk]);
    assert_eq!(flights.len(), 1);
    assert_eq!(flights[0].end, End::Delivered);
    assert_eq!(flights[0].marks.len(), request().len() + 1);
    assert_eq!(flights[0].incomplete, None);
}

#[test]
fn what_a_gap_cuts_is_left_out_and_what_has_arrived_is_not() {
    let mut pipeline = Pipeline::default();
    let before = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&headers(1)))
        .events(&request()[..4], 100)
        .skb(0xb0, Some(&headers(2)))
        .event(at_hook(SERVER_ETH0, Hook::Input, 0), 100);
    let gap = Gap { from_ns: 1_000_000, until_ns: 2_000_000 };
    // The rest of the first one, whose address is another packet's by now; one that began in the
    // gap; and one that began after it.
    let after = Chunk::new(0, 1, 3_000_000)
        .skb(0xa0, None)
        .events(&request()[6..12], 100)
        .skb(0xc0, Some(&headers(3)))
        .event(at_dev(NETIF_RECEIVE, SERVER_ETH0), 100)
        .event(at_hook(SERVER_ETH0, Hook::Input, 0), 100)
        .skb(0xd0, Some(&headers(4)))
        .events(&request(), 100)
        .skb(0x77, None)
        .event(received(0x77, 100), 0);
    for bytes in [before.bytes(), gap.chunk().to_vec(), after.bytes()] {
        pipeline.chunk(&bytes);
    }
    let mut flights = Vec::new();
    pipeline.finish_with(|flight| flights.push(flight.clone()));
    let ends: Vec<(u64, End)> = flights.iter().map(|f| (f.skb, f.end)).collect();
    assert_eq!(ends, [(0xb0, End::Reached), (0xd0, End::Delivered)]);
    assert_eq!(pipeline.assembler().counters().cut, 3);
}

#[test]
fn birth_at_a_known_address_closes_what_was_open() {
    let out = at_hook(CLIENT_ETH0, Hook::Output, 0);
    let chunk = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&headers(1)))
        .event(out, 100)
        .event(at_dev(NET_DEV_QUEUE, CLIENT_ETH0), 100)
        .skb(0xa0, Some(&headers(2)))
        .event(out, 100);
    let flights = fly(&[chunk]);
    assert_eq!(flights.len(), 2);
    assert_eq!(flights[0].end, End::Vanished);
    assert!(flights[0].seq < flights[1].seq);
    let chunk = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&headers(1)))
        .event(at_dev(GRO_RECEIVE, UP0), 100)
        .skb(0xa0, Some(&headers(2)))
        .event(at_dev(GRO_RECEIVE, UP0), 100);
    assert_eq!(fly(&[chunk]).len(), 2);
}

#[test]
fn what_a_shared_device_hands_on_is_the_packet_that_the_cpu_has_at_hand() {
    // A socket in TIME_WAIT acknowledges without an identification: headers tell nothing.
    let bare = Headers { ip_id: 0, payload: 0, flags: ACK, ..headers(0) };
    let tcp = bare.tuple.map(|t| Tuple { proto: TCP, ..t });
    let bare = Headers { tuple: tcp, ..bare };
    let until_shared = || {
        Chunk::new(0, 0, 1_000)
            .skb(0xa0, Some(&bare))
            .event(at_hook(CLIENT_ETH0, Hook::Output, 0), 100)
            .event(at_dev(NET_DEV_START, CLIENT_ETH0), 100)
            .event(at_dev(NETIF_RX, UP0), 100)
            .event(at_dev(NETIF_RECEIVE, UP0), 100)
    };
    let input = at_hook(SERVER_ETH0, Hook::Input, 0);
    let [flight] = &fly(&[until_shared().again(0xa0, &bare).event(input, 0)])[..] else {
        panic!("one flight");
    };
    assert_eq!((flight.ambiguous, flight.end), (false, End::Reached));
    // Where the CPU has had something else at hand since, it can be another one.
    let [flight] = &fly(&[until_shared().skb(0xa0, Some(&bare)).event(input, 0)])[..] else {
        panic!("one flight");
    };
    assert!(flight.ambiguous);
}

/// TCP frees an ACK without a trace, and IPv6 has no identification: the next one says the same at the same address.
#[test]
fn what_a_socket_elsewhere_sends_is_not_what_another_one_took() {
    let bare = Headers { ip_id: 0, payload: 0, flags: ACK, ..headers(0) };
    let tcp = bare.tuple.map(|t| Tuple { proto: TCP, ..t });
    let bare = Headers { tuple: tcp, ..bare };
    let taken_then_sent_by = |place: Place| {
        let chunk = Chunk::new(0, 0, 1_000)
            .skb(0xa0, Some(&bare))
            .event(at_hook(CLIENT_ETH0, Hook::Output, 0), 100)
            .event(at_dev(NET_DEV_START, CLIENT_ETH0), 100)
            .event(at_dev(NETIF_RX, SERVER_ETH0), 100)
            .event(at_dev(NETIF_RECEIVE, SERVER_ETH0), 100)
            .event(at_hook(SERVER_ETH0, Hook::Input, 0), 100)
            .again(0xa0, &bare)
            .event(at_hook(place, Hook::Output, 0), 0);
        fly(&[chunk]).iter().map(|f| f.ambiguous).collect::<Vec<_>>()
    };
    assert_eq!(taken_then_sent_by(CLIENT_ETH0), [false, false]);
    // As IPVS does.
    assert_eq!(taken_then_sent_by(SERVER_ETH0), [true]);
}

#[test]
fn a_segment_that_connection_tracking_has_renumbered_is_the_same() {
    let segment = Headers {
        tuple: headers(1).tuple.map(|t| Tuple { proto: TCP, ..t }),
        flags: ACK,
        seq: 1_000,
        ack: 2_000,
        ..headers(1)
    };
    let forwarded = |later: &Headers| {
        let chunk = Chunk::new(0, 0, 1_000)
            .skb(0xa0, Some(&segment))
            .event(at_dev(NETIF_RECEIVE, UP0), 100)
            .event(at_hook(VETH0, Hook::Postrouting, 0), 100)
            .again(0xa0, later)
            .event(at_dev(NET_DEV_QUEUE, VETH0), 100);
        fly(&[chunk]).len()
    };
    assert_eq!(forwarded(&Headers { seq: 1_000 + 77, ..segment }), 1);
    assert_eq!(forwarded(&Headers { ack: 2_000 + 77, ..segment }), 1);
    // Another one has another identification.
    assert_eq!(forwarded(&Headers { seq: 1_000 + 77, ip_id: 2, ..segment }), 2);
}

#[test]
fn a_device_that_sends_the_answer_back_has_dropped_the_packet() {
    let answer = Headers {
        tuple: headers(1).tuple.map(|t| Tuple { proto: ICMP, ..t.reversed() }),
        flags: 3,
        payload: 548,
        ..headers(0)
    };
    let given = || {
        Chunk::new(0, 0, 1_000)
            .skb(0xa0, Some(&headers(1)))
            .event(at_dev(NETIF_RECEIVE, VETH0), 100)
            .event(at_dev(NET_DEV_START, BR0), 100)
    };
    let chunk = given()
        .again(0xa0, &answer)
        .event(at_dev(NETIF_RX, BR0), 100)
        .event(at_dev(NETIF_RECEIVE, BR0), 100)
        .event(at_dev(NET_DEV_START, VETH0), 100);
    let [dropped, back] = &fly(&[chunk])[..] else { panic!("two flights") };
    assert_eq!(dropped.end, End::Dropped { reason: 0 });
    assert_eq!(points(dropped), [NETIF_RECEIVE, NET_DEV_START, KFREE_SKB]);
    assert_eq!(back.headers.and_then(|h| h.tuple), answer.tuple);
    assert_eq!(points(back), [NETIF_RX, NETIF_RECEIVE, NET_DEV_START]);
    // What it hands on is the packet itself.
    let chunk = given().again(0xa0, &headers(1)).event(at_dev(NETIF_RX, BR0), 100);
    assert_eq!(fly(&[chunk]).len(), 1);
}

/// The packet of [`headers`] 1, up to where the other end of a tunnel has received the outer packet.
fn in_a_tunnel() -> Chunk {
    let out = at_hook(CLIENT_ETH0, Hook::Output, 0);
    let outer =
        Headers { tuple: Some(tuple([198, 18, 0, 1], [198, 18, 0, 2], 9, 4789)), ..headers(77) };
    Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&headers(1)))
        .event(out, 100)
        .event(at_dev(NET_DEV_START, VETH0), 100)
        .skb(0xa0, Some(&outer))
        .event(out, 100)
        .event(at_dev(NET_DEV_START, UP0), 100)
        .event(at_dev(NETIF_RECEIVE, SERVER_ETH0), 100)
}

#[test]
fn a_packet_keeps_its_identity_inside_a_tunnel() {
    let out = at_hook(CLIENT_ETH0, Hook::Output, 0);
    let chunk = in_a_tunnel()
        .skb(0xa0, Some(&headers(1)))
        .event(at_dev(GRO_RECEIVE, BR0), 100)
        .event(at_dev(NETIF_RECEIVE, BR0), 100);
    let flights = fly(&[chunk]);
    assert_eq!(flights.len(), 1, "{flights:?}");
    assert_eq!((flights[0].marks.len(), flights[0].translated), (7, None));
    assert!(!flights[0].in_tunnel);
    // Out of the tunnel, another packet at the same address is another flight.
    let chunk = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&headers(1)))
        .event(out, 100)
        .event(at_dev(NET_DEV_START, VETH0), 100)
        .event(at_dev(NETIF_RECEIVE, SERVER_ETH0), 100)
        .skb(0xa0, Some(&headers(2)))
        .event(at_dev(GRO_RECEIVE, BR0), 100);
    assert_eq!(fly(&[chunk]).len(), 2);
}

#[test]
fn a_tunnels_second_passage_through_output_is_the_same_flight() {
    let out = at_hook(CLIENT_ETH0, Hook::Output, 0);
    let chunk = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&headers(1)))
        .event(out, 100)
        .event(at_dev(NET_DEV_START, CLIENT_ETH0), 100)
        .event(out, 100)
        .event(at_dev(NET_DEV_QUEUE, UP0), 100);
    assert_eq!(fly(&[chunk]).len(), 1);
}

#[test]
fn another_packet_at_the_same_address_is_told_by_its_headers() {
    let first = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&headers(1)))
        .event(at_dev(NETIF_RECEIVE, SERVER_ETH0), 0);
    let second =
        Chunk::new(1, 0, 2_000).skb(0xa0, Some(&headers(2))).event(at_dev(NETIF_RX, VETH0), 0);
    let flights = fly(&[first, second]);
    assert_eq!(flights.len(), 2);
    assert_eq!(flights[0].end, End::Reached);
}

/// netlink trims its sk_buffs (`pskb_expand_head`), and its memory may be that of an acknowledgement which
/// TCP has freed without a trace; a packet that is in the hands of this CPU is copied by the same function.
#[test]
fn a_function_that_works_on_any_sk_buff_brings_no_packet_back() {
    let copies = SPANS.iter().position(|row| row.hop == HopId::SkbCopy).expect("it is a span");
    let copying = |chunk: Chunk| {
        chunk.event((entry(copies), 0, 0), 100).event((entry(copies) + 1, 0, 0), 100)
    };
    let arrives = |chunk: Chunk| {
        chunk
            .skb(0xa0, Some(&headers(1)))
            .event(at_dev(NETIF_RECEIVE, SERVER_ETH0), 100)
            .event(at_hook(SERVER_ETH0, Hook::Input, 0), 100)
    };
    let at_once = fly(&[copying(arrives(Chunk::new(0, 0, 1_000)))]);
    let later = fly(&[
        arrives(Chunk::new(0, 0, 1_000)),
        copying(Chunk::new(0, 1, 12_000_000).resumed(0xa0)),
    ]);
    // Where this CPU has had no other packet since.
    let next = fly(&[
        arrives(Chunk::new(0, 0, 1_000)),
        copying(Chunk::new(0, 1, 12_000_000).skb(0xa0, None)),
    ]);
    for (flights, marks) in [(at_once, 4), (later, 2), (next, 2)] {
        assert_eq!(flights.len(), 1);
        assert_eq!((flights[0].end, flights[0].marks.len()), (End::Reached, marks));
    }
}

#[test]
fn before_and_after_nat_is_one_flight_with_both_tuples() {
    let before = headers(1);
    let after = tuple([198, 18, 0, 1], [198, 18, 0, 2], 4000, 9000);
    let one = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&before))
        .event(at_dev(NETIF_RECEIVE, VETH0), 100)
        .event(at_hook(UP0, Hook::Postrouting, 1), 100);
    let two = Chunk::new(1, 0, 2_000)
        .skb(0xa0, Some(&Headers { tuple: Some(after), ..before }))
        .event(at_dev(NETIF_RECEIVE, SERVER_ETH0), 100)
        .event(at_hook(SERVER_ETH0, Hook::Input, 0), 100);
    let flights = fly(&[one, two]);
    assert_eq!(flights.len(), 1);
    assert_eq!(flights[0].headers.unwrap().tuple, before.tuple);
    assert_eq!(flights[0].translated, Some(after));
    assert_eq!(flights[0].end, End::Reached);
}

#[test]
fn captured_headers_are_kept_as_they_were_at_first_and_at_last() {
    let chunk = |translated: bool| {
        let before = headers(1);
        let after = tuple([198, 18, 0, 1], [198, 18, 0, 2], 4000, 9000);
        let now = if translated { Headers { tuple: Some(after), ..before } } else { before };
        Chunk::new(0, 0, 1_000)
            .skb(0xa0, Some(&before))
            .captured(0, b"unfinished")
            .event(at_hook(CLIENT_ETH0, Hook::Output, 0), 100)
            .skb(0xa0, Some(&now))
            .captured(2, b"on its device")
            .event(at_dev(NET_DEV_QUEUE, CLIENT_ETH0), 100)
    };
    let captured = |chunk: Chunk| {
        let captured = fly(&[chunk])[0].captured.clone().expect("captured");
        (captured.first.data, captured.last.map(|bytes| (bytes.at_ns, bytes.data)))
    };
    // What its socket has made is whole on its first device; what NAT has made is something else.
    assert_eq!(captured(chunk(false)), (b"on its device".to_vec(), None));
    let last = Some((1_100, b"on its device".to_vec()));
    assert_eq!(captured(chunk(true)), (b"unfinished".to_vec(), last));
    let again = chunk(false)
        .skb(0xa0, Some(&headers(1)))
        .captured(2, b"forwarded")
        .event(at_dev(NET_DEV_QUEUE, UP0), 100);
    let last = Some((1_200, b"forwarded".to_vec()));
    assert_eq!(captured(again), (b"on its device".to_vec(), last));
}

#[test]
fn what_only_follows_begins_nothing() {
    let chunk = Chunk::new(0, 0, 1_000)
        .skb(0xa0, None)
        .event((CONSUME_SKB, 0, 0), 10)
        .event((QDISC_ENQUEUE, 0, 0), 10)
        .event((QDISC_DEQUEUE, 0, 0), 10);
    assert!(fly(&[chunk]).is_empty());
}

#[test]
fn ends_by_where_it_was_last() {
    let cases: [(&[_], End); 7] = [
        (&[at_dev(NET_DEV_START, UP0), at_dev(NET_DEV_XMIT, UP0)], End::Transmitted),
        (&[at_dev(NETIF_RECEIVE, UP0), (KFREE_SKB, 42, 0)], End::Dropped { reason: 42 }),
        (&[at_hook(SERVER_ETH0, Hook::Input, 0), (CONSUME_SKB, 0, 0)], End::Reached),
        (&[at_dev(NET_DEV_QUEUE, BR0), (CONSUME_SKB, 0, 0)], End::Vanished),
        (&[at_dev(NET_DEV_QUEUE, BR0)], End::UnderWay),
        (&[at_dev(GRO_RECEIVE, UP0)], End::Merged),
        (&[at_dev(GRO_RECEIVE, UP0), at_dev(NETIF_RECEIVE, UP0)], End::Reached),
    ];
    for (events, end) in cases {
        let chunk = Chunk::new(0, 0, 1_000).skb(0xa0, Some(&headers(1))).events(events, 10);
        let flights = fly(&[chunk]);
        assert_eq!(flights.len(), 1, "{events:?}");
        assert_eq!(flights[0].end, end, "{events:?}");
    }
}

#[test]
fn freeing_is_no_part_of_the_time() {
    let chunk = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&headers(1)))
        .event(at_hook(SERVER_ETH0, Hook::Input, 0), 5_000)
        .event((CONSUME_SKB, 0, 0), 10);
    assert_eq!(points(&fly(&[chunk])[0]), [HOOK_SLOT]);
}

#[test]
fn silence_closes_a_flight() {
    let quiet =
        Chunk::new(0, 0, 1_000).skb(0xa0, Some(&headers(1))).event(at_dev(NET_DEV_QUEUE, UP0), 0);
    let later = Chunk::new(0, 1, 2_000 + SILENT_NS)
        .skb(0xb0, Some(&headers(2)))
        .event(at_dev(NET_DEV_QUEUE, UP0), 0);
    let mut pipeline = crate::pipeline::Pipeline::default();
    for chunk in [quiet, later] {
        pipeline.chunk(&chunk.bytes());
    }
    let mut ended = 0;
    pipeline.advance_with(u64::MAX, |_| ended += 1);
    assert_eq!((ended, pipeline.assembler().open()), (1, 1));
}

/// By sk_buff, why flights are incomplete.
fn whys(flights: &[Flight]) -> Vec<(u64, Option<Incomplete>)> {
    let mut whys: Vec<_> = flights.iter().map(|f| (f.skb, f.incomplete)).collect();
    whys.sort_unstable_by_key(|(skb, _)| *skb);
    whys
}

#[test]
fn losses_come_after_the_last_event_of_their_chunk() {
    let out = at_hook(CLIENT_ETH0, Hook::Output, 0);
    let sent = [at_dev(NET_DEV_START, UP0), at_dev(NET_DEV_XMIT, UP0)];
    let h = headers(1);
    // Chunk 1 is the one that says so: what passed before its end has lost nothing.
    let chunks = [
        Chunk::new(0, 0, 1_000).skb(0xa0, Some(&h)).event(out, 10).events(&sent, 10),
        Chunk::new(0, 1, 2_000)
            .lost(10)
            .skb(0xb0, Some(&h))
            .event(out, 10)
            .events(&sent, 10)
            .skb(0xc0, Some(&h))
            .event(out, 10),
        // The losses' end: who began before it lacks events, who begins here does not.
        Chunk::new(0, 2, 9_000)
            .lost(10)
            .skb(0xc0, None)
            .events(&sent, 10)
            .skb(0xd0, Some(&h))
            .event(out, 10)
            .events(&sent, 10),
    ];
    let lost = Some(Incomplete::Lost);
    assert_eq!(whys(&fly(&chunks)), [(0xa0, None), (0xb0, None), (0xc0, lost), (0xd0, None)]);
}

#[test]
fn a_cpus_losses_are_those_packets_that_it_had() {
    let out = at_hook(CLIENT_ETH0, Hook::Output, 0);
    let sent = [at_dev(NET_DEV_START, UP0), at_dev(NET_DEV_XMIT, UP0)];
    let h = headers(1);
    let chunks = [
        Chunk::new(0, 0, 1_000).lost(3).skb(0xa0, Some(&h)).event(out, 10),
        Chunk::new(1, 0, 1_000)
            .skb(0xb0, Some(&h))
            .event(out, 10)
            .skb(0xe0, None)
            .event(out, 5_000),
        Chunk::new(0, 1, 5_000).lost(3).skb(0xa0, None).events(&sent, 10),
        Chunk::new(1, 1, 7_000).skb(0xb0, None).events(&sent, 10),
    ];
    let flights = fly(&chunks);
    assert_eq!(whys(&flights)[..2], [(0xa0, Some(Incomplete::Lost)), (0xb0, None)]);
}

#[test]
fn what_interrupting_programs_lost_is_a_loss_too() {
    let out = at_hook(CLIENT_ETH0, Hook::Output, 0);
    let sent = [at_dev(NET_DEV_START, UP0), at_dev(NET_DEV_XMIT, UP0)];
    let chunks = [
        Chunk::new(0, 0, 1_000)
            .skb(0xa0, Some(&headers(1)))
            .event(out, 10)
            .skb(0xb0, Some(&headers(2)))
            .event(out, 10),
        // Some time since then.
        Chunk::new(0, 1, 5_000).lost_alone(1).skb(0xa0, None).events(&sent, 10),
        Chunk::new(0, 2, 7_000)
            .lost_alone(1)
            .skb(0xc0, Some(&headers(3)))
            .event(out, 10)
            .events(&sent, 10),
    ];
    let lost = Some(Incomplete::Lost);
    // The second one is under way yet.
    assert_eq!(whys(&fly(&chunks)), [(0xa0, lost), (0xb0, None), (0xc0, None)]);
}

#[test]
fn a_packet_that_fell_silent_in_a_loss_is_incomplete_unless_nothing_more_was_to_come() {
    let received = |payload: u32| {
        let h = Headers { payload, ..headers(1) };
        let chunks = [
            Chunk::new(0, 0, 1_000)
                .skb(0xa0, Some(&h))
                .event(at_dev(NETIF_RECEIVE, SERVER_ETH0), 10)
                .event(at_hook(SERVER_ETH0, Hook::Input, 0), 10)
                .lost(1),
            Chunk::new(0, 1, 9_000)
                .lost(1)
                .skb(0xb0, Some(&headers(2)))
                .event(at_dev(NET_DEV_QUEUE, UP0), 0),
        ];
        whys(&fly(&chunks))[0].1
    };
    assert_eq!(received(100), Some(Incomplete::Lost));
    // An acknowledgment is read by nobody.
    assert_eq!(received(0), None);
}

#[test]
fn where_probes_were_passed_over_those_packets_may_lack_marks_that_interrupted_others() {
    let out = at_hook(CLIENT_ETH0, Hook::Output, 0);
    let sent = [at_dev(NET_DEV_START, UP0), at_dev(NET_DEV_XMIT, UP0)];
    let h = headers(1);
    let fly = |missed: Missed| {
        let mut pipeline = Pipeline::default();
        pipeline.chunk(&missed.chunk());
        let plain = Chunk::new(0, 0, 1_000).skb(0xa0, Some(&h)).event(out, 10).events(&sent, 10);
        let alone = Chunk::new(0, 0, 1_005).alone().skb(0xb0, Some(&headers(2))).event(out, 10);
        let then = Chunk::new(0, 1, 2_000).skb(0xb0, None).events(&sent, 10);
        for chunk in [plain, alone, then] {
            pipeline.chunk(&chunk.bytes());
        }
        let mut flights = Vec::new();
        pipeline.finish_with(|f| flights.push(f.clone()));
        whys(&flights)
    };
    let lost = Some(Incomplete::Lost);
    assert_eq!(fly(Missed { from_ns: 900, until_ns: 1_900 }), [(0xa0, None), (0xb0, lost)]);
    assert_eq!(fly(Missed { from_ns: 1_900, until_ns: 2_900 }), [(0xa0, None), (0xb0, None)]);
}

#[test]
fn changes_to_the_probes_are_told_from_losses() {
    let out = at_hook(CLIENT_ETH0, Hook::Output, 0);
    let sent = [at_dev(NET_DEV_START, UP0), at_dev(NET_DEV_XMIT, UP0)];
    let mut pipeline = Pipeline::default();
    pipeline.unsure((1_500, 1_600));
    let chunk = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&headers(1)))
        .event(out, 1_000)
        .events(&sent, 10)
        .skb(0xb0, Some(&headers(2)))
        .event(out, 10)
        .events(&sent, 10);
    pipeline.chunk(&chunk.bytes());
    let mut flights = Vec::new();
    pipeline.finish_with(|f| flights.push(f.clone()));
    assert_eq!(whys(&flights), [(0xa0, Some(Incomplete::ProbesChanged)), (0xb0, None)]);
}

#[test]
fn a_packet_that_goes_round_until_its_hop_limit_is_used_up_is_whole_and_a_longer_one_is_said_to_be_too_long()
 {
    // A host that forwards it has two dozen events of it.
    let (mut flight, losses) = (Flight::default(), Losses::default());
    let here = Here { cpu: 0, left_idle_ns: None, resumed_ns: None, is_late: false };
    let (point, aux, arg) = at_dev(NETIF_RECEIVE, VETH0);
    let mut add = |events: usize| {
        for at_ns in 0..events as u64 {
            let event = Event { at_ns, point, aux, arg };
            push(&mut flight, &Sighting::of(&event), &here, &losses);
        }
        (flight.marks.len(), flight.incomplete)
    };
    assert_eq!(add(64 * 24), (64 * 24, None));
    assert_eq!(add(64 * 24), (EVENTS_MAX, Some(Incomplete::TooLong)));
}

#[test]
fn packets_whose_end_is_not_waited_for_are_incomplete() {
    let mut assembler = Assembler::default();
    let mut cut = 0;
    for i in 0..=OPEN_MAX as u64 {
        let piece = Piece {
            skb: 0x100 + i,
            start_ns: i,
            headers: Some(Headers { seq: u32::try_from(i + 1).unwrap(), ..headers(1) }),
            count: 1,
            ..Piece::default()
        };
        let (point, aux, arg) = at_dev(NETIF_RECEIVE, SERVER_ETH0);
        let event = Event { at_ns: i, point, aux, arg };
        assembler.piece(&piece, &[event], &mut |f: &Flight| {
            assert_eq!(f.incomplete, Some(Incomplete::Cut));
            cut += 1;
        });
    }
    assert_eq!((cut, assembler.counters().evicted), (OPEN_MAX / 16, OPEN_MAX as u64 / 16));
}

#[test]
fn what_comes_too_late_is_put_in_its_place_and_makes_its_flight_incomplete() {
    let first = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&headers(1)))
        .event(at_hook(CLIENT_ETH0, Hook::Output, 0), 100)
        .skb(0xb0, Some(&headers(2)))
        .event(at_hook(CLIENT_ETH0, Hook::Output, 0), 100);
    let then = Chunk::new(0, 1, 5_000).skb(0xa0, None).event(at_dev(NET_DEV_START, UP0), 10);
    // Another CPU was at it before, and did not get on.
    let late = Chunk::new(1, 0, 3_000).skb(0xa0, None).event(at_dev(NET_DEV_QUEUE, UP0), 10);
    let mut pipeline = Pipeline::default();
    let mut flights = Vec::new();
    for (chunk, watermark_ns) in [(first, 2_000), (then, 6_000), (late, 7_000)] {
        pipeline.chunk(&chunk.bytes());
        pipeline.advance_with(watermark_ns, |f| flights.push(f.clone()));
    }
    pipeline.finish_with(|f| flights.push(f.clone()));
    assert_eq!(whys(&flights), [(0xa0, Some(Incomplete::OutOfOrder)), (0xb0, None)]);
    let marks = &flights.iter().find(|f| f.skb == 0xa0).unwrap().marks;
    assert!(marks.is_sorted_by_key(|m| m.at_ns), "{marks:?}");
    assert_eq!(pipeline.accounting().late_pieces, 1);
}

fn queued(cpu: u16, skb: u64, start_ns: u64, id: u16, queued: u32) -> Chunk {
    Chunk::new(cpu, 0, start_ns)
        .skb(skb, Some(&headers(id)))
        .event(at_dev(NETIF_RECEIVE, SERVER_ETH0), 100)
        .event(ready(9000, 0x77, queued), 0)
}

fn read(start_ns: u64, bytes: u16) -> Chunk {
    Chunk::new(1, 0, start_ns).skb(0x77, None).event(received(0x77, bytes), 0)
}

#[test]
fn datagrams_are_read_in_their_turn() {
    let flights = fly(&[
        queued(0, 0xa0, 1_000, 1, 1),
        queued(0, 0xb0, 2_000, 2, 2),
        read(3_000, 100),
        read(4_000, 100),
    ]);
    let ends: Vec<_> = flights.iter().map(|f| (f.skb, f.end, f.marks[2].at_ns)).collect();
    assert_eq!(ends, [(0xa0, End::Delivered, 3_000), (0xb0, End::Delivered, 4_000)]);
}

#[test]
fn receives_of_datagrams_that_were_queued_unseen_are_passed_over() {
    // Three lie in the queue, but only the last of them was seen to enter it.
    let flights =
        fly(&[queued(0, 0xa0, 1_000, 1, 3), read(2_000, 50), read(3_000, 60), read(4_000, 100)]);
    assert_eq!((flights[0].end, flights[0].marks[2].at_ns), (End::Delivered, 4_000));
}

#[test]
fn a_datagram_whose_reader_was_not_seen_does_not_shift_the_line() {
    // The first one's receive is missing; the second is alone in the queue much later.
    let flights =
        fly(&[queued(0, 0xa0, 1_000, 1, 1), queued(0, 0xb0, 900_000, 2, 1), read(950_000, 100)]);
    let ends: Vec<_> = flights.iter().map(|f| (f.skb, f.end)).collect();
    assert_eq!(ends, [(0xa0, End::Reached), (0xb0, End::Delivered)]);
}

#[test]
fn where_the_reading_names_the_sk_buff_no_line_is_needed() {
    use netpath_common::point::UDP_READ;
    let chunks = [
        queued(0, 0xa0, 1_000, 1, 1),
        Chunk::new(1, 0, 5_000).skb(0xa0, None).event((UDP_READ, 100, 0), 0),
    ];
    let mut pipeline = crate::pipeline::Pipeline::default();
    pipeline.assembler.exact_reads(true);
    for chunk in &chunks {
        pipeline.chunk(&chunk.bytes());
    }
    let mut ends = Vec::new();
    pipeline.finish_with(|f| ends.push((f.end, f.marks.last().unwrap().at_ns)));
    assert_eq!(ends, [(End::Delivered, 5_000)]);
}

#[test]
fn a_socket_woken_for_something_else_is_not_the_packets() {
    let chunk = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&headers(1)))
        .event(at_hook(SERVER_ETH0, Hook::Input, 0), 100)
        .event(ready(5353, 0x99, 1), 0);
    let flights = fly(&[chunk]);
    assert_eq!(points(&flights[0]), [HOOK_SLOT]);
}

/// A stream's packet that was put into its socket's queue 100 ns ago.
fn queued_for_a_stream() -> Chunk {
    let h = Headers {
        tuple: headers(1).tuple.map(|t| crate::packet::Tuple { proto: TCP, ..t }),
        ..headers(1)
    };
    Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&h))
        .event(at_dev(NETIF_RECEIVE, SERVER_ETH0), 100)
        .event(ready(9000, 0x77, 0), 100)
}

#[test]
fn a_stream_is_read_by_the_sk_buff_that_carries_it() {
    let chunk = queued_for_a_stream().event((netpath_common::point::SKB_COPY, 100, 0), 0);
    let flights = fly(&[chunk]);
    assert_eq!(flights[0].end, End::Delivered);
    assert!(points(&flights[0]).contains(&SK_READY));
    assert!(!points(&flights[0]).contains(&SOCK_RECV));
}

/// A stream's packet that is copied 100 ns after it was queued, and its receive's return so much later.
fn copied_then_returned(after_ns: u64) -> Vec<(End, Vec<u16>)> {
    let chunk = queued_for_a_stream()
        .event((netpath_common::point::SKB_COPY, 100, 0), after_ns)
        .skb(0x77, None)
        .event(received(0x77, 100), 0);
    let mut pipeline = crate::pipeline::Pipeline::default();
    pipeline.assembler.seen_returns(true);
    pipeline.chunk(&chunk.bytes());
    let mut flights = Vec::new();
    pipeline.finish_with(|f| flights.push((f.end, points(f))));
    flights
}

#[test]
fn a_stream_is_delivered_when_its_reader_returns() {
    let [(end, points)] = &copied_then_returned(600)[..] else { panic!("one flight") };
    assert_eq!((*end, points.last()), (End::Delivered, Some(&SOCK_RECV)));
}

#[test]
fn a_return_that_comes_too_late_is_another_calls() {
    let [(end, points)] = &copied_then_returned(2_000_000)[..] else { panic!("one flight") };
    let copy = netpath_common::point::SKB_COPY;
    assert_eq!((*end, points.last()), (End::Delivered, Some(&copy)));
}

#[test]
fn early_flights_are_left_out() {
    let chunk = Chunk::new(0, 0, 1_000).skb(0xa0, Some(&headers(1))).events(&request(), 100);
    let mut pipeline = crate::pipeline::Pipeline::default();
    pipeline.assembler.since(1_500);
    pipeline.chunk(&chunk.bytes());
    pipeline.finish_with(|f| panic!("{f:?}"));
    assert_eq!(pipeline.assembler().counters().early, 1);
}

fn any_event() -> impl Strategy<Value = (u64, u16, u16, u64, u64)> {
    (0u64..6, 0u16..40, any::<u16>(), any::<u64>(), 0u64..3_000_000_000)
}

proptest! {
    /// Whatever the events say, every flight ends once, with its marks in its own life.
    #[test]
    fn any_events_at_all(events in prop::collection::vec(any_event(), 0..300)) {
        let mut assembler = Assembler::default();
        let mut ended = 0u64;
        let mut now = 0;
        for (skb, point, aux, arg, ns) in events {
            now += ns;
            let piece = Piece { skb, cpu: 0, start_ns: now, first: 0, count: 1, headers: None, bytes: None, left_idle_ns: None, at_hand: false, switched: false, is_late: false, is_alone: false };
            let event = Event { at_ns: now, point, aux, arg };
            assembler.piece(&piece, &[event], &mut |f: &Flight| {
                ended += 1;
                assert!(f.marks.len() <= EVENTS_MAX);
            });
        }
        assembler.finish_all(|_| ended += 1);
        prop_assert_eq!(ended, assembler.counters().begun);
        prop_assert_eq!(assembler.open(), 0);
    }
}
