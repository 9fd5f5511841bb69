//! What each chain leads to.
//!
//! In: chains with their rules. Out: the same with what all chains that they reach can do.

use std::collections::{BTreeMap, BTreeSet};

use super::Chain;

/// Fills it in.
pub(super) fn fill(chains: &mut [Chain]) {
    let by_name: BTreeMap<_, usize> =
        chains.iter().enumerate().map(|(i, c)| (key(c, &c.name), i)).collect();
    let next: Vec<Vec<usize>> = chains
        .iter()
        .map(|c| c.leads_to.iter().filter_map(|to| by_name.get(&key(c, to)).copied()).collect())
        .collect();
    for i in 0..chains.len() {
        let mut seen = BTreeSet::new();
        let mut todo = vec![i];
        let mut total = Chain::default();
        let mut drops: (usize, Option<String>) = (0, None);
        while let Some(at) = todo.pop() {
            if !seen.insert(at) {
                continue;
            }
            let here = &chains[at];
            total.reach += here.rules;
            total.nat.extend(here.own.nat.iter().cloned());
            total.queues |= here.own.queues;
            total.copies |= here.own.copies;
            total.offloads |= here.own.offloads;
            drops.0 += here.own.drops.0;
            drops.1 = drops.1.or_else(|| here.own.drops.1.clone());
            todo.extend(&next[at]);
        }
        let chain = &mut chains[i];
        chain.reach = total.reach;
        chain.nat = total.nat;
        (chain.queues, chain.copies, chain.offloads) = (total.queues, total.copies, total.offloads);
        chain.drops = drops.0;
        chain.only_drop = drops.1.filter(|_| drops.0 == 1 && !chain.policy_drops);
    }
}

/// What names a chain in its rule set.
fn key(of: &Chain, name: &str) -> (bool, String, String, String) {
    (of.legacy, of.family.clone(), of.table.clone(), name.to_owned())
}
