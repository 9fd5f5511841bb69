//! Which rules a packet can have ended at.

use super::super::{RuleHistory, Rules, nft, reach, saved};
use super::*;
use crate::packet::{ICMPV6, TCP, Tuple, UDP};

const JSON: &str = include_str!("../../../../tests/fixtures/rules/nft.json");
const TEXT: &str = include_str!("../../../../tests/fixtures/rules/nft.txt");
const NFT: &str = include_str!("../../../../tests/fixtures/rules/iptables-nft-save.txt");
const LEGACY: &str = include_str!("../../../../tests/fixtures/rules/iptables-legacy-save.txt");

/// All the rule sets that were recorded, as if listed while packets passed.
fn listed() -> RuleHistory {
    let mut rules = Rules::default();
    nft::add(&mut rules, &serde_json::from_str(JSON).expect("it is JSON"), &nft::texts(TEXT));
    saved::reword(&mut rules, "ip", NFT);
    saved::add(&mut rules, "ip", LEGACY, true);
    reach::fill(&mut rules.chains);
    RuleHistory::new(&rules)
}

fn packet(proto: u8, dport: u16) -> Asked<'static> {
    Asked {
        tuple: Some(Tuple {
            proto,
            src: [10, 35, 0, 2].into(),
            dst: [198, 18, 35, 2].into(),
            sport: 0,
            dport,
        }),
        translated: None,
        is_redirected: false,
        v6: false,
        flags: Some(2),
        input: Some("v0"),
        output: Some("up0"),
        states: &["new"],
        // After everything was counted.
        last_ns: u64::MAX,
    }
}

/// What can end the packet in FORWARD of this table: chains and texts.
fn ends(legacy: bool, table: &str, asked: &Asked, wanted: Found) -> Vec<String> {
    let history = listed();
    let version = &history.versions[0];
    let index = Indexed::new(version);
    let base = version.rules.chains.iter().position(|chain| {
        chain.legacy == legacy
            && chain.table == table
            && !chain.hook.is_empty()
            && matches!(chain.hook.as_str(), "FORWARD" | "INPUT")
            && (chain.hook == "FORWARD" || table == "b11")
    });
    let base = base.expect("it was listed");
    let found = index.enders(&[base], asked, wanted).expect("it does not take long");
    let name = |ender: Ender| match ender {
        Ender::Rule(rule) => {
            let rule = &version.rules.listed[rule];
            format!("{}: {}", version.rules.chains[rule.chain].name, rule.text)
        }
        Ender::Policy(chain) => format!("policy of {}", version.rules.chains[chain].full_name()),
    };
    found.into_iter().map(name).collect()
}

#[test]
fn a_rule_three_jumps_below_is_found_in_each_language() {
    for legacy in [false, true] {
        let found = ends(legacy, "filter", &packet(TCP, 8081), Found::Dropped);
        let [only] = &found[..] else { panic!("{found:?}") };
        assert!(only.starts_with("KUBE-NWPLCY-X: -A KUBE-NWPLCY-X -p tcp"), "{only}");
        assert!(only.contains("--dport 8081") && only.ends_with("-j DROP"), "{only}");
        let found = ends(legacy, "filter", &packet(TCP, 8082), Found::Dropped);
        assert!(matches!(&found[..], [only] if only.contains("--dport 8082 ")), "{found:?}");
    }
    assert_eq!(ends(false, "b35", &packet(TCP, 8081), Found::Dropped), ["policy_x: drop"]);
    let found = ends(false, "b35", &packet(TCP, 8082), Found::Dropped);
    assert_eq!(found, ["pod_abc: tcp dport vmap { 8081 : goto policy_x, 8082 : drop }"]);
}

#[test]
fn what_no_rule_decides_the_policy_does() {
    let mut other = packet(TCP, 443);
    let policy = ["policy of ip filter FORWARD"];
    assert_eq!(ends(false, "filter", &other, Found::Dropped), policy);
    assert_eq!(ends(true, "filter", &other, Found::Dropped), policy);
    other.states = &["established"];
    // Accepted by a map of states, before the policy.
    assert!(ends(false, "b35", &other, Found::Dropped).is_empty());
}

#[test]
fn what_is_not_known_leaves_all_that_can_be() {
    let unknown = Asked { states: &[], ..packet(TCP, 443) };
    let found = ends(true, "filter", &unknown, Found::Dropped);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("--ctstate INVALID") && found[1].starts_with("policy"), "{found:?}");
    // DNAT may have changed where it goes.
    let redirected = Asked { is_redirected: true, ..packet(TCP, 443) };
    let found = ends(true, "filter", &redirected, Found::Dropped);
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn a_counter_that_did_not_grow_has_met_no_packet() {
    let counted = Asked { last_ns: 0, ..packet(TCP, 8081) };
    // All counters stand where they stood.
    assert!(ends(true, "filter", &counted, Found::Dropped).is_empty());
    // Nor one of `policy_x`, whose first rule counts all that come there.
    assert!(ends(false, "b35", &counted, Found::Dropped).is_empty());
    // A rule without a counter says nothing.
    let mapped = Asked { last_ns: 0, ..packet(TCP, 8082) };
    assert_eq!(ends(false, "b35", &mapped, Found::Dropped).len(), 1);
}

#[test]
fn queues_and_families_are_told_apart() {
    let icmp = Asked {
        tuple: Some(Tuple {
            proto: crate::packet::ICMP,
            src: [172, 16, 0, 1].into(),
            dst: [198, 18, 35, 2].into(),
            sport: 0,
            dport: 0,
        }),
        input: Some("v1"),
        ..packet(UDP, 0)
    };
    let found = ends(true, "filter", &icmp, Found::Queued);
    assert!(matches!(&found[..], [only] if only.contains("NFQUEUE")), "{found:?}");
    let solicit = Asked {
        tuple: Some(Tuple {
            proto: ICMPV6,
            src: "fd00:11::2".parse().expect("an address"),
            dst: "ff02::1:ff00:1".parse().expect("an address"),
            sport: 0,
            dport: 0,
        }),
        v6: true,
        flags: Some(135),
        ..packet(UDP, 0)
    };
    let found = ends(false, "b11", &solicit, Found::Dropped);
    assert_eq!(found, ["in: icmpv6 type nd-neighbor-solicit counter drop"]);
    let other = Asked { flags: Some(136), ..solicit };
    assert!(ends(false, "b11", &other, Found::Dropped).is_empty());
}
