//! Rules that hold figures against each other: what is chance among few packets is no finding, and no
//! rule advises against its own figures.

use super::*;
use crate::snapshot::Bucket;

/// Packets by the time that they took at most, ns.
pub(super) fn histogram(of: &[(u64, u64)]) -> Vec<Bucket> {
    of.iter().map(|&(upto_ns, count)| Bucket { upto_ns, count }).collect()
}

/// The hand-off, of which these packets (and their mean, ns) found an idle CPU; the others took 300 ns.
fn woken(s: &mut Snapshot, count: u64, mean_ns: f64, histogram: Vec<Bucket>) {
    let hop = get(s, "handoff");
    let sum = mean_ns * count as f64 + 300.0 * (PACKETS - count) as f64;
    let more = sum / PACKETS as f64 - hop.times.mean_ns;
    hop.times.mean_ns += more;
    hop.compensated_ns += more;
    hop.histogram = histogram;
    hop.causes.insert("idle_cpu".to_owned(), json!({"count": count, "mean_ns": mean_ns}));
    s.paths[0].total.mean_ns += more;
    s.paths[0].compensated.mean_ns += more;
}

#[test]
fn one_slow_packet_is_no_tail() {
    let mut s = healthy();
    s.paths[0].packets = 100;
    s.paths[0].hops.iter_mut().for_each(|hop| hop.count = 100);
    s.paths[0].total.p99_ns = 500_000;
    s.paths[0].histogram = histogram(&[(6_000, 99), (500_000, 1)]);
    assert_eq!(ids(&s), BTreeSet::new());
    s.paths[0].histogram = histogram(&[(6_000, 80), (500_000, 20)]);
    assert!(ids(&s).contains("slow-tail"));
}

#[test]
fn one_long_wait_is_no_idle_cpu_that_costs() {
    // 200 waits for an idle CPU, each as short as the others but for one of 4 ms.
    let mut s = healthy();
    woken(&mut s, 200, 20_300.0, histogram(&[(320, 999), (4_000_000, 1)]));
    assert_eq!(ids(&s), BTreeSet::new());
    let mut s = healthy();
    woken(&mut s, 200, 20_300.0, histogram(&[(320, 800), (20_480, 200)]));
    assert_eq!(ids(&s), BTreeSet::from(["idle-cpu".to_owned()]));
}

#[test]
fn moving_costs_nothing_where_those_that_stay_wait_longer() {
    let moved = |same_ns: f64| {
        let mut s = healthy();
        let causes = &mut get(&mut s, "handoff").causes;
        causes.insert("same_cpu".to_owned(), json!({"count": 72, "mean_ns": same_ns}));
        causes.insert("other_cpu".to_owned(), json!({"count": 928, "mean_ns": 92_800.0}));
        ids(&s)
    };
    assert_eq!(moved(135_000.0), BTreeSet::new());
    assert_eq!(moved(1_000.0), BTreeSet::from(["other-cpu".to_owned()]));
}

#[test]
fn a_reader_that_is_away_is_not_to_be_woken_faster() {
    let waiting = |mean_ns| {
        let mut s = healthy();
        s.paths[0].hops.retain(|h| h.hop != "socket.wait");
        let mut row = row("socket.wait", "eth0", mean_ns);
        row.causes.insert("idle_cpu".to_owned(), json!({"count": 800, "mean_ns": mean_ns}));
        row.causes.insert("other_cpu".to_owned(), json!({"count": 900, "mean_ns": mean_ns}));
        row.causes.remove("same_cpu");
        add(&mut s, row);
        ids(&s)
    };
    assert_eq!(waiting(40_000_000.0), BTreeSet::from(["reader-away".to_owned()]));
    let woken = waiting(40_000.0);
    assert!(woken.contains("reader-wake-up") && !woken.contains("reader-away"), "{woken:?}");
}

#[test]
fn what_insert_failed_counts_is_no_full_table() {
    let mut s = healthy();
    let c = conntrack(&mut s);
    (c.drop, c.insert_failed, c.max) = (601, 601, 262_144);
    assert_eq!(ids(&s), BTreeSet::from(["conntrack-insert-failed".to_owned()]));
    conntrack(&mut s).early_drop = 1;
    assert!(ids(&s).contains("conntrack-full"));
}
