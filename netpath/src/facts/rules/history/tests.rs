//! Versions of a rule set, and what they have counted while tracing.

use super::super::saved;
use super::*;

/// A listing at this time, of rules with their counts.
fn listing(at_ns: u64, policy: u64, rules: &[(&str, u64)]) -> Rules {
    let mut text = format!("*filter\n:FORWARD DROP [{policy}:0]\n");
    for (rule, packets) in rules {
        text += &format!("[{packets}:0] -A FORWARD {rule}\n");
    }
    let mut listed = Rules { listed_ns: at_ns, listed_until_ns: at_ns + 1, ..Rules::default() };
    saved::add(&mut listed, "ip", &(text + "COMMIT\n"), true);
    listed
}

const A: &str = "-s 10.0.0.1/32 -j DROP";
const B: &str = "-s 10.0.0.2/32 -j DROP";

#[test]
fn what_was_counted_before_tracing_does_not_count() {
    let mut history = RuleHistory::new(&listing(10, 5, &[(A, 100), (B, 0)]));
    assert!(!history.take(listing(20, 6, &[(A, 103), (B, 0)])));
    let [version] = &history.versions[..] else { panic!("{history:?}") };
    assert_eq!((version.grown(0), version.grown(1)), (Some(3), Some(0)));
    assert_eq!(version.policy_grown(0), Some(1));
    assert_eq!((version.base_ns, version.counted_ns), (11, 20));
}

#[test]
fn a_rule_that_is_new_has_counted_while_tracing() {
    let mut history = RuleHistory::new(&listing(10, 0, &[(A, 100)]));
    assert!(history.take(listing(20, 0, &[(B, 4), (A, 101)])));
    let new = &history.versions[1];
    assert_eq!((new.grown(0), new.grown(1)), (Some(4), Some(1)));
    // Taken away and put in again: it counts anew.
    assert!(history.take(listing(30, 0, &[(A, 2)])));
    assert_eq!(history.versions[2].grown(0), Some(2));
    let mut none = RuleHistory::default();
    assert!(none.take(listing(5, 0, &[(A, 9)])));
    assert_eq!(none.versions[0].grown(0), Some(9));
}

#[test]
fn counters_that_were_set_back_count_from_nothing() {
    let mut history = RuleHistory::new(&listing(10, 0, &[(A, 100)]));
    history.take(listing(20, 0, &[(A, 3)]));
    assert_eq!(history.versions[0].grown(0), Some(3));
}

#[test]
fn versions_by_time() {
    let mut history = RuleHistory::new(&listing(10, 0, &[(A, 0)]));
    history.unchanged(50);
    history.take(listing(60, 0, &[(B, 0)]));
    let at = |first, last| -> Vec<u64> {
        history.between(first, last).map(|version| version.from_ns).collect()
    };
    assert_eq!(at(20, 40), [0]);
    // Between the last look at the one and the first look at the other, either may be in force.
    assert_eq!(at(55, 55), [0, 60]);
    assert_eq!(at(70, 80), [60]);
    assert_eq!(at(0, u64::MAX), [0, 60]);
}

#[test]
fn few_versions_are_kept() {
    let mut history = RuleHistory::new(&listing(1, 0, &[]));
    for i in 2..200 {
        history.take(listing(i, 0, &[(if i % 2 == 0 { A } else { B }, 0)]));
    }
    assert_eq!(history.versions.len(), VERSIONS_MAX);
    assert_eq!(history.versions.last().map(|version| version.from_ns), Some(199));
}
