//! Drops with names: where, why, and which rules had the packet.

mod rule;

use serde::{Deserialize, Serialize};

pub use rule::Candidate;
use rule::{Ruling, Rulings};

use crate::{
    ledger::{DropKey, Ledger},
    session::{Ending, Session},
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
    /// In a bridge's hands: br_netfilter ran the hook there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bridged: bool,
    /// The part of the hook: key of the hop table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hop: Option<String>,
    /// The base chains that ran there and can drop.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chains: Vec<String>,
    /// Family and table of the rule or policy that dropped them; of all candidates, where it is the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// The chain that has the rule, however many jumps below the base chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
    /// The rule as its tool prints it, or `policy of TABLE CHAIN`, where only that one can have dropped them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The rules and policies of which one has, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Candidate>,
    /// They were waiting for a program's verdict, in this queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
}

/// Most first.
pub(super) fn build(ledger: &Ledger, session: &Session, ending: &Ending) -> Vec<DropReport> {
    let begun = rule::begun(session, ending);
    let histories = if ending.rule_sets.is_empty() { &begun } else { &ending.rule_sets };
    let rulings = Rulings::new(ledger, session, histories);
    let mut drops: Vec<DropReport> = Vec::new();
    for (key, count) in &ledger.drops {
        for (ruling, _, count) in rulings.on(key, *count) {
            let report = report(key, ruling, count, ledger, session);
            let same = |d: &&mut DropReport| DropReport { count: d.count, ..report.clone() } == **d;
            match drops.iter_mut().find(same) {
                Some(known) => known.count += count,
                None => drops.push(report),
            }
        }
    }
    drops.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.reason.cmp(&b.reason)));
    drops
}

fn report(
    key: &DropKey,
    ruling: Ruling,
    count: u64,
    ledger: &Ledger,
    session: &Session,
) -> DropReport {
    let reason = session.drop_reasons.get(&key.reason).cloned();
    let Ruling { chains, candidates, queue, hook } = ruling;
    // What all candidates have in common.
    let common = |of: fn(&Candidate) -> &String| {
        let first = of(candidates.first()?);
        candidates.iter().all(|c| of(c) == first).then(|| first.clone())
    };
    DropReport {
        reason: reason.unwrap_or_else(|| format!("reason {}", key.reason)),
        dev: ledger.topology.dev_name(key.place),
        netns: ledger.topology.netns_name(key.place.netns),
        count,
        after: key.after.map(|at| at.name().to_owned()),
        hook: key.within.and_then(|w| w.hook).map(|hook| hook.name().to_owned()).or(hook),
        bridged: key.is_bridged(),
        hop: key.within.map(|w| w.hop.info().key.to_owned()),
        table: common(|c| &c.table),
        chain: common(|c| &c.chain).filter(|_| common(|c| &c.table).is_some()),
        rule: match &candidates[..] {
            [only] => Some(only.rule.clone()),
            _ => None,
        },
        candidates: if candidates.len() > 1 { candidates } else { Vec::new() },
        chains,
        queue,
    }
}

impl DropReport {
    /// Where, for people: `host FORWARD in ip lab forward, by handle 4`, `host/up0, entering a qdisc`.
    pub fn place(&self) -> String {
        let mut text = match &self.hook {
            Some(hook) => format!("{} {hook}", self.netns),
            None => format!("{}/{}", self.netns, self.dev),
        };
        if self.bridged {
            text += " inside the bridge";
        }
        let full = |c: &Candidate| match c.rule.starts_with("policy of ") {
            true => format!("the {}", c.rule),
            false => format!("{} {} `{}`", c.table, c.chain, c.rule),
        };
        match (&self.queue, &self.rule, &self.chains[..]) {
            (Some(queue), ..) => text += &format!(", while queued to user space ({queue})"),
            (_, Some(rule), _) => {
                let (table, chain) = (self.table.clone(), self.chain.clone());
                let only = Candidate {
                    table: table.unwrap_or_default(),
                    chain: chain.unwrap_or_default(),
                    rule: rule.clone(),
                    packets: None,
                };
                text += &format!(", by {}", full(&only));
            }
            (.., chains) if !self.candidates.is_empty() => {
                let counted = |c: &Candidate| match c.packets {
                    Some(packets) => format!("{} ({packets} packets)", full(c)),
                    None => full(c),
                };
                let mut some: Vec<String> =
                    self.candidates.iter().take(CANDIDATES_SHOWN).map(counted).collect();
                let more = self.candidates.len() - some.len();
                if more > 0 {
                    some.push(format!("{more} more"));
                }
                text += &format!(" in {}, by one of: {}", chains.join(" or "), some.join(", "));
            }
            (.., []) => {
                if let Some(after) = self.after.as_ref().filter(|_| self.hook.is_none()) {
                    text += &format!(", last seen: {after}");
                }
            }
            (.., chains) => text += &format!(" in {}", chains.join(" or ")),
        }
        text
    }
}

/// Candidates that a sentence names.
const CANDIDATES_SHOWN: usize = 3;
