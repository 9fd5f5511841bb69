//! What can go wrong at the kernel boundary.

use std::{collections::BTreeMap, io};

use thiserror::Error;

use super::{Backend, Served};

#[derive(Debug, Error)]
pub enum KernelError {
    #[error(
        "this kernel has no BTF (/sys/kernel/btf/vmlinux: {0}); netpath needs one built with CONFIG_DEBUG_INFO_BTF=y, as distributions' kernels from 5.14 on are"
    )]
    NoBtf(String),
    #[error(
        "this kernel has no field {of}.{path}, which netpath reads; it needs Linux 5.14 or newer"
    )]
    NoField { of: &'static str, path: &'static str },
    #[error("this kernel's {of}.{path} has {found} bytes, netpath reads {wanted}")]
    FieldSize { of: &'static str, path: &'static str, found: usize, wanted: usize },
    #[error("netpath lacks {missing}; run it as root, or give it these capabilities")]
    Permission { missing: String },
    #[error("cannot load netpath's eBPF object: {0}")]
    Object(String),
    #[error("the kernel's verifier refused program {program}:\n{log}")]
    Verifier { program: String, log: String },
    #[error("cannot {what}: {source}")]
    System { what: String, source: io::Error },
    #[error("no probe can be attached on this kernel: {}", reasons(served))]
    NothingAttached { served: BTreeMap<Backend, Served> },
}

fn reasons(served: &BTreeMap<Backend, Served>) -> String {
    let words: Vec<String> = served
        .iter()
        .filter_map(|(backend, state)| match state {
            Served::No(why) => Some(format!("{}: {why}", backend.key())),
            Served::Yes(_) => None,
        })
        .collect();
    words.join("; ")
}

impl KernelError {
    pub(super) fn system(what: impl Into<String>, source: io::Error) -> Self {
        Self::System { what: what.into(), source }
    }
}

/// The last lines of a verifier log, where the reason stands.
pub(super) fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().filter(|l| !l.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(25)..].join("\n")
}
