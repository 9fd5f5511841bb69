//! Netfilter BPF links (`BPF_PROG_TYPE_NETFILTER`, Linux 6.4).
//!
//! aya has no such program type. The programs stand in the object as socket filters, a section
//! that it knows; here they are relocated against the maps that aya has made, loaded with their
//! real type, and linked, all with the bpf system call. A link goes when its descriptor is closed.

use std::{
    io,
    os::fd::{AsRawFd as _, OwnedFd, RawFd},
};

use aya_obj::generated::{bpf_attach_type, bpf_prog_type};
use netpath_common::point::{Family, Hook};

use super::{
    KernelError,
    hooks::Named,
    raw::{self, ProgramKind},
    source::Source,
};
use crate::{
    hooks::{HookKey, HookPlan},
    netns::Netns,
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

/// Attaches a link at this priority, or at the nearest in steps that is free, and says at which: another
/// netpath may have come to the same hook point meanwhile.
fn link_beside(
    program: RawFd,
    family: Family,
    hook: Hook,
    priority: i32,
    step: i32,
) -> io::Result<(OwnedFd, i32)> {
    /// Netpaths that can look at one hook point.
    const OTHERS: i32 = 8;
    let mut tried = Err(io::Error::from_raw_os_error(libc::EBUSY));
    for at in (0..OTHERS).map(|i| priority.saturating_add(i * step)) {
        tried = raw::link_netfilter(program, family.nfproto(), hook as u8, at).map(|fd| (fd, at));
        if !matches!(&tried, Err(e) if e.raw_os_error() == Some(libc::EBUSY)) {
            break;
        }
    }
    tried
}

/// A link, and what it takes to make it.
struct Link {
    at: HookKey,
    netns: Netns,
    family: Family,
    hook: Hook,
    slot: usize,
    priority: i32,
    /// `None` in a pause.
    fd: Option<OwnedFd>,
}

/// Attached links.
#[derive(Default)]
pub(super) struct Links {
    links: Vec<Link>,
    // Kept so that hooks which are registered later can get links too.
    programs: Vec<OwnedFd>,
}

impl Links {
    pub(super) fn len(&self) -> usize {
        self.links.len()
    }

    /// How many there are at a hook point.
    pub(super) fn count(&self, key: HookKey) -> usize {
        self.links.iter().filter(|link| link.at == key).count()
    }

    /// The priorities of those at a hook point.
    pub(super) fn priorities(&self, key: HookKey) -> impl Iterator<Item = i32> {
        self.links.iter().filter(move |link| link.at == key).map(|link| link.priority)
    }

    /// Descriptors of the programs.
    pub(super) fn programs(&self) -> impl Iterator<Item = &OwnedFd> {
        self.programs.iter()
    }

    /// Detaches the links of a namespace: they would keep it alive.
    pub(super) fn release(&mut self, netns: u32) {
        self.links.retain(|link| link.at.netns != netns);
    }

    /// Detaches the links of a hook point.
    pub(super) fn release_point(&mut self, key: HookKey) {
        self.links.retain(|link| link.at != key);
    }

    /// Detaches all of them; they can come again.
    pub(super) fn pause(&mut self) {
        self.links.iter_mut().for_each(|link| link.fd = None);
    }

    /// Attaches them again; what could not be.
    pub(super) fn resume(&mut self) -> Vec<KernelError> {
        let Self { links, programs } = self;
        let of_one_netns = links.chunk_by_mut(|a, b| a.at.netns == b.at.netns);
        of_one_netns.filter_map(|links| enter_and_link(programs, links).err()).collect()
    }

    /// Attaches the links that `plan` has for these hook points. A hook point that can't have its
    /// links loses them in the plan; why comes back.
    pub(super) fn attach(
        &mut self,
        source: &Source,
        points: &[Named],
        plan: &mut HookPlan,
    ) -> Vec<KernelError> {
        let mut failed = Vec::new();
        for named in points {
            let key = named.key();
            if let Err(error) = self.attach_point(source, named, plan) {
                if let Some(point) = plan.points.get_mut(&key) {
                    point.without_links();
                }
                failed.push(error);
            }
        }
        failed
    }

    /// Attaches the links of one hook point, all or none.
    fn attach_point(
        &mut self,
        source: &Source,
        named: &Named,
        plan: &HookPlan,
    ) -> Result<(), KernelError> {
        let Named { netns, family, hook, .. } = named;
        let Some(point) = plan.points.get(&named.key()) else { return Ok(()) };
        let mut links: Vec<Link> = (point.links.iter().enumerate())
            .map(|(slot, priority)| Link {
                at: named.key(),
                netns: netns.clone(),
                family: *family,
                hook: *hook,
                slot,
                priority: *priority,
                fd: None,
            })
            .collect();
        if links.is_empty() {
            return Ok(());
        }
        self.load(source, links.len())?;
        enter_and_link(&self.programs, &mut links)?;
        self.links.append(&mut links);
        Ok(())
    }

    /// Loads the programs of the first `slots` slots, where that was not needed before.
    fn load(&mut self, source: &Source, slots: usize) -> Result<(), KernelError> {
        while self.programs.len() < slots {
            let name = format!("hook_slot_{}", self.programs.len());
            self.programs.push(source.load(&name, KIND)?);
        }
        Ok(())
    }
}

/// Makes links of one namespace that are not there, inside it.
fn enter_and_link(programs: &[OwnedFd], links: &mut [Link]) -> Result<(), KernelError> {
    let Some(netns) = links.first().map(|link| link.netns.clone()) else { return Ok(()) };
    netns
        .run(|| {
            links.iter_mut().filter(|link| link.fd.is_none()).try_for_each(|link| {
                let (fd, priority) = make(programs, link)?;
                (link.fd, link.priority) = (Some(fd), priority);
                Ok(())
            })
        })
        .map_err(|e| KernelError::Object(e.to_string()))?
}

fn make(programs: &[OwnedFd], link: &Link) -> Result<(OwnedFd, i32), KernelError> {
    let Link { netns, family, hook, slot, priority, .. } = link;
    // Away from the hooks that it is to stand beside.
    let step = if *slot == 0 { -1 } else { 1 };
    link_beside(programs[*slot].as_raw_fd(), *family, *hook, *priority, step).map_err(|source| {
        let what = format!(
            "attach a netfilter link to {} {} at priority {priority} in {}",
            family.name(),
            hook.name(),
            netns.name
        );
        KernelError::System { what, source }
    })
}
