//! Reading which netfilter hooks a namespace has, with a program that is run inside it.

use std::collections::BTreeMap;

use aya::{
    maps::Array,
    programs::{RawTracePointRunOptions, TestRun as _},
};
use netpath_common::point::{Family, HOOK_ENTRIES, Hook};

use super::{
    KernelError,
    object::{HookListPod, Object},
};
use crate::{
    hooks::{HookKey, Registered},
    netns::Netns,
};

/// The hooks of one hook point of a namespace, functions still as addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) family: Family,
    pub(super) hook: Hook,
    pub(super) entries: Vec<(u64, i32)>,
}

impl Listed {
    pub(super) fn key(&self, netns: u32) -> HookKey {
        HookKey { netns, family: self.family as u8, hook: self.hook as u8 }
    }
}

/// A hook point of a namespace, functions by name.
pub(super) struct Named {
    pub(super) netns: Netns,
    pub(super) family: Family,
    pub(super) hook: Hook,
    pub(super) registered: Vec<Registered>,
}

impl Named {
    pub(super) fn key(&self) -> HookKey {
        let netns = self.netns.cookie;
        HookKey { netns, family: self.family as u8, hook: self.hook as u8 }
    }
}

/// Reads the hooks of all these namespaces.
pub(super) fn survey(
    object: &mut Object,
    namespaces: &[Netns],
) -> Result<Vec<(Netns, Vec<Listed>)>, KernelError> {
    namespaces.iter().map(|netns| Ok((netns.clone(), list(object, netns)?))).collect()
}

/// Reads all hook points of `netns`.
fn list(object: &mut Object, netns: &Netns) -> Result<Vec<Listed>, KernelError> {
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

/// Addresses of the functions.
pub(super) fn functions(surveyed: &[(Netns, Vec<Listed>)]) -> impl Iterator<Item = u64> {
    let lists = surveyed.iter().flat_map(|(_, lists)| lists);
    lists.flat_map(|list| list.entries.iter().map(|(function, _)| *function))
}

/// Gives the functions their names.
pub(super) fn name(surveyed: &[(Netns, Vec<Listed>)], names: &BTreeMap<u64, String>) -> Vec<Named> {
    let lists = || surveyed.iter().flat_map(|(netns, lists)| lists.iter().map(move |l| (netns, l)));
    let registered = |(address, priority): &(u64, i32)| Registered {
        function: names.get(address).cloned().unwrap_or_default(),
        priority: *priority,
    };
    lists()
        .map(|(netns, l)| Named {
            netns: netns.clone(),
            family: l.family,
            hook: l.hook,
            registered: l.entries.iter().map(registered).collect(),
        })
        .collect()
}
