//! Addresses that are used again, and packets that change their sk_buff.

use netpath_common::{
    netfilter::HookAux,
    point::{BRIDGE_NF, MOVED, SKB_COPY},
    wire::MORE_FRAGMENTS,
};

use super::*;
use crate::{
    packet::{ACK, ICMP, Tuple, UDP},
    pipeline::Pipeline,
    session::Session,
    testing::{Ev, fly_through},
    topo::Place,
};

fn of(proto: u8, id: u16) -> Headers {
    Headers { tuple: headers(id).tuple.map(|t| Tuple { proto, ..t }), ..headers(id) }
}

/// The ends of flights that are no copies, with the number of their marks.
fn ends(chunk: Chunk) -> Vec<(End, usize)> {
    let flights = fly(&[chunk]);
    flights.iter().filter(|f| f.copy_of.is_none()).map(|f| (f.end, f.marks.len())).collect()
}

#[test]
fn what_says_nothing_of_itself_is_forwarded_where_no_rules_are() {
    // A pure ACK without an id, as of a socket in TIME-WAIT.
    let ack = Headers { ip_id: 0, payload: 0, flags: ACK, ..of(TCP, 0) };
    let chunk = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&ack))
        .event(at_dev(NETIF_RECEIVE, VETH0), 100)
        .event(at_dev(NETIF_RECEIVE, BR0), 100)
        .skb(0xa0, Some(&ack))
        .event(at_dev(NET_DEV_QUEUE, UP0), 100)
        .event(at_dev(NET_DEV_START, UP0), 100)
        .event(at_dev(NET_DEV_XMIT, UP0), 100);
    let flights = fly(&[chunk]);
    let told: Vec<_> = flights.iter().map(|f| (f.marks.len(), f.ambiguous)).collect();
    assert_eq!(told, [(5, false)]);
}

/// `skb_tunnel_check_pmtu`, whose answer is made of the packet itself, with and without its functions probed.
#[test]
fn what_is_too_large_for_a_tunnel_is_dropped_there_and_its_answer_is_another_packet() {
    let copy = SPANS.iter().position(|row| row.hop == HopId::SkbCopy).unwrap();
    let functions = [(entry(copy), HookAux::NOWHERE, 0), (entry(copy) + 1, HookAux::NOWHERE, 0)];
    for within in [&functions[..], &[]] {
        let chunk = Chunk::new(0, 0, 1_000)
            .skb(0xa0, Some(&of(TCP, 1)))
            .event(at_dev(NET_DEV_QUEUE, UP0), 100)
            .event(at_dev(NET_DEV_START, UP0), 100)
            .events(within, 100)
            .again(0xa0, &of(ICMP, 0))
            .event(at_dev(NETIF_RX, UP0), 100);
        let flights = fly(&[chunk]);
        let told: Vec<_> = flights.iter().map(|f| (f.end, f.headers.unwrap().ip_id)).collect();
        let large = End::Dropped { reason: 0 };
        assert_eq!(told, [(large, 1), (End::UnderWay, 0)], "{within:?}");
    }
}

#[test]
fn what_was_received_is_not_transmitted_again() {
    // TCP has freed the first without a trace; the next one at its address is another's.
    let chunk = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&of(TCP, 1)))
        .event(at_dev(NETIF_RECEIVE, SERVER_ETH0), 100)
        .event(at_hook(SERVER_ETH0, Hook::Input, 0), 100)
        .event(at_dev(NET_DEV_QUEUE, SERVER_ETH0), 100);
    assert_eq!(ends(chunk), [(End::Reached, 2), (End::UnderWay, 1)]);
}

#[test]
fn the_same_way_back_is_another_packet_by_its_headers() {
    // A SYN-ACK is received where INPUT is not watched, and the ACK is built at its address.
    let (syn_ack, ack) = (of(TCP, 1), Headers { seq: 7, flags: ACK, payload: 0, ..of(TCP, 2) });
    let chunk = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&syn_ack))
        .event(at_dev(NETIF_RECEIVE, CLIENT_ETH0), 100)
        .skb(0xa0, Some(&ack))
        .event(at_dev(NET_DEV_QUEUE, CLIENT_ETH0), 100)
        .event(at_dev(NET_DEV_START, CLIENT_ETH0), 100);
    assert_eq!(ends(chunk), [(End::Reached, 1), (End::UnderWay, 2)]);
}

#[test]
fn a_segment_without_payload_is_read_by_nobody() {
    let ack = Headers { flags: ACK, payload: 0, ..of(TCP, 1) };
    let chunk = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&ack))
        .event(at_dev(NETIF_RECEIVE, SERVER_ETH0), 100)
        .event(at_hook(SERVER_ETH0, Hook::Input, 0), 500_000)
        .event((SKB_COPY, 100, 0), 0);
    assert_eq!(ends(chunk), [(End::Reached, 2)]);
}

#[test]
fn another_packet_that_is_dropped_at_the_address_is_not_this_one() {
    let chunk = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&of(TCP, 1)))
        .event(at_hook(SERVER_ETH0, Hook::Input, 0), 100)
        .skb(0xa0, Some(&of(TCP, 2)))
        .event((KFREE_SKB, 9, 0), 0);
    assert_eq!(ends(chunk), [(End::Reached, 1)]);
}

/// The last ACK of a connection over IPv6 is thrown away, as many are, and has no identification.
#[test]
fn what_a_transport_drops_with_the_same_headers_is_the_packet_that_it_took() {
    let bare = Headers { ip_id: 0, payload: 0, flags: ACK, ..of(TCP, 0) };
    let taken = || {
        Chunk::new(0, 0, 1_000)
            .skb(0xa0, Some(&bare))
            .event(at_hook(SERVER_ETH0, Hook::Input, 0), 100)
    };
    let drop = (KFREE_SKB, 3, 0);
    // TCP may have answered before, and have had that at hand.
    let answered =
        || taken().skb(0xb0, Some(&of(TCP, 7))).event(at_hook(SERVER_ETH0, Hook::Output, 0), 10);
    for chunk in [taken().again(0xa0, &bare), answered().skb(0xa0, Some(&bare))] {
        let flights = fly(&[chunk.event(drop, 0)]);
        let flight = flights.iter().find(|f| f.skb == 0xa0).expect("it has ended");
        assert_eq!((flight.ambiguous, flight.end), (false, End::Dropped { reason: 3 }));
    }
}

#[test]
fn a_raw_sockets_clone_is_the_packet() {
    let reply = Headers { flags: 0, ..of(ICMP, 1) };
    let chunk = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&reply))
        .event(at_dev(NETIF_RECEIVE, CLIENT_ETH0), 100)
        .event(at_hook(CLIENT_ETH0, Hook::Input, 0), 100)
        .event(ready(1, 0x77, 0), 0)
        .event((MOVED, 0, 0xb0), 100)
        // ICMP itself has no socket for the original.
        .event((KFREE_SKB, 3, 0), 100)
        .skb(0xb0, Some(&reply))
        .event((SKB_COPY, 64, 0), 0);
    assert_eq!(ends(chunk), [(End::Delivered, 4)]);
}

#[test]
fn the_packet_goes_with_the_one_that_gets_furthest() {
    // A sniffer has the original, IP a clone.
    let chunk = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&headers(1)))
        .event(at_dev(NETIF_RECEIVE, SERVER_ETH0), 100)
        .skb(0xb0, Some(&headers(1)))
        .event(at_hook(SERVER_ETH0, Hook::Input, 0), 100)
        .event(ready(9000, 0x77, 1), 100)
        .skb(0xa0, None)
        .event((CONSUME_SKB, 0, 0), 100)
        .skb(0x77, None)
        .event(received(0x77, 100), 0);
    assert_eq!(ends(chunk), [(End::Delivered, 4)]);
}

#[test]
fn a_flooded_frames_copies_are_told_as_such() {
    let flood = |chunk: Chunk, skb: u64, port| {
        chunk
            .skb(skb, Some(&headers(1)))
            .event(at_dev(NET_DEV_QUEUE, port), 100)
            .event(at_dev(NET_DEV_START, port), 100)
            .event((KFREE_SKB, 5, 0), 100)
    };
    let received = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&headers(1)))
        .event(at_dev(NETIF_RECEIVE, VETH0), 100);
    let chunk = flood(flood(received, 0xb0, UP0), 0xa0, BR0);
    let flights = fly(&[chunk]);
    let copies: Vec<_> = flights.iter().map(|f| (f.skb, f.copy_of.is_some(), f.shared)).collect();
    assert_eq!(copies, [(0xb0, true, 1), (0xa0, false, 1)]);
}

/// However many ports there are: none of the copies has another one's port on its way.
#[test]
fn a_flood_to_many_ports_is_no_way_through_all_of_them() {
    let mut chunk = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&headers(1)))
        .event(at_dev(NETIF_RECEIVE, VETH0), 100);
    for port in 0..12 {
        let dev = Place { ifindex: 100 + port, ..UP0 };
        let behind = Place { netns: 1_000 + port, ifindex: 2 };
        chunk = chunk
            .skb(0xb0 + 0x10 * u64::from(port), Some(&headers(1)))
            .event(at_dev(NET_DEV_QUEUE, dev), 100)
            .event(at_dev(NET_DEV_START, dev), 100)
            .event(at_dev(NETIF_RX, behind), 100)
            .event(at_dev(NET_DEV_XMIT, dev), 100);
    }
    let flights = fly(&[chunk]);
    let copies = flights.iter().filter(|f| f.skb != 0xa0);
    let ways: Vec<_> = copies.map(|f| (f.marks.len(), f.shared)).collect();
    assert_eq!(ways, [(5, 1); 12]);
    assert_eq!(flights.iter().filter(|f| f.copy_of.is_none()).count(), 1);
}

#[test]
fn a_packet_that_xdp_rebuilds_goes_on_in_the_new_sk_buff() {
    let chunk = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&headers(1)))
        .event(at_dev(NET_DEV_QUEUE, CLIENT_ETH0), 100)
        .event(at_dev(NET_DEV_START, CLIENT_ETH0), 9_000)
        .skb(0xa0, None)
        .event((CONSUME_SKB, 0, 0), 100)
        .skb(0xb0, Some(&headers(1)))
        .event(at_dev(GRO_RECEIVE, VETH0), 100)
        .event(at_dev(NETIF_RECEIVE, VETH0), 100)
        .event((CONSUME_SKB, 0, 0), 0);
    assert_eq!(ends(chunk), [(End::Reached, 4)]);
}

#[test]
fn a_large_packet_is_cut_into_segments_and_has_not_vanished() {
    let whole = Headers { gso_segs: 3, payload: 300, seq: 1_000, len: 4_000, ..of(TCP, 1) };
    let mut chunk = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&whole))
        .event(at_hook(CLIENT_ETH0, Hook::Output, 0), 100)
        .event(at_dev(NET_DEV_QUEUE, CLIENT_ETH0), 100)
        .event((CONSUME_SKB, 0, 0), 100);
    for i in 0..3_u16 {
        let part = Headers { payload: 100, seq: 1_000 + u32::from(i) * 100, ..of(TCP, 1 + i) };
        chunk = chunk
            .skb(0xb0 + u64::from(i) * 0x10, Some(&part))
            .event(at_dev(NET_DEV_START, CLIENT_ETH0), 100)
            .event(at_dev(NET_DEV_XMIT, CLIENT_ETH0), 100)
            .event((CONSUME_SKB, 0, 0), 100);
    }
    let flights = fly(&[chunk]);
    let all: Vec<_> = flights.iter().map(|f| (f.end, f.marks.len())).collect();
    assert_eq!(all, [(End::Transmitted, 4); 3]);
}

#[test]
fn fragments_end_in_the_packet_that_they_make() {
    let whole = headers(9);
    let fragment = |at: u32, more: bool| Headers {
        fragment: at > 0,
        fragment_at: at | if more { MORE_FRAGMENTS } else { 0 },
        ..headers(9)
    };
    let mut chunk = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&whole))
        .event(at_hook(CLIENT_ETH0, Hook::Output, 0), 100);
    for (skb, at, more) in [(0xb0, 0, true), (0xc0, 40, true), (0xd0, 80, false)] {
        chunk = chunk
            .skb(skb, Some(&fragment(at, more)))
            .event(at_dev(NET_DEV_QUEUE, CLIENT_ETH0), 100)
            .event(at_dev(NET_DEV_START, CLIENT_ETH0), 100)
            .event(at_dev(NETIF_RX, SERVER_ETH0), 100);
    }
    chunk = chunk.skb(0xa0, None).event((CONSUME_SKB, 0, 0), 100);
    for (skb, at, more) in [(0xb0, 0, true), (0xc0, 40, true), (0xd0, 80, false)] {
        chunk = chunk
            .skb(skb, Some(&fragment(at, more)))
            .event(at_dev(NETIF_RECEIVE, SERVER_ETH0), 100);
    }
    // The last one goes on as the whole packet, and the others are freed with it.
    chunk = chunk
        .skb(0xd0, Some(&whole))
        .event(at_hook(SERVER_ETH0, Hook::Input, 0), 100)
        .event(ready(9000, 0x77, 1), 100)
        .skb(0xc0, None)
        .event((KFREE_SKB, 2, 0), 100)
        .skb(0x77, None)
        .event(received(0x77, 100), 0);
    let flights = fly(&[chunk]);
    let told: Vec<_> = flights.iter().map(|f| (f.skb, f.end, f.copy_of.is_some())).collect();
    assert_eq!(
        told,
        [(0xc0, End::Merged, true), (0xd0, End::Delivered, false), (0xb0, End::Merged, true)]
    );
}

/// A cloned sk_buff leaves the tunnel by the backlog, and not by GRO (`gro_cells_receive`).
#[test]
fn a_clone_leaves_a_tunnel_by_the_backlog() {
    let through = |inner: &Headers| {
        let chunk = in_a_tunnel()
            .event(at_hook(SERVER_ETH0, Hook::Input, 0), 100)
            .skb(0xa0, Some(inner))
            .event(at_dev(NETIF_RX, BR0), 100)
            .event(at_dev(NETIF_RECEIVE, BR0), 100);
        fly(&[chunk]).iter().map(|f| (f.marks.len(), f.in_tunnel)).collect::<Vec<_>>()
    };
    assert_eq!(through(&headers(1)), [(8, false)]);
    assert_eq!(through(&headers(2)), [(6, true), (2, false)]);
}

/// Two halves of a fragment have the way through the first device in common, though neither is the one that
/// becomes the packet: it counts there once.
#[test]
fn what_parts_have_in_common_counts_once() {
    let fragment = |at: u32| Headers {
        fragment: at > 0,
        fragment_at: if at < 80 { at | MORE_FRAGMENTS } else { at },
        ..headers(9)
    };
    let chunk = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&headers(9)))
        .event(at_hook(CLIENT_ETH0, Hook::Output, 0), 100)
        // A fragment, of which another one is cut behind the next device; and one that arrives.
        .skb(0xb0, Some(&fragment(0)))
        .event(at_dev(NET_DEV_QUEUE, CLIENT_ETH0), 100)
        .event(at_dev(NET_DEV_START, CLIENT_ETH0), 100)
        .skb(0xc0, Some(&fragment(40)))
        .event(at_dev(NETIF_RX, VETH0), 100)
        .skb(0xd0, Some(&fragment(80)))
        .event(at_dev(NET_DEV_QUEUE, CLIENT_ETH0), 100)
        .event(at_dev(NET_DEV_START, CLIENT_ETH0), 100)
        .event(at_dev(NETIF_RX, SERVER_ETH0), 100)
        .event(at_dev(NETIF_RECEIVE, SERVER_ETH0), 100)
        .event(at_hook(SERVER_ETH0, Hook::Input, 0), 100);
    let flights = fly(&[chunk]);
    let own = |skb: u64| flights.iter().find(|f| f.skb == skb).map(|f| f.marks.len() - f.shared);
    let copies = flights.iter().filter(|f| f.copy_of.is_some()).count();
    assert_eq!(copies, flights.len() - 1, "{flights:#?}");
    // One of the two has the sending device to itself.
    let halves = [own(0xb0), own(0xc0)].map(Option::unwrap_or_default);
    assert_eq!(halves.iter().sum::<usize>(), 3, "{halves:?} {flights:#?}");
}

/// XDP makes a new sk_buff of the packet, and drops it before anything else is seen of it.
#[test]
fn what_is_made_of_a_packet_and_dropped_at_once_is_the_packet() {
    let dropped = |headers: &Headers| {
        let chunk = Chunk::new(0, 0, 1_000)
            .skb(0xa0, Some(&of(UDP, 1)))
            .event(at_dev(NET_DEV_QUEUE, VETH0), 100)
            .event(at_dev(NET_DEV_START, VETH0), 100)
            .event((CONSUME_SKB, 0, 0), 100)
            .skb(0xb0, Some(headers))
            .event((KFREE_SKB, 2, 0), 0);
        ends(chunk)
    };
    assert_eq!(dropped(&of(UDP, 1)), [(End::Dropped { reason: 2 }, 3)]);
    assert_eq!(dropped(&of(UDP, 2)), [(End::Vanished, 2)]);
}

/// What XDP rebuilt goes on alone: nobody waits for other parts once that has ended.
#[test]
fn what_was_rebuilt_is_over_when_it_ends() {
    let (packet, next) = (of(UDP, 1), of(UDP, 2));
    let chunk = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&packet))
        .event(at_dev(NET_DEV_QUEUE, VETH0), 100)
        // It waits in a ring.
        .event(at_dev(NET_DEV_START, VETH0), 5_000_000)
        .event((CONSUME_SKB, 0, 0), 100)
        .skb(0xb0, Some(&packet))
        .event(at_dev(GRO_RECEIVE, CLIENT_ETH0), 100)
        .event(at_dev(NETIF_RECEIVE, CLIENT_ETH0), 100)
        .event((SKB_COPY, 0, 0), 100)
        .skb(0xc0, Some(&next))
        .event(at_dev(NET_DEV_QUEUE, CLIENT_ETH0), 100)
        .event((KFREE_SKB, 2, 0), 0);
    let told: Vec<_> = fly(&[chunk]).iter().map(|f| (f.skb, f.end, f.marks.len())).collect();
    assert_eq!(told, [(0xb0, End::Delivered, 5), (0xc0, End::Dropped { reason: 2 }, 2)]);
}

/// Two packets that nothing tells apart wait in one ring: each goes on as what it was made into.
#[test]
fn what_is_rebuilt_is_not_taken_for_one_that_still_waits() {
    // Nothing but addresses and length is known of it.
    let same = Headers { ip_id: 0, ..of(0, 1) };
    let mut chunk = Chunk::new(0, 0, 1_000);
    for skb in [0xa0, 0xb0] {
        chunk = chunk
            .skb(skb, Some(&same))
            .event(at_hook(VETH0, Hook::Output, 0), 100)
            .event(at_dev(NET_DEV_QUEUE, VETH0), 100)
            .event(at_dev(NET_DEV_START, VETH0), 100);
    }
    for (skb, rebuilt) in [(0xa0, 0xc0), (0xb0, 0xd0)] {
        chunk = chunk
            .skb(skb, None)
            .event((CONSUME_SKB, 0, 0), 100)
            .skb(rebuilt, Some(&same))
            .event(at_dev(GRO_RECEIVE, CLIENT_ETH0), 100)
            .event(at_dev(NETIF_RECEIVE, CLIENT_ETH0), 100);
    }
    assert_eq!(ends(chunk), [(End::Reached, 5), (End::Reached, 5)]);
}

const TIMED_OUT: u16 = 77;
const UNEXPLAINED: u16 = 2;
/// When the fragment has been there for longer than what is silent is waited for, ns.
const LATER_NS: u64 = 3_000_000_000;

/// What becomes of the first fragment of a packet in PREROUTING, before this: whether a link says that it is
/// there, or only that br_netfilter has it.
fn first_fragment(then: impl Fn(Ev) -> Chunk) -> Vec<(End, usize)> {
    let [link, bridge] = [at_hook(VETH0, Hook::Prerouting, 0), (BRIDGE_NF, 0, 0)]
        .map(|lies| first_fragment_at(lies, then(lies)));
    assert_eq!(bridge, link);
    link
}

fn first_fragment_at(lies: Ev, then: Chunk) -> Vec<(End, usize)> {
    let session = Session {
        drop_reasons: [(TIMED_OUT, "FRAG_REASM_TIMEOUT"), (UNEXPLAINED, "NOT_SPECIFIED")]
            .map(|(number, name)| (number, name.to_owned()))
            .into(),
        ..Session::default()
    };
    let chunk = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&Headers { fragment_at: MORE_FRAGMENTS, ..headers(9) }))
        .event(at_dev(NETIF_RECEIVE, VETH0), 100)
        .event(lies, 100);
    let flights = fly_through(Pipeline::of(&session), &[chunk, then]);
    let first = flights.iter().filter(|f| f.skb == 0xa0);
    first.map(|f| (f.end, f.marks.len())).collect()
}

#[test]
fn a_fragment_that_stays_alone_waits_and_is_lost() {
    let part = Headers { fragment_at: MORE_FRAGMENTS, ..headers(9) };
    for reason in [TIMED_OUT, UNEXPLAINED] {
        let freed =
            |_| Chunk::new(0, 1, LATER_NS).skb(0xa0, Some(&part)).event((KFREE_SKB, reason, 0), 0);
        assert_eq!(first_fragment(freed), [(End::Dropped { reason }, 3)]);
    }
    let ends_first = |_| {
        Chunk::new(0, 1, LATER_NS)
            .skb(0xf0, Some(&headers(1)))
            .event(at_dev(NET_DEV_QUEUE, VETH0), 0)
    };
    assert_eq!(first_fragment(ends_first), [(End::UnderWay, 2)]);
}

#[test]
fn a_fragment_is_merged_once_another_one_goes_on_as_the_packet() {
    let last = |id: u16, lies: Ev| {
        let last = Headers { fragment: true, fragment_at: 1400, ip_id: id, ..headers(9) };
        Chunk::new(0, 1, LATER_NS)
            .skb(0xb0, Some(&last))
            .event(at_dev(NETIF_RECEIVE, VETH0), 100)
            .event(lies, 100)
            .event(at_hook(VETH0, Hook::Prerouting, 1), 100)
    };
    let id = headers(9).ip_id;
    assert_eq!(first_fragment(|lies| last(id, lies)), [(End::Merged, 2)]);
    // Of another packet.
    assert_eq!(first_fragment(|lies| last(id + 1, lies)), [(End::UnderWay, 2)]);
}

/// A router without connection tracking sends each fragment on as it comes.
#[test]
fn fragments_that_nobody_puts_together_are_forwarded_one_by_one() {
    let mut chunk = Chunk::new(0, 0, 1_000);
    for (skb, at, more) in [(0xa0, 0, true), (0xb0, 1400, true), (0xc0, 2800, false)] {
        let fragment_at = if more { at | MORE_FRAGMENTS } else { at };
        let headers = Headers { fragment: at > 0, fragment_at, ..headers(9) };
        chunk = chunk
            .skb(skb, Some(&headers))
            .event(at_dev(NETIF_RECEIVE, VETH0), 100)
            .event(at_hook(VETH0, Hook::Prerouting, 0), 100)
            .event(at_dev(NET_DEV_QUEUE, UP0), 100)
            .event(at_dev(NET_DEV_START, UP0), 100)
            .event(at_dev(NET_DEV_XMIT, UP0), 100);
    }
    let flights = fly(&[chunk]);
    assert_eq!(flights.iter().map(|f| f.marks.len()).collect::<Vec<_>>(), [5, 5, 5]);
}

/// IPv6 has no identification: a datagram's first bytes tell, also where they are 0.
#[test]
fn first_bytes_of_0_are_known_or_not() {
    let ambiguous = |zeros: bool| {
        let h = Headers { ip_id: 0, seq: 0, zeros, ..of(UDP, 1) };
        let chunk = Chunk::new(0, 0, 1_000)
            .skb(0xa0, Some(&h))
            .event(at_dev(NETIF_RECEIVE, BR0), 100)
            .skb(0xa0, Some(&h))
            .event(at_dev(NETIF_RX, BR0), 0);
        fly(&[chunk]).iter().map(|f| f.ambiguous).collect::<Vec<_>>()
    };
    assert_eq!((ambiguous(true), ambiguous(false)), (vec![false], vec![true]));
}
