//! The ledger: sums, places, directions.

use netpath_common::{
    hop::{At, HopId},
    point::{
        CONSUME_SKB, GRO_RECEIVE, Hook, HookAux, IP_OUTPUT, KFREE_SKB, LATE, LEFT_IDLE, LOCAL_OUT,
        NEIGH_QUEUE, NET_DEV_QUEUE, NET_DEV_START, NETIF_RECEIVE, NETIF_RX, QDISC_DEQUEUE,
        QDISC_ENQUEUE, QDISC_LOCK, QDISC_LOCKED,
    },
    softirq::TakenUp,
    span::{SPANS, entry},
    wire::MORE_FRAGMENTS,
};
use proptest::prelude::*;

use super::*;
use crate::flight::Incomplete;
use crate::packet::Headers;
use crate::testing::{
    BR0, CLIENT_ETH0, Chunk, HOST, SERVER_ETH0, UP0, VETH0, at_dev, at_hook, fly, headers, hooks,
    received, request, topology, tuple,
};
use crate::topo::Chosen;

fn ledger_of(chunks: &[Chunk]) -> Ledger {
    let mut ledger = Ledger::new(topology(), hooks());
    for flight in fly(chunks) {
        ledger.add(&flight);
    }
    ledger.settle();
    ledger
}

fn requests(n: u64) -> Ledger {
    let chunks: Vec<Chunk> = (0..n)
        .map(|i| {
            Chunk::new(0, u32::try_from(i).unwrap(), 10_000 * (i + 1))
                .skb(0xa0, Some(&headers(u16::try_from(i).unwrap())))
                .events(&request(), 100)
                .skb(0x77, None)
                .event(received(0x77, 100), 0)
        })
        .collect();
    ledger_of(&chunks)
}

#[test]
fn what_probes_were_changed_under_counts_in_its_round_trip_alone() {
    let whole = Chunk::new(0, 0, 10_000)
        .skb(0xa0, Some(&headers(0)))
        .events(&request(), 100)
        .skb(0x77, None)
        .event(received(0x77, 100), 0);
    let mut flight = fly(&[whole]).remove(0);
    let mut ledger = Ledger::new(topology(), hooks());
    ledger.add(&flight);
    flight.incomplete = Some(Incomplete::ProbesChanged);
    ledger.add(&flight);
    // In FORWARD.
    flight.marks.truncate(10);
    flight.end = End::Dropped { reason: 2 };
    ledger.add(&flight);
    flight.incomplete = Some(Incomplete::Lost);
    ledger.add(&flight);
    ledger.settle();
    let Coverage { complete, incomplete, dropped, .. } = ledger.coverage;
    assert_eq!((complete, incomplete, dropped), (1, 2, 1));
    let path = &ledger.paths()[0];
    assert_eq!(path.total.count(), 1);
    assert_eq!(path.ends.named().collect::<Vec<_>>(), [("delivered", 2)]);
    assert_eq!(ledger.drops.values().map(|drop| drop.count).sum::<u64>(), 1);
}

#[test]
fn what_goes_on_after_a_switch_of_tasks_has_waited() {
    let request = request();
    // Between FORWARD's two links.
    let (before, after) = request.split_at(10);
    let held = |chunk: Chunk| {
        let chunk = chunk.events(after, 100).skb(0x77, None).event(received(0x77, 100), 0);
        let ledger = ledger_of(&[chunk]);
        ledger.paths()[0].rows.iter().any(|row| row.key.hop == Some(HopId::QueuedToUser))
    };
    let begun = || Chunk::new(0, 0, 10_000).skb(0xa0, Some(&headers(0))).events(before, 100);
    assert!(!held(begun()));
    assert!(held(begun().switched(0xa0)));
}

#[test]
fn what_rules_have_queued_waits_in_their_hook_after_they_returned() {
    let queued_in = |chunk: Chunk| {
        let chunk = chunk
            .event((IP_OUTPUT, 0, 0), 100)
            .event(at_dev(NET_DEV_QUEUE, UP0), 100)
            .event(at_dev(NET_DEV_START, UP0), 100)
            .event(at_dev(NETIF_RECEIVE, SERVER_ETH0), 0);
        let ledger = ledger_of(&[chunk]);
        let rows = &ledger.paths()[0].rows;
        let queued = rows.iter().find(|row| row.key.hop == Some(HopId::QueuedToUser));
        queued.map(|row| (row.key.hook, row.sums.times.sum_ns()))
    };
    let walked = || {
        Chunk::new(0, 0, 1_000)
            .skb(0xa0, Some(&headers(0)))
            .event(at_dev(NETIF_RECEIVE, VETH0), 100)
            .event(at_dev(NETIF_RECEIVE, BR0), 100)
            .events(&function(HopId::Rules, 0xc4a1), 100)
    };
    assert_eq!(queued_in(walked()), None);
    assert_eq!(queued_in(walked().switched(0xa0)), Some((Some(Hook::Forward), 100)));
}

#[test]
fn a_request_is_cut_into_hops_that_sum_up() {
    let ledger = requests(3);
    assert_eq!(ledger.coverage.complete, 3);
    let [path] = ledger.paths() else { panic!("one path") };
    assert_eq!(path.key.direction, Direction::Outbound);
    assert_eq!(path.key.places, [CLIENT_ETH0, VETH0, BR0, UP0, SERVER_ETH0]);
    let hops: Vec<HopId> = path.rows.iter().filter_map(|r| r.key.hop).collect();
    assert_eq!(
        hops,
        [
            HopId::IpSend,
            HopId::QdiscNone,
            HopId::Device,
            HopId::Handoff,
            HopId::Bridge,
            HopId::IpReceive,
            HopId::Conntrack,
            HopId::Nat,
            HopId::IpRoute,
            HopId::Rules,
            HopId::IpForward,
            HopId::Nat,
            HopId::IpOutput,
            HopId::QdiscNone,
            HopId::Device,
            HopId::Handoff,
            HopId::IpRoute,
            HopId::SocketReceive,
            HopId::SocketWait,
        ]
    );
    assert!(path.rows.iter().all(|r| r.sums.times.count() == 3 && r.sums.times.sum_ns() == 300));
    assert_eq!(path.unattributed.sum_ns(), 0);
    assert_eq!(path.total.sum_ns(), 3 * 1_900);
}

#[test]
fn a_fragment_waits_until_it_is_put_together() {
    let part = |fragment_at: u32| Headers {
        fragment: fragment_at < MORE_FRAGMENTS,
        fragment_at,
        ..headers(9)
    };
    let parts = [(0xb0, MORE_FRAGMENTS), (0xc0, 1_400)];
    let mut chunk = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&headers(9)))
        .event(at_hook(CLIENT_ETH0, Hook::Output, 0), 100);
    for (skb, at) in parts {
        chunk = chunk
            .skb(skb, Some(&part(at)))
            .event(at_dev(NET_DEV_QUEUE, CLIENT_ETH0), 100)
            .event(at_dev(NET_DEV_START, CLIENT_ETH0), 100)
            .event(at_dev(NETIF_RX, VETH0), 100);
    }
    chunk = chunk.skb(0xa0, None).event((CONSUME_SKB, 0, 0), 100);
    for (skb, at) in parts {
        chunk = chunk.skb(skb, Some(&part(at))).event(at_dev(NETIF_RECEIVE, VETH0), 1_000);
    }
    // The last one goes on as the whole packet, and the other is freed with it.
    let chunk = chunk
        .skb(0xc0, Some(&headers(9)))
        .event(at_hook(VETH0, Hook::Input, 0), 100)
        .skb(0xb0, None)
        .event((KFREE_SKB, 2, 0), 100);
    let ledger = ledger_of(std::slice::from_ref(&chunk));
    let is_wait = |row: &&Row| row.key.hop == Some(HopId::Reassembly);
    let waits = ledger.paths().iter().filter_map(|p| Some((p, p.rows.iter().find(is_wait)?)));
    let [(path, wait)] = waits.collect::<Vec<_>>()[..] else { panic!("one path of fragments") };
    // From its receipt past that of the other one to the whole packet's next event, and its own end.
    assert_eq!((wait.sums.times.count(), wait.sums.times.sum_ns()), (1, 1_000 + 1_000 + 100));
    assert_eq!(path.unattributed.sum_ns(), 0);
}

#[test]
fn an_idle_cpu_is_woken_by_the_wait_in_which_it_leaves_idle() {
    // The client's CPU is 0; the reader's, 1, leaves idle before or after the datagram was queued.
    let read_after = |i: u16, left_idle_ns: u64| {
        let start = 10_000 * u64::from(i + 1);
        let sent =
            Chunk::new(0, u32::from(i), start).skb(0xa0, Some(&headers(i))).events(&request(), 100);
        let read = Chunk::new(1, u32::from(i), start + 5_000)
            .skb(0x77, None)
            .event((LEFT_IDLE, 0, start + left_idle_ns), 0)
            .event(received(0x77, 100), 0);
        [sent, read]
    };
    let chunks: Vec<Chunk> = [(0, 4_000), (1, 500), (2, 3_000)]
        .into_iter()
        .flat_map(|(i, at)| read_after(i, at))
        .collect();
    let ledger = ledger_of(&chunks);
    let [path] = ledger.paths() else { panic!("one path") };
    let rows = |hop| path.rows.iter().filter(move |r| r.key.hop == Some(hop));
    let wait = rows(HopId::SocketWait).next().expect("a wait").sums.causes;
    assert_eq!((wait.other_cpu.count, wait.idle_cpu.count), (3, 2));
    assert_eq!(wait.idle_cpu.sum_ns, 2 * 3_200);
    assert!(rows(HopId::Handoff).all(|r| r.sums.causes.idle_cpu.count == 0));
}

#[test]
fn who_took_packets_up_is_told_with_what_lay_behind_them() {
    let taken = [
        Some(TakenUp { ksoftirqd: false, left: Some(2) }),
        Some(TakenUp { ksoftirqd: true, left: Some(7) }),
        Some(TakenUp { ksoftirqd: true, left: None }),
        None,
    ];
    let chunks: Vec<Chunk> = (0u16..)
        .zip(taken)
        .map(|(i, taken)| {
            let mut events = request();
            let taken_up = events.iter_mut().filter(|e| e.0 == NETIF_RECEIVE);
            taken_up.for_each(|e| e.1 = taken.map_or(0, TakenUp::pack));
            Chunk::new(0, i.into(), 10_000 * u64::from(i + 1))
                .skb(0xa0, Some(&headers(i)))
                .events(&events, 100)
                .skb(0x77, None)
                .event(received(0x77, 100), 0)
        })
        .collect();
    let ledger = ledger_of(&chunks);
    let [path] = ledger.paths() else { panic!("one path") };
    for row in &path.rows {
        let met = row.sums.causes.backlog;
        if row.key.hop == Some(HopId::Handoff) {
            assert_eq!((met.in_line.count, met.ksoftirqd.count, met.looked), (1, 2, 2));
            assert_eq!((met.in_line.sum_ns, met.ksoftirqd.sum_ns), (100, 200));
            assert_eq!((met.behind_sum, met.behind_max), (9, 7));
        } else {
            assert_eq!(met.in_line.count + met.ksoftirqd.count, 0, "{:?}", row.key);
        }
    }
}

#[test]
fn nat_is_told_by_what_it_changed() {
    let (inner, outer) = ([172, 31, 0, 2], [198, 18, 0, 1]);
    let server = [198, 18, 0, 2];
    let before = crate::testing::tuple(inner, server, 4000, 9000);
    let after = crate::testing::tuple(outer, server, 4000, 9000);
    let turned = |t: crate::packet::Tuple| crate::packet::Tuple {
        src: t.dst,
        dst: t.src,
        sport: t.dport,
        dport: t.sport,
        ..t
    };
    let of = |hook, a, b, reply| Rewritten::of(hook, &a, &b, reply);
    assert_eq!(of(Hook::Postrouting, before, after, false), Some(Rewritten::Snat));
    assert_eq!(of(Hook::Prerouting, before, after, false), None);
    assert_eq!(
        of(Hook::Prerouting, turned(after), turned(before), true),
        Some(Rewritten::SnatUndone)
    );
    assert_eq!(of(Hook::Prerouting, turned(after), turned(before), false), Some(Rewritten::Dnat));
    assert_eq!(of(Hook::Postrouting, before, after, true), Some(Rewritten::DnatUndone));
    assert_eq!(of(Hook::Forward, before, after, true), None);
}

#[test]
fn a_late_packet_is_listed_and_in_no_mean() {
    let late = Chunk::new(0, 9, 900_000)
        .skb(0xb0, Some(&headers(9)))
        .event((LATE, 0, 100_000), 0)
        .events(&request()[16..], 100)
        .skb(0x77, None)
        .event(received(0x77, 100), 0);
    let drawn = Chunk::new(0, 1, 10_000)
        .skb(0xa0, Some(&headers(1)))
        .events(&request(), 100)
        .skb(0x77, None)
        .event(received(0x77, 100), 0);
    let ledger = ledger_of(&[drawn, late]);
    assert_eq!((ledger.coverage.seen, ledger.coverage.complete), (1, 1));
    assert_eq!(ledger.paths()[0].total.sum_ns(), 1_900);
    let [packet] = ledger.late.slowest() else { panic!("one packet") };
    // It was met behind the interface: the drawn one's path says which way that is.
    assert_eq!((packet.direction, &packet.places[..]), (Direction::Outbound, &[SERVER_ETH0][..]));
    let pieces = &packet.specimen.pieces;
    assert_eq!((pieces[0].ns, pieces[0].key.hop), (800_000, None));
    assert_eq!(packet.specimen.total_ns, pieces.iter().map(|p| p.ns).sum::<i64>());
    let hops: Vec<_> = pieces.iter().filter_map(|p| p.key.hop).collect();
    assert_eq!(hops, [HopId::IpRoute, HopId::SocketReceive, HopId::SocketWait]);
}

#[test]
fn a_late_packet_at_a_known_address_is_another_one() {
    let chunk = Chunk::new(0, 1, 10_000)
        .skb(0xa0, Some(&headers(1)))
        .events(&request()[..3], 100)
        .skb(0xa0, Some(&headers(1)))
        .event((LATE, 0, 10_050), 0)
        .events(&request()[16..], 100);
    let late: Vec<bool> = fly(&[chunk]).iter().map(Flight::is_late).collect();
    assert_eq!(late, [false, true]);
}

#[test]
fn a_groups_times_are_sums_over_a_packets_hops() {
    use netpath_common::group::Group;
    // The second packet is the first that meets a second NAT hop; the third meets none.
    let packet = |i: u16, events: &[crate::testing::Ev], each_ns: u64| {
        Chunk::new(0, u32::from(i), 10_000 * u64::from(i + 1))
            .skb(0xa0, Some(&headers(i)))
            .events(events, each_ns)
            .skb(0x77, None)
            .event(received(0x77, 100), 0)
    };
    let all = request();
    let without = |left_out: &[usize]| {
        let kept = all.iter().enumerate().filter(|(i, _)| !left_out.contains(i));
        kept.map(|(_, ev)| *ev).collect::<Vec<_>>()
    };
    let (once, never) = (without(&[11, 12]), without(&[7, 8, 11, 12]));
    let ledger = ledger_of(&[packet(0, &once, 100), packet(1, &all, 70), packet(2, &never, 100)]);
    let [path] = ledger.paths() else { panic!("one path: {:?}", ledger.paths()) };
    let groups = path.groups.times(&path.rows);
    let nat = &groups.iter().find(|(g, _)| *g == Group::Nat).unwrap().1;
    assert_eq!((nat.count(), nat.sum_ns(), nat.max_ns()), (2, 100 + 2 * 70, 140));
    assert!((99..=101).contains(&nat.quantile_ns(0.5)), "{nat:?}");
    for (group, times) in &groups {
        let rows = path.rows.iter().filter(|r| r.key.hop.is_some_and(|h| h.info().group == *group));
        assert_eq!(times.sum_ns(), rows.map(|r| r.sums.times.sum_ns()).sum::<i128>(), "{group:?}");
    }
}

#[test]
fn a_taps_reader_is_waited_for_from_when_its_own_driver_returned() {
    use netpath_common::point::{NET_DEV_XMIT, SKB_COPY};
    let mut with_tap = topology();
    let up0 = with_tap.hosts.get_mut(&HOST).unwrap().devices.get_mut(&UP0.ifindex).unwrap();
    up0.kind = "tap".to_owned();
    with_tap.chosen = vec![Chosen { focus: UP0, inside: None, outside: Some(UP0) }];
    let chunk = Chunk::new(0, 0, 10_000)
        .skb(0xa0, Some(&headers(0)))
        .event(at_dev(NET_DEV_QUEUE, BR0), 100)
        .event(at_dev(NET_DEV_START, BR0), 100)
        .event(at_dev(NET_DEV_QUEUE, UP0), 100)
        .event(at_dev(NET_DEV_START, UP0), 100)
        .event(at_dev(NET_DEV_XMIT, UP0), 100)
        // The bridge's driver returns once its port's has.
        .event(at_dev(NET_DEV_XMIT, BR0), 100)
        .event((SKB_COPY, 0, 0), 100);
    let mut ledger = Ledger::new(with_tap, hooks());
    for flight in fly(&[chunk]) {
        ledger.add(&flight);
    }
    let [path] = ledger.paths() else { panic!("one path: {:?}", ledger.paths()) };
    // To the guest is in, as to a container.
    assert_eq!(path.key.direction, Direction::Inbound);
    let last = path.rows.last().expect("it has rows");
    assert_eq!((last.key.hop, last.key.place), (Some(HopId::TapWait), UP0));
    assert_eq!((last.sums.times.sum_ns(), path.unattributed.sum_ns()), (200, 0));
}

#[test]
fn what_gro_merges_ends_there_and_is_counted_as_such() {
    let until_gro = |i: u16| {
        Chunk::new(0, u32::from(i), 10_000 * u64::from(i + 1))
            .skb(0xa0 + u64::from(i), Some(&headers(i)))
            .event(at_dev(NET_DEV_START, CLIENT_ETH0), 100)
            .event(at_dev(GRO_RECEIVE, VETH0), 100)
    };
    let handed_on = until_gro(0).event(at_dev(NETIF_RECEIVE, VETH0), 100);
    let ledger = ledger_of(&[handed_on, until_gro(1), until_gro(2)]);
    let c = ledger.coverage;
    assert_eq!((c.seen, c.complete, c.merged, c.vanished), (3, 3, 2, 0));
    let ends: Vec<(End, i128)> =
        ledger.paths().iter().map(|p| (p.key.end, p.total.sum_ns())).collect();
    assert_eq!(ends.len(), 2, "{ends:?}");
    assert!(ends.contains(&(End::Merged, 2 * 100)), "{ends:?}");
    // Their times are no flow's: the packet that they went into has those.
    let flows = ledger.flows.top(9);
    assert_eq!(flows.iter().map(|(.., f)| f.packets).sum::<u64>(), 1);
}

#[test]
fn a_bridges_time_is_the_bridges() {
    let ledger = requests(1);
    let row = ledger.paths()[0].rows.iter().find(|r| r.key.hop == Some(HopId::Bridge)).unwrap();
    assert_eq!(row.key.place, BR0);
}

#[test]
fn a_ring_is_the_device_that_takes_packets_up_from_it() {
    let chunk = Chunk::new(0, 0, 10_000)
        .skb(0xa0, Some(&headers(0)))
        .event(at_dev(NET_DEV_START, CLIENT_ETH0), 100)
        .event(at_dev(GRO_RECEIVE, VETH0), 100)
        .event(at_dev(NETIF_RECEIVE, VETH0), 0);
    let ledger = ledger_of(&[chunk]);
    let rows = ledger.paths()[0].rows.iter().map(|r| (r.key.hop.unwrap(), r.key.place));
    let rows: Vec<_> = rows.collect();
    assert_eq!(rows, [(HopId::DeviceWait, VETH0), (HopId::Gro, VETH0)]);
}

#[test]
fn what_a_filter_redirects_passes_no_ip() {
    let hop = |redirect: Option<u32>| {
        let mut joined = topology();
        let up0 = joined.hosts.get_mut(&HOST).unwrap().devices.get_mut(&UP0.ifindex).unwrap();
        up0.redirect = redirect;
        let chunk = Chunk::new(0, 0, 10_000)
            .skb(0xa0, Some(&headers(0)))
            .event(at_dev(NETIF_RECEIVE, UP0), 100)
            .event(at_dev(NET_DEV_QUEUE, VETH0), 100)
            .event(at_dev(NET_DEV_START, VETH0), 100)
            .event(at_dev(NETIF_RX, CLIENT_ETH0), 100)
            .event(at_dev(NETIF_RECEIVE, CLIENT_ETH0), 0);
        let mut ledger = Ledger::new(joined, hooks());
        fly(&[chunk]).iter().for_each(|flight| ledger.add(flight));
        ledger.settle();
        let row = &ledger.paths()[0].rows[0];
        (row.key.hop, row.key.place.ifindex, row.sums.times.sum_ns())
    };
    assert_eq!(hop(Some(VETH0.ifindex)), (Some(HopId::Redirect), UP0.ifindex, 100));
    for other in [None, Some(BR0.ifindex)] {
        assert_eq!(hop(other), (Some(HopId::IpForward), UP0.ifindex, 100));
    }
}

#[test]
fn nat_in_two_hooks_is_two_rows() {
    let ledger = requests(1);
    let hooks: Vec<_> = ledger.paths()[0]
        .rows
        .iter()
        .filter(|r| r.key.hop == Some(HopId::Nat))
        .map(|r| r.key.hook.unwrap())
        .collect();
    assert_eq!(hooks, [Hook::Prerouting, Hook::Postrouting]);
}

#[test]
fn time_between_points_that_no_hop_claims_is_unattributed() {
    let chunk = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&headers(1)))
        .event(at_dev(NET_DEV_START, CLIENT_ETH0), 100)
        .event(at_dev(NETIF_RX, VETH0), 100)
        // The take-up is missing; its headers tell that it is the same packet.
        .skb(0xa0, Some(&headers(1)))
        .event(at_hook(UP0, Hook::Forward, 0), 100)
        .skb(0xa0, Some(&headers(1)))
        .event(at_hook(SERVER_ETH0, Hook::Input, 0), 100);
    let ledger = ledger_of(&[chunk]);
    let path = &ledger.paths()[0];
    assert_eq!(path.total.sum_ns(), 300);
    assert_eq!(path.unattributed.sum_ns(), 200);
    assert_eq!(path.rows.len(), 1);
}

#[test]
fn bridged_traffic_that_netfilter_sees_is_the_bridges() {
    let chunk = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&headers(1)))
        .event(at_dev(NETIF_RECEIVE, VETH0), 100)
        .event(at_hook(BR0, Hook::Prerouting, 0), 100)
        .event(at_hook(BR0, Hook::Prerouting, 1), 100)
        .event(at_dev(NETIF_RECEIVE, BR0), 100)
        .event(at_hook(UP0, Hook::Forward, 0), 100)
        .skb(0xa0, Some(&headers(1)))
        .event(at_hook(SERVER_ETH0, Hook::Input, 0), 0);
    let ledger = ledger_of(&[chunk]);
    let rows: Vec<_> = ledger.paths()[0]
        .rows
        .iter()
        .map(|r| (r.key.hop.unwrap(), r.sums.times.sum_ns()))
        .collect();
    assert_eq!(rows, [(HopId::Bridge, 200), (HopId::Conntrack, 100), (HopId::IpRoute, 100)]);
}

#[test]
fn directions_are_seen_from_the_container() {
    let chunk = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&headers(1)))
        .event(at_dev(NET_DEV_QUEUE, VETH0), 100)
        .event(at_dev(NET_DEV_START, VETH0), 100)
        .event(at_dev(NETIF_RX, CLIENT_ETH0), 100)
        .event(at_dev(NETIF_RECEIVE, CLIENT_ETH0), 100);
    let ledger = ledger_of(&[chunk]);
    assert_eq!(ledger.paths()[0].key.direction, Direction::Inbound);
}

#[test]
fn packets_that_pass_elsewhere_are_not_seen() {
    let chunk = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&headers(1)))
        .event(at_dev(NETIF_RECEIVE, UP0), 100)
        .event(at_hook(UP0, Hook::Input, 0), 100);
    let ledger = ledger_of(&[chunk]);
    assert_eq!((ledger.coverage.seen, ledger.coverage.elsewhere), (0, 1));
}

#[test]
fn what_is_thrown_away_on_its_way_to_the_container_is_a_drop_of_it() {
    let mut known = topology();
    let host = known.hosts.get_mut(&CLIENT_ETH0.netns).unwrap();
    let eth0 = host.devices.get_mut(&CLIENT_ETH0.ifindex).unwrap();
    eth0.addresses.push(([172, 31, 0, 2].into(), 24));
    let dropped = |to: [u8; 4]| {
        let incoming = Headers { tuple: Some(tuple([198, 18, 0, 2], to, 1, 2)), ..headers(1) };
        let chunk = Chunk::new(0, 0, 1_000)
            .skb(0xa0, Some(&incoming))
            .event(at_dev(NETIF_RECEIVE, UP0), 100)
            .event((KFREE_SKB, 8, 0xffff_0000), 0);
        let mut ledger = Ledger::new(known.clone(), hooks());
        fly(&[chunk]).iter().for_each(|flight| ledger.add(flight));
        ledger
    };
    let ledger = dropped([172, 31, 0, 2]);
    let Coverage { seen, dropped: lost, dropped_before, elsewhere, .. } = ledger.coverage;
    assert_eq!((seen, lost, dropped_before, elsewhere), (0, 1, 1, 0));
    let (key, ended) = ledger.drops.iter().next().unwrap();
    assert_eq!((key.before, key.place, ended.count), (true, UP0, 1));
    // Another container's is none of this one's.
    let ledger = dropped([172, 31, 0, 9]);
    assert_eq!((ledger.coverage.dropped, ledger.coverage.elsewhere), (0, 1));
    assert!(ledger.drops.is_empty());
}

#[test]
fn a_drop_has_its_place_and_reason_and_no_ledger() {
    let chunk = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&headers(1)))
        .event(at_dev(NETIF_RECEIVE, VETH0), 100)
        .event(at_hook(BR0, Hook::Prerouting, 0), 100)
        .event((KFREE_SKB, 8, 0xffff_0000), 0);
    let ledger = ledger_of(&[chunk]);
    assert_eq!(ledger.coverage.dropped, 1);
    let (key, ended) = ledger.drops.iter().next().unwrap();
    assert_eq!((key.reason, key.place, ended.count), (8, BR0, 1));
    assert_eq!((key.sort, ledger.coverage.sorts.lost), (Sort::Lost, 1));
    assert!(ledger.paths().is_empty());
}

/// ipvlan in L3S: the host sends for the container.
#[test]
fn a_drop_is_in_the_namespace_that_the_packet_was_in_last() {
    let sent = Place { ifindex: 0, ..BR0 };
    let chunk = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&headers(1)))
        .event(at_dev(NET_DEV_QUEUE, CLIENT_ETH0), 100)
        .event(at_dev(NET_DEV_START, CLIENT_ETH0), 100)
        .event(at_dev(LOCAL_OUT, sent), 100)
        .event((KFREE_SKB, 8, 0), 0);
    let ledger = ledger_of(&[chunk]);
    let (key, _) = ledger.drops.iter().next().unwrap();
    assert_eq!(key.place, sent);
    assert_eq!(ledger.topology.place_name(sent), "host");
    assert_eq!(ledger.topology.place_name(BR0), "host/br0");
}

#[test]
fn what_waits_for_a_link_address_is_at_the_device_that_it_is_to_leave_by() {
    let given_up = |before: &[crate::testing::Ev], device: Place| {
        let chunk = Chunk::new(0, 0, 1_000)
            .skb(0xa0, Some(&headers(1)))
            .events(before, 100)
            .event(at_dev(NEIGH_QUEUE, device), 1_000)
            .event((KFREE_SKB, 2, 0), 0);
        let ledger = ledger_of(&[chunk]);
        (ledger.coverage.dropped, ledger.drops.into_keys().map(|key| key.place).next())
    };
    // No link has named a device: only functions are probed.
    let leaves = at_dev(LOCAL_OUT, Place { ifindex: 0, ..CLIENT_ETH0 });
    assert_eq!(given_up(&[leaves], CLIENT_ETH0), (1, Some(CLIENT_ETH0)));
    assert_eq!(given_up(&[at_dev(NETIF_RECEIVE, VETH0)], UP0), (1, Some(UP0)));
}

#[test]
fn what_netfilter_drops_is_its_stages() {
    let dropped_after = |slot: u8| {
        let chunk = Chunk::new(0, 0, 1_000)
            .skb(0xa0, Some(&headers(1)))
            .event(at_dev(NETIF_RECEIVE, VETH0), 100)
            .event(at_dev(NETIF_RECEIVE, BR0), 100)
            .event(at_hook(BR0, Hook::Forward, slot), 100)
            .event((KFREE_SKB, 8, 0), 0);
        ledger_of(&[chunk]).drops.into_keys().next().unwrap()
    };
    let key = dropped_after(0);
    let within = key.within.unwrap();
    assert_eq!((within.hop, within.hook), (HopId::Rules, Some(Hook::Forward)));
    assert_eq!((within.priority, within.rules), (Some(0), None));
    assert_eq!(key.after, Some(At::Fwd));
    // The last link: the hook had let it pass.
    assert_eq!(dropped_after(1).within, None);
}

/// Entry and exit of the first span of a hop, in FORWARD, with these rules.
fn function(hop: HopId, rules: u64) -> [crate::testing::Ev; 2] {
    let index = SPANS.iter().position(|row| row.hop == hop).expect("the hop has spans");
    let (slot, hook) = (HookAux::NO_SLOT, Hook::Forward as u8);
    let aux = HookAux { slot, hook, family: 0, ctinfo: None }.pack();
    [(entry(index), aux, rules), (entry(index) + 1, 0, 0)]
}

#[test]
fn what_a_function_drops_is_its_rules() {
    let received = || {
        Chunk::new(0, 0, 1_000)
            .skb(0xa0, Some(&headers(1)))
            .event(at_dev(NETIF_RECEIVE, VETH0), 100)
            .event(at_dev(NETIF_RECEIVE, BR0), 100)
    };
    let within = |chunk: Chunk| {
        let chunk = chunk.event((KFREE_SKB, 8, 0), 0);
        ledger_of(&[chunk]).drops.into_keys().next().unwrap().within
    };
    let [walks, walked] = function(HopId::Rules, 0xc4a1);
    let [looks, looked] = function(HopId::ConntrackLookup, 0);
    // The chain frees it, or its hook does afterwards.
    let inside = within(received().event(walks, 100)).expect("the rules had it");
    assert_eq!((inside.hop, inside.hook), (HopId::Rules, Some(Hook::Forward)));
    assert_eq!(inside.rules.map(|(_, at)| at), Some(0xc4a1));
    assert_eq!(within(received().events(&[walks, walked], 100)), Some(inside));
    // Other rules ran before; functions inside say nothing of the hook.
    let (point, aux, _) = walks;
    let nested = received().events(&[walks, walked, (point, aux, 0xbeef), looks, looked], 100);
    assert_eq!(within(nested).and_then(|w| w.rules).map(|(_, at)| at), Some(0xbeef));
    // The rules had let it pass, and something else had it.
    assert_eq!(within(received().events(&[walks, walked, looks, looked], 100)), None);
    // In a queue it is in no function, though none has returned.
    let queued = received()
        .event(walks, 100)
        .event(at_dev(NET_DEV_QUEUE, UP0), 100)
        .event((QDISC_ENQUEUE, 0, 1 << 32), 100);
    assert_eq!(within(queued), None);
}

/// A packet through a queue: its hops, each with its sum.
fn queued(cpu: u16, waits: &[crate::testing::Ev]) -> Vec<(HopId, i128)> {
    let first = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&headers(1)))
        .event(at_dev(NETIF_RECEIVE, VETH0), 100)
        .event(at_dev(NET_DEV_QUEUE, UP0), 0);
    let second = Chunk::new(cpu, u32::from(cpu == 0), 2_000)
        .skb(0xa0, None)
        .events(waits, 0)
        .event((QDISC_ENQUEUE, 0, 1 << 32), 50)
        .event((QDISC_DEQUEUE, 0, 0), 60)
        .event(at_dev(NET_DEV_START, UP0), 70)
        .event(at_dev(NETIF_RECEIVE, SERVER_ETH0), 0);
    let ledger = ledger_of(&[first, second]);
    let path = &ledger.paths()[0];
    assert_eq!(path.unattributed.sum_ns(), 0);
    path.rows.iter().filter_map(|r| Some((r.key.hop?, r.sums.times.sum_ns()))).collect()
}

#[test]
fn waiting_for_a_qdiscs_lock_is_no_part_of_its_enqueue() {
    let queue = |rest: &[(HopId, i128)]| {
        let after = [(HopId::QdiscWait, 50), (HopId::QdiscSend, 60), (HopId::Device, 70)];
        [&[(HopId::Bridge, 100)], rest, &after].concat()
    };
    assert_eq!(queued(0, &[]), queue(&[(HopId::QdiscEnqueue, 900)]));
    // From 1,100 to 2,000, of which it waited from 1,300 to 1,950; told at 2,000.
    let waits = [(QDISC_LOCK, 0, 1_300), (QDISC_LOCKED, 0, 1_950)];
    let apart = queue(&[(HopId::QdiscEnqueue, 250), (HopId::QdiscLock, 650)]);
    assert_eq!(queued(0, &waits), apart);
    // Another CPU had the lock, and has enqueued it.
    assert_eq!(queued(1, &[]), queue(&[(HopId::QdiscLock, 900)]));
}

fn any_event() -> impl Strategy<Value = (u8, u8, u8, u64)> {
    (0u8..14, 0u8..5, 0u8..4, 0u64..5_000)
}

proptest! {
    /// Whatever a flight passed, its hops and what is unattributed sum to its total.
    #[test]
    fn sums_hold(events in prop::collection::vec(any_event(), 2..60)) {
        let places = [CLIENT_ETH0, VETH0, BR0, UP0, SERVER_ETH0];
        let points = [
            NET_DEV_QUEUE, NET_DEV_START, NETIF_RX, NETIF_RECEIVE,
            netpath_common::point::QDISC_ENQUEUE, netpath_common::point::QDISC_DEQUEUE,
            netpath_common::point::NET_DEV_XMIT, netpath_common::point::GRO_RECEIVE,
            netpath_common::point::SK_READY,
        ];
        let mut chunk = Chunk::new(0, 0, 1_000).skb(0xa0, Some(&headers(1)));
        for (kind, place, slot, ns) in events {
            let place = places[usize::from(place)];
            let event = match points.get(usize::from(kind)) {
                Some(point) => at_dev(*point, place),
                None => at_hook(place, Hook::ALL[usize::from(kind) - points.len()], slot),
            };
            chunk = chunk.event(event, ns);
        }
        let ledger = ledger_of(&[chunk]);
        for path in ledger.paths() {
            let hops: i128 = path.rows.iter().map(|r| r.sums.times.sum_ns()).sum();
            prop_assert_eq!(hops + path.unattributed.sum_ns(), path.total.sum_ns());
        }
        let c = ledger.coverage;
        prop_assert_eq!(c.seen, c.complete + c.incomplete + c.dropped + c.vanished + c.ambiguous + c.under_way);
        prop_assert_eq!(ledger.topology.host(HOST).map(|h| h.name.as_str()), Some("host"));
    }
}

#[test]
fn it_does_not_matter_when_packets_are_booked() {
    use crate::{recording::Reader, replay, snapshot};
    let fixture =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bridge-nat.npz");
    let mut reader = Reader::open(&fixture).unwrap();
    let mut flights = Vec::new();
    replay::flights(&mut reader, |flight, _| flights.push(flight.clone()));
    let (session, ending) = (&reader.session, reader.ending.as_ref().unwrap());
    let snapshot = |at_once: bool| {
        let mut ledger = Ledger::of(session);
        for flight in &flights {
            ledger.add(flight);
            if at_once {
                ledger.settle();
            }
        }
        ledger.finish();
        assert!(ledger.paths().iter().any(|path| path.total.count() > 2 * kept::KEPT as u64));
        snapshot::build(&mut ledger, session, ending)
    };
    assert_eq!(snapshot(true), snapshot(false));
}

#[test]
fn of_several_that_it_passes_the_first_says_the_direction_and_each_its_own() {
    let mut both = topology();
    let server = Chosen { focus: SERVER_ETH0, inside: Some(SERVER_ETH0), outside: Some(UP0) };
    both.chosen.insert(0, server);
    let mut ledger = Ledger::new(both, hooks());
    let sent = || {
        let chunk = Chunk::new(0, 0, 10_000).skb(0xa0, Some(&headers(0))).events(&request(), 100);
        [chunk.skb(0x77, None).event(received(0x77, 100), 0)]
    };
    for flight in fly(&sent()) {
        ledger.add(&flight);
    }
    ledger.settle();
    assert_eq!((ledger.coverage.seen, ledger.paths().len()), (1, 1));
    let path = &ledger.paths()[0];
    assert_eq!(path.key.direction, Direction::Outbound);
    let seen = [(VETH0, Direction::Outbound), (SERVER_ETH0, Direction::Inbound)];
    assert_eq!(path.seen_from, seen);
    // One alone needs no word of it.
    assert!(ledger_of(&sent()).paths()[0].seen_from.is_empty());
}

#[test]
fn of_too_many_paths_the_silent_ones_are_added_up() {
    use netpath_common::place::DevId;
    let many = u32::try_from(PATHS_MAX).unwrap() + 40;
    let mut ledger = Ledger::new(topology(), hooks());
    let mut sent_ns = 0;
    for n in 0..many {
        // Each leaves by a device of its own, but for one way that is never silent.
        for ifindex in [100 + n, UP0.ifindex] {
            let events: Vec<_> = request()
                .into_iter()
                .map(|(point, aux, arg)| {
                    let other = Place { ifindex, ..UP0 };
                    let is_up0 = Place::from(DevId::from_arg(arg)) == UP0;
                    (point, aux, if is_up0 { DevId::from(other).to_arg() } else { arg })
                })
                .collect();
            sent_ns += 100_000;
            let chunk = Chunk::new(0, 0, sent_ns).skb(0xa0, Some(&headers(0))).events(&events, 100);
            for flight in fly(&[chunk.skb(0x77, None).event(received(0x77, 100), 0)]) {
                ledger.add(&flight);
            }
        }
    }
    ledger.settle();
    assert_eq!(ledger.paths().len(), PATHS_MAX);
    let others: Vec<&Path> = ledger.others().collect();
    assert_eq!((others.len(), others[0].total.count()), (1, 41));
    assert_eq!(ledger.coverage.other_paths, 41);
    let all = || ledger.paths().iter().chain(ledger.others());
    assert_eq!(all().map(|path| path.total.count()).sum::<u64>(), u64::from(2 * many));
    for path in all() {
        let rows: i128 = path.rows.iter().map(|row| row.sums.times.sum_ns()).sum();
        assert_eq!(rows + path.unattributed.sum_ns(), path.total.sum_ns());
    }
    let busy = ledger.paths().iter().find(|path| path.total.count() == u64::from(many));
    assert!(busy.is_some_and(|path| path.key.places.contains(&UP0)));
    // A row for each hop, wherever it is.
    let hops =
        |path: &Path| path.rows.iter().filter_map(|row| row.key.hop).collect::<BTreeSet<_>>();
    assert_eq!(hops(others[0]), hops(busy.unwrap()));
    assert!(others[0].rows.iter().all(|row| row.key.place == Place::default()));
}

#[test]
fn flights_over_unknown_devices_wait_until_they_are_known() {
    let everything = Topology { everything: true, chosen: Vec::new(), ..topology() };
    let mut early = everything.clone();
    early.hosts.remove(&CLIENT_ETH0.netns);
    let sent = || {
        let chunk = Chunk::new(0, 0, 10_000).skb(0xa0, Some(&headers(0))).events(&request(), 100);
        [chunk.skb(0x77, None).event(received(0x77, 100), 0)]
    };
    let mut ledger = Ledger::new(early, hooks());
    fly(&sent()).iter().for_each(|flight| ledger.add(flight));
    assert_eq!(ledger.coverage.seen, 0);
    assert_eq!(ledger.take_unknown(), [CLIENT_ETH0].into());
    assert!(ledger.take_unknown().is_empty());
    ledger.know(&everything);
    ledger.settle();
    let path = &ledger.paths()[0];
    assert_eq!((path.key.direction, path.key.places[0]), (Direction::Outbound, CLIENT_ETH0));
    let seen = [(CLIENT_ETH0, Direction::Outbound), (SERVER_ETH0, Direction::Inbound)];
    assert_eq!(path.seen_from, seen);
    // What nobody knows anything of is booked all the same.
    fly(&sent()).iter().for_each(|flight| ledger.add(flight));
    ledger.finish();
    assert_eq!(ledger.coverage.seen, 2);
}

#[test]
fn of_too_many_places_where_packets_end_the_silent_ones_are_put_together() {
    use netpath_common::place::DevId;
    let many = u32::try_from(DROPS_MAX).unwrap() + 100;
    let mut ledger = Ledger::new(topology(), hooks());
    for n in 0..many {
        // Thrown away in the driver's hands at a device of its own.
        let there = Place { ifindex: 100 + n, ..UP0 };
        let events = [
            at_dev(NET_DEV_QUEUE, CLIENT_ETH0),
            at_dev(NET_DEV_START, CLIENT_ETH0),
            at_dev(NETIF_RX, VETH0),
            at_dev(NETIF_RECEIVE, VETH0),
            (NET_DEV_QUEUE, 0, DevId::from(there).to_arg()),
            (KFREE_SKB, 0, 2),
        ];
        let chunk = Chunk::new(0, 0, u64::from(n + 1) * 10_000).skb(0xa0, Some(&headers(0)));
        for flight in fly(&[chunk.events(&events, 100)]) {
            ledger.add(&flight);
        }
    }
    assert!(ledger.drops.len() <= DROPS_MAX + 1, "{}", ledger.drops.len());
    assert_eq!(ledger.drops.values().map(|ended| ended.count).sum::<u64>(), u64::from(many));
    let others = ledger.drops.iter().find(|(key, _)| key.place == Place::default());
    assert!(others.is_some_and(|(_, ended)| ended.count > 100));
}
