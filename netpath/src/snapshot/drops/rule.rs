//! Which rule, policy or queue ended packets that netfilter dropped.
//!
//! In: where they were dropped, what is known of them, and the rule sets of that time with what was
//! counted. Out: a [`Ruling`]: the only rule that can have done it, or all that can. No rule is named that
//! the packets can't have met, or whose counter says that it met none.

use std::{collections::BTreeMap, sync::OnceLock};

use netpath_common::{hop::RuleSet, point::CT_UNREPLIED};
use serde::{Deserialize, Serialize};

use crate::{
    facts::{Asked, Chain, Ender, Found, Indexed, RuleHistory, Verdict, Version},
    ledger::{BY_RULE, DropKey, Ended, Example, Filtered, Ledger, Span, Within},
    session::{Ending, Session},
    topo::Place,
};

/// A rule or policy that can have dropped packets.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Candidate {
    /// Family and table.
    pub table: String,
    pub chain: String,
    /// The rule as its tool prints it, or the policy.
    pub rule: String,
    /// Packets that it has counted while tracing; absent where it doesn't count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packets: Option<u64>,
}

/// Stands for rules that nobody knows.
pub(super) const UNLISTED: &str = "a rule that was gone before it could be listed";

/// What ended packets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ruling {
    /// The base chains that ran there; those that can drop, where some can.
    pub(super) chains: Vec<String>,
    /// All that can have done it; the one that has, where it is one.
    pub(super) candidates: Vec<Candidate>,
    /// They were waiting for a program: in which queue.
    pub(super) queue: Option<String>,
    /// The hook, where only the rules tell.
    pub(super) hook: Option<String>,
}

/// Rule sets by namespace, indexed when first asked for.
pub(super) struct Rulings<'a> {
    ledger: &'a Ledger,
    names: &'a BTreeMap<u16, String>,
    sets: BTreeMap<u32, Vec<(&'a Version, OnceLock<Indexed<'a>>)>>,
    histories: &'a BTreeMap<u32, RuleHistory>,
}

/// Rule sets as they were when tracing began, for recordings that have no later ones.
pub(super) fn begun(session: &Session, ending: &Ending) -> BTreeMap<u32, RuleHistory> {
    if !ending.rule_sets.is_empty() {
        return BTreeMap::new();
    }
    let all = session.facts.netns.iter();
    all.filter_map(|(netns, f)| Some((*netns, RuleHistory::new(f.rules.as_ref()?)))).collect()
}

impl<'a> Rulings<'a> {
    pub(super) fn new(
        ledger: &'a Ledger,
        session: &'a Session,
        histories: &'a BTreeMap<u32, RuleHistory>,
    ) -> Self {
        let sets = histories.iter().map(|(netns, history)| {
            (*netns, history.versions.iter().map(|version| (version, OnceLock::new())).collect())
        });
        Self { ledger, names: &session.drop_reasons, sets: sets.collect(), histories }
    }

    /// The rulings on the packets of a key, with one of them, and how many each is about.
    pub(super) fn on(&self, key: &DropKey, ended: &Ended) -> Vec<(Ruling, Option<Example>, u64)> {
        let mut rulings: Vec<(Ruling, Option<Example>, u64)> = Vec::new();
        let mut left = ended.count;
        let mut add = |ruling: Ruling, example: Option<Example>, count: u64| match rulings
            .iter_mut()
            .find(|(known, ..)| *known == ruling)
        {
            Some((.., known)) => *known += count,
            None => rulings.push((ruling, example, count)),
        };
        if self.sets.contains_key(&key.place.netns) {
            for (packet, example, spans) in self.ledger.filtered.sorts(key) {
                let mut alike: Vec<(Vec<(u64, bool)>, Span)> = Vec::new();
                for span in spans {
                    left = left.saturating_sub(span.count);
                    // What the same versions ruled, with counters read before or after, is looked up once.
                    let of = self.histories[&key.place.netns].between(span.first_ns, span.last_ns);
                    let of: Vec<_> = of.map(|v| (v.from_ns, v.has_counted(span.last_ns))).collect();
                    match alike.iter_mut().find(|(known, _)| *known == of) {
                        Some((_, known)) => known.count += span.count,
                        None => alike.push((of, *span)),
                    }
                }
                for (_, span) in alike {
                    add(self.of(key, Some((packet, &span))), Some(example), span.count);
                }
            }
        }
        if left > 0 {
            add(self.of(key, None), ended.example, left);
        }
        rulings
    }

    fn of(&self, key: &DropKey, packet: Option<(&Filtered, &Span)>) -> Ruling {
        let reason =
            u16::try_from(key.reason).ok().and_then(|n| self.names.get(&n)).map(String::as_str);
        let Some(sets) = self.sets.get(&key.place.netns) else { return Ruling::default() };
        let v6 = match (&key.within, packet) {
            (Some(within), _) => within.family != 0,
            // While hooks are being read, what ran is not known: all that can drop is looked at.
            (None, Some((packet, _))) if reason == Some(BY_RULE) => packet.tuple.src.is_ipv6(),
            (None, _) => return Ruling::default(),
        };
        let history = &self.histories[&key.place.netns];
        let (first_ns, last_ns) =
            packet.map_or((0, u64::MAX), |(_, span)| (span.first_ns, span.last_ns));
        let mut ruling = Ruling::default();
        let name = |place: Option<Place>| place.map(|place| self.ledger.topology.dev_name(place));
        let (input, output) = packet.map_or((None, None), |(p, _)| (name(p.input), name(p.output)));
        let mut asked = Asked {
            tuple: packet.map(|(packet, _)| packet.tuple),
            translated: packet.and_then(|(packet, _)| packet.translated),
            is_redirected: false,
            v6,
            flags: packet.map(|(packet, _)| packet.flags),
            input: input.as_deref(),
            output: output.as_deref(),
            states: states(packet.and_then(|(packet, _)| packet.ctinfo)),
            last_ns,
        };
        let mut open = Vec::new();
        for version in history.between(first_ns, last_ns) {
            let Some((_, index)) = sets.iter().find(|(known, _)| std::ptr::eq(*known, version))
            else {
                continue;
            };
            let index = index.get_or_init(|| Indexed::new(version));
            let ran = ran(key.within.as_ref(), v6, version, self.ledger);
            // Older recordings have chains without their rules.
            let unlisted = version.rules.listed.is_empty()
                && ran.iter().any(|chain| version.rules.chains[*chain].reach > 0);
            if ran.is_empty() || unlisted {
                continue;
            }
            let redirecting = redirecting(version, v6);
            // NAT's rules count connections, not packets: what they have counted says nothing.
            let uncounted = Asked { last_ns: u64::MAX, ..asked.clone() };
            asked.is_redirected = index
                .enders(&redirecting, &uncounted, Found::Redirected)
                .is_none_or(|found| !found.is_empty());
            for chain in self.shown(&ran, version) {
                if !ruling.chains.contains(&chain) {
                    ruling.chains.push(chain);
                }
            }
            open.push((version, index, ran));
        }
        // Kernels that have the reason give it to whatever a rule or a policy drops.
        let by_rule = reason == Some(BY_RULE) || !self.names.values().any(|name| name == BY_RULE);
        let queued = reason != Some(BY_RULE);
        if by_rule {
            ruling.candidates = candidates(&open, &asked, Found::Dropped);
        }
        if queued && ruling.candidates.is_empty() {
            // The rule only handed it over.
            ruling.queue = queue(&open, &asked);
            if ruling.queue.is_some() || !by_rule {
                ruling.chains.clear();
            }
        }
        if ruling.candidates.is_empty() && ruling.queue.is_none() && by_rule {
            // No rule explains it with what is known of the packet: it may have changed on its way.
            let anyone = Asked {
                tuple: None,
                translated: None,
                flags: None,
                input: None,
                output: None,
                states: &[],
                ..asked
            };
            ruling.candidates = candidates(&open, &anyone, Found::Dropped);
        }
        if history.may_lack(first_ns, last_ns)
            && let [only] = &ruling.candidates[..]
            && only.packets.is_none_or(|counted| counted == 0)
        {
            let rule = UNLISTED.to_owned();
            ruling.candidates.push(Candidate { rule, ..Candidate::default() });
        }
        if key.within.is_none() {
            ruling.hook = only_hook(&open, &asked);
            ruling.chains.clear();
        }
        if let [only] = &ruling.candidates[..] {
            ruling.chains.retain(|chain| chain.starts_with(&format!("{} ", only.table)));
        }
        ruling
    }

    /// Names of the base chains that can drop; of all, where none is known to.
    #[expect(clippy::unused_self, reason = "it belongs to the others")]
    fn shown(&self, ran: &[usize], version: &Version) -> Vec<String> {
        let chains = || ran.iter().map(|chain| &version.rules.chains[*chain]);
        let can: Vec<String> = chains().filter(|c| c.can_drop()).map(Chain::full_name).collect();
        if can.is_empty() { chains().map(Chain::full_name).collect() } else { can }
    }
}

type Open<'a> = (&'a Version, &'a Indexed<'a>, Vec<usize>);

/// What can have ended the packet, in any of these versions.
fn candidates(open: &[Open], asked: &Asked, wanted: Found) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> = Vec::new();
    for (version, index, ran) in open {
        for ender in index.enders(ran, asked, wanted).unwrap_or_default() {
            let new = candidate(version, ender);
            let same = |known: &&mut Candidate| {
                (&known.table, &known.chain, &known.rule) == (&new.table, &new.chain, &new.rule)
            };
            match candidates.iter_mut().find(same) {
                Some(known) => known.packets = known.packets.max(new.packets),
                None => candidates.push(new),
            }
        }
    }
    candidates
}

fn candidate(version: &Version, ender: Ender) -> Candidate {
    match ender {
        Ender::Rule(index) => {
            let rule = &version.rules.listed[index];
            let chain = &version.rules.chains[rule.chain];
            let text = match rule.handle {
                // iptables' rules have no numbers that its user knows.
                Some(handle) if !rule.text.starts_with("-A ") => {
                    format!("{} # handle {handle}", rule.text)
                }
                _ => rule.text.clone(),
            };
            Candidate {
                table: chain.table_name(),
                chain: chain.name.clone(),
                rule: text.trim_start().to_owned(),
                packets: version.grown(index),
            }
        }
        Ender::Policy(index) => {
            let chain = &version.rules.chains[index];
            Candidate {
                table: chain.table_name(),
                chain: chain.name.clone(),
                rule: format!("policy of {}", chain.full_name()),
                packets: version.policy_grown(index),
            }
        }
    }
}

/// The queue in which the packet waited, where some rule queues it.
fn queue(open: &[Open], asked: &Asked) -> Option<String> {
    let mut names: Vec<&str> = Vec::new();
    for (version, index, ran) in open {
        for ender in index.enders(ran, asked, Found::Queued).unwrap_or_default() {
            let Ender::Rule(rule) = ender else { continue };
            for verdict in version.rules.listed[rule].verdicts() {
                if let Verdict::Queue(name) = verdict
                    && !names.contains(&name.as_str())
                {
                    names.push(name);
                }
            }
        }
    }
    (!names.is_empty()).then(|| names.join(" or "))
}

/// The base chains that ran where the packet was dropped.
fn ran(within: Option<&Within>, v6: bool, version: &Version, ledger: &Ledger) -> Vec<usize> {
    let chains = version.rules.chains.iter().enumerate();
    let Some(within) = within else {
        let can = |chain: &Chain| !chain.hook.is_empty() && chain.is_of(v6) && chain.can_drop();
        return chains.filter(|(_, chain)| can(chain)).map(|(index, _)| index).collect();
    };
    let Some(hook) = within.hook else { return Vec::new() };
    let named = within.rules.and_then(|(kind, at)| Some((kind, ledger.names.name(at)?)));
    let ran = |chain: &Chain| {
        let there = match named {
            Some((RuleSet::XtTable, table)) => chain.legacy && chain.table == table,
            Some((RuleSet::EbtTable, _)) => false,
            Some((RuleSet::NftChain, name)) => {
                !chain.legacy && name == format!("{} {}", chain.table, chain.name)
            }
            None => within.priority.is_none_or(|priority| priority == chain.priority),
        };
        there && chain.hook == hook.name() && chain.is_of(v6)
    };
    chains.filter(|(_, chain)| ran(chain)).map(|(index, _)| index).collect()
}

/// The hook in which the packet ended, where the base chains of only one can have ended it.
fn only_hook(open: &[Open], asked: &Asked) -> Option<String> {
    let mut hooks: Vec<&str> = Vec::new();
    for (version, index, ran) in open {
        for chain in ran {
            let found = index.enders(std::slice::from_ref(chain), asked, Found::Dropped);
            let hook = version.rules.chains[*chain].hook.as_str();
            if !found.is_some_and(|found| found.is_empty()) && !hooks.contains(&hook) {
                hooks.push(hook);
            }
        }
    }
    match hooks[..] {
        [only] => Some(only.to_owned()),
        _ => None,
    }
}

/// The base chains that can have changed where a packet goes before it came to its hook.
fn redirecting(version: &Version, v6: bool) -> Vec<usize> {
    let redirects = |chain: &Chain| {
        matches!(chain.hook.as_str(), "PREROUTING" | "OUTPUT")
            && chain.is_of(v6)
            && chain.nat.iter().any(|kind| matches!(kind.as_str(), "dnat" | "redirect"))
    };
    let chains = version.rules.chains.iter().enumerate();
    chains.filter(|(_, chain)| redirects(chain)).map(|(index, _)| index).collect()
}

/// The states that conntrack's word for a packet can mean to rules; none where nobody has told.
#[expect(clippy::option_option, reason = "nobody has told, or conntrack has told nothing")]
#[expect(clippy::match_same_arms, reason = "for different reasons")]
fn states(ctinfo: Option<Option<u8>>) -> &'static [&'static str] {
    match ctinfo {
        None => &[],
        // Not looked at by conntrack, or not understood by it.
        Some(None) => &["invalid", "untracked"],
        Some(Some(0 | 3)) => &["established"],
        Some(Some(1 | 4)) => &["related"],
        Some(Some(2 | CT_UNREPLIED)) => &["new"],
        Some(Some(_)) => &[],
    }
}

#[cfg(test)]
mod tests;
