//! Ends in words: what was lost or refused, and what nobody misses.

use netpath_common::end::Sort;

use super::{Coverage, Finding, Snapshot};
use crate::units::{count, time};

/// `3 lost, 2 refused`; what an older report only calls dropped; `none lost or refused`.
pub(crate) fn dropped(p: &Coverage) -> String {
    let drops = Sort::ALL.iter().filter(|sort| sort.is_drop());
    let some: Vec<String> = drops.filter_map(|sort| sorted(p, *sort)).collect();
    match (some.is_empty(), p.dropped) {
        (true, 0) => "none lost or refused".to_owned(),
        (true, n) => format!("{} dropped", count(n)),
        _ => some.join(", ") + &before(p),
    }
}

/// ` (2 of them before they reached the interface)`.
fn before(p: &Coverage) -> String {
    match p.dropped_before {
        0 => String::new(),
        n => format!(" ({} of them before they reached the interface)", count(n)),
    }
}

/// What else the kernel threw away, which nobody misses; empty where that is nothing.
pub(crate) fn set_aside(p: &Coverage) -> String {
    let others = Sort::ALL.iter().filter(|sort| !sort.is_drop());
    others.filter_map(|sort| sorted(p, *sort)).collect::<Vec<_>>().join(", ")
}

fn sorted(p: &Coverage, sort: Sort) -> Option<String> {
    let n = p.sorts.get(sort);
    (n > 0).then(|| format!("{} {}", count(n), sort.label()))
}

/// Why there is no path.
pub(crate) fn no_path(s: &Snapshot) -> String {
    let p = &s.packets;
    match (p.seen, p.complete) {
        (0, _) => "No packet passed, so there is nothing to show.".to_owned(),
        (_, 0) => "No packet got through, so no time can be shown.".to_owned(),
        _ => format!("No packet passed that was for somebody here: {}.", set_aside(p)),
    }
}

impl Finding {
    /// What it costs: packets, or time; `–` where that is not known.
    pub(crate) fn price(&self) -> String {
        match self.lost {
            0 if self.cost_ns > 0.0 => time(self.cost_ns),
            0 => "–".to_owned(),
            n => format!("{} lost", count(n)),
        }
    }
}
