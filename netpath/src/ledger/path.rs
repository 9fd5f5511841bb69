//! Paths: which flights belong together, and the rows that their times are booked in.

use netpath_common::{
    group::Group,
    hop::{At, HopId, RuleSet},
    point::Hook,
};

use super::{
    Causes, CtState, Direction, Groups, History, HopOrNone, Rewritten, Shown, Times,
    attribute::Cut, classify::Step,
};
use crate::{
    flight::{End, Flight},
    packet::Tuple,
    topo::{Place, Topology},
};

/// Devices that a path's key holds; longer ones share the key of their beginning.
const PLACES_MAX: usize = 16;

/// What flights of one path have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
    /// The address of the rules that are walked, where it is known.
    pub rules: Option<(RuleSet, u64)>,
}

impl RowKey {
    pub(super) fn at(hop: HopOrNone, place: Place) -> Self {
        Self { hop, place, hook: None, family: 0, bridged: false, stage: None, rules: None }
    }
}

/// A hop at a place on a path.
#[derive(Clone, Debug)]
pub struct Row {
    pub key: RowKey,
    pub times: Times,
    pub causes: Causes,
    /// Pieces of time booked here; each holds one event's cost.
    pub pieces: u64,
    pub(super) group: Group,
    /// The flight at hand's time here, until it is booked.
    pending_ns: i64,
    pending: bool,
}

/// A path's ledger.
#[derive(Clone, Debug)]
pub struct Path {
    pub key: PathKey,
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
    pub shown: Shown,
    pub history: History,
    /// Events of all packets.
    pub events: u64,
    /// Segments of all packets: what GSO will make of them, or GRO has merged.
    pub segments: u64,
}

/// The direction of a flight, if it passed the focus.
pub(super) fn direction(steps: &[Step], topology: &Topology) -> Option<Direction> {
    steps.iter().find_map(|step| {
        let here = Some(step.place);
        let at = step.at()?;
        let sending = matches!(at, At::Start | At::StartBridge | At::Queue | At::Out);
        let receiving = matches!(at, At::Rx | At::RxPort | At::NetifRx | At::Gro | At::In);
        if topology.inside.is_some() || topology.faces_guest() {
            match () {
                () if here == topology.inside && sending => Some(Direction::Outbound),
                () if here == topology.inside && receiving => Some(Direction::Inbound),
                () if here == topology.outside && sending => Some(Direction::Inbound),
                () if here == topology.outside && receiving => Some(Direction::Outbound),
                () => None,
            }
        } else {
            match () {
                () if step.place != topology.focus => None,
                () if sending => Some(Direction::Outbound),
                () if receiving => Some(Direction::Inbound),
                () => None,
            }
        }
    })
}

/// The key of the path that these steps took.
pub(super) fn key(steps: &[Step], direction: Direction, end: End) -> PathKey {
    let mut places: Vec<Place> = Vec::with_capacity(8);
    for step in steps {
        let moves = matches!(
            step.at(),
            Some(
                At::Queue
                    | At::Start
                    | At::StartBridge
                    | At::NetifRx
                    | At::Gro
                    | At::Rx
                    | At::RxPort
            )
        );
        if moves && places.last() != Some(&step.place) && places.len() < PLACES_MAX {
            places.push(step.place);
        }
    }
    PathKey { direction, end, places }
}

impl Path {
    pub(super) fn new(key: PathKey) -> Self {
        Self {
            key,
            total: Times::default(),
            rows: Vec::new(),
            groups: Groups::default(),
            unattributed: Times::default(),
            replies: 0,
            translated: 0,
            example: None,
            shown: Shown::default(),
            history: History::default(),
            events: 0,
            segments: 0,
        }
    }

    /// Books a flight that was cut into `cuts`; its total, ns.
    pub(super) fn add(&mut self, flight: &Flight, steps: &[Step], cuts: &[Cut]) -> i64 {
        let mut total = 0;
        let mut unattributed = 0;
        let mut cursor = 0;
        for (pair, cut) in steps.windows(2).zip(cuts) {
            total += cut.ns;
            let Some(hop) = cut.key.hop else {
                unattributed += cut.ns;
                continue;
            };
            let index = self.row(cut.key, hop, cursor);
            let row = &mut self.rows[index];
            row.pending_ns += cut.ns;
            row.pending = true;
            row.pieces += 1;
            row.causes.add(&pair[0], &pair[1], cut);
            cursor = cursor.max(index + 1);
        }
        self.rewritten(flight);
        // What conntrack said in the namespace at hand.
        let mut known: Option<(u32, Option<CtState>)> = None;
        for row in self.rows.iter_mut().filter(|r| r.pending) {
            row.times.add(row.pending_ns);
            self.groups.add(row.group, row.pending_ns);
            if row.key.hook.is_some() {
                let netns = row.key.place.netns;
                let (_, state) = match known {
                    Some(known) if known.0 == netns => known,
                    _ => *known.insert((netns, CtState::of(steps, cuts, netns))),
                };
                if let Some(state) = state {
                    row.causes.states[state as usize].add(row.pending_ns);
                }
            }
            row.pending_ns = 0;
            row.pending = false;
        }
        self.groups.book();
        self.total.add(total);
        self.events += flight.marks.len() as u64;
        self.segments += flight.headers.map_or(1, |h| u64::from(h.gso_segs.max(1)));
        self.shown.add(steps, cuts, total, &self.total);
        self.history.add(flight.marks.last().map_or(0, |m| m.at_ns), total);
        self.unattributed.add(unattributed);
        self.translated += u64::from(flight.translated.is_some());
        self.replies += u64::from(is_reply(flight) == Some(true));
        if self.example.is_none() {
            self.example = flight.headers.and_then(|h| h.tuple).map(|t| (t, flight.translated));
        }
        total
    }

    /// Tallies what NAT did to the flight at hand, where it is clear which of its hooks did.
    fn rewritten(&mut self, flight: &Flight) {
        let tuple = flight.headers.as_ref().and_then(|h| h.tuple);
        let (Some(before), Some(after)) = (tuple, flight.translated) else { return };
        let Some(is_reply) = is_reply(flight) else { return };
        let mut done = self.rows.iter_mut().filter_map(|row| {
            let here = row.pending && row.key.hop == Some(HopId::Nat);
            let what = Rewritten::of(row.key.hook.filter(|_| here)?, &before, &after, is_reply)?;
            Some((row, what))
        });
        if let (Some((row, what)), None) = (done.next(), done.next()) {
            row.causes.rewritten[what as usize].add(row.pending_ns);
        }
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
        let at = cursor.min(self.rows.len());
        let group = hop.info().group;
        self.groups.join(group, &self.rows);
        let row = Row {
            key,
            times: Times::default(),
            causes: Causes::default(),
            pieces: 0,
            group,
            pending_ns: 0,
            pending: false,
        };
        self.rows.insert(at, row);
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
    let mut marks = flight.marks.iter().filter(|m| says(m.point, m.aux));
    let ctinfo = marks.find_map(|m| HookAux::unpack(m.aux).ctinfo)?;
    Some(ctinfo >= IP_CT_IS_REPLY && ctinfo != CT_UNREPLIED)
}
