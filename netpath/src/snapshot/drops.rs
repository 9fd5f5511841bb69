//! What the kernel threw away, with names: where, why, what it means, and which rules had the packet.

mod rule;

use netpath_common::end::{self, Sort, Whose};
use serde::{Deserialize, Serialize};

pub use rule::Candidate;
use rule::{Ruling, Rulings, UNLISTED};

use super::FlowExample;
use crate::{
    ledger::{DropKey, Example, Ledger},
    packet::TCP,
    session::{Ending, Session},
};

/// Groups of ends that are kept apart from drops, at most.
const OTHERS: usize = 100;

/// Packets that were thrown away at one place for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DropReport {
    /// What became of them: `lost`, `refused`, `not_for_us`, `discarded` or `consumed`.
    #[serde(default)]
    pub sort: String,
    /// As the kernel names it (`SKB_DROP_REASON_…` without the prefix).
    pub reason: String,
    /// The same in plain words.
    #[serde(default)]
    pub what: String,
    /// Whose limit or decision it was: `socket`, `qdisc`, `neighbour`, `netfilter`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whose: Option<String>,
    pub netns: String,
    /// The device that it was seen at last; empty where its namespace had not given it one.
    pub dev: String,
    pub count: u64,
    /// They had not reached the interface: they were on their way to the container behind it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub before: bool,
    /// What had happened to it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// The kernel function that freed it, where the reason says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
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
    /// The first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example: Option<DropExample>,
}

/// A packet that was thrown away.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DropExample {
    #[serde(flatten)]
    pub flow: FlowExample,
    /// What conntrack said of it, in the last namespace on its way that tracks connections: `new`,
    /// `unreplied`, `established`, `reply`, `related` or `invalid`; absent where it was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// TCP's flags: `SYN`, `PSH ACK`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<String>,
}

/// What the kernel threw away: drops, and what nobody misses; worst and most first.
pub(super) fn build(
    ledger: &Ledger,
    session: &Session,
    ending: &Ending,
) -> (Vec<DropReport>, Vec<DropReport>) {
    let begun = rule::begun(session, ending);
    let histories = if ending.rule_sets.is_empty() { &begun } else { &ending.rule_sets };
    let rulings = Rulings::new(ledger, session, histories);
    let mut all: Vec<DropReport> = Vec::new();
    for (key, ended) in &ledger.drops {
        for (ruling, one, count) in rulings.on(key, ended) {
            let example = one.map(|e| example(&e));
            let report = report(key, ruling, count, example, ledger, session);
            let same = |d: &&mut DropReport| {
                DropReport { count: d.count, example: d.example.clone(), ..report.clone() } == **d
            };
            match all.iter_mut().find(same) {
                Some(known) => {
                    known.count += count;
                    // Whichever comes first by name: the table has no order.
                    known.example = known.example.clone().min(report.example);
                }
                None => all.push(report),
            }
        }
    }
    all.sort_by(|a, b| {
        let by_name = || (&a.reason, &a.netns, &a.dev).cmp(&(&b.reason, &b.netns, &b.dev));
        b.count.cmp(&a.count).then_with(by_name)
    });
    let (drops, mut others): (Vec<_>, Vec<_>) = all.into_iter().partition(DropReport::is_drop);
    others.truncate(OTHERS);
    (drops, others)
}

/// What the kernel calls a reason.
pub(super) fn reason(number: u32, session: &Session) -> String {
    let name = u16::try_from(number).ok().and_then(|n| session.drop_reasons.get(&n));
    name.cloned().unwrap_or_else(|| format!("reason {number}"))
}

fn example(example: &Example) -> DropExample {
    use crate::ledger::CtState;
    let Example { before, after, state, is_reply, flags } = example;
    let state = state.map(|state| match state {
        CtState::Established if *is_reply => "reply",
        other => other.key(),
    });
    let is_tcp = before.is_some_and(|tuple| tuple.proto == TCP);
    DropExample {
        flow: FlowExample {
            before: before.map(|tuple| tuple.to_string()).unwrap_or_default(),
            after: after.map(|tuple| tuple.to_string()),
        },
        state: state.map(str::to_owned),
        flags: (is_tcp && *flags != 0).then(|| tcp_flags(*flags)),
    }
}

/// `SYN ACK`.
fn tcp_flags(flags: u8) -> String {
    const NAMES: [(u8, &str); 6] = [
        (end::SYN, "SYN"),
        (end::FIN, "FIN"),
        (end::RST, "RST"),
        (0x08, "PSH"),
        (end::ACK, "ACK"),
        (0x20, "URG"),
    ];
    let set = NAMES.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name);
    set.collect::<Vec<_>>().join(" ")
}

fn report(
    key: &DropKey,
    ruling: Ruling,
    count: u64,
    example: Option<DropExample>,
    ledger: &Ledger,
    session: &Session,
) -> DropReport {
    let function = ledger.functions.get(&key.location).filter(|name| !name.is_empty());
    let row = end::named(key.row);
    let whose = row.map(|row| row.whose).filter(|whose| *whose != Whose::Nobody);
    let Ruling { chains, candidates, queue, hook } = ruling;
    // What all candidates have in common.
    let common = |of: fn(&Candidate) -> &String| {
        let first = of(candidates.first()?);
        candidates.iter().all(|c| of(c) == first).then(|| first.clone())
    };
    DropReport {
        sort: key.sort.key().to_owned(),
        reason: if end::LISTENERS.iter().any(|row| row.name == key.row) {
            // What the kernel calls it where it does call it anything.
            "TCP_LISTEN_OVERFLOW".to_owned()
        } else {
            reason(key.reason, session)
        },
        what: row.map(|row| row.what.to_owned()).unwrap_or_default(),
        whose: whose.map(|whose| whose.label().to_owned()),
        function: function.cloned(),
        example,
        dev: ledger.topology.dev_name(key.place),
        netns: ledger.topology.netns_name(key.place.netns),
        count,
        before: key.before,
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
    /// Whether somebody misses these packets.
    pub fn is_drop(&self) -> bool {
        Sort::from_key(&self.sort).is_none_or(Sort::is_drop)
    }

    /// `lost`, `refused`; `dropped` in a report of a netpath that did not tell.
    pub fn sort_words(&self) -> &str {
        Sort::from_key(&self.sort).map_or("dropped", Sort::label)
    }

    /// Where, for people: `host FORWARD in ip lab forward, by handle 4`, `host/up0, entering a qdisc`.
    pub fn place(&self) -> String {
        let mut text = match &self.hook {
            Some(hook) => format!("{} {hook}", self.netns),
            None if self.dev.is_empty() => self.netns.clone(),
            None => format!("{}/{}", self.netns, self.dev),
        };
        if self.bridged {
            text += " inside the bridge";
        }
        let full = |c: &Candidate| {
            if c.rule.starts_with("policy of ") {
                format!("the {}", c.rule)
            } else if c.rule == UNLISTED {
                c.rule.clone()
            } else {
                format!("{} {} `{}`", c.table, c.chain, c.rule)
            }
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
        if self.before {
            text += ", before the interface";
        }
        text
    }

    /// Why, for people: what happened, and what the kernel calls it.
    pub fn why(&self) -> String {
        let name = self.function.as_ref().filter(|_| end::says_nothing(&self.reason));
        let name = name.map_or_else(|| self.reason.clone(), |f| format!("{f}, {}", self.reason));
        if self.what.is_empty() { name } else { format!("{} ({name})", self.what) }
    }

    /// One of them, for people: `SYN tcp 10.0.0.1:4 > 10.0.0.2:80, new`.
    pub fn such_as(&self) -> Option<String> {
        let example = self.example.as_ref().filter(|e| !e.flow.before.is_empty())?;
        let flags = example.flags.as_ref().map_or_else(String::new, |flags| format!("{flags} "));
        let after =
            example.flow.after.as_ref().map_or_else(String::new, |a| format!(" ⇒ NAT ⇒ {a}"));
        let state = example.state.as_ref().map_or_else(String::new, |state| format!(", {state}"));
        Some(format!("{flags}{}{after}{state}", example.flow.before))
    }
}

/// Candidates that a sentence names.
const CANDIDATES_SHOWN: usize = 3;
