//! The backends: ways in which the kernel calls netpath's programs.

use serde::{Deserialize, Serialize};

/// The backends, in the order of preference; one row each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    Tracepoint,
    Fentry,
    Kprobe,
    NetfilterLink,
}

impl Backend {
    pub const ALL: [Self; 4] = [Self::Tracepoint, Self::Fentry, Self::Kprobe, Self::NetfilterLink];

    /// Those that probe functions.
    pub(crate) const FUNCTIONS: &[Self] = &[Self::Fentry, Self::Kprobe];

    /// The name on the command line and in reports.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Tracepoint => "tracepoint",
            Self::Fentry => "fentry",
            Self::Kprobe => "kprobe",
            Self::NetfilterLink => "netfilter-link",
        }
    }

    pub const fn what(self) -> &'static str {
        match self {
            Self::Tracepoint => "BTF tracepoints",
            Self::Fentry => "function entry and exit, by BPF trampolines",
            Self::Kprobe => "function entry and exit, by kprobes",
            Self::NetfilterLink => "BPF links around netfilter hooks, Linux 6.4",
        }
    }
}
