//! Netfilter BPF links (`BPF_PROG_TYPE_NETFILTER`, Linux 6.4).
//!
//! aya has no such program type. The programs stand in the object as socket filters, a section
//! that it knows; here they are relocated against the maps that aya has made, loaded with their
//! real type, and linked, all with the bpf system call. A link goes when its descriptor is closed.

use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};

use aya_obj::generated::{bpf_attach_type, bpf_prog_type};
use netpath_common::point::{Family, Hook};

use super::{
    KernelError, hooks,
    object::Object,
    raw::{self, ProgramKind},
    source::Source,
};
use crate::{
    hooks::{HookKey, HookPlan},
    netns::Netns,
    topo::Topology,
};

const KIND: ProgramKind = ProgramKind {
    kind: bpf_prog_type::BPF_PROG_TYPE_NETFILTER,
    attach: bpf_attach_type::BPF_NETFILTER,
    target: 0,
    module: None,
};

/// Whether links work here, by loading a program of their type.
pub(super) fn try_links() -> Result<(), String> {
    raw::trivial_program(KIND).map(|_| ()).map_err(|error| match error.raw_os_error() {
        Some(libc::EINVAL) => "the kernel has no netfilter BPF links (Linux 6.4)".to_owned(),
        _ => error.to_string(),
    })
}

/// Attached links.
#[derive(Default)]
pub(super) struct Links {
    /// Each with the namespace that it is in.
    links: Vec<(u32, OwnedFd)>,
    // Kept so that hooks which are registered later can get links too.
    programs: Vec<OwnedFd>,
}

impl Links {
    pub(super) fn len(&self) -> usize {
        self.links.len()
    }

    /// Detaches the links of a namespace: they would keep it alive.
    pub(super) fn release(&mut self, netns: u32) {
        self.links.retain(|(owner, _)| *owner != netns);
    }

    /// Reads the hooks of every namespace on the path, plans links around them in `plan`, and
    /// attaches them. A hook point that can't have its links leaves the plan; why stands in
    /// `refused`.
    pub(super) fn attach(
        object: &mut Object,
        topology: &Topology,
        plan: &mut HookPlan,
        refused: &mut Vec<String>,
    ) -> Result<Self, KernelError> {
        let mut this = Self::default();
        let mut failed = None;
        for (netns, key, family, hook) in survey(object, topology, plan)? {
            if let Err(error) = this.attach_point(object, &netns, key, family, hook, plan) {
                if let Some(point) = plan.points.get_mut(&key) {
                    point.without_links();
                }
                refused.push(error.to_string());
                failed = Some(error);
            }
        }
        match failed {
            Some(error) if this.links.is_empty() => Err(error),
            _ => Ok(this),
        }
    }

    /// Attaches the links of one hook point, all or none.
    fn attach_point(
        &mut self,
        object: &Object,
        netns: &Netns,
        key: HookKey,
        family: Family,
        hook: Hook,
        plan: &HookPlan,
    ) -> Result<(), KernelError> {
        let Some(point) = plan.points.get(&key) else { return Ok(()) };
        let mut wanted = Vec::new();
        for (slot, priority) in point.links.iter().enumerate() {
            wanted.push((self.program(object, slot)?, *priority));
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let links = netns
            .run(|| {
                wanted
                    .iter()
                    .map(|&(program, priority)| {
                        raw::link_netfilter(program, family.nfproto(), hook as u8, priority)
                            .map_err(|source| {
                                let what = format!(
                                    "attach a netfilter link to {} {} at priority {priority} in {}",
                                    family.name(),
                                    hook.name(),
                                    netns.name
                                );
                                KernelError::System { what, source }
                            })
                    })
                    .collect::<Result<Vec<_>, _>>()
            })
            .map_err(|e| KernelError::Object(e.to_string()))??;
        self.links.extend(links.into_iter().map(|link| (key.netns, link)));
        Ok(())
    }

    /// The program for a slot; loaded when it is first needed.
    fn program(&mut self, object: &Object, slot: usize) -> Result<RawFd, KernelError> {
        if self.programs.len() <= slot {
            let source = Source::relocated(object)?;
            while self.programs.len() <= slot {
                let name = format!("hook_slot_{}", self.programs.len());
                self.programs.push(source.load(&name, KIND)?);
            }
        }
        Ok(self.programs[slot].as_raw_fd())
    }
}

/// Reads the hooks of every namespace on the path, and plans links around them in `plan`.
pub(super) fn survey(
    object: &mut Object,
    topology: &Topology,
    plan: &mut HookPlan,
) -> Result<Vec<(Netns, HookKey, Family, Hook)>, KernelError> {
    let hosts: Vec<(u32, Netns)> = topology
        .hosts
        .values()
        .filter_map(|host| Some((host.netns, host.handle.clone()?)))
        .collect();
    let mut lists = Vec::new();
    for (_, netns) in &hosts {
        lists.push(hooks::list(object, netns)?);
    }
    let mut found = Vec::new();
    for ((cookie, netns), points) in hosts.iter().zip(hooks::name(&lists)) {
        for (family, hook, registered) in points {
            plan.add(*cookie, family, hook, &registered);
            let key = HookKey { netns: *cookie, family: family as u8, hook: hook as u8 };
            found.push((netns.clone(), key, family, hook));
        }
    }
    Ok(found)
}
