//! Where a packet was dropped: the last place and situation that it was seen in, and what ran then.
//!
//! A packet that netfilter drops between two links was dropped by what lies between them; one that is
//! dropped inside a function that runs in a hook, or right after one, by that function and by the rules
//! that it walks. (Since Linux 6.8 a chain frees what it drops; before, the hook does, once the chain has
//! said so.)

use netpath_common::{
    hop::{At, HopId, Note, RuleSet},
    point::{Hook, HookAux},
    situation::When,
    span::SPANS,
};

use super::classify::{Step, What};
use crate::{
    hooks::{HookKey, HookPlan},
    topo::Place,
};

/// A drop: where, and the kernel's reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DropKey {
    /// `enum skb_drop_reason`.
    pub reason: u16,
    /// The last place that the packet was seen at.
    pub place: Place,
    /// The last situation; none where it was seen in functions only.
    pub after: Option<At>,
    pub within: Option<Within>,
}

impl DropKey {
    /// Whether a bridge had the packet in a hook.
    pub fn is_bridged(&self) -> bool {
        self.after.is_some_and(is_in_bridge)
    }
}

/// Whether a situation is one in a bridge's hands.
pub(super) fn is_in_bridge(at: At) -> bool {
    matches!(at.row().case, Some((_, When::InBridge)))
}

/// The part of a netfilter hook that had the packet when it was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Within {
    pub hop: HopId,
    pub hook: Option<Hook>,
    /// As [`netpath_common::point::Family`].
    pub family: u8,
    /// Of the functions that ran; not known where a function was seen itself.
    pub priority: Option<i32>,
    /// What was walked, where a function was seen that walks.
    pub rules: Option<(RuleSet, u64)>,
}

/// The key of a flight that ended so, by its steps; the last of them is the drop.
pub(super) fn key(reason: u16, steps: &[Step], hooks: &HookPlan) -> DropKey {
    let before = match steps {
        [before @ .., last] if last.at() == Some(At::Drop) => before,
        all => all,
    };
    let place = before.iter().rev().find(|s| s.place.ifindex != 0).map(|s| s.place);
    let within = open(before).or_else(|| {
        let last = before.last()?;
        match last.what {
            What::At(_) => stage(last.place, last.hook?, hooks),
            What::Exit(span) => {
                let entered = |s: &&Step| matches!(s.what, What::Enter(_, i) if i == span);
                function(before.iter().rev().find(entered)?)
            }
            _ => None,
        }
    });
    DropKey {
        reason,
        place: place.unwrap_or_default(),
        after: before.iter().rev().find_map(Step::at),
        within,
    }
}

/// What lies after this link and before the next one.
fn stage(place: Place, link: HookAux, hooks: &HookPlan) -> Option<Within> {
    let key = HookKey { netns: place.netns, family: link.family, hook: link.hook };
    let stage = hooks.between(key, link.slot, link.slot + 1)?;
    Some(Within {
        hop: stage.hop,
        hook: Hook::from_number(link.hook),
        family: link.family,
        priority: stage.functions.first().map(|f| f.priority),
        rules: None,
    })
}

/// The innermost function that the packet is in, of those that run in a hook.
fn open(before: &[Step]) -> Option<Within> {
    let mut open: Vec<(usize, &Step)> = Vec::new();
    for step in before {
        match step.what {
            What::At(_) if step.is_queued() => open.clear(),
            What::Enter(_, span) => open.push((span, step)),
            What::Exit(span) => {
                if let Some(depth) = open.iter().rposition(|(of, _)| *of == span) {
                    open.truncate(depth);
                }
            }
            _ => {}
        }
    }
    open.iter().rev().find_map(|(_, entry)| function(entry))
}

/// A function by the step that enters it, if it runs in a hook.
fn function(entry: &Step) -> Option<Within> {
    let What::Enter(hop, span) = entry.what else { return None };
    let hook = entry.hook?;
    Some(Within {
        hop,
        hook: Hook::from_number(hook.hook),
        family: hook.family,
        priority: None,
        rules: match SPANS[span].span.note {
            Note::Rules(kind) if entry.arg != 0 => Some((kind, entry.arg)),
            _ => None,
        },
    })
}
