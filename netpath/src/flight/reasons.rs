//! The drop reasons that say what becomes of a flight. In: this kernel's names of them, by number.

use std::collections::BTreeMap;

use netpath_common::end;
use rustc_hash::FxHashSet;

/// Parts of the names of reasons that are there before a fragment is a part of a whole packet: reassembly's own, and
/// those of what it passes before.
const OF_FRAGMENTS: &[&str] = &["FRAG", "NETFILTER", "IP_", "IPV6_", "NOMEM", "TC_", "XDP"];
/// What the kernel calls a packet that is too large for its next device.
const TOO_LARGE: &str = "PKT_TOO_BIG";

#[derive(Debug, Default)]
pub(super) struct Reasons {
    /// Those for which a fragment is dropped by itself.
    pub(super) of_fragments: FxHashSet<u16>,
    /// Those that say nothing.
    pub(super) unexplained: FxHashSet<u16>,
    /// The one of a packet that is too large for its next device; 0 where there is none.
    pub(super) too_large: u16,
}

impl Reasons {
    pub(super) fn of(names: &BTreeMap<u16, String>) -> Self {
        let all = |which: &dyn Fn(&str) -> bool| {
            names.iter().filter(|(_, name)| which(name)).map(|(number, _)| *number).collect()
        };
        let too_large = names.iter().find(|(_, name)| *name == TOO_LARGE);
        Self {
            of_fragments: all(&|name| OF_FRAGMENTS.iter().any(|part| name.contains(part))),
            unexplained: all(&end::says_nothing),
            too_large: too_large.map_or(0, |(number, _)| *number),
        }
    }
}
