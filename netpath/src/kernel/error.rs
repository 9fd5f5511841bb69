//! What can go wrong at the kernel boundary.

use std::{collections::BTreeMap, io};

use thiserror::Error;

use crate::backend::Backend;

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
    #[error("the kernel's verifier refused program {program}: {}", reason(log))]
    Verifier { program: String, log: String },
    #[error("cannot {what}: {source}")]
    System { what: String, source: io::Error },
    #[error("no probe can be attached on this kernel: {}", reasons(why_not))]
    NothingAttached { why_not: BTreeMap<Backend, String> },
}

fn reasons(why_not: &BTreeMap<Backend, String>) -> String {
    let words: Vec<String> =
        why_not.iter().map(|(backend, why)| format!("{}: {why}", backend.key())).collect();
    words.join("; ")
}

impl KernelError {
    pub(super) fn system(what: impl Into<String>, source: io::Error) -> Self {
        Self::System { what: what.into(), source }
    }
}

/// Why something is absent; a verifier's log goes to the diagnostics.
pub(super) fn refusal(what: &str, error: &KernelError) -> String {
    if let KernelError::Verifier { log, .. } = error {
        tracing::warn!("{what}: {error}; the verifier's log ends:\n{log}");
    }
    format!("{what}: {error}")
}

/// The lines of a verifier log that its statistics are made of.
const STATISTICS: [&str; 3] = ["verification time", "stack depth", "processed "];

/// What the verifier objected to: its last line that is no statistic.
fn reason(log: &str) -> &str {
    log.lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty() && !STATISTICS.iter().any(|s| line.starts_with(s)))
        .unwrap_or("it gave no reason")
}

/// The last lines of a verifier log, where the reason stands.
pub(super) fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().filter(|l| !l.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_what_precedes_the_statistics() {
        let log = "0: (bf) r1 = r2\nR1 !read_ok\nverification time 7 usec\nprocessed 1 insns\n\n";
        assert_eq!(reason(log), "R1 !read_ok");
        assert_eq!(reason(""), "it gave no reason");
    }
}
