//! Where a packet was dropped: the last place and situation that it was seen in, and what ran then.
//!
//! A packet that netfilter drops between two links was dropped by what lies between them; one that is
//! dropped right after a function that walks rules, by those rules.

use netpath_common::{
    hop::{At, HopId, Note, RuleSet},
    point::{Hook, HookAux},
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
    let within = match before.last().map(|last| (last, last.what)) {
        Some((last, What::At(_))) => last.hook.and_then(|hook| stage(last.place, hook, hooks)),
        Some((_, What::Exit(span))) => function(before, span),
        _ => None,
    };
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

/// A function that the packet has just left, if it walks rules.
fn function(before: &[Step], left: usize) -> Option<Within> {
    let Note::Rules(kind) = SPANS[left].span.note else { return None };
    let entry = before.iter().rev().find(|s| matches!(s.what, What::Enter(_, i) if i == left))?;
    let What::Enter(hop, _) = entry.what else { return None };
    Some(Within {
        hop,
        hook: entry.hook.and_then(|hook| Hook::from_number(hook.hook)),
        family: entry.hook.map_or(0, |hook| hook.family),
        priority: None,
        rules: (entry.arg != 0).then_some((kind, entry.arg)),
    })
}
