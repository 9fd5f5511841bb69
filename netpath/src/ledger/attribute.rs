//! Which hop the time between two neighbouring steps belongs to.
//!
//! Inside functions it is the innermost one's; so a function's own time leaves out the functions
//! that it calls. Outside, or once a packet has passed a point inside a function, the time up to the
//! next point is the hop's that the table has for that pair of situations.

use netpath_common::{
    hop::{At, HopId, Note, can_be_redirected, edges, inside, when_resumed},
    point::{Hook, HookAux},
    span::SPANS,
};

use super::{
    RowKey, RuleNames,
    classify::{Step, What},
    devices::Devices,
};
use crate::{
    hooks::{HookKey, HookPlan},
    topo::Place,
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
    /// What the packet is in, innermost last.
    frames: Vec<Frame>,
    /// For each step, the next one that is a situation; its own length where there is none.
    next: Vec<usize>,
}

/// What a packet is in.
#[derive(Clone, Copy, Debug)]
enum Frame {
    /// Past this step, which is a situation.
    Past(usize),
    /// In a function, or, where it has no index, in a wait for a lock.
    In { span: Option<usize>, key: RowKey },
}

/// What is known beside the flight itself.
pub(super) struct Seen<'a> {
    pub(super) hooks: &'a HookPlan,
    pub(super) devices: &'a Devices,
    pub(super) names: &'a RuleNames,
    /// Whether packets are seen to enter queues.
    pub(super) queues: bool,
}

/// Fills `scratch.cuts` from `scratch.steps`: one cut fewer than steps.
pub(super) fn attribute(seen: &Seen<'_>, scratch: &mut Scratch) {
    let Scratch { steps, cuts, frames, next } = scratch;
    cuts.clear();
    frames.clear();
    next_situations(steps, next);
    for (i, pair) in steps.windows(2).enumerate() {
        let [from, to] = pair else { continue };
        let left = enter(from, i, seen.names, frames);
        let key = match frames.last() {
            // Rules that have queued the packet have returned by the time at which somebody takes it up.
            _ if to.resumed
                && let Some(rules) = left.filter(|key| key.hop == Some(HopId::Rules)) =>
            {
                RowKey { hop: Some(HopId::QueuedToUser), rules: None, ..rules }
            }
            None => RowKey::at(None, from.place),
            Some(Frame::In { key, .. }) => *key,
            Some(Frame::Past(at)) => match steps.get(next[i + 1]) {
                Some(until) => between(&steps[*at], until, seen),
                None => RowKey::at(None, from.place),
            },
        };
        cuts.push(Cut { key, ns: to.at_ns.wrapping_sub(from.at_ns).cast_signed() });
    }
}

fn next_situations(steps: &[Step], next: &mut Vec<usize>) {
    next.clear();
    next.resize(steps.len(), steps.len());
    let mut following = steps.len();
    for (i, step) in steps.iter().enumerate().rev() {
        if step.at().is_some() {
            following = i;
        }
        next[i] = following;
    }
}

/// What a step does to where the packet is; whose the function is that it leaves.
fn enter(step: &Step, index: usize, names: &RuleNames, frames: &mut Vec<Frame>) -> Option<RowKey> {
    match step.what {
        What::At(_) => {
            if step.is_queued() {
                frames.clear();
            }
            if let Some(Frame::Past(_)) = frames.last() {
                frames.pop();
            }
            frames.push(Frame::Past(index));
        }
        What::Enter(hop, span) => {
            let outer = frames.iter().rev().find_map(|f| match f {
                Frame::In { key, .. } => Some(*key),
                Frame::Past(_) => None,
            });
            let key = span_key(step, hop, SPANS[span].span.note, outer, names);
            frames.push(Frame::In { span: Some(span), key });
        }
        What::Wait(hop) => {
            frames.push(Frame::In { span: None, key: RowKey::at(Some(hop), step.place) });
        }
        What::Waited => {
            if let Some(Frame::In { span: None, .. }) = frames.last() {
                frames.pop();
            }
        }
        // An exit whose entry is not known changes nothing.
        What::Exit(left) => {
            let entered = frames
                .iter()
                .rposition(|f| matches!(f, Frame::In { span, .. } if *span == Some(left)));
            if let Some(depth) = entered
                && let Some(Frame::In { key, .. }) = frames.drain(depth..).next()
            {
                return Some(key);
            }
        }
    }
    None
}

/// The row of a function: in the hook that it says it runs in, or that of the function around it.
fn span_key(
    step: &Step,
    hop: HopId,
    note: Note,
    outer: Option<RowKey>,
    names: &RuleNames,
) -> RowKey {
    let within = outer.and_then(|o| o.hop).map(|o| o.info().group);
    let hop = within.map_or(hop, |group| inside(hop, group));
    let mut key = RowKey::at(Some(hop), step.place);
    key.rules = match note {
        Note::Rules(kind) if step.arg != 0 => Some((kind, names.key(step.arg))),
        _ => None,
    };
    if let Some(hook) = step.hook {
        key.hook = Hook::from_number(hook.hook);
        key.family = hook.family;
    } else if let Some(outer) = outer {
        (key.hook, key.family) = (outer.hook, outer.family);
    }
    key
}

fn between(from: &Step, to: &Step, seen: &Seen<'_>) -> RowKey {
    let Seen { hooks, devices, queues, .. } = *seen;
    let (Some(after), Some(before)) = (from.at(), to.at()) else {
        return RowKey::at(None, from.place);
    };
    if let (Some(a), Some(b)) = (from.hook, to.hook)
        && after == before
        && from.place.netns == to.place.netns
    {
        let mut key = stage(from.place, a, b, hooks);
        if to.resumed {
            key.hop = key.hop.map(|hop| when_resumed(hop, before));
        }
        key.bridged = matches!(after, At::BrPre | At::BrFwd | At::BrPost);
        return key;
    }
    let hop = match EDGES[after as usize][before as usize] {
        _ if can_be_redirected(after, before) && redirects(from.place, to.place, devices) => {
            Some(HopId::Redirect)
        }
        // It may have lain in the device's queue all the time.
        Some(HopId::QdiscBypass | HopId::QdiscNone)
            if !queues && !devices.get(from.place).noqueue =>
        {
            None
        }
        // Another CPU had the lock, and took the packet over.
        Some(HopId::QdiscEnqueue) if from.cpu != to.cpu => Some(HopId::QdiscLock),
        Some(hop) if to.resumed => Some(when_resumed(hop, before)),
        hop => hop,
    };
    let place = match hop {
        // A bridge's time is the bridge's, not its port's.
        Some(HopId::Bridge | HopId::BridgeNetfilter | HopId::BridgeUp | HopId::BridgeFlood) => {
            bridge_of(from.place, devices)
        }
        // The ring is the receiver's, whose NAPI takes the packet up; IFB's queue is its own.
        Some(HopId::DeviceWait) if before == At::Gro => to.place,
        _ => from.place,
    };
    RowKey::at(hop, place)
}

/// Whether what arrives at the one device is sent out of the other one by a filter.
fn redirects(from: Place, to: Place, devices: &Devices) -> bool {
    from.netns == to.netns && devices.get(from).redirect == Some(to.ifindex)
}

/// Between two links of one hook.
fn stage(place: Place, a: HookAux, b: HookAux, hooks: &HookPlan) -> RowKey {
    let key = HookKey { netns: place.netns, family: a.family, hook: a.hook };
    match hooks.between(key, a.slot, b.slot) {
        Some(stage) => RowKey {
            hook: Hook::from_number(a.hook),
            family: a.family,
            stage: stage.functions.first().map(|f| f.priority),
            ..RowKey::at(Some(stage.hop), place)
        },
        None => RowKey::at(None, place),
    }
}

fn bridge_of(place: Place, devices: &Devices) -> Place {
    let master = devices.get(place).master;
    master.map_or(place, |master| Place { netns: place.netns, ifindex: master })
}
