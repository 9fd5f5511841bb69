//! Probes that are attached: tracepoints, functions' entries and exits.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::CString,
    os::fd::{AsFd as _, OwnedFd},
};

use super::{
    KernelError,
    error::refusal,
    plan::{Target, What},
    raw,
    source::Source,
    way::Way,
};
use crate::backend::Backend;

#[derive(Default)]
pub(super) struct Probes {
    attached: Vec<Probe>,
    /// By what they serve: how, and the tracepoint or functions that are probed.
    pub(super) served: BTreeMap<What, (Backend, Vec<String>)>,
    pub(super) refused: BTreeMap<What, String>,
}

/// A program and its link, which goes first.
struct Probe {
    what: What,
    on_return: bool,
    way: Way,
    symbol: CString,
    /// `None` in a pause.
    link: Option<OwnedFd>,
    program: OwnedFd,
    /// Returns that were missed by links that are gone.
    missed_returns: u64,
}

impl Probe {
    fn link(&mut self) -> Result<(), KernelError> {
        let link = self.way.link(self.program.as_fd(), &self.symbol, self.on_return);
        let symbol = self.symbol.to_string_lossy();
        self.link = Some(link.map_err(|e| KernelError::system(format!("attach to {symbol}"), e))?);
        Ok(())
    }

    fn missed_returns(&self) -> u64 {
        let now = self.link.as_ref().and_then(|link| raw::kprobe_misses(link.as_fd()).ok());
        self.missed_returns + now.unwrap_or(0)
    }
}

/// How often a probe was not run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Missed {
    /// It was running already on that CPU.
    pub(super) nested: u64,
    /// The kernel could not wait for one more return.
    pub(super) returns: u64,
}

impl Probes {
    pub(super) fn len(&self) -> usize {
        self.attached.len()
    }

    /// How many probes there are of each backend.
    pub(super) fn by_backend(&self) -> BTreeMap<Backend, usize> {
        let mut attached = BTreeMap::new();
        for probe in &self.attached {
            *attached.entry(probe.way.backend()).or_default() += 1;
        }
        attached
    }

    /// How many returns are probed of which nobody learns how often they were missed. `links_tell` says
    /// whether links of kprobes do.
    pub(super) fn untold_returns(&self, links_tell: bool) -> usize {
        let untold = |way| way == Way::Event || (way == Way::Multi && !links_tell);
        self.attached.iter().filter(|probe| probe.on_return && untold(probe.way)).count()
    }

    /// Descriptors of the programs.
    pub(super) fn programs(&self) -> impl Iterator<Item = &OwnedFd> {
        self.attached.iter().map(|probe| &probe.program)
    }

    /// Whether a target is probed already.
    pub(super) fn has(&self, target: &Target) -> bool {
        self.served.get(&target.what).is_some_and(|(_, names)| names.contains(&target.found.name))
    }

    /// Attaches probes to targets, in their order.
    pub(super) fn attach(&mut self, source: &Source, targets: &[Target]) {
        let modules = modules(targets);
        for target in targets {
            let module = match target.found.module.as_ref().and_then(|m| modules.get(m)) {
                Some(Err(why)) => {
                    self.refused.insert(target.what, why.clone());
                    continue;
                }
                Some(Ok(btf)) => Some(btf),
                None => None,
            };
            match attach_one(source, target, module) {
                Ok(probes) => {
                    self.attached.extend(probes);
                    let backend = target.way.backend();
                    let served = self.served.entry(target.what);
                    let (_, names) = served.or_insert_with(|| (backend, Vec::new()));
                    names.push(target.found.name.clone());
                }
                Err(error) => {
                    let why = refusal(&target.found.name, &error);
                    self.refused.insert(target.what, why);
                }
            }
        }
    }

    /// Detaches everything; what begins a wait first, so that no end is waited for.
    pub(super) fn pause(&mut self) {
        for probe in self.attached.iter_mut().rev() {
            probe.missed_returns = probe.missed_returns();
            probe.link = None;
        }
    }

    /// Attaches it again; what could not be.
    pub(super) fn resume(&mut self) -> Vec<KernelError> {
        let absent = self.attached.iter_mut().filter(|probe| probe.link.is_none());
        absent.filter_map(|probe| probe.link().err()).collect()
    }

    /// How often each probe was not run, by what it serves and whether it is at its exit.
    pub(super) fn missed(&self) -> Vec<(What, bool, Missed)> {
        let missed = |probe: &Probe| Missed {
            nested: raw::recursion_misses(probe.program.as_fd()).unwrap_or(0),
            returns: probe.missed_returns(),
        };
        self.attached.iter().map(|p| (p.what, p.on_return, missed(p))).collect()
    }
}

/// The BTF of the modules that the targets are in, or why it can't be had.
fn modules(targets: &[Target]) -> BTreeMap<String, Result<OwnedFd, String>> {
    let names: BTreeSet<&String> = targets
        .iter()
        .filter(|t| t.way == Way::Fentry)
        .filter_map(|t| t.found.module.as_ref())
        .collect();
    names
        .into_iter()
        .map(|name| {
            let btf = raw::module_btf(name).map_err(|e| format!("the BTF of module {name}: {e}"));
            (name.clone(), btf)
        })
        .collect()
}

fn attach_one(
    source: &Source,
    target: &Target,
    module: Option<&OwnedFd>,
) -> Result<Vec<Probe>, KernelError> {
    let Target { found, what, way } = target;
    let symbol = CString::new(found.name.as_str()).unwrap_or_default();
    what.programs(*way)
        .into_iter()
        .map(|(name, on_return)| {
            let program = source.load(&name, way.kind(on_return, found, module))?;
            let mut probe = Probe {
                what: *what,
                on_return,
                way: *way,
                symbol: symbol.clone(),
                link: None,
                program,
                missed_returns: 0,
            };
            probe.link()?;
            Ok(probe)
        })
        .collect()
}
