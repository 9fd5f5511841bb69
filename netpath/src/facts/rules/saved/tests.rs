//! Against listings of iptables 1.8.9: `tests/fixtures/rules`.

use super::super::{
    nft, reach,
    rule::{Condition, Field, Value},
};
use super::*;

const JSON: &str = include_str!("../../../../tests/fixtures/rules/nft.json");
const NFT: &str = include_str!("../../../../tests/fixtures/rules/iptables-nft-save.txt");
const LEGACY: &str = include_str!("../../../../tests/fixtures/rules/iptables-legacy-save.txt");

#[test]
fn tables_of_legacy_with_their_policies() {
    let mut rules = Rules::default();
    add(&mut rules, "ip", LEGACY, true);
    reach::fill(&mut rules.chains);
    let chain = |table: &str, name: &str| {
        rules.chains.iter().find(|c| c.table == table && c.name == name).expect("it was listed")
    };
    let forward = chain("filter", "FORWARD");
    assert!(forward.legacy && forward.policy_drops && forward.queues && !forward.copies);
    assert_eq!((forward.rules, forward.reach, forward.drops), (2, 10, 4));
    assert_eq!(forward.policy_packets, Some(0));
    assert!(chain("filter", "INPUT").copies);
    assert_eq!(chain("mangle", "PREROUTING").priority, -150);
    assert_eq!(chain("filter", "KUBE-NWPLCY-X").hook, "");
    assert!(rules.queues_at(false, "FORWARD", Some(0)));
    assert!(!rules.queues_at(false, "INPUT", Some(0)) && !rules.queues_at(true, "FORWARD", None));
}

#[test]
fn conditions_of_a_rule() {
    let of = |text: &str| rule(text);
    let ports = of("-A X -p udp -m multiport --dports 53,1000:2000 -j DROP");
    let values = [Value::number(53), Value::Range(1000, 2000)];
    assert_eq!(
        ports.conditions,
        [Condition::proto(17), Condition::is(Field::DestinationPort, values)]
    );
    let not =
        of("-A X ! -s 10.0.0.0/8 ! -i v+ -p icmp -m icmp --icmp-type 8 -j NFQUEUE --queue-num 5");
    assert!(not.conditions[0].negated && not.conditions[1].negated && !not.conditions[2].negated);
    assert_eq!(not.conditions[1].values, [Value::Word("v*".to_owned())]);
    assert_eq!(not.conditions[3], Condition::is(Field::IcmpType, [Value::number(8)]));
    assert_eq!(not.branches[0].verdict, Verdict::Queue("NFQUEUE 5".to_owned()));
    let quoted = of(r#"-A X -m comment --comment "a \"b\" -j ACCEPT" -j Y"#);
    assert_eq!(
        (quoted.conditions.len(), &quoted.branches[0].verdict),
        (0, &Verdict::Jump("Y".to_owned()))
    );
    let vague = of("-A X -m set --match-set bad src -j DROP");
    assert!(vague.conditions.contains(&Condition::unknown()));
    let syn =
        of("-A X -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j REJECT --reject-with tcp-reset");
    assert_eq!(syn.conditions[1], Condition::is(Field::TcpFlags, [Value::Range(0x17, 2)]));
    assert_eq!(of("-A X -j LOG --log-prefix \"x \"").branches, []);
}

#[test]
fn iptables_nft_speaks_its_own_words() {
    let mut rules = Rules::default();
    nft::add(&mut rules, &serde_json::from_str(JSON).expect("it is JSON"), &nft::texts(""));
    let save = NFT.replace(
        "[0:0] -A KUBE-NWPLCY-X -p tcp -m tcp --dport 8081",
        "[7:420] -A KUBE-NWPLCY-X -p tcp -m tcp --dport 8081",
    );
    reword(&mut rules, "ip", &save.replace(":FORWARD DROP [0:0]", ":FORWARD DROP [3:9]"));
    let known = |handle| {
        let is = |rule: &&Rule| {
            rules.chains[rule.chain].table == "filter" && rule.handle == Some(handle)
        };
        rules.listed.iter().find(is).expect("it was listed")
    };
    let denied = known(5);
    assert_eq!(denied.packets, Some(7));
    assert_eq!(
        denied.text,
        r#"-A KUBE-NWPLCY-X -p tcp -m tcp --dport 8081 -m comment --comment "policy \"deny 8081\"" -j DROP"#
    );
    assert_eq!(denied.conditions.len(), 2);
    // nft shows no ports of iptables' multiport.
    assert_eq!(known(7).conditions[1].field, Field::DestinationPort);
    assert_eq!(known(9).branches[0].verdict, Verdict::Queue("NFQUEUE 5".to_owned()));
    let forward = rules.chains.iter().find(|c| c.table == "filter" && c.name == "FORWARD");
    assert_eq!(forward.and_then(|c| c.policy_packets), Some(3));
    // Other families' and other tables' rules stay as they are.
    assert!(
        rules
            .listed
            .iter()
            .filter(|r| rules.chains[r.chain].family == "inet")
            .all(|r| r.text.is_empty())
    );
}
