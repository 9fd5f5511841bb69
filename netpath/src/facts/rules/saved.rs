//! What `iptables-save -c` and its kin say: tables of iptables-legacy as they are, and of iptables-nft
//! in iptables' own words, which nft's listing lacks.
//!
//! In: their output. Out: chains and rules, or rules that nft has listed with better texts and conditions,
//! and what policies have counted.

mod args;

use std::collections::BTreeMap;

use super::{
    Chain, Rules,
    rule::{Branch, Rule, Verdict, of_target},
};

const HOOKS: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];

/// A listing, table by table.
struct Saved<'a> {
    chains: Vec<SavedChain<'a>>,
}

/// A chain: its policy, and its rules with what they have counted.
struct SavedChain<'a> {
    table: &'a str,
    name: &'a str,
    policy: &'a str,
    packets: Option<u64>,
    rules: Vec<(Option<u64>, &'a str)>,
}

impl<'a> Saved<'a> {
    fn read(text: &'a str) -> Self {
        let mut chains: Vec<SavedChain> = Vec::new();
        let mut by_name: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        let mut table = "";
        for line in text.lines() {
            if let Some(name) = line.strip_prefix('*') {
                table = name;
            } else if let Some(chain) = line.strip_prefix(':') {
                let mut words = chain.split_whitespace();
                let name = words.next().unwrap_or_default();
                let policy = words.next().unwrap_or_default();
                let packets = words.next().and_then(counted);
                by_name.insert((table, name), chains.len());
                chains.push(SavedChain { table, name, policy, packets, rules: Vec::new() });
            } else {
                let (count, rule) = match line.split_once(' ') {
                    Some((count, rest)) if count.starts_with('[') => (counted(count), rest),
                    _ => (None, line),
                };
                let Some(rest) = rule.strip_prefix("-A ") else { continue };
                let name = rest.split_whitespace().next().unwrap_or_default();
                if let Some(&chain) = by_name.get(&(table, name)) {
                    chains[chain].rules.push((count, rule));
                }
            }
        }
        Self { chains }
    }
}

/// The packets of `[packets:bytes]`.
fn counted(word: &str) -> Option<u64> {
    word.strip_prefix('[')?.split_once(':')?.0.parse().ok()
}

/// Adds the tables of iptables-legacy, or of iptables-nft where nft itself is not there to list them.
pub(super) fn add(rules: &mut Rules, family: &str, text: &str, legacy: bool) {
    for saved in Saved::read(text).chains {
        let index = rules.chains.len();
        let hook = HOOKS.iter().find(|hook| **hook == saved.name && saved.policy != "-");
        rules.chains.push(Chain {
            family: family.to_owned(),
            table: saved.table.to_owned(),
            name: saved.name.to_owned(),
            hook: hook.map_or("", |hook| hook).to_owned(),
            priority: table_priority(saved.table, saved.name),
            legacy,
            policy_drops: saved.policy == "DROP",
            policy_packets: saved.packets.filter(|_| saved.policy != "-"),
            ..Chain::default()
        });
        for (packets, text) in saved.rules {
            let rule = Rule { chain: index, packets, ..rule(text) };
            rules.chains[index].take(&rule);
            rules.listed.push(rule);
        }
    }
}

/// Puts iptables' words in the place of nft's, for the rules of this family's tables that iptables-nft
/// has made.
pub(super) fn reword(rules: &mut Rules, family: &str, text: &str) {
    let mut by_chain: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, rule) in rules.listed.iter().enumerate() {
        by_chain.entry(rule.chain).or_default().push(index);
    }
    for saved in Saved::read(text).chains {
        let same = |chain: &Chain| {
            !chain.legacy
                && (&*chain.family, &*chain.table, &*chain.name)
                    == (family, saved.table, saved.name)
        };
        let Some(chain) = rules.chains.iter().position(same) else { continue };
        if !rules.chains[chain].hook.is_empty() {
            rules.chains[chain].policy_packets = saved.packets;
        }
        let own = by_chain.get(&chain).map_or(&[][..], Vec::as_slice);
        // The rules may have changed between the two listings.
        if own.len() != saved.rules.len() {
            continue;
        }
        for (&index, (packets, text)) in own.iter().zip(saved.rules) {
            let known = &mut rules.listed[index];
            let new = rule(text);
            // Where each of them leads must agree; a queue's number only the other says.
            if known.drops() == new.drops() {
                *known = Rule { chain, handle: known.handle, packets, ..new };
            }
        }
    }
}

/// A rule by its `-A CHAIN …`.
fn rule(text: &str) -> Rule {
    let words = args::words(text);
    let read = args::read(&words[2.min(words.len())..]);
    let verdict = read.target.and_then(|(target, goto)| match of_target(&target) {
        Some(Verdict::Queue(_)) => Some(Verdict::Queue(match &read.queue {
            Some(number) => format!("NFQUEUE {number}"),
            None => "NFQUEUE".to_owned(),
        })),
        // A chain, or a target that netpath does not know; there is no such chain then.
        Some(Verdict::Other(name)) if goto => Some(Verdict::Goto(name)),
        Some(Verdict::Other(name)) => Some(Verdict::Jump(name)),
        known => known,
    });
    Rule {
        text: text.to_owned(),
        conditions: read.conditions,
        branches: verdict.map(|verdict| Branch { of: None, verdict }).into_iter().collect(),
        ..Rule::default()
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

#[cfg(test)]
mod tests;
