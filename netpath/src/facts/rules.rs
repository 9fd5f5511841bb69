//! The rule sets of the calling thread's namespace, as `nft` and `iptables-save` list them.
//!
//! Both are the kernel's own tools for it, and both only read. Where neither is installed, what is
//! hooked in is still known by its hooks; how many rules it has is not.
//!
//! - [`rule`]: a rule as netpath understands it;
//! - [`nft`], [`saved`]: the two languages;
//! - [`reach`]: what each chain leads to;
//! - [`stamp`]: whether anything has changed, without listing it;
//! - [`history`]: what was listed while tracing, and what was counted meanwhile;
//! - [`walk`]: which rules can have had a packet.

mod history;
mod nft;
mod reach;
mod rule;
mod saved;
mod stamp;
#[cfg(test)]
mod tests;
mod walk;

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use serde::{Deserialize, Serialize};

pub(crate) use history::{RuleHistory, Version};
pub(crate) use rule::{Rule, Verdict};
pub(crate) use stamp::{Stamp, now_ns};
pub(crate) use walk::{Asked, Ender, Found, Indexed};

/// What was listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Rules {
    pub chains: Vec<Chain>,
    /// Sets and maps, with how many elements each has.
    pub sets: BTreeMap<String, usize>,
    /// What could not be listed, and why.
    pub unknown: Vec<String>,
    /// The rules one by one, in the order in which each chain has them; in recordings only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, schemars(skip))]
    pub(crate) listed: Vec<Rule>,
    /// When listing them began, and when it had ended, `CLOCK_MONOTONIC`, ns.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[cfg_attr(test, schemars(skip))]
    pub(crate) listed_ns: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    #[cfg_attr(test, schemars(skip))]
    pub(crate) listed_until_ns: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Chain {
    /// `ip`, `ip6`, `inet`, `bridge`, `netdev`.
    pub family: String,
    pub table: String,
    pub name: String,
    /// The hook that runs it, in capitals; empty where only other chains do.
    pub hook: String,
    pub priority: i32,
    /// It is iptables-legacy's; else nft's, or iptables-nft's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub legacy: bool,
    /// Rules in it.
    pub rules: usize,
    /// Rules in it and in the chains that it leads to, each chain counted once.
    pub reach: usize,
    /// It drops what no rule decides.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub policy_drops: bool,
    /// Packets that no rule has decided; nft's own base chains don't count them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_packets: Option<u64>,
    /// Of `reach`, how many drop or reject.
    #[serde(default)]
    pub drops: usize,
    /// The one that does, where there is exactly one and the policy doesn't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_drop: Option<String>,
    /// Of `reach`, the kinds of NAT that rules ask for: `masquerade`, `snat`, `dnat`, `redirect`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub nat: BTreeSet<String>,
    /// Of `reach`, some hand packets to a program (`queue`, NFQUEUE), where they wait.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub queues: bool,
    /// Some send copies elsewhere (`dup`, TEE).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub copies: bool,
    /// Some let a flow's later packets pass by the rules (`flow add`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub offloads: bool,
    #[serde(skip)]
    pub(crate) leads_to: BTreeSet<String>,
    #[serde(skip)]
    pub(crate) own: Own,
}

/// What a chain's own rules do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Own {
    nat: BTreeSet<String>,
    /// How many drop, and the first of them.
    drops: (usize, Option<String>),
    queues: bool,
    copies: bool,
    offloads: bool,
}

impl Chain {
    /// Family, table and name.
    pub fn full_name(&self) -> String {
        format!("{} {} {}", self.family, self.table, self.name)
    }

    /// Family and table.
    pub fn table_name(&self) -> String {
        format!("{} {}", self.family, self.table)
    }

    /// Whether it is known to drop anything.
    pub fn can_drop(&self) -> bool {
        self.policy_drops || self.drops > 0
    }

    /// Whether packets of IPv4, or of IPv6, pass it at the IP layer.
    pub fn is_of(&self, v6: bool) -> bool {
        self.family == "inet" || self.family == if v6 { "ip6" } else { "ip" }
    }

    /// Takes a rule of its own into account.
    fn take(&mut self, rule: &Rule) {
        self.rules += 1;
        self.leads_to.extend(nft::leads_to(rule));
        for verdict in rule.verdicts() {
            match verdict {
                Verdict::Nat(kind) => drop(self.own.nat.insert(kind.clone())),
                Verdict::Queue(_) => self.own.queues = true,
                Verdict::Copy => self.own.copies = true,
                Verdict::Offload => self.own.offloads = true,
                _ => {}
            }
        }
        if rule.drops() {
            self.own.drops.0 += 1;
            self.own.drops.1.get_or_insert_with(|| match rule.handle {
                Some(handle) => {
                    format!("{} {} {} handle {handle}", self.family, self.table, self.name)
                }
                None => format!("{} {} {}", self.family, self.table, rule.text),
            });
        }
    }
}

impl Rules {
    /// Without the rules one by one.
    pub(crate) fn summary(&self) -> Self {
        let Self { chains, sets, unknown, .. } = self;
        let (chains, sets, unknown) = (chains.clone(), sets.clone(), unknown.clone());
        Self { chains, sets, unknown, ..Self::default() }
    }

    /// Whether packets can wait for a program here: a chain of this hook and priority, which packets of
    /// IPv4 or IPv6 pass, queues some. Without a priority, any chain of the hook.
    pub fn queues_at(&self, v6: bool, hook: &str, priority: Option<i32>) -> bool {
        self.chains.iter().any(|chain| {
            chain.queues
                && chain.is_of(v6)
                && chain.hook == hook
                && priority.is_none_or(|priority| priority == chain.priority)
        })
    }
}

/// Lists them.
pub(super) fn read() -> Rules {
    let mut rules = Rules { listed_ns: stamp::now_ns(), ..Rules::default() };
    match output("nft", &["-j", "list", "ruleset"]) {
        Ok(text) => match serde_json::from_str(&text) {
            Ok(listing) => {
                let listing: serde_json::Value = listing;
                let has_rules = listing["nftables"]
                    .as_array()
                    .is_some_and(|all| all.iter().any(|item| item.get("rule").is_some()));
                // Its texts only, so it is no loss where an old nft can't.
                let texts = if has_rules {
                    output("nft", &["-a", "-t", "list", "ruleset"])
                } else {
                    Err(String::new())
                };
                let texts = texts.map(|text| nft::texts(&text)).unwrap_or_default();
                nft::add(&mut rules, &listing, &texts);
            }
            Err(error) => rules.unknown.push(format!("nft -j list ruleset: {error}")),
        },
        Err(why) => rules.unknown.push(why),
    }
    let has_nft = rules.unknown.is_empty();
    for (family, tool) in [("ip", "iptables-nft-save"), ("ip6", "ip6tables-nft-save")] {
        if (!has_nft || rules.chains.iter().any(|chain| chain.family == family))
            && let Ok(text) = output(tool, &["-c"])
        {
            if has_nft {
                saved::reword(&mut rules, family, &text);
            } else {
                saved::add(&mut rules, family, &text, false);
            }
        }
    }
    for (family, tool) in [("ip", "iptables-legacy-save"), ("ip6", "ip6tables-legacy-save")] {
        // Only where such tables exist: the tool would make them.
        if !stamp::legacy_tables(family).is_empty() {
            match output(tool, &["-c"]) {
                Ok(text) => saved::add(&mut rules, family, &text, true),
                Err(why) => rules.unknown.push(why),
            }
        }
    }
    reach::fill(&mut rules.chains);
    rules.listed_until_ns = stamp::now_ns();
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

/// Tables of iptables-legacy as they would be listed at this time.
#[cfg(test)]
pub(crate) fn of_iptables(text: &str, at_ns: u64) -> Rules {
    let mut rules = Rules { listed_ns: at_ns, listed_until_ns: at_ns, ..Rules::default() };
    saved::add(&mut rules, "ip", text, true);
    reach::fill(&mut rules.chains);
    rules
}
