//! Facts that explain figures, read from each namespace on the path when tracing begins and when
//! it ends: the connection table, queueing disciplines, rule sets, receive steering. Nothing is
//! changed by reading them, and no module is loaded for it.
//!
//! In: namespaces. Out: [`Facts`], which a recording keeps.

mod conntrack;
mod per_cpu;
mod qdiscs;
mod rules;
mod sockets;
mod softnet;
mod steering;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use conntrack::Conntrack;
pub use qdiscs::{Limit, Qdisc};
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
}

/// Reads the facts of these namespaces; `with_rules` says where rule sets are read.
pub fn read<'a>(
    all: impl IntoIterator<Item = (u32, &'a Netns)>,
    with_rules: impl Fn(u32) -> bool,
) -> Facts {
    let netns = all.into_iter().filter_map(|(cookie, netns)| {
        let rules = with_rules(cookie);
        // A namespace that can't be entered any more has no facts to tell.
        let facts = netns.run(|| NetnsFacts {
            conntrack: conntrack::read(),
            qdiscs: qdiscs::read(),
            rules: rules.then(rules::read),
            rps: steering::read(),
            listening: sockets::read(),
        });
        facts.ok().map(|facts| (cookie, facts))
    });
    Facts { netns: netns.collect(), softnet: softnet::read() }
}

/// Lists the rule sets of the calling thread's namespace once more.
pub(crate) fn list_rules() -> Rules {
    rules::read()
}

/// The events' clock, ns.
pub(crate) fn now_ns() -> u64 {
    rules::now_ns()
}
