//! Paths: which flights belong together, and the rows that their times are booked in.
//!
//! A packet is cut up when it arrives, and booked with others of its path ([`super::kept`]): what a
//! path shows lacks those until [`Path::book`] has run.

use std::collections::BTreeMap;

use netpath_common::{
    group::Group,
    hop::{At, HopId, RuleSet},
    point::Hook,
    situation::Side,
};

use super::{
    Causes, CtState, Devices, Direction, Groups, History, HopOrNone, PathEnds, Rewritten, Shown,
    Times,
    attribute::Cut,
    causes::Wait,
    classify::Step,
    devices::Traits,
    kept::{self, KEPT, Kept},
    roles::Roles,
};
use crate::{
    flight::{End, Flight},
    packet::Tuple,
    topo::{Outwards, Place},
};

/// Devices that a path's key holds; longer ones share the key of their beginning.
const PLACES_MAX: usize = 16;

/// What flights of one path have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PathKey {
    pub direction: Direction,
    pub end: End,
    /// The devices passed, in order.
    pub places: Vec<Place>,
}

/// Names a row of a path's ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowKey {
    /// `None` for what no hop accounts for.
    pub hop: HopOrNone,
    pub place: Place,
    pub hook: Option<Hook>,
    /// [`netpath_common::point::Family`] as a number, for a hook.
    pub family: u8,
    /// In a bridge's hands: br_netfilter runs the IP hooks there.
    pub bridged: bool,
    /// The priority of the hook's stage, between two links.
    pub stage: Option<i32>,
    /// The rules that are walked, where that is known: [`super::RuleNames`] says what of them.
    pub rules: Option<(RuleSet, u64)>,
}

impl RowKey {
    pub(super) fn at(hop: HopOrNone, place: Place) -> Self {
        Self { hop, place, hook: None, family: 0, bridged: false, stage: None, rules: None }
    }
}

/// A hop at a place on a path. What finds it is apart from what it sums up, which is seldom looked at.
#[derive(Clone, Debug)]
pub struct Row {
    pub key: RowKey,
    pub(super) group: Group,
    pub sums: Box<Sums>,
}

/// What a row adds up to.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    pub times: Times,
    pub causes: Causes,
    /// Pieces of time booked here; each holds one event's cost.
    pub pieces: u64,
    /// The packet at hand's time here, until all of its pieces are there.
    pending_ns: Option<i64>,
}

impl Sums {
    fn merge(&mut self, other: &Self) {
        self.times.merge(&other.times);
        self.causes.merge(&other.causes);
        self.pieces += other.pieces;
    }
}

/// A path's ledger.
#[derive(Clone, Debug)]
pub struct Path {
    pub key: PathKey,
    /// By what others know it; none has had it before.
    pub id: usize,
    /// When its last packet ended, on the events' clock, ns.
    pub(super) last_ns: u64,
    pub total: Times,
    /// In the order in which a packet meets them.
    pub rows: Vec<Row>,
    pub groups: Groups,
    pub unattributed: Times,
    /// Packets whose connection was in its reply direction.
    pub replies: u64,
    /// Packets whose addresses NAT changed.
    pub translated: u64,
    /// One flow of the path: its tuple, and the tuple after NAT.
    pub example: Option<(Tuple, Option<Tuple>)>,
    /// Where several were chosen: those that its packets pass, with the direction as seen from each.
    pub seen_from: Vec<(Place, Direction)>,
    /// Whether a packet has come this way that was meant for one receiver, not for all.
    pub leads_to_one: bool,
    pub shown: Shown,
    pub history: History,
    /// How its packets ended.
    pub ends: PathEnds,
    /// Events of all packets.
    pub events: u64,
    /// Segments of all packets: what GSO will make of them, or GRO has merged.
    pub segments: u64,
    kept: Kept,
}

/// The direction of a flight, if it passed the focus, and when it did, ns.
pub(super) fn direction(steps: &[Step], devices: &Devices) -> Option<(Direction, u64)> {
    steps.iter().find_map(|step| {
        let (side, device) = side(step, devices)?;
        Some((way(device.outwards?, side), step.at_ns))
    })
}

/// What a packet does at the device that a step names.
fn side(step: &Step, devices: &Devices) -> Option<(Side, Traits)> {
    let row = step.at()?.row();
    let passes = row.side.or(row.shared_side)?;
    let device = devices.get(step.place);
    (row.side.is_some() || device.shares.is_some()).then_some((passes, device))
}

fn way(outwards: Outwards, side: Side) -> Direction {
    match (outwards, side) {
        (Outwards::Sent, Side::Sending) | (Outwards::Received, Side::Receiving) => {
            Direction::Outbound
        }
        (Outwards::Sent, Side::Receiving) | (Outwards::Received, Side::Sending) => {
            Direction::Inbound
        }
    }
}

/// Where several were chosen: those that a flight passed, and its direction as seen from each.
pub(super) fn seen_from(steps: &[Step], devices: &Devices) -> Vec<(Place, Direction)> {
    let mut seen: Vec<(Place, Direction)> = Vec::new();
    for step in steps {
        let Some((side, _)) = side(step, devices) else { continue };
        for (focus, outwards) in devices.ends(step.place) {
            let focus = devices.roles.place(*focus);
            if seen.iter().all(|(known, _)| *known != focus) {
                seen.push((focus, way(*outwards, side)));
            }
        }
    }
    seen
}

impl PathKey {
    /// Becomes the key of the path that these steps took; memory is used again.
    pub(super) fn follow(&mut self, steps: &[Step], direction: Direction, end: End, roles: &Roles) {
        (self.direction, self.end) = (direction, end);
        self.places.clear();
        let mut last_side = None;
        for step in steps {
            let Some(row) = step.at().map(At::row).filter(|row| row.on_path) else { continue };
            let place = roles.place(step.place);
            // What a device sends after it has received it passes it twice.
            let back = (last_side, row.side) == (Some(Side::Receiving), Some(Side::Sending));
            last_side = row.side;
            let new = self.places.last() != Some(&place) || back;
            if new && self.places.len() < PLACES_MAX {
                self.places.push(place);
            }
        }
    }
}

impl Path {
    pub(super) fn new(key: PathKey, id: usize, seen_from: Vec<(Place, Direction)>) -> Self {
        Self {
            key,
            id,
            last_ns: 0,
            seen_from,
            total: Times::default(),
            rows: Vec::new(),
            groups: Groups::default(),
            unattributed: Times::default(),
            replies: 0,
            translated: 0,
            example: None,
            leads_to_one: false,
            shown: Shown::default(),
            history: History::default(),
            ends: PathEnds::default(),
            events: 0,
            segments: 0,
            kept: Kept::default(),
        }
    }

    /// Takes a flight that was cut into `cuts`; its total, ns.
    pub(super) fn add(
        &mut self,
        flight: &Flight,
        steps: &[Step],
        cuts: &[Cut],
        is_reply: Option<bool>,
    ) -> i64 {
        let (mut total_ns, mut unattributed_ns, mut pieces, mut cursor) = (0, 0, 0, 0);
        // What conntrack said in the namespace at hand.
        let mut known: Option<(u32, Option<CtState>)> = None;
        for (pair, cut) in steps.windows(2).zip(cuts) {
            total_ns += cut.ns;
            let Some(hop) = cut.key.hop else {
                unattributed_ns += cut.ns;
                continue;
            };
            let index = self.row(cut.key, hop, cursor);
            let netns = cut.key.place.netns;
            let state = cut.key.hook.and_then(|_| match known {
                Some((same, state)) if same == netns => state,
                _ => known.insert((netns, CtState::of(steps, cuts, netns))).1,
            });
            if pair[0].at() == Some(At::Enqueue) {
                self.rows[index].sums.causes.queue.met(pair[0].arg);
            }
            self.kept.pieces.push(kept::Piece {
                ns: cut.ns,
                row: u32::try_from(index).unwrap_or(u32::MAX),
                wait: Wait::of(&pair[0], &pair[1], hop),
                state,
            });
            pieces += 1;
            cursor = cursor.max(index + 1);
        }
        self.kept.packets.push(kept::Packet {
            end_ns: flight.marks.last().map_or(0, |m| m.at_ns),
            total_ns,
            unattributed_ns,
            pieces,
            rewritten: self.rewritten(flight, pieces, is_reply),
        });
        self.last_ns = flight.marks.last().map_or(0, |mark| mark.at_ns);
        self.events += flight.marks.len() as u64;
        self.segments += flight.headers.map_or(1, |h| u64::from(h.gso_segs.max(1)));
        self.translated += u64::from(flight.translated.is_some());
        self.replies += u64::from(is_reply == Some(true));
        if self.example.is_none() {
            self.example = flight.headers.and_then(|h| h.tuple).map(|t| (t, flight.translated));
        }
        let follows = self.shown.count();
        if follows || self.kept.packets.len() >= KEPT {
            self.book();
        }
        if follows {
            self.shown.follow(&self.total);
        }
        self.shown.add(steps, cuts, total_ns);
        total_ns
    }

    /// What NAT did to the flight at hand, which has so many pieces, and in which row; none where it
    /// is not clear which of its hooks did.
    fn rewritten(
        &self,
        flight: &Flight,
        pieces: usize,
        is_reply: Option<bool>,
    ) -> Option<(u32, Rewritten)> {
        let (before, after) = (flight.headers.as_ref()?.tuple?, flight.translated?);
        let is_reply = is_reply?;
        let own = &self.kept.pieces[self.kept.pieces.len() - pieces..];
        let mut done = own.iter().filter_map(|piece| {
            let key = &self.rows[piece.row as usize].key;
            let hook = key.hook.filter(|_| key.hop == Some(HopId::Nat))?;
            Some((piece.row, Rewritten::of(hook, &before, &after, is_reply)?))
        });
        let first = done.next()?;
        done.all(|(row, _)| row == first.0).then_some(first)
    }

    /// Takes all that another path has added up to. Rows of one hop are one, wherever it is.
    pub(super) fn absorb(&mut self, mut other: Self) {
        other.book();
        for (group, times) in other.groups.times(&other.rows) {
            self.groups.absorb(group, times);
        }
        let mut cursor = 0;
        for Row { key, group, sums } in other.rows {
            let key = RowKey { place: Place::default(), rules: None, ..key };
            if let Some(at) = self.rows.iter().position(|row| row.key == key) {
                self.rows[at].sums.merge(&sums);
                cursor = cursor.max(at + 1);
            } else {
                self.rows.insert(cursor, Row { key, group, sums });
                cursor += 1;
            }
        }
        self.total.merge(&other.total);
        self.unattributed.merge(&other.unattributed);
        self.ends.merge(&other.ends);
        self.replies += other.replies;
        self.translated += other.translated;
        self.events += other.events;
        self.segments += other.segments;
        self.last_ns = self.last_ns.max(other.last_ns);
    }

    /// Puts rows of rules that are called the same together.
    pub(super) fn rename_rules(&mut self, changed: &BTreeMap<u64, u64>) {
        let renamed = |key: &RowKey| {
            let (kind, rules) = key.rules?;
            let to = *changed.get(&rules)?;
            (to != rules).then_some(RowKey { rules: Some((kind, to)), ..*key })
        };
        if !self.rows.iter().any(|row| renamed(&row.key).is_some()) {
            return;
        }
        // What is kept back knows rows by their places.
        self.book();
        while let Some((at, key)) =
            self.rows.iter().enumerate().find_map(|(at, row)| Some((at, renamed(&row.key)?)))
        {
            self.shown.rename(&self.rows[at].key, key);
            match self.rows.iter().position(|row| row.key == key) {
                None => self.rows[at].key = key,
                Some(known) => {
                    let sums = std::mem::take(&mut self.rows[at].sums);
                    self.rows[known].sums.merge(&sums);
                    self.rows.remove(at);
                }
            }
        }
    }

    /// Books what is kept back.
    pub(super) fn book(&mut self) {
        let mut booked = 0;
        for packet in self.kept.packets.drain(..) {
            let pieces = &self.kept.pieces[booked..booked + packet.pieces];
            booked += packet.pieces;
            for piece in pieces {
                let sums = &mut self.rows[piece.row as usize].sums;
                *sums.pending_ns.get_or_insert(0) += piece.ns;
                sums.pieces += 1;
                if let Some(wait) = piece.wait {
                    sums.causes.waited(wait, piece.ns);
                }
            }
            for piece in pieces {
                let row = &mut self.rows[piece.row as usize];
                let sums = &mut row.sums;
                let Some(ns) = sums.pending_ns.take() else { continue };
                sums.times.add(ns);
                self.groups.add(row.group, ns);
                if let Some(state) = piece.state {
                    sums.causes.states[state as usize].add(ns);
                }
                if let Some((_, what)) = packet.rewritten.filter(|(at, _)| *at == piece.row) {
                    sums.causes.rewritten[what as usize].add(ns);
                }
            }
            self.groups.book();
            self.total.add(packet.total_ns);
            self.unattributed.add(packet.unattributed_ns);
            self.history.add(packet.end_ns, packet.total_ns);
        }
        self.kept.pieces.drain(..booked);
    }

    /// The index of the row with this key: most often it stands at `cursor`, where the flight at
    /// hand has got to; else it is looked for, or put in there.
    fn row(&mut self, key: RowKey, hop: HopId, cursor: usize) -> usize {
        if self.rows.get(cursor).is_some_and(|r| r.key == key) {
            return cursor;
        }
        if let Some(found) = self.rows.iter().position(|r| r.key == key) {
            return found;
        }
        // It moves others, and those of them that the flight at hand has met stand before it.
        self.book();
        let at = cursor.min(self.rows.len());
        let group = hop.info().group;
        self.groups.join(group, &self.rows);
        self.rows.insert(at, Row { key, group, sums: Box::default() });
        at
    }
}

/// Whether conntrack called a packet of this flight one of the reply direction; `None` where it
/// says nothing.
pub(super) fn is_reply(flight: &Flight) -> Option<bool> {
    use netpath_common::{
        hop::Note,
        point::{CT_UNREPLIED, HOOK_SLOT, HookAux, IP_CT_IS_REPLY},
        span::{SPANS, of_point},
    };
    // Links say it, and functions that run in a hook.
    let says = |point: u16, aux: u16| {
        point == HOOK_SLOT
            || (aux != HookAux::NOWHERE
                && of_point(point)
                    .is_some_and(|(index, exit)| !exit && SPANS[index].span.note != Note::None))
    };
    let marks = flight.marks.iter().filter(|m| says(m.point, m.aux));
    // A template, which a rule has given the packet, says that it is new: whoever says reply knows more.
    let replies = |ctinfo: u8| ctinfo >= IP_CT_IS_REPLY && ctinfo != CT_UNREPLIED;
    marks.filter_map(|m| HookAux::unpack(m.aux).ctinfo).map(replies).reduce(|a, b| a | b)
}

/// The namespaces that a path comes from and goes to.
pub(super) fn ends(key: &PathKey) -> (u32, u32) {
    let netns = |place: Option<&Place>| place.map_or(0, |p| p.netns);
    (netns(key.places.first()), netns(key.places.last()))
}
