//! The ways to attach a probe: what its program is loaded as, and how it is linked.

use std::{
    ffi::{CStr, CString},
    io,
    os::fd::{AsFd as _, AsRawFd, BorrowedFd, OwnedFd},
};

use aya_obj::generated::{bpf_attach_type, bpf_prog_type};
use netpath_common::point::Body;

use super::{
    btf::{Found, KernelBtf},
    raw::{self, ProgramKind},
};
use crate::backend::Backend;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// BTF tracepoints.
    Tracepoint,
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
            Self::Tracepoint => Backend::Tracepoint,
            Self::Fentry => Backend::Fentry,
            Self::Multi | Self::Event => Backend::Kprobe,
        }
    }

    pub(super) fn kind(
        self,
        on_return: bool,
        found: &Found,
        module: Option<&OwnedFd>,
    ) -> ProgramKind {
        /// What `expected_attach_type` is where there is nothing to expect.
        const ANY: bpf_attach_type = bpf_attach_type::BPF_CGROUP_INET_INGRESS;
        let kprobe = |attach| ProgramKind {
            kind: bpf_prog_type::BPF_PROG_TYPE_KPROBE,
            attach,
            target: 0,
            module: None,
        };
        let tracing = |attach| ProgramKind {
            kind: bpf_prog_type::BPF_PROG_TYPE_TRACING,
            attach,
            target: found.id,
            module: module.map(AsRawFd::as_raw_fd),
        };
        match self {
            Self::Tracepoint => tracing(bpf_attach_type::BPF_TRACE_RAW_TP),
            Self::Fentry if on_return => tracing(bpf_attach_type::BPF_TRACE_FEXIT),
            Self::Fentry => tracing(bpf_attach_type::BPF_TRACE_FENTRY),
            Self::Multi => kprobe(bpf_attach_type::BPF_TRACE_KPROBE_MULTI),
            Self::Event => kprobe(ANY),
        }
    }

    pub(super) fn link(
        self,
        program: BorrowedFd<'_>,
        symbol: &CStr,
        on_return: bool,
    ) -> io::Result<OwnedFd> {
        match self {
            Self::Tracepoint | Self::Fentry => raw::link_tracing(program),
            Self::Multi => raw::link_kprobes(program, &[symbol], on_return),
            Self::Event => raw::link_kprobe_event(program, symbol, on_return),
        }
    }
}

/// Functions that every kernel with IPv4 has, to try a way on.
const COMMON: &[&str] = &["ip_forward", "ip_rcv", "tcp_v4_rcv"];

/// The kernel's own `ENOTSUPP`, which no header of the C library has.
const ENOTSUPP: i32 = 524;

/// The way that works for a backend of functions here, by trying it at a function's return.
pub(super) fn of(btf: &KernelBtf, backend: Backend) -> Result<Way, String> {
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
            Err(e) if backend == Backend::Fentry && e.raw_os_error() == Some(ENOTSUPP) => {
                "the kernel has no BPF trampolines at functions (on 64-bit ARM from Linux 6.4 on)"
                    .to_owned()
            }
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => {
                "the kernel has no kprobes".to_owned()
            }
            Err(e) => e.to_string(),
        };
    }
    Err(why)
}
