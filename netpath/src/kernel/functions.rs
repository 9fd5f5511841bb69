//! Probes on functions: fentry and fexit, or kprobes and kretprobes.
//!
//! What is probed comes from the tables; where its arguments stand, and in which module it is, from
//! BTF. A function that is in no BTF, or that the kernel refuses, leaves its point or span absent
//! with the reason.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{CStr, CString},
    io,
    os::fd::{AsFd as _, AsRawFd, BorrowedFd, OwnedFd},
};

use aya_obj::generated::{bpf_attach_type, bpf_prog_type};
use netpath_common::{
    args::{Positions, Row, SPAN_ROWS},
    point::{Body, POINTS, Point},
    span::SPANS,
};

use super::{
    Backend, KernelError,
    btf::{Found, KernelBtf},
    object::Object,
    raw::{self, ProgramKind},
    source::Source,
    symbols::Symbols,
};

/// A function to probe, and which programs are for it.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) found: Found,
    pub(super) what: What,
    way: Way,
}

/// The ways to probe functions that work here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ways {
    /// For functions that BTF knows.
    pub(super) typed: Way,
    /// For functions that only have a symbol, because the compiler has changed their arguments.
    pub(super) by_symbol: Option<Way>,
}

/// What a function serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    Point(u16),
    Span(usize),
}

impl What {
    /// The programs that serve it: at the entry, and at the exit where there is one.
    fn programs(self, way: Way) -> (String, Option<String>) {
        let fentry = way == Way::Fentry;
        match self {
            Self::Point(n) if fentry => (format!("fe_{n}"), None),
            Self::Point(n) => (format!("kp_{n}"), None),
            Self::Span(i) if fentry => (format!("se_{i}"), Some(format!("sx_{i}"))),
            Self::Span(i) => (format!("ke_{i}"), Some(format!("kx_{i}"))),
        }
    }
}

/// What of the tables can be probed by functions here, and why the rest can't.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    pub(super) targets: Vec<Target>,
    pub(super) absent: BTreeMap<What, String>,
}

impl Plan {
    /// Finds the functions of all spans, and of the points that `wanted` says. Their arguments'
    /// positions go to `positions`.
    pub(super) fn new(
        btf: &KernelBtf,
        ways: Ways,
        wanted: impl Fn(&Point) -> bool,
        positions: &mut Positions,
    ) -> Self {
        let mut plan = Self::default();
        let symbols = Symbols::read();
        for point in POINTS.iter().filter(|p| wanted(p)) {
            for names in point.functions {
                let row = &mut positions.rows[usize::from(point.point)];
                let found = btf.function(names, point.body).map(|found| (found, ways.typed));
                plan.add(What::Point(point.point), found, row);
            }
        }
        for (index, span) in SPANS.iter().enumerate() {
            for names in span.span.functions {
                let row = &mut positions.rows[SPAN_ROWS + index];
                let found = btf.span(names, span.span.note).map(|found| (found, ways.typed));
                let found = found.or_else(|why| {
                    // Its packet is that of the function around it: no arguments are needed.
                    let way = ways.by_symbol.ok_or_else(|| why.clone())?;
                    Ok((symbols.of_functions(names).ok_or(why)?, way))
                });
                plan.add(What::Span(index), found, row);
            }
        }
        plan
    }

    fn add(&mut self, what: What, found: Result<(Found, Way), String>, row: &mut Row) {
        let refused = match found {
            // All functions of a row share its programs, and with them the positions.
            Ok((found, way)) if *row == Positions::NONE.rows[0] || *row == found.row => {
                *row = found.row;
                self.targets.push(Target { found, what, way });
                return;
            }
            Ok((found, _)) => format!("{} has its arguments elsewhere than its like", found.name),
            Err(why) => why,
        };
        self.absent.entry(what).or_insert(refused);
    }
}

/// Probes that are attached.
#[derive(Default)]
pub(super) struct Functions {
    probes: Vec<Probe>,
    /// By what they serve, the functions probed, and how.
    pub(super) served: BTreeMap<What, (Backend, Vec<String>)>,
    pub(super) refused: BTreeMap<What, String>,
}

/// A program and its link, which goes first.
struct Probe {
    backend: Backend,
    _link: OwnedFd,
    _program: OwnedFd,
}

impl Functions {
    pub(super) fn len(&self) -> usize {
        self.probes.len()
    }

    /// How many probes there are of each backend.
    pub(super) fn attached(&self) -> BTreeMap<Backend, usize> {
        let mut attached = BTreeMap::new();
        for probe in &self.probes {
            *attached.entry(probe.backend).or_default() += 1;
        }
        attached
    }

    /// Attaches probes to all targets.
    pub(super) fn attach(object: &Object, targets: &[Target]) -> Result<Self, KernelError> {
        let source = Source::relocated(object)?;
        let modules = modules(targets);
        let attached = targets.iter().map(|target| {
            let module = match target.found.module.as_ref().and_then(|m| modules.get(m)) {
                Some(Err(why)) => return Err(why.clone()),
                Some(Ok(btf)) => Some(btf),
                None => None,
            };
            attach_one(&source, target, module)
                .map_err(|error| super::refusal(&target.found.name, &error))
        });
        let mut this = Self::default();
        for (target, result) in targets.iter().zip(attached) {
            match result {
                Ok(probes) => {
                    this.probes.extend(probes);
                    let backend = target.way.backend();
                    let served = this.served.entry(target.what);
                    let (_, names) = served.or_insert_with(|| (backend, Vec::new()));
                    names.push(target.found.name.clone());
                }
                Err(why) => {
                    this.refused.insert(target.what, why);
                }
            }
        }
        Ok(this)
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
    let way = target.way;
    let (entry, exit) = target.what.programs(way);
    // The exit first: an entry without its exit would look like a function that never returns.
    let wanted = exit.iter().map(|name| (name, true)).chain([(&entry, false)]);
    let symbol = CString::new(target.found.name.as_str()).unwrap_or_default();
    wanted
        .map(|(name, on_return)| {
            let program = source.load(name, way.kind(on_return, &target.found, module))?;
            let link = way.link(program.as_fd(), &symbol, on_return).map_err(|e| {
                KernelError::system(format!("attach {name} to {}", target.found.name), e)
            })?;
            Ok(Probe { backend: way.backend(), _link: link, _program: program })
        })
        .collect()
}

/// A way to probe functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// BPF trampolines.
    Fentry,
    /// kprobes through fprobe (`BPF_TRACE_KPROBE_MULTI`, Linux 5.18).
    Multi,
    /// kprobes through perf events.
    Event,
}

impl Way {
    pub(super) fn backend(self) -> Backend {
        match self {
            Self::Fentry => Backend::Fentry,
            Self::Multi | Self::Event => Backend::Kprobe,
        }
    }

    fn kind(self, on_return: bool, found: &Found, module: Option<&OwnedFd>) -> ProgramKind {
        /// What `expected_attach_type` is where there is nothing to expect.
        const ANY: bpf_attach_type = bpf_attach_type::BPF_CGROUP_INET_INGRESS;
        let kprobe = |attach| ProgramKind {
            kind: bpf_prog_type::BPF_PROG_TYPE_KPROBE,
            attach,
            target: 0,
            module: None,
        };
        match self {
            Self::Fentry => ProgramKind {
                kind: bpf_prog_type::BPF_PROG_TYPE_TRACING,
                attach: if on_return {
                    bpf_attach_type::BPF_TRACE_FEXIT
                } else {
                    bpf_attach_type::BPF_TRACE_FENTRY
                },
                target: found.id,
                module: module.map(AsRawFd::as_raw_fd),
            },
            Self::Multi => kprobe(bpf_attach_type::BPF_TRACE_KPROBE_MULTI),
            Self::Event => kprobe(ANY),
        }
    }

    fn link(self, program: BorrowedFd<'_>, symbol: &CStr, on_return: bool) -> io::Result<OwnedFd> {
        match self {
            Self::Fentry => raw::link_tracing(program),
            Self::Multi => raw::link_kprobes(program, &[symbol], on_return),
            Self::Event => raw::link_kprobe_event(program, symbol, on_return),
        }
    }
}

/// Functions that every kernel with IPv4 has, to try a way on.
const COMMON: &[&str] = &["ip_forward", "ip_rcv", "tcp_v4_rcv"];

/// The way that works for a backend here, by trying it at a function's return.
pub(super) fn try_backend(btf: &KernelBtf, backend: Backend) -> Result<Way, String> {
    let found = btf.function(COMMON, Body::Passing)?;
    let symbol = CString::new(found.name.as_str()).unwrap_or_default();
    let ways: &[Way] =
        if backend == Backend::Fentry { &[Way::Fentry] } else { &[Way::Multi, Way::Event] };
    let mut why = String::new();
    for way in ways {
        let tried = raw::trivial_program(way.kind(true, &found, None))
            .and_then(|program| way.link(program.as_fd(), &symbol, true));
        why = match tried {
            Ok(_) => return Ok(*way),
            Err(e) if e.raw_os_error() == Some(libc::EPERM) => {
                "the kernel forbids function tracing".to_owned()
            }
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => {
                "the kernel has no kprobes".to_owned()
            }
            Err(e) => e.to_string(),
        };
    }
    Err(why)
}
