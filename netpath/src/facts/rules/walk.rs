//! Which rules can have ended a packet: the chains of a hook are walked as the kernel does, with what is
//! known of the packet.
//!
//! In: a [`Version`] of the rule sets, and a packet. Out: the rules and policies at which its way through
//! the hook can have ended, the likeliest being the only one. Conditions hold, don't, or may (three-valued);
//! a rule that has counted nothing was met by no packet. A walk that would take too long ends without an
//! answer.

mod holds;

use std::collections::HashMap;

use super::{Chain, Verdict, Version};
pub(crate) use holds::Asked;
use holds::Truth;

/// Rules that a walk looks at, at most.
const LOOKS_MAX: usize = 200_000;
/// Chains within each other; the kernel allows 16.
const DEPTH_MAX: usize = 17;

/// Where a packet can have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ender {
    /// A rule, by its place in the listing.
    Rule(usize),
    /// A base chain's policy.
    Policy(usize),
}

/// What a walk looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// What drops or rejects it.
    Dropped,
    /// What hands it to a program.
    Queued,
    /// What changes where it goes to.
    Redirected,
}

/// A walk through the rule sets of a version.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    version: &'a Version,
    asked: &'a Asked<'a>,
    wanted: Found,
    /// Rules by chain.
    own: &'a [Vec<usize>],
    names: &'a HashMap<(bool, &'a str, &'a str, &'a str), usize>,
    looks: usize,
    found: Vec<Ender>,
}

/// How the way through a chain ends: certainly, or the packet goes on, or may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Ended,
    GoesOn,
}

/// A version with what walks look things up in.
#[derive(Debug)]
pub(crate) struct Indexed<'a> {
    version: &'a Version,
    own: Vec<Vec<usize>>,
    names: HashMap<(bool, &'a str, &'a str, &'a str), usize>,
}

impl<'a> Indexed<'a> {
    pub(crate) fn new(version: &'a Version) -> Self {
        let mut own = vec![Vec::new(); version.rules.chains.len()];
        for (index, rule) in version.rules.listed.iter().enumerate() {
            if let Some(own) = own.get_mut(rule.chain) {
                own.push(index);
            }
        }
        let chains = version.rules.chains.iter().enumerate();
        let names = chains.map(|(index, chain)| (key(chain, &chain.name), index)).collect();
        Self { version, own, names }
    }

    /// Where a packet can have ended in these base chains; `None` where that takes too long to say.
    pub(crate) fn enders(
        &'a self,
        chains: &[usize],
        asked: &Asked<'_>,
        wanted: Found,
    ) -> Option<Vec<Ender>> {
        let mut walk = Walk {
            version: self.version,
            asked,
            wanted,
            own: &self.own,
            names: &self.names,
            looks: 0,
            found: Vec::new(),
        };
        for &chain in chains {
            let way = walk.chain(chain, 0)?;
            if way == Way::GoesOn
                && wanted == Found::Dropped
                && self.version.rules.chains[chain].policy_drops
                && !(asked.is_counted(self.version) && self.version.policy_grown(chain) == Some(0))
            {
                walk.find(Ender::Policy(chain));
            }
        }
        Some(walk.found)
    }
}

fn key<'a>(chain: &'a Chain, name: &'a str) -> (bool, &'a str, &'a str, &'a str) {
    (chain.legacy, &chain.family, &chain.table, name)
}

impl Walk<'_> {
    fn find(&mut self, ender: Ender) {
        if !self.found.contains(&ender) {
            self.found.push(ender);
        }
    }

    /// Walks a chain; `None` where it takes too long.
    fn chain(&mut self, chain: usize, depth: usize) -> Option<Way> {
        if depth > DEPTH_MAX {
            return None;
        }
        for index in 0..self.own[chain].len() {
            self.looks += 1;
            if self.looks > LOOKS_MAX {
                return None;
            }
            let index = self.own[chain][index];
            let rule = &self.version.rules.listed[index];
            // What has counted no packet was passed by none.
            let unmet = self.asked.is_counted(self.version) && self.version.grown(index) == Some(0);
            if unmet && rule.conditions.is_empty() {
                // Whoever came here was counted: nobody did.
                return Some(Way::Ended);
            }
            let all = if unmet { Truth::No } else { self.asked.holds_all(&rule.conditions) };
            if all == Truth::No {
                continue;
            }
            for branch in &rule.branches {
                let holds =
                    branch.of.as_ref().map_or(Truth::Yes, |of| self.asked.holds(of)).and(all);
                if holds == Truth::No {
                    continue;
                }
                let way = match &branch.verdict {
                    Verdict::Drop | Verdict::Reject => {
                        self.found_by(index, Found::Dropped);
                        Some(Way::Ended)
                    }
                    Verdict::Queue(_) => {
                        self.found_by(index, Found::Queued);
                        // What comes back goes on where the rules say next: not to this hook's.
                        Some(Way::Ended)
                    }
                    Verdict::Nat(kind) => {
                        if matches!(kind.as_str(), "dnat" | "redirect") {
                            self.found_by(index, Found::Redirected);
                        }
                        Some(Way::Ended)
                    }
                    Verdict::Accept => Some(Way::Ended),
                    Verdict::Return => Some(Way::GoesOn),
                    Verdict::Jump(name) | Verdict::Goto(name) => {
                        let here = &self.version.rules.chains[chain];
                        let Some(&to) = self.names.get(&key(here, name)) else { continue };
                        let way = self.chain(to, depth + 1)?;
                        match (&branch.verdict, way) {
                            // Back here.
                            (Verdict::Jump(_), Way::GoesOn) => None,
                            (_, way) => Some(way),
                        }
                    }
                    Verdict::Copy | Verdict::Offload | Verdict::Other(_) => None,
                };
                if holds == Truth::Yes {
                    if let Some(way) = way {
                        return Some(way);
                    }
                    break;
                }
            }
        }
        Some(Way::GoesOn)
    }

    fn found_by(&mut self, index: usize, what: Found) {
        if self.wanted == what {
            self.find(Ender::Rule(index));
        }
    }
}

#[cfg(test)]
mod tests;
