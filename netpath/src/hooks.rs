//! The plan of netfilter links: which stage lies between which two links of a hook.
//!
//! In: the hooks that are registered in a namespace. Out: a [`HookPlan`], which says at what
//! priorities links go and what the ledger calls the time between them. Pure.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use netpath_common::{
    hop::{HopId, Owner, of_owner},
    point::{Family, HOOK_SLOTS, Hook},
};
use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};

/// All hook points: asked for every two links that a packet passes.
type HookPoints = IndexMap<HookKey, HookPoint, FxBuildHasher>;

/// A hook point of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HookKey {
    /// Low half of the namespace's cookie.
    pub netns: u32,
    /// [`Family`] as a number.
    pub family: u8,
    /// [`Hook`] as a number.
    pub hook: u8,
}

/// A hook function as it is registered (`struct nf_hook_ops`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// Its symbol; empty where the kernel hides symbols.
    pub function: String,
    pub priority: i32,
}

/// What runs between two neighbouring links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    #[serde(with = "hop_key")]
    pub hop: HopId,
    /// What to call it: the table or priority, such as `filter`.
    pub label: String,
    pub functions: Vec<Registered>,
}

/// The links of one hook point, and the stages between them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookPoint {
    /// Priorities of the links, ascending; a link's place here is its slot.
    pub links: Vec<i32>,
    /// One fewer than `links`.
    pub stages: Vec<Stage>,
    /// All hooks that are registered here, links aside.
    pub registered: Vec<Registered>,
}

/// The links of all namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookPlan {
    #[serde(with = "points")]
    pub points: HookPoints,
    /// Namespaces in which packets are met in PREROUTING: what their devices receive passes no probe point
    /// there.
    #[serde(default)]
    pub met_in_prerouting: BTreeSet<u32>,
}

/// Symbol of the function that runs netfilter BPF links.
pub const BPF_LINK: &str = "nf_hook_run_bpf";

/// The first and last priority that a link can have; the kernel keeps those beyond for itself.
const LINK_FIRST: i32 = i32::MIN + 1;
const LINK_LAST: i32 = i32::MAX - 1;

/// Well-known priorities (`enum nf_ip_hook_priorities`).
const PRIORITY_NAMES: &[(i32, &str)] = &[
    (-450, "raw before defrag"),
    (-400, "defrag"),
    (-300, "raw"),
    (-225, "selinux"),
    (-200, "conntrack"),
    (-150, "mangle"),
    (-100, "dstnat"),
    (0, "filter"),
    (50, "security"),
    (100, "srcnat"),
    (225, "selinux"),
    (300, "helper"),
];

/// Whose a hook function is, by its symbol, or by its priority where symbols are hidden.
pub fn owner(hook: &Registered) -> Owner {
    const BY_SYMBOL: &[(&str, Owner)] = &[
        ("conntrack_in", Owner::Conntrack),
        ("conntrack_local", Owner::Conntrack),
        ("confirm", Owner::Conntrack),
        ("defrag", Owner::Conntrack),
        ("nf_nat", Owner::Nat),
        ("iptable_nat", Owner::Nat),
        ("ip6table_nat", Owner::Nat),
        ("nft_nat", Owner::Nat),
        ("do_table", Owner::Rules),
        ("nft_do_chain", Owner::Rules),
        ("iptable_", Owner::Rules),
        ("ip6table_", Owner::Rules),
    ];
    if hook.function.is_empty() {
        return match hook.priority {
            -400 | -200 => Owner::Conntrack,
            -100 | 100 => Owner::Nat,
            -300 | -150 | 0 | 50 => Owner::Rules,
            _ => Owner::Other,
        };
    }
    BY_SYMBOL
        .iter()
        .find(|(part, _)| hook.function.contains(part))
        .map_or(Owner::Other, |(_, owner)| *owner)
}

/// What a priority is called.
pub fn priority_name(priority: i32) -> String {
    PRIORITY_NAMES
        .iter()
        .find(|(p, _)| *p == priority)
        .map_or_else(|| format!("priority {priority}"), |(_, name)| (*name).to_owned())
}

/// Plans the links of one hook point.
///
/// A link goes before the first hook and after each further one, so that every hook has a stage of
/// its own; hooks of equal priority share one. Hooks at the outermost priorities can't be
/// bracketed: `nf_confirm`, which is last, is part of what follows the hook. Where nothing is
/// registered, one link marks the passage of local packets, and none that of forwarded ones; one in
/// PREROUTING where packets are `met` there.
pub fn plan_point(hook: Hook, registered: &[Registered], met: bool) -> HookPoint {
    let mut own: Vec<Registered> =
        registered.iter().filter(|r| r.function != BPF_LINK).cloned().collect();
    own.sort_by_key(|r| r.priority);
    let taken: Vec<i32> =
        registered.iter().filter(|r| r.function == BPF_LINK).map(|r| r.priority).collect();

    let mut groups: Vec<Vec<Registered>> = Vec::new();
    for r in own.iter().filter(|r| r.priority > LINK_FIRST && r.priority < LINK_LAST) {
        match groups.last_mut() {
            Some(group) if group[0].priority == r.priority => group.push(r.clone()),
            _ => groups.push(vec![r.clone()]),
        }
    }
    groups.truncate(usize::from(HOOK_SLOTS) - 1);

    let mut links = Vec::new();
    if let Some(first) = groups.first() {
        links.push(free(first[0].priority.saturating_sub(1), -1, &taken));
        for (i, group) in groups.iter().enumerate() {
            let next = groups.get(i + 1).map_or(LINK_LAST, |g| g[0].priority);
            links.push(free(group[0].priority + 1, 1, &taken).min(next));
        }
    } else if matches!(hook, Hook::Input | Hook::Output) || (met && hook == Hook::Prerouting) {
        links.push(free(0, 1, &taken));
    }
    let stages = groups.into_iter().map(stage).collect();
    HookPoint { links, stages, registered: own }
}

/// The next priority from `at` on, in steps, that no other link has.
fn free(mut at: i32, step: i32, taken: &[i32]) -> i32 {
    while taken.contains(&at) {
        at = at.saturating_add(step);
    }
    at.clamp(LINK_FIRST, LINK_LAST)
}

fn stage(functions: Vec<Registered>) -> Stage {
    // What is named first matters most.
    const RANK: [Owner; 4] = [Owner::Conntrack, Owner::Nat, Owner::Rules, Owner::Other];
    let owner =
        RANK.into_iter().find(|o| functions.iter().any(|f| owner(f) == *o)).unwrap_or(Owner::Other);
    let label = priority_name(functions[0].priority);
    Stage { hop: of_owner(owner), label, functions }
}

impl HookPoint {
    /// Forgets the links, and with them the stages: what is registered stays known.
    pub fn without_links(&mut self) {
        self.links.clear();
        self.stages.clear();
    }
}

impl HookPlan {
    /// Plans the links of a namespace from what is registered there.
    pub fn add(&mut self, netns: u32, family: Family, hook: Hook, registered: &[Registered]) {
        let key = HookKey { netns, family: family as u8, hook: hook as u8 };
        let met = self.met_in_prerouting.contains(&netns);
        self.points.insert(key, plan_point(hook, registered, met));
    }

    /// What lies between two slots of a hook: the stage, where they are neighbours.
    pub fn between(&self, key: HookKey, from: u8, to: u8) -> Option<&Stage> {
        if to != from + 1 {
            return None;
        }
        self.points.get(&key)?.stages.get(usize::from(from))
    }

    /// Whether a rule set is hooked in anywhere in a namespace.
    pub fn has_rules(&self, netns: u32) -> bool {
        self.points
            .iter()
            .filter(|(key, _)| key.netns == netns)
            .flat_map(|(_, point)| &point.registered)
            .any(|r| matches!(owner(r), Owner::Rules | Owner::Nat))
    }

    /// How many links there are.
    pub fn links(&self) -> usize {
        self.points.values().map(|p| p.links.len()).sum()
    }
}

mod hop_key {
    //! A hop travels as its key.
    use netpath_common::hop::HopId;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(hop: &HopId, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(hop.info().key)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<HopId, D::Error> {
        let key = String::deserialize(d)?;
        HopId::from_key(&key).ok_or_else(|| D::Error::custom(format!("unknown hop {key}")))
    }
}

mod points {
    //! JSON has no maps with struct keys: a list of pairs.
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::{HookKey, HookPoint, HookPoints};

    pub(super) fn serialize<S: Serializer>(map: &HookPoints, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(map)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<HookPoints, D::Error> {
        Ok(Vec::<(HookKey, HookPoint)>::deserialize(d)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(function: &str, priority: i32) -> Registered {
        Registered { function: function.to_owned(), priority }
    }

    #[test]
    fn every_hook_gets_a_stage_between_two_links() {
        let point = plan_point(
            Hook::Prerouting,
            &[
                hook("ip_sabotage_in", i32::MIN),
                hook("ipv4_conntrack_defrag", -400),
                hook("ipv4_conntrack_in", -200),
                hook("nf_nat_ipv4_pre_routing", -100),
            ],
            false,
        );
        assert_eq!(point.links, [-401, -399, -199, -99]);
        let hops: Vec<_> = point.stages.iter().map(|s| s.hop).collect();
        assert_eq!(hops, [HopId::Conntrack, HopId::Conntrack, HopId::Nat]);
        assert_eq!(point.registered.len(), 4);
    }

    #[test]
    fn neighbouring_priorities_and_equal_ones() {
        let rules = [hook("nft_do_chain_ipv4", 0), hook("nft_do_chain_inet", 0), hook("x", 1)];
        let point = plan_point(Hook::Forward, &rules, false);
        assert_eq!(point.links, [-1, 1, 2]);
        assert_eq!(point.stages[0].functions.len(), 2);
        assert_eq!(point.stages[0].hop, HopId::Rules);
    }

    #[test]
    fn a_link_of_somebody_else_is_stepped_aside_for() {
        let point = plan_point(Hook::Output, &[hook(BPF_LINK, 0), hook(BPF_LINK, 1)], false);
        assert_eq!(point.links, [2]);
        assert!(point.stages.is_empty());
    }

    #[test]
    fn hooks_beside_the_last_priority_are_left_to_what_follows() {
        let point = plan_point(
            Hook::Input,
            &[
                hook("nf_nat_ipv6_fn", 100),
                hook("ipv6_helper", i32::MAX - 1),
                hook("nf_confirm", i32::MAX),
            ],
            false,
        );
        assert_eq!(point.links, [99, 101]);
        assert_eq!(point.stages.len(), 1);
    }

    #[test]
    fn confirm_alone_needs_no_links_in_postrouting_but_input_has_one() {
        let confirm = [hook("nf_confirm", i32::MAX)];
        assert!(plan_point(Hook::Postrouting, &confirm, false).links.is_empty());
        assert_eq!(plan_point(Hook::Input, &confirm, false).links, [0]);
    }

    #[test]
    fn where_packets_are_met_in_prerouting_a_link_stands_there() {
        let mut plan = HookPlan { met_in_prerouting: [7].into(), ..HookPlan::default() };
        let links = |plan: &mut HookPlan, netns, hook| {
            plan.add(netns, Family::V4, hook, &[]);
            let key = HookKey { netns, family: Family::V4 as u8, hook: hook as u8 };
            plan.points[&key].links.len()
        };
        assert_eq!(links(&mut plan, 7, Hook::Prerouting), 1);
        assert_eq!(links(&mut plan, 7, Hook::Forward), 0);
        assert_eq!(links(&mut plan, 8, Hook::Prerouting), 0);
    }

    #[test]
    fn a_plan_survives_json() {
        let mut plan = HookPlan { met_in_prerouting: [7].into(), ..HookPlan::default() };
        plan.add(7, Family::V6, Hook::Forward, &[hook("ip6t_do_table", 0)]);
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<HookPlan>(&text).unwrap(), plan);
    }
}
