//! The ledger: from flights to what each hop of each path costs.
//!
//! In: finished flights, the topology, the plan of netfilter links. Out: per path, a row per hop
//! with its times, a total, and what no hop accounts for; together they sum up by construction,
//! because a flight's time is cut at its marks and each cut goes to exactly one row.
//!
//! - [`accounting`]: what was recorded and is in no figure;
//! - [`classify`]: what a mark means, given the topology (a bridge's port or not, bridged or not);
//! - [`attribute`]: which hop the time between two marks belongs to;
//! - [`causes`]: what was met there that explains the time;
//! - [`devices`]: what is asked of a device on the way;
//! - [`path`]: which flights share a path, and its rows; [`kept`]: packets that are yet to be booked;
//! - [`groups`]: what its cost groups add up to, packet by packet;
//! - [`drops`]: where a packet was that the kernel threw away; [`ends`]: what that means;
//! - [`evict`]: paths and drops that were silent for longest make room;
//! - [`flows`]: what each tuple's packets add up to;
//! - [`held`]: flights over devices that nothing is known of yet;
//! - [`filtered`]: dropped packets, as rules see them;
//! - [`listeners`]: SYNs that a listener had no room for;
//! - [`late`]: packets that were recorded only because they were late;
//! - [`names`]: what the rules are called that packets walk;
//! - [`news`]: what comes to be known of the path, and what goes;
//! - [`notes`]: what a reader of the report should know;
//! - [`history`]: the last minutes, second by second;
//! - [`roles`]: a container that was started again goes on in the same rows;
//! - [`shown`]: single packets that stand for the others;
//! - [`transactions`]: request and reply joined into round trips;
//! - [`witness`]: what the kernel counts too.

mod accounting;
mod attribute;
mod causes;
mod classify;
mod devices;
mod drops;
mod ends;
mod evict;
mod filtered;
mod flows;
mod groups;
mod held;
mod history;
mod kept;
mod late;
mod listeners;
mod names;
mod news;
mod notes;
mod path;
mod roles;
mod shown;
mod times;
mod transactions;
mod witness;

use std::collections::{BTreeMap, BTreeSet};

use netpath_common::{
    end::{self, Sort},
    hop::HopId,
    place::DevId,
    point::{HOOK_SLOT, QDISC_ENQUEUE},
};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

pub use accounting::{Accounting, IncompleteWhy};
pub use causes::{Causes, CtState, QueueMet, Rewritten, Tally};
pub use drops::{DropKey, Within};
pub use ends::{Ended, Example, PathEnds, Sorts};
pub use filtered::{BY_RULE, Filtered, FilteredDrops, Span};
pub use flows::{Flow, Flows};
pub use groups::Groups;
pub use history::{History, Second};
pub use late::{Late, LatePacket};
pub use names::RuleNames;
pub use path::{Path, PathKey, Row, RowKey, Sums};
pub use shown::{Piece, Shown, Specimen};
pub use times::Times;
pub use transactions::{
    Kind as TripKind, OTHERS as TRIPS_OF_OTHERS, Part as TripPart, RoundTrips, Transactions,
};
pub use witness::{Freed, Passed, Witness};

use crate::{
    decode::Gap,
    flight::{End, Flight, Incomplete, Mark},
    hooks::HookPlan,
    sample::{self, Births, Share},
    serving::Source,
    session::{Session, UnsureIn},
    topo::{Place, Topology},
};

/// Paths that are kept apart. Where there are more, the one that has been silent for longest goes to the others,
/// which are added up as one in each direction.
pub const PATHS_MAX: usize = 1024;
/// The same of ways and places in which packets were thrown away: those that were silent for longest are put together
/// wherever they were.
pub const DROPS_MAX: usize = 1024;

/// Which way a flight went, seen from the interface that was asked for; of several, from the first that it passed.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Away from the container, or out of the machine.
    #[default]
    Outbound,
    /// Towards it.
    Inbound,
}

impl Direction {
    pub fn key(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
        }
    }
}

/// How many flights there were, of which sort.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Coverage {
    /// Packets that passed the interface that was asked for.
    pub seen: u64,
    /// Of these, how many were recorded.
    pub sampled: u64,
    /// Seen from their beginning to their arrival.
    pub complete: u64,
    /// Of the complete ones, those that GRO merged into another packet: that is where they end.
    #[serde(default)]
    pub merged: u64,
    /// They lack marks, or may: see `incomplete_why`.
    pub incomplete: u64,
    #[serde(default)]
    pub incomplete_why: IncompleteWhy,
    /// Lost or refused: somebody misses them.
    pub dropped: u64,
    /// Of these, how many had not reached the interface: they were on their way to the container behind
    /// it, and are not in `seen`.
    #[serde(default)]
    pub dropped_before: u64,
    /// What became of the packets that the kernel threw away, dropped ones and others. The others are
    /// complete.
    #[serde(default)]
    pub sorts: Sorts,
    /// Fell silent in a place where packets don't end.
    pub vanished: u64,
    /// Still under way when the trace ended.
    #[serde(default)]
    pub under_way: u64,
    /// Nothing shows that all of their events are one packet's: they are in no figure.
    #[serde(default)]
    pub ambiguous: u64,
    /// Copies of packets that passed the interface, and parts that others went further than; not in
    /// `seen`.
    #[serde(default)]
    pub copies: u64,
    /// Packets on the path's devices that did not pass that interface; not in `seen`.
    pub elsewhere: u64,
    /// Packets other than IP (ARP, …); not in `seen`.
    pub not_ip: u64,
    /// Times between marks that were negative, and counted as such.
    pub negative: u64,
    /// Flights on paths that are added up as others, because there were more than [`PATHS_MAX`].
    pub other_paths: u64,
}

/// One flight's way and time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cutting {
    pub direction: Direction,
    /// The devices passed, in order.
    pub places: Vec<Place>,
    /// What became of it, where the kernel threw it away.
    pub sort: Option<Sort>,
    pub specimen: Specimen,
}

impl Coverage {
    /// With all packets that there were in `seen`, as far as can be told, where only some were
    /// recorded.
    #[must_use]
    pub fn of_all(self, births: Births, listened: f64) -> Self {
        Self { seen: births.estimate(self.sampled, listened), ..self }
    }
}

/// Everything that the flights have added up to.
#[derive(Debug, Default)]
pub struct Ledger {
    pub topology: Topology,
    pub hooks: HookPlan,
    pub names: RuleNames,
    pub coverage: Coverage,
    /// Packets that the kernel threw away, by where and why; also those that nobody misses.
    pub drops: FxHashMap<DropKey, Ended>,
    /// Names of kernel functions that freed packets without a reason, by the address in them.
    pub functions: BTreeMap<u64, String>,
    ends: Ends,
    listeners: Listeners,
    pub filtered: FilteredDrops,
    /// Paths of packets that were meant for one receiver.
    leading: usize,
    pub flows: Flows,
    pub transactions: Transactions,
    pub late: Late,
    pub witness: Witness,
    /// What the stages before have set aside; told by whoever runs them.
    pub accounting: Accounting,
    /// Packets are not seen to enter queues: no tracepoint of theirs is there, or was asked for.
    queues_unseen: bool,
    /// A request may be recorded and its reply not: what looks like a round trip would be none.
    unjoined: bool,
    /// Only some packets are drawn: others can be found to be late.
    draws: bool,
    paths: Vec<Path>,
    others: BTreeMap<Direction, Path>,
    /// The number of the next path.
    next_path: usize,
    by_key: FxHashMap<PathKey, usize>,
    devices: Devices,
    held: Held,
    /// When probes of which namespaces were changed.
    pub unsure_in: Vec<UnsureIn>,
    /// Namespaces in which packets were met that go on in the rows of one that is gone.
    again: BTreeSet<u32>,
    /// Packets on all paths, and their events.
    packets: u64,
    events: u64,
    /// Events of all flights, also of those that are on none.
    recorded: u64,
    /// The key of the path that is looked for.
    key: PathKey,
    scratch: attribute::Scratch,
}

impl Ledger {
    /// Says what rules are called, by their addresses; empty where that can't be told. Rows of the same
    /// name become one.
    pub fn name_rules<'a>(&mut self, named: impl IntoIterator<Item = (u64, &'a str)>) {
        let changed = self.names.learn(named);
        if !changed.is_empty() {
            self.paths.iter_mut().for_each(|path| path.rename_rules(&changed));
        }
    }

    pub fn new(topology: Topology, hooks: HookPlan) -> Self {
        Self {
            devices: Devices::of(&topology),
            flows: Flows::of(topology.everything),
            topology,
            hooks,
            ..Self::default()
        }
    }

    /// A ledger for a session's flights.
    pub fn of(session: &Session) -> Self {
        let enqueued = session.serving.points.get(&QDISC_ENQUEUE);
        let queues_unseen = matches!(enqueued, Some(Source::Absent(_)));
        let this = Self::new(session.topology.clone(), session.hooks.clone());
        Self {
            queues_unseen,
            transactions: Transactions::of(&session.facts),
            unjoined: session.sampling.parts_packets(),
            draws: session.sampling.share != Share::All,
            ends: Ends::of(session),
            listeners: Listeners::of(session),
            filtered: FilteredDrops::of(&session.drop_reasons),
            ..this
        }
    }

    /// Events of one packet that arrived, on average.
    pub fn events_of_one(&self) -> f64 {
        sample::events_of_one(self.events, self.packets)
    }

    /// Events of all packets, whatever became of them.
    pub fn recorded(&self) -> u64 {
        self.recorded
    }

    /// Books what is kept back, before anybody looks.
    pub fn settle(&mut self) {
        self.paths.iter_mut().for_each(Path::book);
        self.flows.book();
        self.transactions.book();
    }

    /// Paths in the order in which they were first seen; as of the last [`Self::settle`].
    pub fn paths(&self) -> &[Path] {
        &self.paths
    }

    /// What the paths add up to that were silent for longest, where there were too many: one in each direction.
    pub fn others(&self) -> impl Iterator<Item = &Path> {
        self.others.values()
    }

    /// Says that no more flights come: round trips that are under way are booked.
    pub fn finish(&mut self) {
        for held in self.held.all() {
            self.add_known(&held);
        }
        self.listeners.finish().into_iter().for_each(|verdict| self.decided(&verdict));
        self.settle();
        self.transactions.finish();
    }

    /// Tells of a gap, before the flights that come after it.
    pub fn gap(&mut self, gap: Gap) {
        self.transactions.gap(gap);
    }

    /// Books a flight, once its devices are known.
    pub fn add(&mut self, flight: &Flight) {
        if self.topology.everything {
            let now_ns = flight.marks.last().map_or(0, |mark| mark.at_ns);
            for overdue in self.held.overdue(now_ns) {
                self.add_known(&overdue);
            }
            if unknown(flight, &self.devices).next().is_some() {
                return self.held.hold(flight, unknown(flight, &self.devices));
            }
        }
        self.add_known(flight);
    }

    fn add_known(&mut self, flight: &Flight) {
        if flight.incomplete.is_none() && self.is_unsure(flight) {
            let incomplete = Some(Incomplete::ProbesChanged);
            return self.add_known(&Flight { incomplete, ..flight.clone() });
        }
        self.recorded += flight.marks.len() as u64;
        let mut decided = Vec::new();
        let kept = self.listeners.keeps(flight, &mut decided);
        decided.iter().for_each(|verdict| self.decided(verdict));
        if !kept {
            self.take(flight, None);
        }
    }

    /// Whether a flight was under way in a namespace while its probes were changed.
    fn is_unsure(&self, flight: &Flight) -> bool {
        let times = flight.marks.first().zip(flight.marks.last());
        let Some((from_ns, until_ns)) = times.map(|(a, b)| (a.at_ns, b.at_ns)) else {
            return false;
        };
        let changed =
            self.unsure_in.iter().filter(|u| from_ns <= u.until_ns && until_ns >= u.from_ns);
        let netns = |mark: &Mark| DevId::from_arg(mark.arg).netns;
        changed.into_iter().any(|u| {
            let hooks = flight.marks.iter().filter(|mark| mark.point == HOOK_SLOT);
            hooks.map(netns).any(|netns| u.netns.contains(&netns))
        })
    }

    fn decided(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Booked(flight) => self.take(flight, None),
            Verdict::Lost(flight, why) => self.take(flight, Some(why)),
        }
    }

    /// Books a flight, which was `lost` though its end does not say so.
    fn take(&mut self, flight: &Flight, lost: Option<&'static end::Row>) {
        let scratch = &mut self.scratch;
        classify::classify(flight, &self.devices, &mut scratch.steps);
        let passed = path::direction(&scratch.steps, &self.devices);
        let is_ip = flight.headers.as_ref().is_none_or(|h| h.tuple.is_some());
        // One that passed together with the packet that it is a copy of is no packet of its own, unless
        // it passed by itself as well.
        let shared_ns = flight.shared_until_ns();
        let is_copy = flight.copy_of.is_some()
            && passed.is_none_or(|(_, at_ns)| {
                let own = scratch.steps.partition_point(|s| Some(s.at_ns) <= shared_ns);
                shared_ns >= Some(at_ns)
                    && path::direction(&scratch.steps[own..], &self.devices).is_none()
            });
        let before = passed.is_none() && self.falls_short(flight);
        let on_path = is_ip && (before || passed.is_some()) && !is_copy;
        let scratch = &self.scratch;
        self.witness.add(flight, &scratch.steps, (&self.devices, &self.hooks), on_path);
        if !is_ip {
            self.coverage.not_ip += 1;
            return;
        }
        if flight.is_late() {
            self.add_late(flight, passed.map(|(direction, _)| direction));
            return;
        }
        let Some((direction, _)) = passed else {
            if !before || !self.thrown_away_before(flight) {
                self.coverage.elsewhere += 1;
            }
            return;
        };
        if is_copy {
            self.coverage.copies += 1;
            return;
        }
        self.coverage.seen += 1;
        self.coverage.sampled += 1;
        match flight.end {
            _ if !flight.ends_are_known() => {
                self.count_incomplete(flight);
                self.unsure(flight);
            }
            _ if flight.ambiguous => {
                self.coverage.ambiguous += 1;
                self.unsure(flight);
            }
            _ if lost.is_some() => self.thrown_away(flight, direction, lost),
            End::UnderWay => {
                self.coverage.under_way += 1;
                self.unsure(flight);
            }
            End::Dropped { .. } => self.thrown_away(flight, direction, None),
            End::Vanished => {
                self.coverage.vanished += 1;
                self.unsure(flight);
            }
            End::Delivered | End::Reached | End::Transmitted | End::Merged => {
                self.arrived(flight, direction, flight.end, PathEnds::arrived(flight.end));
            }
        }
    }

    /// Counts a flight among the incomplete ones, if it is one; says whether.
    fn count_incomplete(&mut self, flight: &Flight) -> bool {
        let why = flight.incomplete;
        self.coverage.incomplete += u64::from(why.is_some());
        why.into_iter().for_each(|why| self.coverage.incomplete_why.count(why));
        why.is_some()
    }

    /// Books a flight that got to its end: where it lacks marks within, its end and its round trip alone.
    fn arrived(&mut self, flight: &Flight, direction: Direction, end: End, how: usize) {
        if self.count_incomplete(flight) {
            self.key.follow(&self.scratch.steps, direction, end, &self.devices.roles);
            let Some(&path) = self.by_key.get(&self.key) else { return self.unsure(flight) };
            let path = &mut self.paths[path];
            path.ends.count(how);
            let id = path.id;
            if self.is_trips(flight) && end != End::Merged {
                self.transactions.add(flight, id, path::is_reply(flight));
            }
            return;
        }
        self.coverage.complete += 1;
        self.coverage.merged += u64::from(flight.end == End::Merged);
        self.book(flight, direction, end, how);
    }

    /// Whether a flight belongs to a round trip: of a packet that went on as several, one does.
    fn is_trips(&self, flight: &Flight) -> bool {
        !self.unjoined && flight.copy_of.is_none()
    }

    /// A flight that was not seen in full is in no figure, and spoils its round trip.
    fn unsure(&mut self, flight: &Flight) {
        if self.is_trips(flight) {
            self.transactions.add_unsure(flight);
        }
    }

    /// Whether the kernel threw it away on its way to the container behind the interface: that is where it
    /// was going when its addresses were last read, and only that way leads there.
    fn falls_short(&self, flight: &Flight) -> bool {
        let to = flight.translated.or(flight.headers.and_then(|h| h.tuple)).map(|t| t.dst);
        matches!(flight.end, End::Dropped { .. })
            && flight.incomplete.is_none()
            && !flight.ambiguous
            && flight.copy_of.is_none()
            && to.is_some_and(|to| self.devices.leads_inside(to))
    }

    /// Counts a flight that was thrown away before it reached the interface, whose steps are at hand, if
    /// somebody misses it; says whether.
    fn thrown_away_before(&mut self, flight: &Flight) -> bool {
        let key = DropKey { before: true, ..self.key_of_end(flight, None) };
        if key.sort.is_drop() {
            self.coverage.dropped_before += 1;
            self.end_as(key, flight);
        }
        key.sort.is_drop()
    }

    /// Books a flight that the kernel threw away, whose steps are at hand: what nobody misses has come
    /// to its end as others have.
    fn thrown_away(
        &mut self,
        flight: &Flight,
        direction: Direction,
        lost: Option<&'static end::Row>,
    ) {
        let key = self.key_of_end(flight, lost);
        self.end_as(key, flight);
        if key.sort.is_drop() {
            return;
        }
        // What was for nobody is no part of what a path carries.
        if key.sort == Sort::NotForUs {
            self.coverage.complete += 1;
        } else {
            self.scratch.steps.pop();
            self.arrived(flight, direction, End::Reached, PathEnds::ended(key.sort));
        }
    }

    fn key_of_end(&self, flight: &Flight, lost: Option<&'static end::Row>) -> DropKey {
        let mut key = self.ends.key(
            flight,
            &self.scratch.steps,
            (&self.hooks, &self.devices),
            &self.flows,
            lost,
        );
        if let Some((_, rules)) = key.within.as_mut().and_then(|w| w.rules.as_mut()) {
            *rules = self.names.key(*rules);
        }
        key.place = self.devices.roles.place(key.place);
        key
    }

    /// Counts a flight, whose steps are at hand, among those that ended so.
    fn end_as(&mut self, key: DropKey, flight: &Flight) {
        key.within.and_then(|w| w.rules).into_iter().for_each(|rules| self.names.met(rules));
        let example = || ends::example(flight, &self.scratch.steps, &self.hooks);
        let ended = self.drops.entry(key).or_default();
        ended.count += 1;
        ended.last_ns = flight.marks.last().map_or(0, |mark| mark.at_ns);
        ended.example.get_or_insert_with(example);
        self.coverage.sorts.count(key.sort);
        if key.sort.is_drop() {
            self.coverage.dropped += 1;
            self.filtered.add(key, flight, &self.scratch.steps, example);
            if self.is_trips(flight) {
                self.transactions.add_lost(flight, &key);
            }
        }
        if self.drops.len() > DROPS_MAX {
            self.forget_silent_drops();
        }
    }

    /// Where functions are that freed packets without a reason.
    pub fn locations(&self) -> Vec<u64> {
        self.drops.keys().map(|key| key.location).filter(|at| *at != 0).collect()
    }

    /// How the time of a flight that passed the interface divides, without booking it; `None`
    /// where it didn't, or is not IP.
    pub fn cut(&mut self, flight: &Flight) -> Option<Cutting> {
        flight.headers.as_ref()?.tuple?;
        let scratch = &mut self.scratch;
        classify::classify(flight, &self.devices, &mut scratch.steps);
        let (direction, _) = path::direction(&scratch.steps, &self.devices)?;
        self.attribute();
        let scratch = &self.scratch;
        let total_ns = scratch.cuts.iter().map(|c| c.ns).sum();
        self.key.follow(&scratch.steps, direction, flight.end, &self.devices.roles);
        let thrown_away = matches!(flight.end, End::Dropped { .. });
        Some(Cutting {
            direction,
            sort: thrown_away.then(|| {
                self.ends
                    .key(flight, &scratch.steps, (&self.hooks, &self.devices), &self.flows, None)
                    .sort
            }),
            places: self.key.places.clone(),
            specimen: shown::specimen(&scratch.steps, &scratch.cuts, total_ns),
        })
    }

    /// Cuts the flight whose steps are at hand.
    fn attribute(&mut self) {
        let seen = attribute::Seen {
            hooks: &self.hooks,
            devices: &self.devices,
            names: &self.names,
            queues: !self.queues_unseen,
        };
        attribute::attribute(&seen, &mut self.scratch);
        if self.devices.roles.is_used() {
            let Scratch { steps, cuts, .. } = &mut self.scratch;
            let place = |place: Place| self.devices.roles.place(place);
            cuts.iter_mut().for_each(|cut| cut.key.place = place(cut.key.place));
            self.again.extend(self.devices.roles.again(steps.iter().map(|step| step.place)));
        }
    }

    /// Keeps a packet that was recorded because it was late.
    fn add_late(&mut self, flight: &Flight, seen: Option<Direction>) {
        let Some(tuple) = flight.headers.as_ref().and_then(|h| h.tuple) else { return };
        self.attribute();
        let Scratch { steps, cuts, .. } = &self.scratch;
        self.key.follow(steps, Direction::Outbound, flight.end, &self.devices.roles);
        let places = self.key.places.clone();
        // Where it had passed the interface before, the paths that others took tell the direction.
        let direction = seen.or_else(|| {
            let mut ways = self.paths.iter().map(|path| &path.key).filter(|key| {
                !places.is_empty() && key.places.windows(places.len()).any(|w| w == places)
            });
            let first = ways.next()?.direction;
            ways.all(|key| key.direction == first).then_some(first)
        });
        let Some(direction) = direction else {
            self.coverage.elsewhere += 1;
            return;
        };
        let total_ns = cuts.iter().map(|c| c.ns).sum();
        let specimen = shown::specimen(steps, cuts, total_ns);
        let Flight { translated, end, .. } = *flight;
        self.late.add(LatePacket { tuple, translated, direction, places, end, specimen });
    }

    /// Begins a path with the key at hand; its index.
    fn add_path(&mut self) -> usize {
        if self.paths.len() >= PATHS_MAX {
            self.forget_silent();
        }
        self.by_key.insert(self.key.clone(), self.paths.len());
        let seen_from = path::seen_from(&self.scratch.steps, &self.devices);
        self.paths.push(Path::new(self.key.clone(), self.next_path, seen_from));
        self.next_path += 1;
        self.transactions.path(way(&self.paths), path::ends(&self.key));
        self.paths.len() - 1
    }

    fn book(&mut self, flight: &Flight, direction: Direction, end: End, how: usize) {
        self.attribute();
        let Scratch { steps, cuts, .. } = &self.scratch;
        self.coverage.negative += cuts.iter().filter(|c| c.ns < 0).count() as u64;
        self.key.follow(steps, direction, end, &self.devices.roles);
        let known = self.by_key.get(&self.key).copied();
        let index = known.unwrap_or_else(|| self.add_path());
        let Scratch { steps, cuts, .. } = &self.scratch;
        let is_reply = path::is_reply(flight);
        let path = &mut self.paths[index];
        let id = path.id;
        if !path.leads_to_one {
            let to = flight.headers.and_then(|h| h.tuple).map(|tuple| tuple.dst);
            path.leads_to_one = to.is_some_and(|to| !self.ends.is_to_many(to));
            self.leading += usize::from(path.leads_to_one);
        }
        let rows = path.rows.len();
        let total_ns = path.add(flight, steps, cuts, is_reply);
        path.ends.count(how);
        if path.rows.len() != rows {
            path.rows.iter().filter_map(|row| row.key.rules).for_each(|r| self.names.met(r));
        }
        self.packets += 1;
        self.events += flight.marks.len() as u64;
        if self.draws {
            self.late.drawn(steps);
        }
        // Its data goes on in another packet, whose times are the flow's and the round trip's.
        if end == End::Merged {
            return;
        }
        if let Some(tuple) = flight.headers.and_then(|h| h.tuple) {
            self.flows.add(tuple, flight.translated, direction, total_ns);
        }
        if self.is_trips(flight) {
            self.transactions.add(flight, id, is_reply);
        }
    }
}

/// The number of the first of the paths over the same devices in the same direction as the last one.
fn way(paths: &[Path]) -> usize {
    let Some(last) = paths.last() else { return 0 };
    let same =
        |p: &Path| (p.key.direction, &p.key.places) == (last.key.direction, &last.key.places);
    paths.iter().find(|path| same(path)).map_or(0, |path| path.id)
}

use attribute::Scratch;
use devices::Devices;
use ends::Ends;
use held::Held;
use listeners::{Listeners, Verdict};
use news::unknown;
use transactions::OTHERS;

/// The hop of a row as the tables know it, or none for what is unattributed.
pub type HopOrNone = Option<HopId>;

#[cfg(test)]
mod tests;
