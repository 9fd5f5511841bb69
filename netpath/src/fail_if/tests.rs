//! Conditions as they are written, and judged against a real recording.

use netpath_common::{group::GROUPS, hop::HOPS};

use super::*;
use crate::{report::tests::fixture, snapshot::Snapshot};

fn condition(text: &str) -> Condition {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[test]
fn conditions_are_understood() {
    let c = condition("conntrack.p99 > 2us");
    assert_eq!((c.figure, c.operator, c.value), (Figure::P99, Operator::Over, 2000.0));
    // A hop whose name has a dot, and one that is also a group's label.
    assert_eq!(condition("qdisc.wait.max>=1.5ms").subject, Subject::Hop(HopId::QdiscWait));
    assert_eq!(condition("nat.mean < 1 µs").subject, Subject::Hop(HopId::Nat));
    assert_eq!(condition("netfilter/nat.mean < 1us").subject, Subject::Group(Group::Nat));
    assert_eq!(condition("gro/gso.p99 < 1us").subject, Subject::Group(Group::GroGso));
    assert!((condition("unattributed.share > 5%").value - 0.05).abs() < 1e-12);
    assert_eq!(condition("lost > 0").subject, Subject::Counter(Counter::Lost));
}

#[test]
fn every_hop_and_every_group_has_a_name_of_its_own() {
    for hop in HOPS {
        let subject = condition(&format!("{}.p99 > 1us", hop.key)).subject;
        assert!(matches!(subject, Subject::Hop(id) if id.info().key == hop.key), "{}", hop.key);
    }
    for group in GROUPS.iter().filter(|g| !matches!(g.group, Group::Probe | Group::Unattributed)) {
        for name in [group.key, group.label] {
            let subject = condition(&format!("group:{name}.p999 > 1us")).subject;
            assert_eq!(subject, Subject::Group(group.group), "{name}");
        }
    }
}

#[test]
fn errors_say_what_was_expected_and_where() {
    let texts = [
        "",
        "conntrack.p99",
        "conntrack.p99 = 2us",
        "conntrak.p99 > 2us",
        "conntrack.p98 > 2us",
        "conntrack > 2us",
        "conntrack.p99 > 2",
        "conntrack.p99 > ",
        "netfilter.p99 > 2us",
        "group:brigde.p99 > 2us",
        "group:nat > 2us",
        "netpath.p99 > 2us",
        "unattributed.p99 > 2us",
        "lost.p99 > 0",
        "total.share > 5%",
    ];
    let errors: Vec<String> =
        texts.iter().map(|t| t.parse::<Condition>().unwrap_err().to_string()).collect();
    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn thresholds_are_judged_at_each_place() {
    let snapshot = fixture();
    let conditions = ["total.p50 > 1us", "conntrack.max > 10s", "lost > 0", "conntrack.count > 1"];
    let verdict = judge(&conditions.map(condition), &snapshot);
    assert!(verdict.unjudged.is_empty());
    let of = |text: &str| verdict.passed.iter().filter(|p| p.starts_with(text)).count();
    assert_eq!(of("total.p50"), snapshot.paths.len());
    assert_eq!(of("conntrack.max") + of("lost"), 0);
    assert!(of("conntrack.count") >= 2, "conntrack is met in both directions");
}

#[test]
fn a_groups_percentile_is_that_of_the_sum_a_hops_that_of_each_place() {
    let snapshot = fixture();
    let path = &snapshot.paths[0];
    let group = path.groups.iter().find(|g| g.group == Group::Nat.key()).expect("there is NAT");
    let hops: Vec<_> = path.hops.iter().filter(|h| h.group == group.group).collect();
    assert!(hops.len() >= 2, "it is met in two hooks");
    let slowest = hops.iter().map(|h| h.times.p50_ns).max().unwrap();
    assert!(group.times.p50_ns > slowest, "both stages together are slower than either");

    // Between the two only the group is over it.
    let between = u64::midpoint(slowest, group.times.p50_ns);
    let passed = |subject: &str| {
        let verdict = judge(&[condition(&format!("{subject}.p50 > {between}ns"))], &snapshot);
        assert!(verdict.unjudged.is_empty(), "{verdict:?}");
        verdict.passed.into_iter().filter(|p| p.contains(&path.name)).collect::<Vec<_>>()
    };
    let (hop, sum) = (passed("nat"), passed("group:nat"));
    assert_eq!((hop.len(), sum.len()), (0, 1), "{hop:?} {sum:?}");
    assert!(sum[0].contains(&format!("on nat ({} hops)", hops.len())), "{sum:?}");
    assert_eq!(passed("netfilter/nat").len(), 1, "its key needs no prefix");
}

#[test]
fn a_group_that_nothing_has_measured_can_not_be_judged() {
    let mut snapshot = fixture();
    let judged = |s: &Snapshot| judge(&[condition("group:nat.p99 > 1s")], s);
    assert_eq!(judged(&snapshot), Verdict::default());
    // An older report has hops, and no groups.
    for path in &mut snapshot.paths {
        path.groups.clear();
    }
    assert_eq!(judged(&snapshot).unjudged.len(), snapshot.paths.len());
    // No packet met one of its hops, as none is measured here.
    for path in &mut snapshot.paths {
        path.hops.retain(|h| h.group != Group::Nat.key());
    }
    assert_eq!(judged(&snapshot), Verdict::default(), "measured, and never met");
    for hop in HOPS.iter().filter(|h| h.group == Group::Nat) {
        snapshot.absent.insert(hop.key.to_owned(), "no backend".to_owned());
    }
    assert_eq!(judged(&snapshot).unjudged.len(), 1);
}

#[test]
fn what_was_not_measured_is_never_fine() {
    let mut snapshot = fixture();
    snapshot.absent.insert("qdisc.wait".to_owned(), "no backend".to_owned());
    let verdict = judge(&[condition("qdisc.wait.p99 > 1s")], &snapshot);
    assert_eq!(verdict.unjudged.len(), 1);
    snapshot.paths.clear();
    let verdict = judge(&[condition("total.p99 > 1s")], &snapshot);
    assert_eq!(verdict.unjudged.len(), 1);
}
