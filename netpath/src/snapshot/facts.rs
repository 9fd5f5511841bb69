//! Facts with names instead of ids, and counts as what they grew by while tracing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    facts::{Conntrack, CpuQuota, Facts, Limit, NetnsFacts, RuleHistory, Rules, Softnet},
    session::Ending,
    topo::{Place, Topology},
};

/// What explains figures in a namespace on the path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NetnsReport {
    /// Whether it forwards packets between its devices.
    pub forwards: bool,
    /// Whether bridged packets run through iptables (`net.bridge.bridge-nf-call-iptables`).
    pub bridge_nf_call_iptables: bool,
    /// Sizes at the end; failures while tracing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conntrack: Option<Conntrack>,
    pub qdiscs: Vec<QdiscReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<Rules>,
    /// By device: the CPUs that RPS may choose, as its mask.
    pub rps: BTreeMap<String, String>,
    /// CPU quotas of its processes' cgroups; not of the initial namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cpu_quotas: Vec<CpuQuota>,
}

/// A queueing discipline on a device of the path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct QdiscReport {
    pub dev: String,
    /// Kind of the device: `veth`, `bridge`, …
    pub dev_kind: String,
    pub kind: String,
    /// Attached to the device itself, not to a class of another one.
    pub root: bool,
    /// While tracing.
    pub packets: u32,
    pub drops: u32,
    /// How often a packet had to wait for its rate, while tracing.
    pub overlimits: u32,
    /// What it holds at most, where its kind says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// At the end.
    pub qlen: u32,
    pub backlog_bytes: u32,
}

/// By name: the facts of every namespace on the path.
pub(super) fn build(
    topology: &Topology,
    begin: &Facts,
    ending: &Ending,
) -> BTreeMap<String, NetnsReport> {
    let none = NetnsFacts::default();
    let report = |host: &crate::topo::Host| {
        let begin = begin.netns.get(&host.netns).unwrap_or(&none);
        let end = ending.facts.netns.get(&host.netns).unwrap_or(begin);
        let listed = ending.rule_sets.get(&host.netns).and_then(RuleHistory::shown);
        NetnsReport {
            forwards: host.forwards,
            bridge_nf_call_iptables: host.bridge_nf,
            conntrack: end.conntrack.map(|c| grown(c, begin.conntrack.unwrap_or_default())),
            qdiscs: qdiscs(topology, host.netns, begin, end),
            rules: listed.or(begin.rules.as_ref()).map(Rules::summary),
            rps: begin.rps.clone(),
            cpu_quotas: ending.quotas.get(&host.netns).cloned().unwrap_or_default(),
        }
    };
    topology.on_path().map(|host| (host.name.clone(), report(host))).collect()
}

/// What softirqs could not do in time, while tracing.
pub(super) fn softnet(begin: &Facts, end: &Facts) -> Softnet {
    let (a, b) = (begin.softnet, end.softnet);
    Softnet {
        processed: b.processed.saturating_sub(a.processed),
        dropped: b.dropped.saturating_sub(a.dropped),
        squeezed: b.squeezed.saturating_sub(a.squeezed),
    }
}

fn grown(end: Conntrack, begin: Conntrack) -> Conntrack {
    Conntrack {
        buckets_before: begin.buckets,
        insert_failed: end.insert_failed.saturating_sub(begin.insert_failed),
        drop: end.drop.saturating_sub(begin.drop),
        early_drop: end.early_drop.saturating_sub(begin.early_drop),
        search_restart: end.search_restart.saturating_sub(begin.search_restart),
        chain_too_long: end.chain_too_long.saturating_sub(begin.chain_too_long),
        ..end
    }
}

fn qdiscs(
    topology: &Topology,
    netns: u32,
    begin: &NetnsFacts,
    end: &NetnsFacts,
) -> Vec<QdiscReport> {
    let on_path = |q: &&crate::facts::Qdisc| {
        let place = Place { netns, ifindex: q.ifindex };
        topology.is_on_way(place)
    };
    end.qdiscs
        .iter()
        .filter(on_path)
        .map(|q| {
            let same = |b: &&crate::facts::Qdisc| {
                (b.ifindex, b.handle, &b.kind) == (q.ifindex, q.handle, &q.kind)
            };
            let before = begin.qdiscs.iter().find(same).cloned().unwrap_or_default();
            let place = Place { netns, ifindex: q.ifindex };
            QdiscReport {
                dev: topology.dev_name(place),
                dev_kind: topology.device(place).map_or_else(String::new, |d| d.kind.clone()),
                kind: q.kind.clone(),
                root: q.root,
                packets: q.packets.wrapping_sub(before.packets),
                drops: q.drops.wrapping_sub(before.drops),
                overlimits: q.overlimits.wrapping_sub(before.overlimits),
                limit: q.limit,
                qlen: q.qlen,
                backlog_bytes: q.backlog,
            }
        })
        .collect()
}
