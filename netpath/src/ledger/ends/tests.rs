//! What became of packets, by sort.

use netpath_common::{
    end::{ACK, EndArg, FIN},
    hop::HopId,
    point::{
        CT_UNREPLIED, HOOK_SLOT, Hook, HookAux, NET_DEV_QUEUE, NET_DEV_START, NETIF_RECEIVE,
        NETIF_RX,
    },
};

use super::*;
use crate::{
    ledger::{Direction, Ledger},
    packet::Headers,
    testing::{
        BR0, CLIENT, CLIENT_ETH0, Chunk, Ev, HOST, SERVER, SERVER_ETH0, UP0, VETH0, at_dev,
        at_hook, fly, headers, hooks, topology,
    },
    topo::Place,
};

const NOT_SPECIFIED: u16 = 2;
const NO_SOCKET: u16 = 3;
const NETFILTER: u16 = 8;
const PURGED: u16 = 90;
const FULL: u16 = 91;

fn session() -> Session {
    let reasons = [
        (NOT_SPECIFIED, "NOT_SPECIFIED"),
        (NO_SOCKET, "NO_SOCKET"),
        (NETFILTER, "NETFILTER_DROP"),
        (PURGED, "QUEUE_PURGE"),
        (FULL, "SOCKET_RCVBUFF"),
    ];
    let range =
        |from: u64, name: &str| FunctionRange { from, to: from + 0x100, name: name.to_owned() };
    let mut topology = topology();
    let host = topology.hosts.get_mut(&SERVER).expect("it is there");
    for device in host.devices.values_mut() {
        device.addresses = vec![([198, 18, 0, 2].into(), 24)];
    }
    Session {
        topology,
        hooks: hooks(),
        drop_reasons: reasons.map(|(n, name)| (n, name.to_owned())).into(),
        freeing: vec![
            range(0xffff_ffff_8100_0000, "ip6_mc_input"),
            range(0xffff_ffff_8100_0200, "skb_release_data"),
            range(0xffff_ffff_8100_0400, "veth_xdp_rcv_skb"),
        ],
        ..Session::default()
    }
}

/// A packet's way from the client to the server's host.
fn way() -> Vec<Ev> {
    vec![
        at_dev(NET_DEV_QUEUE, CLIENT_ETH0),
        at_dev(NET_DEV_START, CLIENT_ETH0),
        at_dev(NETIF_RX, VETH0),
        at_dev(NETIF_RECEIVE, VETH0),
        at_dev(NETIF_RECEIVE, BR0),
        at_dev(NET_DEV_QUEUE, UP0),
        at_dev(NET_DEV_START, UP0),
        at_dev(NETIF_RX, SERVER_ETH0),
        at_dev(NETIF_RECEIVE, SERVER_ETH0),
    ]
}

/// A ledger with one packet in it that went to the server's host, and ended so.
fn ended(headers: &Headers, then: &[Ev], reason: u16, location: u64) -> Ledger {
    let chunk = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(headers))
        .events(&way(), 100)
        .events(then, 100)
        .event((KFREE_SKB, reason, EndArg { location, subsystem: 0 }.pack()), 0);
    let mut ledger = Ledger::of(&session());
    for flight in fly(&[chunk]) {
        ledger.add(&flight);
    }
    ledger.finish();
    ledger
}

fn tcp(flags: u8, payload: u32) -> Headers {
    let headers = headers(1);
    let tuple = headers.tuple.map(|tuple| Tuple { proto: TCP, ..tuple });
    Headers { tuple, flags, payload, ..headers }
}

fn to(address: [u8; 4]) -> Headers {
    let headers = headers(1);
    let tuple = headers.tuple.map(|tuple| Tuple { dst: address.into(), ..tuple });
    Headers { tuple, ..headers }
}

fn only(ledger: &Ledger) -> (DropKey, Ended) {
    let mut all = ledger.drops.iter();
    let (key, ended) = all.next().expect("a packet was thrown away");
    assert!(all.next().is_none() && ended.count == 1);
    (*key, *ended)
}

const INPUT: fn() -> Ev = || at_hook(SERVER_ETH0, Hook::Input, 0);

#[test]
fn what_nobody_misses_has_arrived() {
    let ledger = ended(&tcp(FIN | ACK, 0), &[INPUT()], PURGED, 0);
    let c = ledger.coverage;
    assert_eq!((c.seen, c.complete, c.dropped, c.sorts.consumed), (1, 1, 0, 1));
    let path = &ledger.paths()[0];
    assert_eq!((path.key.end, path.total.count()), (End::Reached, 1));
    assert_eq!(path.ends.named().collect::<Vec<_>>(), [("consumed", 1)]);
    // The end itself is no mark of its way.
    assert_eq!(path.total.sum_ns(), 900);
}

#[test]
fn what_is_lost_or_refused_is_dropped_and_on_no_path() {
    for (reason, sort) in [(NO_SOCKET, Sort::Refused), (FULL, Sort::Lost)] {
        let ledger = ended(&headers(1), &[INPUT()], reason, 0);
        let c = ledger.coverage;
        assert_eq!((c.complete, c.dropped, c.sorts.get(sort)), (0, 1, 1));
        assert!(ledger.paths().is_empty());
        assert_eq!(only(&ledger).0.sort, sort);
    }
}

#[test]
fn what_is_for_many_and_for_nobody_here_is_no_loss_and_no_path() {
    for address in [[224, 0, 0, 251], [255, 255, 255, 255], [198, 18, 0, 255]] {
        let ledger = ended(&to(address), &[INPUT()], NO_SOCKET, 0);
        let c = ledger.coverage;
        assert_eq!((c.complete, c.dropped, c.sorts.not_for_us), (1, 0, 1), "{address:?}");
        assert!(ledger.paths().is_empty());
        assert!(ledger.notes()[0].starts_with("nothing is wrong"), "{:?}", ledger.notes());
    }
}

#[test]
fn the_function_decides_where_the_reason_says_nothing() {
    let at = |location| only(&ended(&headers(1), &[INPUT()], NOT_SPECIFIED, location)).0;
    let multicast = at(0xffff_ffff_8100_0010);
    assert_eq!((multicast.sort, multicast.row), (Sort::NotForUs, "ip6_mc_input"));
    assert_eq!(at(0xffff_ffff_8100_0300).row, "skb_release_data");
    let unknown = at(0xffff_ffff_8100_0301);
    assert_eq!((unknown.sort, unknown.row), (Sort::Lost, "transport"));
    assert_eq!(unknown.location, 0xffff_ffff_8100_0301);
}

#[test]
fn after_the_last_link_of_postrouting_connection_tracking_has_dropped_it() {
    let aux = HookAux { slot: 1, hook: Hook::Postrouting as u8, family: 0, ctinfo: Some(2) };
    let place = |place: Place| netpath_common::place::DevId::from(place).to_arg();
    let chunk = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&headers(1)))
        .event(at_dev(NETIF_RECEIVE, VETH0), 100)
        .event(at_dev(NETIF_RECEIVE, BR0), 100)
        .event((HOOK_SLOT, aux.pack(), place(UP0)), 100)
        .event((KFREE_SKB, NETFILTER, 0), 0);
    let mut ledger = Ledger::of(&session());
    fly(&[chunk]).iter().for_each(|flight| ledger.add(flight));
    let (key, ended) = only(&ledger);
    assert_eq!((key.sort, key.place), (Sort::Lost, UP0));
    assert_eq!(key.within.map(|w| w.hop), Some(HopId::ConntrackConfirm));
    assert_eq!(ended.example.and_then(|e| e.state), Some(CtState::New));
}

#[test]
fn an_example_has_the_state_that_was_last_said() {
    let link = |hook: Hook, slot, ctinfo| {
        let aux = HookAux { slot, hook: hook as u8, family: 0, ctinfo };
        (HOOK_SLOT, aux.pack(), netpath_common::place::DevId::from(BR0).to_arg())
    };
    let state = |links: &[Ev]| {
        let chunk = Chunk::new(0, 0, 1_000)
            .skb(0xa0, Some(&headers(1)))
            .event(at_dev(NETIF_RECEIVE, VETH0), 100)
            .event(at_dev(NETIF_RECEIVE, BR0), 100)
            .events(links, 100)
            .event((KFREE_SKB, NETFILTER, 0), 0);
        let mut ledger = Ledger::of(&session());
        fly(&[chunk]).iter().for_each(|flight| ledger.add(flight));
        only(&ledger).1.example.expect("it is the first").state
    };
    let unreplied =
        [link(Hook::Prerouting, 0, None), link(Hook::Prerouting, 1, Some(CT_UNREPLIED))];
    assert_eq!(state(&unreplied), Some(CtState::Unreplied));
    // Conntrack's own hook has had it, and gave it no connection.
    assert_eq!(
        state(&[link(Hook::Prerouting, 0, None), link(Hook::Prerouting, 1, None)]),
        Some(CtState::Invalid)
    );
    assert_eq!(state(&[link(Hook::Prerouting, 0, None)]), None);
    // It ends in a namespace that tracks nothing.
    let invalid = [link(Hook::Prerouting, 0, None), link(Hook::Prerouting, 1, None)];
    let on: Vec<Ev> = [&invalid, &way()[5..], &[INPUT()]].concat();
    assert_eq!(state(&on), Some(CtState::Invalid));
}

#[test]
fn data_for_a_connection_that_is_over_is_not_refused() {
    let data = tcp(ACK, 10);
    let sent = |seen: bool| {
        let mut ledger = Ledger::of(&session());
        if seen {
            let tuple = data.tuple.expect("it has one").reversed();
            ledger.flows.add(tuple, None, Direction::Inbound, 1);
        }
        let chunk = Chunk::new(0, 0, 1_000)
            .skb(0xa0, Some(&data))
            .events(&way(), 100)
            .event(INPUT(), 100)
            .event((KFREE_SKB, NO_SOCKET, 0), 0);
        fly(&[chunk]).iter().for_each(|flight| ledger.add(flight));
        only(&ledger).0.sort
    };
    assert_eq!(sent(false), Sort::Refused);
    assert_eq!(sent(true), Sort::Discarded);
}

#[test]
fn namespaces_and_networks_of_the_topology() {
    let mut topology = topology();
    let host = topology.hosts.get_mut(&SERVER).expect("it is there");
    let device = host.devices.values_mut().next().expect("it has one");
    device.addresses = vec![([10, 0, 5, 9].into(), 22), ([10, 9, 0, 1].into(), 31)];
    assert_eq!(broadcast(&topology), FxHashSet::from_iter([IpAddr::from([10, 0, 7, 255])]));
    assert!(topology.host(CLIENT).is_some());
}

#[test]
fn xdp_drops_a_packet_where_it_arrives() {
    let mut session = session();
    let host = session.topology.hosts.get_mut(&HOST).expect("it is there");
    let up0 = host.devices.get_mut(&UP0.ifindex).expect("it is there");
    up0.peer = Some((SERVER_ETH0.netns, SERVER_ETH0.ifindex));
    let mut ledger = Ledger::of(&session);
    let chunk = Chunk::new(0, 0, 1_000)
        .skb(0xa0, Some(&headers(1)))
        .events(&way()[..7], 100)
        .event((KFREE_SKB, NOT_SPECIFIED, 0xffff_8100_0410), 0);
    fly(&[chunk]).iter().for_each(|flight| ledger.add(flight));
    let (key, _) = only(&ledger);
    assert_eq!((key.sort, key.place), (Sort::Refused, SERVER_ETH0));
}
