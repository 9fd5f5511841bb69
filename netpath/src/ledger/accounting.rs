//! What was recorded and is in no figure, by why.
//!
//! In: counts of the stages before the ledger, and the reasons for which flights are incomplete. Out:
//! plain numbers, as they stand in the report.

use serde::{Deserialize, Serialize};

use crate::flight::{Counters, Incomplete};

/// What was recorded and set aside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Accounting {
    /// Packets that began before everything was attached.
    pub early: u64,
    /// Packets that a time in which nothing was recorded cut short, or that began in one.
    pub cut: u64,
    /// Packets that the filter does not want, after NAT either.
    pub left_out: u64,
    /// Packets whose end was not waited for, because too many were under way.
    pub evicted: u64,
    /// Packets that only went on as others: fragmented, segmented or rebuilt.
    pub absorbed: u64,
    /// Events that belong to no packet that was followed.
    pub strays: u64,
    /// Pieces of packets' passages that were read too late to be put in order.
    pub late_pieces: u64,
    /// Chunks of events that could not be read to their end.
    pub bad_chunks: u64,
}

impl Accounting {
    /// How many there are of what, where there are any.
    pub fn each(self) -> impl Iterator<Item = (u64, &'static str)> {
        [
            (self.early, "packets that began before tracing did"),
            (self.cut, "packets that a pause cut"),
            (self.left_out, "packets that the filter does not want"),
            (self.evicted, "packets whose end was not waited for"),
            (self.absorbed, "packets that only went on as others"),
            (self.strays, "events of packets that are not followed"),
            (self.late_pieces, "pieces read too late to be put in order"),
            (self.bad_chunks, "bad chunks of events"),
        ]
        .into_iter()
        .filter(|(n, _)| *n > 0)
    }

    /// What the stages before the ledger have counted.
    pub(crate) fn of(counters: Counters, left_out: u64, bad_chunks: u64) -> Self {
        let Counters { begun: _, strays, evicted, early, cut, late, absorbed } = counters;
        Self { early, cut, left_out, evicted, absorbed, strays, late_pieces: late, bad_chunks }
    }
}

/// Incomplete packets, by why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct IncompleteWhy {
    /// Events were lost on a CPU on which they may have been.
    pub lost: u64,
    /// They have more events than a packet can have.
    pub too_long: u64,
    /// Probes were changed while they were under way.
    pub probes_changed: u64,
    /// Events of them came too late to be put in order.
    pub out_of_order: u64,
    /// Their end was not waited for, because too many were under way.
    pub cut: u64,
}

impl IncompleteWhy {
    /// How many, and what of them.
    pub fn each(self) -> [(u64, &'static str); 5] {
        [
            (self.lost, "events may be lost"),
            (self.too_long, "too many events"),
            (self.probes_changed, "probes changed meanwhile"),
            (self.out_of_order, "read too late to be put in order"),
            (self.cut, "end not waited for"),
        ]
    }

    pub(crate) fn count(&mut self, why: Incomplete) {
        *match why {
            Incomplete::Lost => &mut self.lost,
            Incomplete::TooLong => &mut self.too_long,
            Incomplete::ProbesChanged => &mut self.probes_changed,
            Incomplete::OutOfOrder => &mut self.out_of_order,
            Incomplete::Cut => &mut self.cut,
        } += 1;
    }
}
