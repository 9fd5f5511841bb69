//! Where a packet was dropped: the last place and situation that it was seen in, and what ran then.
//!
//! A packet that netfilter drops between two links was dropped by what lies between them; one that is
//! dropped inside a function that runs in a hook, or right after one, by that function and by the rules
//! that it walks. (Since Linux 6.8 a chain frees what it drops; before, the hook does, once the chain has
//! said so.)

use netpath_common::{
    end::Sort,
    hop::{At, HopId, Note, Owner, RuleSet, of_owner},
    point::{Hook, HookAux},
    situation::When,
    span::SPANS,
};

use super::classify::{Step, What};
use crate::{
    hooks::{HookKey, HookPlan, HookPoint, owner},
    topo::Place,
};

/// Where a packet was thrown away, the kernel's reason, and what that means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DropKey {
    pub sort: Sort,
    /// `enum skb_drop_reason`; its upper half says whose.
    pub reason: u32,
    /// In the function that freed it, where the reason says nothing; else 0.
    pub location: u64,
    /// What it means: the row of [`netpath_common::end`], by its name.
    pub row: &'static str,
    /// The last place that the packet was seen at.
    pub place: Place,
    /// The last situation; none where it was seen in functions only.
    pub after: Option<At>,
    pub within: Option<Within>,
    /// It had not reached the interface: it was on its way to the container behind it.
    pub before: bool,
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

/// Where a flight was before it was thrown away.
#[derive(Clone, Copy, Debug)]
pub(super) struct Where {
    pub(super) place: Place,
    pub(super) after: Option<At>,
    pub(super) within: Option<Within>,
}

/// Where a flight was, by its steps; the last of them is its end.
pub(super) fn whereabouts(steps: &[Step], hooks: &HookPlan) -> Where {
    let before = match steps {
        [before @ .., last] if last.at() == Some(At::Drop) => before,
        all => all,
    };
    // In the namespace that it was in last, which may know no device of it yet.
    let last = before.iter().rev().map(|s| s.place).find(|place| place.netns != 0);
    let on_device =
        |s: &&Step| s.place.ifindex != 0 && last.is_some_and(|l| l.netns == s.place.netns);
    let place = before.iter().rev().find(on_device).map(|s| s.place).or(last);
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
    Where {
        place: place.unwrap_or_default(),
        after: before.iter().rev().find_map(Step::at),
        within,
    }
}

/// What lies after this link and before the next one.
fn stage(place: Place, link: HookAux, hooks: &HookPlan) -> Option<Within> {
    let key = HookKey { netns: place.netns, family: link.family, hook: link.hook };
    let Some(stage) = hooks.between(key, link.slot, link.slot + 1) else {
        return beyond(hooks.points.get(&key)?, link);
    };
    Some(Within {
        hop: stage.hop,
        hook: Hook::from_number(link.hook),
        family: link.family,
        priority: stage.functions.first().map(|f| f.priority),
        rules: None,
    })
}

/// What lies after the last link: hooks at the outermost priority, which no link can follow.
fn beyond(point: &HookPoint, link: HookAux) -> Option<Within> {
    let is_last = usize::from(link.slot) + 1 >= point.links.len();
    let last = point.registered.last().filter(|hook| is_last && hook.priority == i32::MAX)?;
    let hop = match owner(last) {
        Owner::Conntrack => HopId::ConntrackConfirm,
        other => of_owner(other),
    };
    let (hook, family) = (Hook::from_number(link.hook), link.family);
    Some(Within { hop, hook, family, priority: Some(last.priority), rules: None })
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
