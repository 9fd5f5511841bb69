//! The rule that a drop names.

use netpath_common::point::{Hook, KFREE_SKB, NETIF_RECEIVE};

use super::*;
use crate::{
    facts::rules_of_iptables,
    testing::{BR0, Chunk, HOST, UP0, VETH0, at_dev, at_hook, fly, headers, hooks, topology},
};

const REASON: u16 = 8;
const OTHER: u16 = 2;

/// A packet from the client to port 9000, dropped in FORWARD at each of these times.
fn dropped(at: &[u64], reason: u16) -> Ledger {
    dropped_to(|_| 0, at, reason)
}

/// The same to `port` above that of each.
fn dropped_to(port: fn(u16) -> u16, at: &[u64], reason: u16) -> Ledger {
    let mut ledger = Ledger::new(topology(), hooks());
    for (i, at_ns) in at.iter().enumerate() {
        let (i, id) = (u32::try_from(i).expect("few"), u16::try_from(i).expect("few"));
        let mut headers = headers(id);
        headers.tuple.as_mut().expect("UDP").dport += port(id);
        let chunk = Chunk::new(0, i, *at_ns)
            .skb(0xa0, Some(&headers))
            .event(at_dev(NETIF_RECEIVE, VETH0), 0)
            .event(at_dev(NETIF_RECEIVE, BR0), 0)
            .event(at_hook(UP0, Hook::Forward, 0), 0)
            .event((KFREE_SKB, reason, 0), 0);
        fly(&[chunk]).iter().for_each(|flight| ledger.add(flight));
    }
    ledger.settle();
    ledger
}

fn session() -> Session {
    let names = [(REASON, BY_RULE), (OTHER, "NOT_SPECIFIED")];
    let drop_reasons = names.map(|(number, name)| (number, name.to_owned())).into();
    Session { drop_reasons, ..Session::default() }
}

fn rulings(ledger: &Ledger, history: RuleHistory) -> Vec<(Ruling, u64)> {
    let (session, histories) = (session(), BTreeMap::from([(HOST, history)]));
    let rulings = Rulings::new(ledger, &session, &histories);
    let (key, ended) = ledger.drops.iter().next().expect("one was dropped");
    rulings.on(key, ended).into_iter().map(|(ruling, _, count)| (ruling, count)).collect()
}

fn rules(ruling: &Ruling) -> Vec<(&str, &str, Option<u64>)> {
    ruling.candidates.iter().map(|c| (c.chain.as_str(), c.rule.as_str(), c.packets)).collect()
}

/// FORWARD and a chain below it, with these counts.
fn forward(at_ns: u64, policy: &str, rules: &str) -> crate::facts::Rules {
    let text = format!(
        "*filter\n:FORWARD {policy} [0:0]\n:below - [0:0]\n[9:9] -A FORWARD -j below\n{rules}COMMIT\n"
    );
    rules_of_iptables(&text, at_ns)
}

#[test]
fn the_only_rule_that_fits_is_named() {
    let listed = forward(
        50,
        "DROP",
        "[1:1] -A below -p tcp -j DROP\n[1:1] -A below -s 172.31.0.0/24 -i br0 -p udp -m udp --dport 9000 -j DROP\n",
    );
    let rulings = rulings(&dropped(&[1_000, 2_000], REASON), RuleHistory::new(&listed));
    let [(ruling, 2)] = &rulings[..] else { panic!("{rulings:?}") };
    let only = "-A below -s 172.31.0.0/24 -i br0 -p udp -m udp --dport 9000 -j DROP";
    assert_eq!(rules(ruling), [("below", only, Some(0))]);
    assert_eq!(ruling.chains, ["ip filter FORWARD"]);
}

#[test]
fn several_that_can_have_done_it_are_candidates_unless_their_counters_say_no() {
    let a = "-A below -m set --match-set a src -j DROP";
    let b = "-A below -m set --match-set b src -j DROP";
    let begun = forward(50, "ACCEPT", &format!("[0:0] {a}\n[5:5] {b}\n"));
    let rulings_of = |counts: [u64; 2]| {
        let mut history = RuleHistory::new(&begun);
        let [a_count, b_count] = counts;
        let rules = format!("[{a_count}:0] {a}\n[{b_count}:0] {b}\n");
        let mut now = forward(9_000, "ACCEPT", &rules);
        now.listed[0].packets = Some(11);
        history.take(now);
        rulings(&dropped(&[1_000, 2_000], REASON), history)
    };
    let both = rulings_of([1, 6]);
    assert_eq!(rules(&both[0].0), [("below", a, Some(1)), ("below", b, Some(1))]);
    let one = rulings_of([0, 7]);
    assert_eq!(rules(&one[0].0), [("below", b, Some(2))]);
}

#[test]
fn a_policy_is_named_where_no_rule_fits() {
    let listed = forward(50, "DROP", "[1:1] -A below -p tcp -j DROP\n");
    let rulings = rulings(&dropped(&[1_000], REASON), RuleHistory::new(&listed));
    assert_eq!(rules(&rulings[0].0), [("FORWARD", "policy of ip filter FORWARD", Some(0))]);
}

#[test]
fn rules_that_took_turns_have_their_own_packets() {
    let second = 1_000_000_000;
    let rule = |mark: &str| format!("[1:1] -A below -p udp -m comment --comment {mark} -j DROP\n");
    let mut history = RuleHistory::new(&forward(50, "ACCEPT", &rule("one")));
    history.unchanged(2 * second);
    history.take(forward(3 * second, "ACCEPT", &rule("two")));
    let ledger = dropped(&[second, second + 1, 4 * second], REASON);
    let rulings = rulings(&ledger, history);
    let counts: Vec<(bool, u64)> =
        rulings.iter().map(|(r, n)| (r.candidates[0].rule.contains("one"), *n)).collect();
    assert_eq!(counts, [(true, 2), (false, 1)]);
}

#[test]
fn what_ends_while_it_is_queued_is_no_rules_work() {
    let rules_text = "[1:1] -A below -p udp -j NFQUEUE --queue-num 5\n[1:1] -A below -j DROP\n";
    let listed = forward(50, "ACCEPT", rules_text);
    let queued = rulings(&dropped(&[1_000], OTHER), RuleHistory::new(&listed));
    assert_eq!(queued[0].0.queue.as_deref(), Some("NFQUEUE 5"));
    assert_eq!((rules(&queued[0].0), &queued[0].0.chains[..]), (vec![], &[][..]));
    // No queue here: whatever ended it, no chain did.
    let none = forward(50, "ACCEPT", "[1:1] -A below -j DROP\n");
    let other = rulings(&dropped(&[1_000], OTHER), RuleHistory::new(&none));
    assert_eq!(other[0].0, Ruling::default());
}

#[test]
fn what_no_rule_explains_has_those_that_can_drop_anything() {
    let listed = forward(50, "ACCEPT", "[1:1] -A below -d 10.0.0.1/32 -j DROP\n");
    let rulings = rulings(&dropped(&[1_000], REASON), RuleHistory::new(&listed));
    assert_eq!(rules(&rulings[0].0), [("below", "-A below -d 10.0.0.1/32 -j DROP", Some(0))]);
}

#[test]
fn each_ruling_has_an_example_of_its_own() {
    let rule = |port: u16| format!("[1:1] -A below -p udp --dport {port} -j DROP\n");
    let history = RuleHistory::new(&forward(50, "ACCEPT", &(rule(9000) + &rule(9001))));
    let ledger = dropped_to(|id| id, &[1_000, 2_000], REASON);
    let (session, histories) = (session(), BTreeMap::from([(HOST, history)]));
    let rulings = Rulings::new(&ledger, &session, &histories);
    let (key, ended) = ledger.drops.iter().next().expect("both were dropped at one place");
    let shown = rulings.on(key, ended);
    let shown: Vec<_> = shown
        .iter()
        .map(|(ruling, example, _)| {
            let to = example.and_then(|e| e.before).expect("UDP").dport;
            (ruling.candidates[0].rule.as_str(), to)
        })
        .collect();
    let [one, two] = [9000, 9001].map(|port| format!("-A below -p udp --dport {port} -j DROP"));
    assert_eq!(shown, [(one.as_str(), 9000), (two.as_str(), 9001)]);
}

#[test]
fn rules_that_nobody_has_listed_can_have_done_it_too() {
    let second = 1_000_000_000;
    let candidates = |counted: Option<u64>| {
        let mut history = RuleHistory::new(&forward(50, "ACCEPT", ""));
        history.unchanged(second);
        let mut now = forward(3 * second, "ACCEPT", "[1:1] -A below -p udp -j DROP\n");
        (now.listed[0].packets, now.listed[1].packets) = (Some(10), counted);
        history.take_seen(now, 3 * second, true);
        rulings(&dropped(&[2 * second], REASON), history)[0].0.candidates.len()
    };
    // A rule that has counted packets is known to have had some.
    assert_eq!((candidates(None), candidates(Some(1))), (2, 1));
}
