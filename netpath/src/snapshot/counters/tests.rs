//! Counters that grew, netpath's own beside them, and when the two can be compared.

use std::collections::BTreeMap;

use super::*;
use crate::{
    facts::{Counters, Facts, NetnsFacts, Qdisc},
    filter::Filter,
    sample::Sampling,
    testing::{BR0, Chunk, HOST, UP0, VETH0, at_dev, at_hook, fly, headers, hooks, topology},
};
use netpath_common::point::{Hook, KFREE_SKB, NETIF_RECEIVE};

/// `enum skb_drop_reason`, as a kernel numbers it.
const IP_RPFILTER: u16 = 8;

/// Packets that rp_filter refuses, in host's namespace.
fn refused(n: u16) -> Ledger {
    let mut ledger = Ledger::new(topology(), hooks());
    let chunks: Vec<Chunk> = (0..n)
        .map(|i| {
            Chunk::new(0, i.into(), 10_000 * u64::from(i + 1))
                .skb(0xa0, Some(&headers(i)))
                .event(at_dev(NETIF_RECEIVE, VETH0), 100)
                .event(at_hook(BR0, Hook::Prerouting, 0), 100)
                .event((KFREE_SKB, IP_RPFILTER, 0xffff_0000), 0)
        })
        .collect();
    for flight in fly(&chunks) {
        ledger.add(&flight);
    }
    ledger
}

fn named(of: &[(&str, u64)]) -> BTreeMap<String, u64> {
    of.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect()
}

/// Facts of host with these counters, read at this time.
fn facts(read_ns: u64, of: &[(&str, u64)], veth0: &[(&str, u64)]) -> Facts {
    let counters =
        Counters { named: named(of), devices: BTreeMap::from([(VETH0.ifindex, named(veth0))]) };
    let host = NetnsFacts { counters, ..NetnsFacts::default() };
    Facts { netns: BTreeMap::from([(HOST, host)]), read_ns, ..Facts::default() }
}

/// A trace of a second, whose counters were read around it.
fn run(refused: u64, received: u64) -> (Session, Ending) {
    let session = Session {
        since_ns: 2_000,
        facts: facts(1_000, &[("TcpExtIPReversePathFilter", 40)], &[("rx_packets", 100)]),
        drop_reasons: BTreeMap::from([(IP_RPFILTER, "IP_RPFILTER".to_owned())]),
        ..Session::default()
    };
    let named = [("TcpExtIPReversePathFilter", 40 + refused), ("IpInReceives", 7)];
    let ending = Ending {
        duration_ns: 1_000_000_000,
        until_ns: 1_000_002_000,
        facts: facts(1_000_003_000, &named, &[("rx_packets", 100 + received)]),
        ..Ending::default()
    };
    (session, ending)
}

fn find<'a>(all: &'a [CounterReport], name: &str) -> &'a CounterReport {
    all.iter().find(|c| c.name == name).unwrap_or_else(|| panic!("no {name}: {all:?}"))
}

#[test]
fn a_namespace_counts_as_many_as_the_path_or_more() {
    let agrees = |kernel| {
        let (session, ending) = run(kernel, 3);
        let (all, not) = build(&refused(3), &session, &ending);
        assert_eq!(not, None);
        let c = find(&all, "TcpExtIPReversePathFilter").clone();
        assert_eq!((c.kernel, c.netpath, c.loss), (kernel, Some(3), true));
        assert_eq!(c.netns, "host");
        c.agrees
    };
    assert_eq!([agrees(2), agrees(3), agrees(50)], [Some(false), Some(true), Some(true)]);
}

#[test]
fn all_packets_of_the_interface_must_have_been_seen() {
    let agrees = |kernel| {
        let (session, ending) = run(3, kernel);
        let (all, _) = build(&refused(3), &session, &ending);
        let c = find(&all, "rx_packets");
        assert_eq!((c.netpath, c.dev.as_deref()), (Some(3), Some("veth0")));
        c.agrees
    };
    // A few passed while the counters were read.
    assert_eq!([agrees(2), agrees(3), agrees(10)], [Some(false), Some(true), Some(true)]);
    assert_eq!(agrees(1_000), Some(false));
}

#[test]
fn where_netpath_says_itself_that_it_missed_some_more_is_no_contradiction() {
    let (session, mut ending) = run(3, 1_000);
    ending.lost.insert(1, 5);
    let (all, _) = build(&refused(3), &session, &ending);
    assert_eq!(find(&all, "rx_packets").agrees, Some(true));
}

#[test]
fn what_did_not_grow_is_left_out_unless_it_must_agree() {
    let (session, ending) = run(0, 3);
    let (all, _) = build(&refused(0), &session, &ending);
    let names: Vec<&str> = all.iter().map(|c| c.name.as_str()).collect();
    assert!(names.contains(&"IpInReceives") && names.contains(&"UdpRcvbufErrors"), "{names:?}");
    assert!(!names.contains(&"IpForwDatagrams") && !names.contains(&"tx_dropped"), "{names:?}");
    let kernel_only = find(&all, "IpInReceives");
    assert_eq!((kernel_only.kernel, kernel_only.netpath, kernel_only.agrees), (7, None, None));
}

#[test]
fn nothing_is_compared_where_packets_are_left_out() {
    let why = |change: fn(&mut Session, &mut Ending)| {
        let (mut session, mut ending) = run(2, 3);
        change(&mut session, &mut ending);
        let (all, why) = build(&refused(3), &session, &ending);
        assert!(all.iter().all(|c| c.agrees.is_none()), "{all:?}");
        why.expect("a reason")
    };
    let filter = why(|s, _| s.filter = Some(Filter::compile("udp").unwrap()));
    assert!(filter.contains("filter"), "{filter}");
    let sampled = why(|s, _| {
        s.sampling = Sampling { share: "1/8".parse().unwrap(), ..Sampling::default() };
    });
    assert!(sampled.contains("some packets"), "{sampled}");
    assert!(why(|_, e| e.paused_ns = 1).contains("budget"));
    assert!(why(|s, _| s.since_ns = 500).contains("anew"));
    assert!(why(|_, e| e.until_ns = 0).contains("not ended"));
    let (session, _) = run(2, 3);
    assert_eq!(build(&refused(3), &session, &Ending::default()).0, []);
}

#[test]
fn a_qdisc_and_a_device_that_were_made_meanwhile_count_from_0() {
    let (session, mut ending) = run(3, 3);
    let host = ending.facts.netns.get_mut(&HOST).unwrap();
    host.counters.devices.insert(UP0.ifindex, named(&[("tx_dropped", 2)]));
    let tbf = Qdisc { kind: "tbf".to_owned(), handle: 1, root: true, ..Qdisc::default() };
    host.qdiscs.push(Qdisc { ifindex: UP0.ifindex, drops: 4, ..tbf });
    let (all, _) = build(&refused(3), &session, &ending);
    let place = |name| (find(&all, name).full_name(), find(&all, name).kernel);
    assert_eq!(place("tx_dropped"), ("host/up0 tx_dropped".to_owned(), 2));
    assert_eq!(place("qdisc.drops"), ("host/up0 qdisc.drops".to_owned(), 4));
}

#[test]
fn every_counter_is_known_once_and_told_in_words() {
    for (i, row) in COUNTERS.iter().enumerate() {
        assert!(!row.what.is_empty(), "{}", row.name);
        let same = |other: &&Row| (other.scope, other.name) == (row.scope, row.name);
        assert!(!COUNTERS[..i].iter().any(|other| same(&other)), "{} twice", row.name);
        for name in row.or {
            let known = COUNTERS.iter().any(|o| (o.scope, o.name) == (row.scope, *name));
            assert!(known, "{}: {name}", row.name);
        }
    }
}
