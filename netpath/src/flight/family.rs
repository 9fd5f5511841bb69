//! Copies and parts of a packet, together with it, until all of them have ended: rule 8 of [`super`].
//!
//! A family is held back until its last member has ended. Then the one that got furthest is the packet;
//! the others are its copies, and what only went on as others is left out.

use std::cmp::Reverse;

use netpath_common::{point::situation, wire::MORE_FRAGMENTS};
use rustc_hash::{FxHashMap, FxHashSet};

use super::{End, Flight, identity::namespace};
use crate::{decode::Event, packet::Headers};

/// A packet and what was made of it.
#[derive(Debug, Default)]
struct Family {
    /// Members that are under way.
    open: usize,
    #[expect(clippy::vec_box, reason = "flights move between maps, lines and here")]
    ended: Vec<Box<Flight>>,
}

/// All families that have members under way, by the number of the first flight.
#[derive(Debug, Default)]
pub(super) struct Families {
    all: FxHashMap<u64, Family>,
}

impl Families {
    /// `child`, which begins with `first` and has the headers `part`, turns out to be a copy or part of `parent`, which is under
    /// way, or has just ended.
    pub(super) fn join(
        &mut self,
        parent: &mut Flight,
        child: &mut Flight,
        (first, part): (&Event, &Headers),
    ) {
        if parent.family == 0 {
            parent.family = parent.seq;
            self.all.insert(parent.seq, Family { open: 1, ended: Vec::new() });
        }
        child.family = parent.family;
        if let Some(family) = self.all.get_mut(&parent.family) {
            family.open += 1;
        }
        let since = in_common(parent, first).filter(|at| *at > 0);
        let shared = since.or_else(|| beside(parent, first)).unwrap_or(parent.marks.len());
        // A packet that was made of fragments, or is sent with its own list of them, is the first one.
        if let (Some(known), true) = (&mut parent.known, since.is_some())
            && part.is_fragment()
            && !known.is_fragment()
        {
            (known.fragment_at, known.ip_id) = (MORE_FRAGMENTS, part.ip_id);
        }
        child.marks.clear();
        child.marks.extend_from_slice(&parent.marks[..shared]);
        (child.shared, child.inherited) = (shared, shared);
        parent.shared = parent.shared.max(shared);
        (child.headers, child.translated) = (parent.headers, parent.translated);
        (child.at, child.netns, child.in_tunnel) = (parent.at, parent.netns, parent.in_tunnel);
        child.captured.clone_from(&parent.captured);
        child.incomplete = child.incomplete.or(parent.incomplete);
        child.ambiguous |= parent.ambiguous;
    }

    /// A member has ended. Comes back with all the others where it was the last.
    #[expect(clippy::vec_box, reason = "as above")]
    pub(super) fn ended(&mut self, flight: Box<Flight>) -> Vec<Box<Flight>> {
        let root = flight.family;
        let Some(family) = self.all.get_mut(&root) else { return vec![flight] };
        family.ended.push(flight);
        family.open = family.open.saturating_sub(1);
        if family.open > 0 {
            return Vec::new();
        }
        let mut ended = self.all.remove(&root).map(|family| family.ended).unwrap_or_default();
        settle(&mut ended);
        ended
    }
}

/// What a flight has in common with one that begins with `first` and is made of it: its marks until it went
/// itself where that one turns up; `None` where it did not. Nothing, and it is not made of this one, but of
/// what this one was made of.
pub(super) fn in_common(parent: &Flight, first: &Event) -> Option<usize> {
    parent.marks.iter().rposition(|m| (m.point, m.arg) == (first.point, first.arg))
}

/// The same where both are made of one packet, and this one has gone on since: of a flood's copies each begins at
/// a port of its own. What still is where it began may itself be copied there.
fn beside(sibling: &Flight, first: &Event) -> Option<usize> {
    let begun = sibling.marks.get(sibling.inherited).filter(|_| sibling.inherited > 0)?;
    let alike = begun.point == first.point
        && namespace(begun.point, begun.arg) == namespace(first.point, first.arg);
    let has_gone_on = sibling.at != situation(begun.point, begun.aux);
    (alike && has_gone_on).then_some(sibling.inherited)
}

/// Says which of them is the packet, and of the others which part of their way each has to itself: what it
/// has in common with one that got further is that one's.
fn settle(ended: &mut [Box<Flight>]) {
    let mut order: Vec<&mut Box<Flight>> = ended.iter_mut().collect();
    order.sort_by_key(|f| Reverse((rank(f), f.marks.len(), Reverse(f.seq))));
    let mut main = None;
    let mut taken: FxHashSet<(u64, u16)> = FxHashSet::default();
    for flight in order {
        let marks = || flight.marks.iter().map(|mark| (mark.at_ns, mark.point));
        let shared = marks().take_while(|mark| taken.contains(mark)).count();
        taken.extend(marks());
        if main.is_some() {
            (flight.copy_of, flight.shared) = (main, shared);
            flight.absorbed = flight.marks.len() <= shared && is_quiet(flight.end);
        }
        main = main.or(Some(flight.seq));
    }
}

fn is_quiet(end: End) -> bool {
    !matches!(end, End::Delivered | End::Dropped { .. })
}

/// How far a flight got.
fn rank(flight: &Flight) -> u8 {
    match flight.end {
        End::Delivered => 6,
        End::Reached => 5,
        End::Transmitted => 4,
        End::UnderWay => 3,
        End::Merged => 2,
        End::Dropped { .. } => 1,
        End::Vanished => 0,
    }
}
