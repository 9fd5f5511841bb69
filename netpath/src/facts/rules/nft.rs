//! What `nft -j list ruleset` says, and the same in nft's own words.
//!
//! In: the JSON, and the text of `nft -a -t list ruleset` for the rules' texts. Out: chains, rules and
//! sets. Rules of iptables-nft are among them; [`super::saved`] says those in iptables' words.

mod expr;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::{
    Chain, Rules,
    rule::{Rule, Verdict},
};

/// A set's or map's elements, by family, table and name.
type Sets<'a> = BTreeMap<(String, String, String), &'a [Json]>;

/// A rule's text by family, table and handle.
pub(super) type Texts = BTreeMap<(String, String, u64), String>;

fn word(value: &Json, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

/// Adds what `nft -j list ruleset` says.
pub(super) fn add(rules: &mut Rules, listing: &Json, texts: &Texts) {
    let items = || listing["nftables"].as_array().into_iter().flatten();
    let mut sets = Sets::new();
    // Sets first: rules look things up in them.
    for set in items().filter_map(|item| item.get("set").or_else(|| item.get("map"))) {
        let elements = set["elem"].as_array().map_or(&[][..], Vec::as_slice);
        let key = (word(set, "family"), word(set, "table"), word(set, "name"));
        rules.sets.insert(format!("{} {} {}", key.0, key.1, key.2), elements.len());
        sets.insert(key, elements);
    }
    let mut by_name: BTreeMap<(String, String, String), usize> = BTreeMap::new();
    for item in items() {
        if let Some(chain) = item.get("chain") {
            let new = Chain {
                family: word(chain, "family"),
                table: word(chain, "table"),
                name: word(chain, "name"),
                hook: word(chain, "hook").to_uppercase(),
                priority: chain["prio"].as_i64().and_then(|p| p.try_into().ok()).unwrap_or(0),
                policy_drops: chain["policy"] == "drop",
                ..Chain::default()
            };
            let key = (new.family.clone(), new.table.clone(), new.name.clone());
            by_name.insert(key, rules.chains.len());
            rules.chains.push(new);
        } else if let Some(rule) = item.get("rule") {
            let (family, table) = (word(rule, "family"), word(rule, "table"));
            let key = (family.clone(), table.clone(), word(rule, "chain"));
            let Some(&chain) = by_name.get(&key) else { continue };
            let handle = rule["handle"].as_u64();
            let text =
                handle.and_then(|handle| texts.get(&(family.clone(), table.clone(), handle)));
            let look = |name: &str| {
                let of = (family.clone(), table.clone(), name.to_owned());
                sets.get(&of).copied()
            };
            let mut listed = expr::rule(&rule["expr"], &look);
            (listed.chain, listed.handle) = (chain, handle);
            listed.text = text.cloned().unwrap_or_default();
            rules.chains[chain].take(&listed);
            rules.listed.push(listed);
        }
    }
}

/// Rules' texts, from `nft -a -t list ruleset`.
pub(super) fn texts(listing: &str) -> Texts {
    let mut texts = Texts::new();
    let mut table = (String::new(), String::new());
    // A set within a rule can go on in the next line.
    let mut begun = String::new();
    for line in listing.lines() {
        let Some((text, handle)) = line.rsplit_once(" # handle ") else {
            let open = line.matches('{').count() + begun.matches('{').count();
            let closed = line.matches('}').count() + begun.matches('}').count();
            if open > closed && !line.trim_start().starts_with("type ") {
                begun = format!("{begun}{} ", line.trim());
            } else {
                begun.clear();
            }
            continue;
        };
        let text = format!("{begun}{}", text.trim());
        begun.clear();
        let mut words = text.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some("table"), Some(family), Some(name)) if text.ends_with('{') => {
                table = (family.to_owned(), name.to_owned());
            }
            (Some("chain" | "set" | "map" | "flowtable"), ..) if text.ends_with('{') => {}
            _ => {
                if let Ok(handle) = handle.trim().parse() {
                    texts.insert((table.0.clone(), table.1.clone(), handle), uncounted(&text));
                }
            }
        }
    }
    texts
}

/// A rule's text without its counts, which change.
fn uncounted(text: &str) -> String {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    let mut at = 0;
    while at < words.len() {
        let counts = matches!(words[at..], ["counter", "packets", _, "bytes", _, ..]);
        if counts {
            words.drain(at + 1..at + 5);
        }
        at += 1;
    }
    words.join(" ")
}

/// The chains that a rule leads to.
pub(super) fn leads_to(rule: &Rule) -> BTreeSet<String> {
    let target = |verdict: &Verdict| match verdict {
        Verdict::Jump(chain) | Verdict::Goto(chain) => Some(chain.clone()),
        _ => None,
    };
    rule.verdicts().filter_map(target).collect()
}

#[cfg(test)]
mod tests;
