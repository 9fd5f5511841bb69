//! The tables of ends: each reason once, and the sorts of packets that are exceptions.

use super::*;

const UNICAST: Kind = Kind {
    to_many: false,
    tcp: false,
    flags: 0,
    has_data: true,
    icmp: false,
    answers: false,
    tracking: false,
    over: false,
};
const TO_MANY: Kind = Kind { to_many: true, ..UNICAST };
const DATA: Kind = Kind { tcp: true, flags: ACK, ..UNICAST };
const FINISH: Kind = Kind { flags: FIN | ACK, has_data: false, ..DATA };
const OPENING: Kind = Kind { flags: SYN, has_data: false, ..DATA };
const ECHO_REPLY: Kind = Kind { icmp: true, answers: true, ..UNICAST };

fn sort(name: &str, kind: Kind, layer: Layer) -> Sort {
    row(reason(name), None, layer).sort(kind, layer)
}

#[test]
fn names_are_unique_and_rows_say_something() {
    for list in [REASONS, FUNCTIONS] {
        for (i, row) in list.iter().enumerate() {
            assert!(!row.what.is_empty() && !row.name.contains('.'), "{}", row.name);
            assert!(list[i + 1..].iter().all(|other| other.name != row.name), "{}", row.name);
            assert!(!says_nothing(row.name), "{}", row.name);
            assert!(row.unless.iter().all(|(_, sort)| *sort != row.sort), "{}", row.name);
        }
    }
    for (i, sort) in Sort::ALL.iter().enumerate() {
        assert_eq!(*sort as usize, i);
        assert_eq!(Sort::from_key(sort.key()), Some(*sort));
    }
}

#[test]
fn what_nobody_listens_to_depends_on_whom_it_was_for() {
    let at = |kind| sort("NO_SOCKET", kind, Layer::Transport);
    assert_eq!(at(UNICAST), Sort::Refused);
    assert_eq!(at(OPENING), Sort::Refused);
    assert_eq!(at(DATA), Sort::Refused);
    assert_eq!(at(TO_MANY), Sort::NotForUs);
    assert_eq!(at(Kind { flags: RST, ..FINISH }), Sort::Consumed);
    assert_eq!(at(ECHO_REPLY), Sort::Consumed);
    assert_eq!(at(Kind { over: true, ..DATA }), Sort::Discarded);
    assert_eq!(at(Kind { over: true, ..OPENING }), Sort::Refused);
}

#[test]
fn a_queue_that_is_purged_means_another_thing_at_each_place() {
    assert_eq!(sort("QUEUE_PURGE", FINISH, Layer::Socket), Sort::Consumed);
    assert_eq!(sort("QUEUE_PURGE", DATA, Layer::Socket), Sort::Discarded);
    assert_eq!(sort("QUEUE_PURGE", FINISH, Layer::Transport), Sort::Consumed);
    assert_eq!(sort("QUEUE_PURGE", FINISH, Layer::Neighbour), Sort::Lost);
    assert_eq!(sort("QUEUE_PURGE", UNICAST, Layer::Neighbour), Sort::Lost);
    assert_eq!(sort("QUEUE_PURGE", UNICAST, Layer::Qdisc), Sort::Lost);
}

#[test]
fn netfilter_refuses_and_connection_tracking_loses() {
    assert_eq!(sort("NETFILTER_DROP", OPENING, Layer::Ip), Sort::Refused);
    let tracking = Kind { tracking: true, ..OPENING };
    assert_eq!(sort("NETFILTER_DROP", tracking, Layer::Neighbour), Sort::Lost);
}

#[test]
fn a_full_listener_loses_also_what_carries_no_data() {
    assert_eq!(sort("TCP_LISTEN_OVERFLOW", FINISH, Layer::Transport), Sort::Lost);
    assert_eq!(sort("SOCKET_RCVBUFF", UNICAST, Layer::Transport), Sort::Lost);
    assert_eq!(sort("TCP_OLD_DATA", DATA, Layer::Transport), Sort::Discarded);
    assert_eq!(sort("TCP_OLD_SEQUENCE", FINISH, Layer::Transport), Sort::Consumed);
}

#[test]
fn where_the_reason_says_nothing_the_function_does_and_else_the_place() {
    assert!(says_nothing("NOT_SPECIFIED") && reason("NOT_SPECIFIED").is_none());
    let of = |name, kind, layer| row(None, function(name), layer).sort(kind, layer);
    assert_eq!(of("ip6_mc_input", TO_MANY, Layer::Ip), Sort::NotForUs);
    assert_eq!(of("br_forward.cold", UNICAST, Layer::Bridge), Sort::Lost);
    assert_eq!(of("skb_release_data", UNICAST, Layer::Transport), Sort::Consumed);
    for layer in [Layer::Ip, Layer::Bridge, Layer::Qdisc, Layer::Device, Layer::Neighbour] {
        assert_eq!(of("unheard_of", UNICAST, layer), Sort::Lost, "{layer:?}");
        assert_eq!(of("unheard_of", TO_MANY, layer), Sort::NotForUs, "{layer:?}");
    }
    assert_eq!(of("unheard_of", DATA, Layer::Socket), Sort::Discarded);
    assert_eq!(of("unheard_of", FINISH, Layer::Transport), Sort::Consumed);
    assert_eq!(of("unheard_of", OPENING, Layer::Transport), Sort::Lost);
}

/// A FIN that lies in its socket's queue when that is closed was last seen where it was received, as what waits for a
/// next hop's address may be.
#[test]
fn a_purged_queue_is_whose_function_purges_it() {
    let of = |name| row(reason("QUEUE_PURGE"), function(name), Layer::Ip);
    assert_eq!(of("sk_stream_kill_queues").sort(FINISH, Layer::Ip), Sort::Consumed);
    assert_eq!(of("neigh_destroy").sort(FINISH, Layer::Ip), Sort::Lost);
    assert_eq!(of("unheard_of").name, "QUEUE_PURGE");
}

#[test]
fn an_address_and_a_subsystem_survive_packing() {
    for (location, subsystem) in [(0, 0), (0xffff_ffff_8209_4270, 0), (0xffff_8000_1234_5678, 3)] {
        let arg = EndArg { location, subsystem };
        assert_eq!(EndArg::unpack(arg.pack()), arg);
    }
}

#[test]
fn every_situation_has_a_layer_and_every_layer_a_situation() {
    for layer in Layer::ALL {
        assert!(At::ALL.iter().any(|at| Layer::of(*at) == *layer), "{layer:?}");
    }
}
