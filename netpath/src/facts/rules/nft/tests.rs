//! Against listings of nftables 1.0.6: `tests/fixtures/rules`.

use super::super::rule::{Branch, Condition, Field, Value};
use super::*;

const JSON: &str = include_str!("../../../../tests/fixtures/rules/nft.json");
const TEXT: &str = include_str!("../../../../tests/fixtures/rules/nft.txt");

fn listed() -> Rules {
    let mut rules = Rules::default();
    add(&mut rules, &serde_json::from_str(JSON).expect("it is JSON"), &texts(TEXT));
    rules
}

fn of<'a>(rules: &'a Rules, table: &str, handle: u64) -> &'a Rule {
    let is = |rule: &&Rule| rules.chains[rule.chain].table == table && rule.handle == Some(handle);
    rules.listed.iter().find(is).expect("it was listed")
}

#[test]
fn rules_have_the_texts_that_nft_prints() {
    let rules = listed();
    assert_eq!(rules.listed.len(), 30);
    assert!(rules.listed.iter().all(|rule| !rule.text.is_empty()));
    let text = |table, handle| of(&rules, table, handle).text.clone();
    assert_eq!(text("b35", 9), "tcp dport vmap { 8081 : goto policy_x, 8082 : drop }");
    assert_eq!(text("b35", 6), "counter comment \"deny 8081\"");
    assert_eq!(text("b11", 2), "icmpv6 type nd-neighbor-solicit counter drop");
    assert_eq!(of(&rules, "b35", 13).packets, Some(3));
    assert_eq!(of(&rules, "b35", 7).packets, None);
}

#[test]
fn a_set_that_goes_on_in_the_next_line_belongs_to_its_rule() {
    let text = "table ip t { # handle 3\n\tchain c { # handle 1\n\t\ttype filter hook input priority 0; policy accept;\n\
                \t\ttcp dport { 1, 2,\n\t\t\t    3 } counter packets 7 bytes 9 drop # handle 4\n\t}\n}\n";
    let key = ("ip".to_owned(), "t".to_owned(), 4);
    assert_eq!(texts(text)[&key], "tcp dport { 1, 2, 3 } counter drop");
}

#[test]
fn conditions_and_verdicts_are_understood() {
    let rules = listed();
    let rule = of(&rules, "b35", 13);
    let words =
        |names: &[&str]| names.iter().map(|n| Value::Word((*n).to_owned())).collect::<Vec<_>>();
    assert_eq!(
        rule.conditions,
        [
            Condition::is(Field::In, words(&["v0"])),
            Condition::is(Field::Out, words(&["up0", "up1"])),
            Condition::proto(6),
            Condition::is(Field::DestinationPort, [Value::number(22), Value::Range(80, 90)]),
        ]
    );
    assert_eq!(rule.branches, [Branch { of: None, verdict: Verdict::Reject }]);
    // A verdict map, by itself and by name.
    let goto = |chain: &str| Verdict::Goto(chain.to_owned());
    let port = |port| Some(Condition::is(Field::DestinationPort, [Value::number(port)]));
    assert_eq!(
        of(&rules, "b35", 9).branches,
        [
            Branch { of: port(8081), verdict: goto("policy_x") },
            Branch { of: port(8082), verdict: Verdict::Drop },
        ]
    );
    assert_eq!(
        of(&rules, "b35", 19).branches,
        [
            Branch { of: port(9), verdict: Verdict::Drop },
            Branch { of: port(10), verdict: Verdict::Jump("pod_abc".to_owned()) },
        ]
    );
    // A set by name is looked up; what isn't understood may hold.
    let bad = of(&rules, "b35", 10);
    assert_eq!(bad.conditions[1].values.len(), 2, "{bad:?}");
    assert!(of(&rules, "b35", 20).conditions.contains(&Condition::unknown()));
    assert!(of(&rules, "b35", 17).conditions.contains(&Condition::unknown()));
    assert_eq!(
        of(&rules, "b11", 2).conditions[1],
        Condition::is(Field::IcmpType, [Value::number(135)])
    );
}

#[test]
fn what_iptables_modules_do_is_read_of_their_targets() {
    let rules = listed();
    let verdict = |handle| of(&rules, "filter", handle).branches[0].verdict.clone();
    assert_eq!((verdict(6), verdict(16)), (Verdict::Reject, Verdict::Copy));
    assert!(matches!(verdict(9), Verdict::Queue(_)));
}
