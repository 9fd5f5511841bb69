//! Drops with names: where, why, and which rules had the packet.

use std::collections::BTreeMap;

use netpath_common::{
    hop::{HopId, RuleSet},
    point::Hook,
};

use serde::{Deserialize, Serialize};

use super::NetnsReport;
use crate::{
    facts::Chain,
    ledger::{Ledger, Within},
    session::Session,
};

/// Packets dropped at one place for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DropReport {
    /// As the kernel names it (`SKB_DROP_REASON_…` without the prefix).
    pub reason: String,
    pub netns: String,
    /// The device that it was seen at last.
    pub dev: String,
    pub count: u64,
    /// What had happened to it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// The netfilter hook that had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<String>,
    /// The part of the hook: key of the hop table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hop: Option<String>,
    /// The base chains that ran there and can drop.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chains: Vec<String>,
    /// The rule, where those chains lead to exactly one that drops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// Most first.
pub(super) fn build(
    ledger: &Ledger,
    session: &Session,
    facts: &BTreeMap<String, NetnsReport>,
) -> Vec<DropReport> {
    let mut drops: Vec<DropReport> = Vec::new();
    for (key, count) in &ledger.drops {
        let reason = session.drop_reasons.get(&key.reason).cloned();
        let netns = ledger.topology.netns_name(key.place.netns);
        let rules = facts.get(&netns).and_then(|f| f.rules.as_ref());
        let chains: Vec<&Chain> = match (&key.within, rules) {
            (Some(within), Some(rules)) => dropping(within, &rules.chains, ledger),
            _ => Vec::new(),
        };
        let report = DropReport {
            reason: reason.unwrap_or_else(|| format!("reason {}", key.reason)),
            dev: ledger.topology.dev_name(key.place),
            netns,
            count: *count,
            after: key.after.map(|at| at.name().to_owned()),
            hook: key.within.and_then(|w| w.hook).map(|hook| hook.name().to_owned()),
            hop: key.within.map(|w| w.hop.info().key.to_owned()),
            chains: chains.iter().map(|c| c.full_name()).collect(),
            rule: match chains[..] {
                [chain] => chain.only_drop.clone(),
                _ => None,
            },
        };
        let same = |d: &&mut DropReport| DropReport { count: d.count, ..report.clone() } == **d;
        match drops.iter_mut().find(same) {
            Some(known) => known.count += count,
            None => drops.push(report),
        }
    }
    drops.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.reason.cmp(&b.reason)));
    drops
}

/// The base chains that ran there and can drop; all that ran there, where none is known to.
fn dropping<'a>(within: &Within, chains: &'a [Chain], ledger: &Ledger) -> Vec<&'a Chain> {
    if within.hop != HopId::Rules {
        return Vec::new();
    }
    let hook = within.hook.map(Hook::name);
    let named = within.rules.and_then(|(kind, at)| Some((kind, ledger.rule_names.get(&at)?)));
    let ran = |chain: &&Chain| {
        let family: &[&str] = if within.family == 0 { &["ip", "inet"] } else { &["ip6", "inet"] };
        let here = hook.is_none_or(|hook| hook == chain.hook) && !chain.hook.is_empty();
        let there = match named {
            Some((RuleSet::XtTable | RuleSet::EbtTable, table)) => &chain.table == table,
            Some((RuleSet::NftChain, name)) => *name == format!("{} {}", chain.table, chain.name),
            None => within.priority.is_none_or(|priority| priority == chain.priority),
        };
        here && there && family.contains(&chain.family.as_str())
    };
    let all: Vec<&Chain> = chains.iter().filter(ran).collect();
    let can: Vec<&Chain> = all.iter().copied().filter(|c| c.can_drop()).collect();
    if can.is_empty() { all } else { can }
}

impl DropReport {
    /// Where, for people: `host FORWARD in ip lab forward, by handle 4`, `host/up0, entering a qdisc`.
    pub fn place(&self) -> String {
        let mut text = match &self.hook {
            Some(hook) => format!("{} {hook}", self.netns),
            None => format!("{}/{}", self.netns, self.dev),
        };
        match (&self.chains[..], &self.rule) {
            ([], _) => {
                if let Some(after) = self.after.as_ref().filter(|_| self.hook.is_none()) {
                    text += &format!(", last seen: {after}");
                }
            }
            (chains, None) => text += &format!(" in {}", chains.join(" or ")),
            (chains, Some(rule)) => text += &format!(" in {}, by {rule}", chains.join(" or ")),
        }
        text
    }
}
