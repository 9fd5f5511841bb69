//! Folded stacks: a line per row of the ledger, `path;namespace;group;hop nanoseconds`.
//!
//! The weights are nanoseconds of packet latency, not samples; all lines sum to the ledger's totals.

use std::fmt::Write as _;

use super::stack;
use crate::snapshot::Snapshot;

/// All lines.
pub(super) fn render(snapshot: &Snapshot) -> String {
    let mut out = String::new();
    for line in stack::lines(snapshot) {
        let _ = writeln!(out, "{} {}", line.names.join(";"), line.ns);
    }
    out
}
