//! The connection table of the calling thread's namespace.

use std::fs;

use serde::{Deserialize, Serialize};

use super::per_cpu;

/// Size of the table, and how often something went wrong since boot
/// (`/proc/net/stat/nf_conntrack`, all CPUs together).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Conntrack {
    pub entries: u64,
    /// `nf_conntrack_max`.
    pub max: u64,
    /// Buckets of the hash table.
    pub buckets: u64,
    /// The same when tracing began; 0 where that is not known.
    #[serde(default)]
    pub buckets_before: u64,
    /// Entries that could not be put into the table.
    pub insert_failed: u64,
    /// Packets dropped because the table was full.
    pub drop: u64,
    /// Entries thrown out to make room.
    pub early_drop: u64,
    /// Lookups begun again because the table changed under them.
    pub search_restart: u64,
    /// New entries refused because their chain was too long.
    pub chain_too_long: u64,
}

/// `None` where the namespace tracks nothing.
pub(super) fn read() -> Option<Conntrack> {
    let value = |name: &str| -> Option<u64> {
        let path = format!("/proc/sys/net/netfilter/nf_conntrack_{name}");
        fs::read_to_string(path).ok()?.trim().parse().ok()
    };
    let mut facts = Conntrack {
        entries: value("count")?,
        max: value("max")?,
        buckets: value("buckets")?,
        ..Conntrack::default()
    };
    if let Ok(text) = fs::read_to_string("/proc/thread-self/net/stat/nf_conntrack") {
        let sum = |column: &str| sum(&text, column);
        facts.insert_failed = sum("insert_failed");
        facts.drop = sum("drop");
        facts.early_drop = sum("early_drop");
        facts.search_restart = sum("search_restart");
        facts.chain_too_long = sum("chaintoolong");
    }
    Some(facts)
}

/// The sum of a column of hexadecimal numbers under a line of names; 0 where it is not there.
fn sum(text: &str, column: &str) -> u64 {
    let mut lines = text.lines();
    let names = lines.next().unwrap_or_default();
    let Some(at) = names.split_whitespace().position(|name| name == column) else { return 0 };
    per_cpu::sum(lines, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_name_and_summed_over_cpus() {
        let text =
            "entries drop early_drop\n00000010 00000001 0000000a\n00000010 00000002 00000000\n";
        assert_eq!([sum(text, "drop"), sum(text, "early_drop"), sum(text, "nothing")], [3, 10, 0]);
    }
}
