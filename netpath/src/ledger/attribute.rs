//! Which hop the time between two neighbouring steps belongs to.

use netpath_common::{
    hop::{At, HopId, edges},
    point::Hook,
};

use super::{RowKey, classify::Step};
use crate::{
    hooks::{HookKey, HookPlan},
    topo::{Place, Topology},
};

static EDGES: [[Option<HopId>; At::COUNT]; At::COUNT] = edges();

/// A piece of a flight's time, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) key: RowKey,
    /// Nanoseconds; negative where clocks of two CPUs disagree.
    pub(super) ns: i64,
}

/// Memory that is used again for each flight.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) steps: Vec<Step>,
    pub(super) cuts: Vec<Cut>,
}

/// Fills `scratch.cuts` from `scratch.steps`: one cut fewer than steps.
pub(super) fn attribute(hooks: &HookPlan, topology: &Topology, scratch: &mut Scratch) {
    scratch.cuts.clear();
    for pair in scratch.steps.windows(2) {
        let [from, to] = pair else { continue };
        let ns = to.at_ns.wrapping_sub(from.at_ns).cast_signed();
        scratch.cuts.push(Cut { key: row_key(from, to, hooks, topology), ns });
    }
}

fn row_key(from: &Step, to: &Step, hooks: &HookPlan, topology: &Topology) -> RowKey {
    if let (Some(a), Some(b)) = (from.hook, to.hook)
        && from.at == to.at
        && from.place.netns == to.place.netns
    {
        let key = HookKey { netns: from.place.netns, family: a.family, hook: a.hook };
        return match hooks.between(key, a.slot, b.slot) {
            Some((index, stage)) => RowKey {
                hop: Some(stage.hop),
                place: from.place,
                hook: Hook::from_number(a.hook),
                family: a.family,
                stage: u8::try_from(index).unwrap_or(u8::MAX),
            },
            None => RowKey::at(None, from.place),
        };
    }
    let hop = EDGES[from.at as usize][to.at as usize];
    let place = match hop {
        // A bridge's time is the bridge's, not its port's.
        Some(HopId::Bridge) => bridge_of(from.place, topology),
        _ => from.place,
    };
    RowKey::at(hop, place)
}

fn bridge_of(place: Place, topology: &Topology) -> Place {
    topology
        .device(place)
        .and_then(|d| d.master)
        .map_or(place, |master| Place { netns: place.netns, ifindex: master })
}
