//! Facts that explain figures, read from each namespace on the path when tracing begins and when
//! it ends: the connection table, queueing disciplines, rule sets, receive steering, and what the kernel
//! counts itself. Nothing is changed by reading them, and no module is loaded for it.
//!
//! In: namespaces. Out: [`Facts`], which a recording keeps.

mod conntrack;
mod counters;
mod per_cpu;
mod qdiscs;
mod quotas;
mod rules;
mod sockets;
mod softnet;
mod steering;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use conntrack::Conntrack;
pub use counters::Counters;
pub use qdiscs::{Limit, Qdisc};
pub use quotas::CpuQuota;
pub(crate) use quotas::read as read_quotas;
#[cfg(test)]
pub(crate) use rules::of_iptables as rules_of_iptables;
pub(crate) use rules::{Asked, Ender, Found, Indexed, RuleHistory, Stamp, Verdict, Version};
pub use rules::{Chain, Rules};
pub use sockets::Listening;
pub use softnet::Softnet;

use crate::netns::Netns;

/// What was found, by the low half of the namespace's cookie.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    pub netns: BTreeMap<u32, NetnsFacts>,
    /// Of all CPUs together.
    pub softnet: Softnet,
    /// Counters of all namespaces together, as [`Counters::named`].
    #[serde(default)]
    pub machine: BTreeMap<String, u64>,
    /// When reading began, on the events' clock, ns; 0 where that is not known.
    #[serde(default)]
    pub read_ns: u64,
}

/// Facts of one namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NetnsFacts {
    /// Absent where connections are not tracked.
    pub conntrack: Option<Conntrack>,
    pub qdiscs: Vec<Qdisc>,
    /// Only where a rule set is hooked in; read when tracing begins.
    pub rules: Option<Rules>,
    /// By device: the CPUs that RPS may choose, as its mask.
    pub rps: BTreeMap<String, String>,
    /// Who is there to answer.
    #[serde(default)]
    pub listening: Listening,
    #[serde(default)]
    pub counters: Counters,
}

/// Reads the facts of these namespaces but for their rule sets.
pub fn read<'a>(all: impl IntoIterator<Item = (u32, &'a Netns)>) -> Facts {
    let read_ns = now_ns();
    let netns = all.into_iter().filter_map(|(cookie, netns)| {
        // A namespace that can't be entered any more has no facts to tell.
        let facts = netns.run(|| NetnsFacts {
            counters: counters::read(),
            conntrack: conntrack::read(),
            qdiscs: qdiscs::read(),
            rules: None,
            rps: steering::read(),
            listening: sockets::read(),
        });
        facts.ok().map(|facts| (cookie, facts))
    });
    Facts {
        netns: netns.collect(),
        softnet: softnet::read(),
        machine: counters::read_machine(),
        read_ns,
    }
}

impl Facts {
    /// Reads the rule sets of these namespaces too; listing them can take a while.
    pub fn read_rules<'a>(&mut self, all: impl IntoIterator<Item = (u32, &'a Netns)>) {
        for (cookie, netns) in all {
            if let Some(facts) = self.netns.get_mut(&cookie) {
                facts.rules = netns.run(rules::read).ok();
            }
        }
    }
}

/// Lists the rule sets of the calling thread's namespace once more.
pub(crate) fn list_rules() -> Rules {
    rules::read()
}

/// The events' clock, ns.
pub(crate) fn now_ns() -> u64 {
    rules::now_ns()
}
