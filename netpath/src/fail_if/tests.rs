//! Conditions as they are written, and judged against a real recording.

use super::*;
use crate::report::tests::fixture;

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
    assert!((condition("unattributed.share > 5%").value - 0.05).abs() < 1e-12);
    assert_eq!(condition("lost > 0").subject, Subject::Counter(Counter::Lost));
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
        "netfilter/nat.p99 > 2us",
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
fn what_was_not_measured_is_never_fine() {
    let mut snapshot = fixture();
    snapshot.absent.insert("qdisc.wait".to_owned(), "no backend".to_owned());
    let verdict = judge(&[condition("qdisc.wait.p99 > 1s")], &snapshot);
    assert_eq!(verdict.unjudged.len(), 1);
    snapshot.paths.clear();
    let verdict = judge(&[condition("total.p99 > 1s")], &snapshot);
    assert_eq!(verdict.unjudged.len(), 1);
}
