//! The rule sets of a namespace as they were listed while tracing, and what was counted meanwhile.
//!
//! In: listings, in the order of time. Out: versions, each with the times between which it is known to have
//! been in force, and by how much each of its rules' counters grew.

use serde::{Deserialize, Serialize};

use super::{Rule, Rules};

/// Versions that are kept; and rules in all of them, but for the last.
const VERSIONS_MAX: usize = 64;
const RULES_MAX: usize = 100_000;

/// All versions, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RuleHistory {
    pub(crate) versions: Vec<Version>,
}

/// Rule sets that stayed the same but for their counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Version {
    /// With the latest counts.
    pub(crate) rules: Rules,
    /// Known to be in force from here on.
    pub(crate) from_ns: u64,
    /// When its counts were last read.
    pub(crate) counted_ns: u64,
    /// Known to be in force up to here.
    pub(crate) until_ns: u64,
    /// Between the version before and this one there was another, which was gone before it could be listed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    after_unlisted: bool,
    /// The counts from which the rules' and the policies' have grown, and when they had been read.
    base: Counts,
    pub(crate) base_ns: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Counts {
    rules: Vec<Option<u64>>,
    policies: Vec<Option<u64>>,
}

impl Counts {
    fn of(rules: &Rules) -> Self {
        Self {
            rules: rules.listed.iter().map(|rule| rule.packets).collect(),
            policies: rules.chains.iter().map(|chain| chain.policy_packets).collect(),
        }
    }
}

impl Version {
    /// Whether a packet of this time is among what the counters grew by.
    pub(crate) fn has_counted(&self, at_ns: u64) -> bool {
        (self.base_ns..=self.counted_ns).contains(&at_ns)
    }

    /// Packets that a rule has counted while tracing, up to `counted_ns`.
    pub(crate) fn grown(&self, rule: usize) -> Option<u64> {
        let base = self.base.rules.get(rule).copied().flatten().unwrap_or(0);
        self.rules.listed[rule].packets.map(|now| now.saturating_sub(base))
    }

    /// Packets that a chain's policy has decided while tracing.
    pub(crate) fn policy_grown(&self, chain: usize) -> Option<u64> {
        let base = self.base.policies.get(chain).copied().flatten().unwrap_or(0);
        self.rules.chains[chain].policy_packets.map(|now| now.saturating_sub(base))
    }
}

impl RuleHistory {
    /// With what was listed when tracing began.
    pub(crate) fn new(rules: &Rules) -> Self {
        let version = Version {
            from_ns: 0,
            after_unlisted: false,
            counted_ns: rules.listed_ns,
            until_ns: rules.listed_ns,
            base: Counts::of(rules),
            base_ns: rules.listed_until_ns,
            rules: rules.clone(),
        };
        Self { versions: vec![version] }
    }

    /// Takes a listing; whether it differs from the last one by more than counts.
    #[cfg(test)]
    pub(crate) fn take(&mut self, rules: Rules) -> bool {
        let from_ns = rules.listed_ns;
        self.take_seen(rules, from_ns, false)
    }

    /// Takes a listing of rules that were first seen at `from_ns`, and whether others had been seen before
    /// them that were not listed; whether it differs from the last one by more than counts.
    pub(crate) fn take_seen(&mut self, rules: Rules, from_ns: u64, after_unlisted: bool) -> bool {
        let at_ns = rules.listed_ns;
        let Some(last) = self.versions.last_mut() else {
            // Nothing was there when tracing began: all that it has counted was while tracing.
            self.versions.push(Version {
                from_ns,
                after_unlisted,
                counted_ns: at_ns,
                until_ns: at_ns,
                base: Counts::default(),
                base_ns: 0,
                rules,
            });
            return true;
        };
        if alike(&last.rules, &rules) {
            // Counters that were set back count from 0.
            for (base, rule) in last.base.rules.iter_mut().zip(&rules.listed) {
                *base = lowered(*base, rule.packets);
            }
            for (base, chain) in last.base.policies.iter_mut().zip(&rules.chains) {
                *base = lowered(*base, chain.policy_packets);
            }
            last.rules = rules;
            (last.counted_ns, last.until_ns) = (at_ns, last.until_ns.max(at_ns));
            return false;
        }
        let base = since(&last.rules, &rules);
        let base_ns = last.rules.listed_until_ns;
        self.versions.push(Version {
            base_ns,
            from_ns,
            after_unlisted,
            counted_ns: at_ns,
            until_ns: at_ns,
            base,
            rules,
        });
        self.bound();
        true
    }

    /// Says that nothing has changed up to this time.
    pub(crate) fn unchanged(&mut self, until_ns: u64) {
        if let Some(last) = self.versions.last_mut() {
            last.until_ns = last.until_ns.max(until_ns);
        }
    }

    /// When counts were last read; 0 where they never were.
    pub(crate) fn counted_ns(&self) -> u64 {
        self.versions.last().map_or(0, |version| version.counted_ns)
    }

    /// Begins anew with the latest version.
    pub(crate) fn restart(&mut self) {
        if let Some(last) = self.versions.last() {
            *self = Self::new(&last.rules);
        }
    }

    /// Whether rules that were not listed can have been in force at some time between these two.
    pub(crate) fn may_lack(&self, first_ns: u64, last_ns: u64) -> bool {
        self.versions.iter().enumerate().any(|(i, version)| {
            let since = i.checked_sub(1).map_or(0, |before| self.versions[before].until_ns);
            version.after_unlisted && first_ns < version.from_ns && last_ns > since
        })
    }

    /// The versions that can have been in force at some time between these two.
    pub(crate) fn between(&self, first_ns: u64, last_ns: u64) -> impl Iterator<Item = &Version> {
        self.versions.iter().enumerate().filter_map(move |(i, version)| {
            let since = i.checked_sub(1).map_or(0, |before| self.versions[before].until_ns);
            let until = self.versions.get(i + 1).map_or(u64::MAX, |next| next.from_ns);
            (first_ns < until && last_ns >= since).then_some(version)
        })
    }

    /// The latest that has a rule, or the latest.
    pub(crate) fn shown(&self) -> Option<&Rules> {
        let all = || self.versions.iter().rev().map(|version| &version.rules);
        let some = |rules: &&Rules| rules.chains.iter().any(|chain| chain.rules > 0);
        all().find(some).or_else(|| all().next())
    }

    fn bound(&mut self) {
        let rules = |versions: &[Version]| -> usize {
            versions.iter().rev().skip(1).map(|version| version.rules.listed.len()).sum()
        };
        while self.versions.len() > VERSIONS_MAX || rules(&self.versions) > RULES_MAX {
            self.versions.remove(0);
        }
    }
}

fn lowered(base: Option<u64>, now: Option<u64>) -> Option<u64> {
    match (base, now) {
        (Some(base), Some(now)) if now < base => Some(0),
        _ => base,
    }
}

/// Whether two listings are the same but for counts.
fn alike(a: &Rules, b: &Rules) -> bool {
    let rule = |(a, b): (&Rule, &Rule)| {
        (a.chain, a.handle, &a.text) == (b.chain, b.handle, &b.text) && a.branches == b.branches
    };
    let chain = |(a, b): (&super::Chain, &super::Chain)| {
        (&a.family, &a.table, &a.name, a.legacy, &a.hook, a.priority, a.policy_drops)
            == (&b.family, &b.table, &b.name, b.legacy, &b.hook, b.priority, b.policy_drops)
    };
    a.listed.len() == b.listed.len()
        && a.chains.len() == b.chains.len()
        && a.chains.iter().zip(&b.chains).all(chain)
        && a.listed.iter().zip(&b.listed).all(rule)
}

/// What the rules of a new listing had counted in the one before: nothing, where they are new.
fn since(before: &Rules, now: &Rules) -> Counts {
    use std::collections::HashMap;
    /// Chain, handle, text, and how many of that text stood before it.
    type Key<'a> = (bool, &'a str, &'a str, &'a str, Option<u64>, &'a str, usize);
    fn keys(rules: &Rules) -> impl Iterator<Item = (Key<'_>, Option<u64>)> {
        let mut times: HashMap<(usize, &str), usize> = HashMap::new();
        rules.listed.iter().map(move |rule| {
            let chain = &rules.chains[rule.chain];
            let nth = times.entry((rule.chain, &rule.text)).or_default();
            let nth = std::mem::replace(nth, *nth + 1);
            let nth = if rule.handle.is_some() { 0 } else { nth };
            let (family, table, name) = (&*chain.family, &*chain.table, &*chain.name);
            let key = (chain.legacy, family, table, name, rule.handle, &*rule.text, nth);
            (key, rule.packets)
        })
    }
    let known: HashMap<Key, Option<u64>> = keys(before).collect();
    let rules = keys(now).map(|(key, packets)| {
        let base = known.get(&key).copied().flatten();
        // As many as before or more: the same rule, going on.
        base.filter(|base| packets.is_some_and(|now| now >= *base))
    });
    let policies = now.chains.iter().map(|chain| {
        let same = |c: &&super::Chain| {
            (&c.family, &c.table, &c.name, c.legacy)
                == (&chain.family, &chain.table, &chain.name, chain.legacy)
        };
        let base = before.chains.iter().find(same).and_then(|c| c.policy_packets);
        base.filter(|base| chain.policy_packets.is_some_and(|now| now >= *base))
    });
    Counts { rules: rules.collect(), policies: policies.collect() }
}

#[cfg(test)]
mod tests;
