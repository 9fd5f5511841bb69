//! Rule sets, as nft and iptables list them.

use serde_json::json;

use serde_json::Value;

use super::*;

fn add_nft(rules: &mut Rules, listing: &Value) {
    nft::add(rules, listing, &nft::texts(""));
}

fn add_saved(rules: &mut Rules, family: &str, text: &str) {
    saved::add(rules, family, text, true);
}

use reach::fill as reach;

#[test]
fn nft_chains_count_their_rules_and_what_they_jump_to() {
    let rule = |chain: &str, expr: Value| json!({"rule": {"family": "ip", "table": "nat", "chain": chain, "expr": expr}});
    let listing = json!({"nftables": [
        {"chain": {"family": "ip", "table": "nat", "name": "PREROUTING", "hook": "prerouting", "prio": -100, "policy": "accept"}},
        {"chain": {"family": "ip", "table": "nat", "name": "DOCKER"}},
        rule("PREROUTING", json!([{"jump": {"target": "DOCKER"}}])),
        rule("DOCKER", json!([{"return": null}])),
        rule("DOCKER", json!([{"goto": {"target": "PREROUTING"}}])),
        {"set": {"family": "ip", "table": "nat", "name": "all", "elem": [1, 2, 3]}},
    ]});
    let mut rules = Rules::default();
    add_nft(&mut rules, &listing);
    reach(&mut rules.chains);
    assert_eq!((rules.chains[0].rules, rules.chains[0].reach), (1, 3));
    assert_eq!(rules.chains[0].hook, "PREROUTING");
    assert_eq!(rules.sets["ip nat all"], 3);
}

#[test]
fn what_drops_is_known_where_it_is_one() {
    let rule = |handle: u32, expr: Value| json!({"rule": {"family": "ip", "table": "t", "chain": "c", "handle": handle, "expr": expr}});
    let chain = |policy: &str| json!({"chain": {"family": "ip", "table": "t", "name": "c", "hook": "forward", "prio": 0, "policy": policy}});
    let of = |items: &[Value]| {
        let mut rules = Rules::default();
        add_nft(&mut rules, &json!({ "nftables": items }));
        reach(&mut rules.chains);
        (rules.chains[0].can_drop(), rules.chains[0].only_drop.clone())
    };
    let accepts = rule(3, json!([{"accept": null}]));
    let drops = rule(4, json!([{"match": {"op": "=="}}, {"counter": {}}, {"drop": null}]));
    let by_map = rule(5, json!([{"vmap": {"data": {"set": [[1, {"drop": null}]]}}}]));
    let one = Some("ip t c handle 4".to_owned());
    assert_eq!(of(&[chain("accept"), accepts.clone()]), (false, None));
    assert_eq!(of(&[chain("accept"), accepts, drops.clone()]), (true, one));
    assert_eq!(of(&[chain("accept"), drops.clone(), by_map]), (true, None));
    assert_eq!(of(&[chain("drop"), drops]), (true, None));
    let mut rules = Rules::default();
    let text = "*filter\n:FORWARD ACCEPT [0:0]\n:web - [0:0]\n-A FORWARD -j web\n-A web -p udp -j DROP\nCOMMIT\n";
    add_saved(&mut rules, "ip", text);
    reach(&mut rules.chains);
    let of_web = Some("ip filter -A web -p udp -j DROP".to_owned());
    assert_eq!((rules.chains[0].drops, &rules.chains[0].only_drop), (1, &of_web));
}

#[test]
fn kinds_of_nat_are_those_of_all_chains_that_it_leads_to() {
    let chain = |name: &str| json!({"chain": {"family": "ip", "table": "nat", "name": name}});
    let rule = |chain: &str, expr: Value| json!({"rule": {"family": "ip", "table": "nat", "chain": chain, "expr": expr}});
    let target = |name: &str| json!([{"xt": {"type": "target", "name": name}}]);
    let mut rules = Rules::default();
    add_nft(
        &mut rules,
        &json!({"nftables": [
            chain("post"), chain("own"), chain("pre"), chain("none"),
            rule("post", json!([{"jump": {"target": "own"}}])),
            rule("post", json!([{"match": {"op": "=="}}, {"masquerade": null}])),
            rule("own", json!([{"snat": {"addr": "10.0.0.1"}}])),
            rule("pre", target("DNAT")),
            rule("none", target("LOG")),
        ]}),
    );
    reach(&mut rules.chains);
    let kinds = |rules: &Rules, i: usize| rules.chains[i].nat.iter().cloned().collect::<Vec<_>>();
    assert_eq!(kinds(&rules, 0), ["masquerade", "snat"]);
    assert_eq!((kinds(&rules, 2), kinds(&rules, 3)), (vec!["dnat".to_owned()], Vec::new()));
    let text =
        "*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -s 10.0.0.0/8 -j MASQUERADE\nCOMMIT\n";
    let mut saved = Rules::default();
    add_saved(&mut saved, "ip", text);
    reach(&mut saved.chains);
    assert_eq!(kinds(&saved, 0), ["masquerade"]);
}

#[test]
fn saved_tables_too() {
    let text = "*filter\n:INPUT ACCEPT [0:0]\n:web - [0:0]\n-A INPUT -p tcp -j web\n-A web -j ACCEPT\nCOMMIT\n";
    let mut rules = Rules::default();
    add_saved(&mut rules, "ip", text);
    reach(&mut rules.chains);
    let [input, web] = &rules.chains[..] else { panic!("{:?}", rules.chains) };
    assert_eq!((input.rules, input.reach, input.hook.as_str()), (1, 2, "INPUT"));
    assert_eq!((web.reach, web.hook.as_str()), (1, ""));
}
