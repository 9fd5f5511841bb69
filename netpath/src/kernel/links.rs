//! Netfilter BPF links (`BPF_PROG_TYPE_NETFILTER`, Linux 6.4).
//!
//! aya has no such program type. The programs stand in the object as socket filters, a section
//! that it knows; here they are relocated against the maps that aya has made, loaded with their
//! real type, and linked, all with the bpf system call. A link goes when its descriptor is closed.

use std::{
    collections::HashSet,
    ffi::CString,
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
};

use aya_obj::generated::{bpf_attach_type, bpf_attr, bpf_cmd, bpf_insn, bpf_prog_type};
use netpath_common::point::{Family, HOOK_SLOTS, Hook};

use super::{
    KernelError,
    error::tail,
    hooks,
    object::{BYTES, Object},
};
use crate::{
    hooks::{HookKey, HookPlan},
    netns::Netns,
    topo::Topology,
};

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
        let hosts: Vec<(u32, Netns)> = topology
            .hosts
            .values()
            .filter_map(|host| Some((host.netns, host.handle.clone()?)))
            .collect();
        let mut lists = Vec::new();
        for (_, netns) in &hosts {
            lists.push(hooks::list(object, netns)?);
        }
        let mut this = Self::default();
        let mut failed = None;
        for ((cookie, netns), points) in hosts.iter().zip(hooks::name(&lists)) {
            for (family, hook, registered) in points {
                plan.add(*cookie, family, hook, &registered);
                let key = HookKey { netns: *cookie, family: family as u8, hook: hook as u8 };
                if let Err(error) = this.attach_point(object, netns, key, family, hook, plan) {
                    plan.points.remove(&key);
                    refused.push(error.to_string());
                    failed = Some(error);
                }
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
                        link(program, family, hook, priority).map_err(|source| {
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
            let mut source = Source::relocated(object)?;
            while self.programs.len() <= slot {
                let program = source.load(self.programs.len())?;
                self.programs.push(program);
            }
        }
        Ok(self.programs[slot].as_raw_fd())
    }
}

/// The object, parsed once more and relocated against the maps in the kernel.
struct Source(aya_obj::Object);

impl Source {
    fn relocated(object: &Object) -> Result<Self, KernelError> {
        let fail = |e: String| KernelError::Object(e);
        let mut parsed = aya_obj::Object::parse(BYTES).map_err(|e| fail(e.to_string()))?;
        let maps: Vec<(&str, RawFd, aya_obj::Map)> = object
            .map_fds
            .iter()
            .filter_map(|(name, fd)| Some((name.as_str(), *fd, parsed.maps.get(name)?.clone())))
            .collect();
        let sections: HashSet<usize> =
            parsed.functions.keys().map(|(section, _)| *section).collect();
        parsed
            .relocate_maps(maps.iter().map(|(name, fd, map)| (*name, *fd, map)), &sections)
            .map_err(|e| fail(e.to_string()))?;
        parsed.relocate_calls(&sections).map_err(|e| fail(e.to_string()))?;
        Ok(Self(parsed))
    }

    fn load(&mut self, slot: usize) -> Result<OwnedFd, KernelError> {
        let name = format!("hook_slot_{slot}");
        if slot >= usize::from(HOOK_SLOTS) {
            return Err(KernelError::Object(format!("no program for slot {slot}")));
        }
        let program = self
            .0
            .programs
            .get(&name)
            .ok_or_else(|| KernelError::Object(format!("the object has no program {name}")))?;
        let function = &self.0.functions[&program.function_key()];
        let instructions = &function.instructions;
        load(&name, instructions, &program.license, None).or_else(|source| {
            // Once more, for the verifier's log.
            let mut log = vec![0u8; 1 << 20];
            load(&name, instructions, &program.license, Some(&mut log)).map_err(|_| {
                let end = log.iter().position(|b| *b == 0).unwrap_or(log.len());
                let log = tail(&String::from_utf8_lossy(&log[..end]));
                if log.is_empty() {
                    KernelError::system(format!("load {name}"), source)
                } else {
                    KernelError::Verifier { program: name.clone(), log }
                }
            })
        })
    }
}

fn load(
    name: &str,
    instructions: &[bpf_insn],
    license: &CString,
    log: Option<&mut Vec<u8>>,
) -> io::Result<OwnedFd> {
    // SAFETY: all-zero is a valid bpf_attr.
    let mut attr: bpf_attr = unsafe { std::mem::zeroed() };
    // SAFETY: the part of the union that BPF_PROG_LOAD reads.
    let load = unsafe { &mut attr.__bindgen_anon_3 };
    load.prog_type = bpf_prog_type::BPF_PROG_TYPE_NETFILTER as u32;
    load.expected_attach_type = bpf_attach_type::BPF_NETFILTER as u32;
    load.insns = instructions.as_ptr() as u64;
    load.insn_cnt = u32::try_from(instructions.len()).unwrap_or(u32::MAX);
    load.license = license.as_ptr() as u64;
    for (to, from) in load.prog_name.iter_mut().zip(name.bytes().take(15)) {
        *to = from.cast_signed();
    }
    if let Some(log) = log {
        load.log_level = 1;
        load.log_size = u32::try_from(log.len()).unwrap_or(u32::MAX);
        load.log_buf = log.as_mut_ptr() as u64;
    }
    bpf(bpf_cmd::BPF_PROG_LOAD, &mut attr)
}

fn link(program: RawFd, family: Family, hook: Hook, priority: i32) -> io::Result<OwnedFd> {
    // SAFETY: all-zero is a valid bpf_attr.
    let mut attr: bpf_attr = unsafe { std::mem::zeroed() };
    // SAFETY: the part of the union that BPF_LINK_CREATE reads.
    unsafe {
        let create = &mut attr.link_create;
        create.__bindgen_anon_1.prog_fd = u32::try_from(program).unwrap_or(u32::MAX);
        create.attach_type = bpf_attach_type::BPF_NETFILTER as u32;
        create.__bindgen_anon_3.netfilter.pf = u32::from(family.nfproto());
        create.__bindgen_anon_3.netfilter.hooknum = hook as u32;
        create.__bindgen_anon_3.netfilter.priority = priority;
    }
    bpf(bpf_cmd::BPF_LINK_CREATE, &mut attr)
}

/// The bpf system call, for commands that return a descriptor.
fn bpf(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<OwnedFd> {
    // SAFETY: `attr` is filled for `command`, and what it points to outlives the call.
    let fd = unsafe {
        libc::syscall(libc::SYS_bpf, command as libc::c_long, &raw mut *attr, size_of::<bpf_attr>())
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just returned this descriptor to us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
