//! The rule sets of the calling thread's namespace, as `nft` and `iptables-save` list them.
//!
//! Both are the kernel's own tools for it, and both only read. Where neither is installed, what is
//! hooked in is still known by its hooks; how many rules it has is not.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What was listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Rules {
    pub chains: Vec<Chain>,
    /// Sets and maps, with how many elements each has.
    pub sets: BTreeMap<String, usize>,
    /// What could not be listed, and why.
    pub unknown: Vec<String>,
}

/// A chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Chain {
    /// `ip`, `ip6`, `inet`, `bridge`.
    pub family: String,
    pub table: String,
    pub name: String,
    /// The hook that runs it, in capitals; empty where only other chains do.
    pub hook: String,
    pub priority: i32,
    /// Rules in it.
    pub rules: usize,
    /// Rules in it and in the chains that it leads to, each chain counted once.
    pub reach: usize,
    /// It drops what no rule decides.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub policy_drops: bool,
    /// Of `reach`, how many drop or reject.
    #[serde(default)]
    pub drops: usize,
    /// The one that does, where there is exactly one and the policy doesn't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_drop: Option<String>,
    /// Of `reach`, the kinds of NAT that rules ask for: those of [`NAT_KINDS`].
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub nat: BTreeSet<String>,
    #[serde(skip)]
    pub(crate) own_nat: BTreeSet<String>,
    #[serde(skip)]
    pub(crate) leads_to: BTreeSet<String>,
    /// Its own rules that drop: how many, and the first.
    #[serde(skip)]
    pub(crate) own_drops: (usize, Option<String>),
}

impl Chain {
    /// Family, table and name.
    pub fn full_name(&self) -> String {
        format!("{} {} {}", self.family, self.table, self.name)
    }

    /// Whether it is known to drop anything.
    pub fn can_drop(&self) -> bool {
        self.policy_drops || self.drops > 0
    }

    fn drops_by(&mut self, rule: impl FnOnce(&Self) -> String) {
        let rule = self.own_drops.1.take().unwrap_or_else(|| rule(self));
        self.own_drops = (self.own_drops.0 + 1, Some(rule));
    }
}

/// Kinds of NAT, as nft has them; iptables' targets are the same in capitals.
const NAT_KINDS: [&str; 4] = ["masquerade", "snat", "dnat", "redirect"];

/// Lists them.
pub(super) fn read() -> Rules {
    let mut rules = Rules::default();
    match output("nft", &["-j", "list", "ruleset"]) {
        Ok(text) => match serde_json::from_str(&text) {
            Ok(listing) => add_nft(&mut rules, &listing),
            Err(error) => rules.unknown.push(format!("nft -j list ruleset: {error}")),
        },
        Err(why) => rules.unknown.push(why),
    }
    for (family, tool) in [("ip", "iptables-legacy-save"), ("ip6", "ip6tables-legacy-save")] {
        let names = format!("/proc/thread-self/net/{family}_tables_names");
        // Only where such tables exist: the tool would make them.
        if fs::read_to_string(names).is_ok_and(|tables| !tables.trim().is_empty()) {
            match output(tool, &[]) {
                Ok(text) => add_saved(&mut rules, family, &text),
                Err(why) => rules.unknown.push(why),
            }
        }
    }
    reach(&mut rules.chains);
    rules
}

fn output(tool: &str, args: &[&str]) -> Result<String, String> {
    let result = Command::new(tool).args(args).output().map_err(|e| format!("{tool}: {e}"))?;
    if result.status.success() {
        Ok(String::from_utf8_lossy(&result.stdout).into_owned())
    } else {
        Err(format!("{tool}: {}", String::from_utf8_lossy(&result.stderr).trim()))
    }
}

/// Adds what `nft -j list ruleset` says.
fn add_nft(rules: &mut Rules, listing: &Value) {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    for item in listing["nftables"].as_array().into_iter().flatten() {
        if let Some(chain) = item.get("chain") {
            rules.chains.push(Chain {
                family: text(chain, "family"),
                table: text(chain, "table"),
                name: text(chain, "name"),
                hook: text(chain, "hook").to_uppercase(),
                priority: chain["prio"].as_i64().and_then(|p| p.try_into().ok()).unwrap_or(0),
                policy_drops: chain["policy"] == "drop",
                ..Chain::default()
            });
        } else if let Some(rule) = item.get("rule") {
            let of = (text(rule, "family"), text(rule, "table"), text(rule, "chain"));
            let chain = rules
                .chains
                .iter_mut()
                .find(|c| (&c.family, &c.table, &c.name) == (&of.0, &of.1, &of.2));
            if let Some(chain) = chain {
                chain.rules += 1;
                targets(&rule["expr"], &mut chain.leads_to);
                nat_kinds(&rule["expr"], &mut chain.own_nat);
                if drops(&rule["expr"]) {
                    chain.drops_by(|c| format!("{} handle {}", c.full_name(), rule["handle"]));
                }
            }
        } else if let Some(set) = item.get("set").or_else(|| item.get("map")) {
            let name =
                format!("{} {} {}", text(set, "family"), text(set, "table"), text(set, "name"));
            rules.sets.insert(name, set["elem"].as_array().map_or(0, Vec::len));
        }
    }
}

/// The chains that an expression jumps to, however deep it stands.
fn targets(expr: &Value, into: &mut BTreeSet<String>) {
    match expr {
        Value::Array(all) => all.iter().for_each(|e| targets(e, into)),
        Value::Object(fields) => {
            for (key, value) in fields {
                if let ("jump" | "goto", Some(target)) = (key.as_str(), value["target"].as_str()) {
                    into.insert(target.to_owned());
                }
                targets(value, into);
            }
        }
        _ => {}
    }
}

/// Whether an expression drops or rejects, however deep that stands.
fn drops(expr: &Value) -> bool {
    match expr {
        Value::Array(all) => all.iter().any(drops),
        Value::Object(fields) => fields.iter().any(|(key, value)| {
            matches!(key.as_str(), "drop" | "reject")
                || (key == "xt" && value["name"] == "REJECT")
                || drops(value)
        }),
        _ => false,
    }
}

/// The kinds of NAT that an expression asks for, however deep that stands.
fn nat_kinds(expr: &Value, into: &mut BTreeSet<String>) {
    match expr {
        Value::Array(all) => all.iter().for_each(|e| nat_kinds(e, into)),
        Value::Object(fields) => {
            for (key, value) in fields {
                let target = value["name"].as_str().filter(|_| key == "xt");
                into.extend(nat_kind(target.unwrap_or(key)));
                nat_kinds(value, into);
            }
        }
        _ => {}
    }
}

fn nat_kind(name: &str) -> Option<String> {
    NAT_KINDS.iter().find(|kind| kind.eq_ignore_ascii_case(name)).map(|kind| (*kind).to_owned())
}

/// Adds what `iptables-save` says.
fn add_saved(rules: &mut Rules, family: &str, text: &str) {
    const HOOKS: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];
    let first = rules.chains.len();
    let mut table = "";
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('*') {
            table = name;
        } else if let Some(chain) = line.strip_prefix(':') {
            let mut words = chain.split_whitespace();
            let name = words.next().unwrap_or_default();
            rules.chains.push(Chain {
                family: family.to_owned(),
                table: table.to_owned(),
                name: name.to_owned(),
                hook: HOOKS.iter().find(|h| **h == name).map_or("", |h| h).to_owned(),
                priority: table_priority(table, name),
                policy_drops: words.next() == Some("DROP"),
                ..Chain::default()
            });
        } else if let Some(rule) = line.strip_prefix("-A ") {
            let mut words = rule.split_whitespace();
            let name = words.next().unwrap_or_default();
            let mut of = rules.chains[first..].iter_mut();
            if let Some(chain) = of.find(|c| c.table == table && c.name == name) {
                chain.rules += 1;
                let target = words.skip_while(|w| !matches!(*w, "-j" | "-g")).nth(1);
                if matches!(target, Some("DROP" | "REJECT")) {
                    chain.drops_by(|c| format!("{} {} -A {rule}", c.family, c.table));
                }
                chain.own_nat.extend(target.and_then(nat_kind));
                chain.leads_to.extend(target.map(str::to_owned));
            }
        }
    }
}

/// The priority of an iptables table's hook (`enum nf_ip_hook_priorities`).
fn table_priority(table: &str, chain: &str) -> i32 {
    match table {
        "raw" => -300,
        "mangle" => -150,
        "nat" if matches!(chain, "PREROUTING" | "OUTPUT") => -100,
        "nat" => 100,
        "security" => 50,
        _ => 0,
    }
}

/// Fills in what each chain leads to.
fn reach(chains: &mut [Chain]) {
    for i in 0..chains.len() {
        let mut seen = BTreeSet::new();
        let mut next = vec![i];
        let mut total = 0;
        let mut drops: (usize, Option<String>) = (0, None);
        let mut nat = BTreeSet::new();
        while let Some(at) = next.pop() {
            if !seen.insert(at) {
                continue;
            }
            total += chains[at].rules;
            nat.extend(chains[at].own_nat.iter().cloned());
            drops.0 += chains[at].own_drops.0;
            drops.1 = drops.1.or_else(|| chains[at].own_drops.1.clone());
            for name in &chains[at].leads_to {
                let here = |c: &Chain| {
                    (&c.family, &c.table, &c.name) == (&chains[at].family, &chains[at].table, name)
                };
                next.extend(chains.iter().position(here));
            }
        }
        chains[i].reach = total;
        chains[i].nat = nat;
        chains[i].drops = drops.0;
        chains[i].only_drop = drops.1.filter(|_| drops.0 == 1 && !chains[i].policy_drops);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
        let kinds =
            |rules: &Rules, i: usize| rules.chains[i].nat.iter().cloned().collect::<Vec<_>>();
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
}
