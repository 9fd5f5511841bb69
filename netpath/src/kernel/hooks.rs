//! Reading which netfilter hooks a namespace has, with a program that is run inside it.

use std::collections::BTreeSet;

use aya::{
    maps::Array,
    programs::{RawTracePointRunOptions, TestRun as _},
};
use netpath_common::point::{Family, HOOK_ENTRIES, Hook};

use super::{
    KernelError,
    object::{HookListPod, Object},
    symbols,
};
use crate::{hooks::Registered, netns::Netns};

/// The hooks of one hook point of a namespace, functions still as addresses.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) family: Family,
    pub(super) hook: Hook,
    pub(super) entries: Vec<(u64, i32)>,
}

/// Reads all hook points of `netns`.
pub(super) fn list(object: &mut Object, netns: &Netns) -> Result<Vec<Listed>, KernelError> {
    let program = object.runnable("netns_hooks")?;
    let ran = netns
        .run(|| program.test_run(RawTracePointRunOptions::new()))
        .map_err(|e| KernelError::Object(e.to_string()))?
        .map_err(|e| KernelError::Object(format!("netns_hooks: {e}")))?;
    if ran.return_value != 0 {
        return Err(KernelError::Object(format!(
            "the hooks of network namespace {} can't be read",
            netns.name
        )));
    }
    let map: Array<_, HookListPod> = object.map_mut("HOOKS")?;
    let mut found = Vec::new();
    let mut index = 0;
    for family in Family::ALL {
        for hook in Hook::ALL {
            let list =
                map.get(&index, 0).map_err(|e| KernelError::Object(format!("HOOKS: {e}")))?.0;
            let count = (list.count as usize).min(HOOK_ENTRIES);
            let entries = list.entries[..count].iter().map(|e| (e.function, e.priority)).collect();
            found.push(Listed { family, hook, entries });
            index += 1;
        }
    }
    Ok(found)
}

/// Gives the functions their names.
pub(super) fn name(lists: &[Vec<Listed>]) -> Vec<Vec<(Family, Hook, Vec<Registered>)>> {
    let addresses: BTreeSet<u64> =
        lists.iter().flatten().flat_map(|l| l.entries.iter().map(|e| e.0)).collect();
    let names = symbols::resolve(&addresses);
    let registered = |entries: &[(u64, i32)]| {
        entries
            .iter()
            .map(|(address, priority)| Registered {
                function: names.get(address).cloned().unwrap_or_default(),
                priority: *priority,
            })
            .collect()
    };
    lists
        .iter()
        .map(|lists| lists.iter().map(|l| (l.family, l.hook, registered(&l.entries))).collect())
        .collect()
}
