//! What the viewer has chosen, and the snapshot at hand. Keys and snapshots change it; drawing only
//! reads it. It reads no clock: time is the snapshot's.

use std::{collections::VecDeque, sync::Arc};

use super::{
    columns::{COLUMNS, compare, next_sort},
    help,
    keys::Action,
    rows::{Folding, Row, RowId, rows},
};
use crate::{
    ledger::Direction,
    report::words,
    snapshot::{HopReport, PathReport, Snapshot},
};

/// A panel of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Panel {
    Breakdown,
    Hop,
    History,
    Packets,
    Trips,
    Findings,
    Flows,
    Drops,
}

/// One row per panel, in the order of the enum, which is Tab's: its title, and what it shows.
pub(crate) const PANELS: &[(Panel, &str, &str)] = &[
    (Panel::Breakdown, "breakdown", "what each hop of the path costs"),
    (Panel::Hop, "hop", "the hop under the cursor: distribution, and what it is"),
    (Panel::History, "last minutes", "the total's p99 in each second"),
    (Panel::Packets, "single packets", "a typical packet and a slow one, piece by piece"),
    (Panel::Trips, "round trips", "request, server and reply together"),
    (Panel::Findings, "findings", "what costs, why, and what to do about it"),
    (Panel::Flows, "flows", "connections with the most packets and the slowest ones"),
    (Panel::Drops, "drops", "packets that were lost or refused, where and why"),
];

/// The flows' orders: a title and the figure, largest first.
pub(crate) type FlowOrder = (&'static str, fn(&crate::snapshot::FlowReport) -> f64);
pub(crate) const FLOW_ORDERS: &[FlowOrder] =
    &[("packets", |f| f.packets as f64), ("mean", |f| f.mean_ns), ("max", |f| f.max_ns as f64)];

/// Sorted rows stay where they are for this long, ns, however their figures change.
const RESORT_NS: u64 = 2_000_000_000;
/// Another path must have this many times the packets before it is shown in place of the first.
const OVERTAKES: u64 = 3;
/// The rate of packets is that of the last seconds, ns.
const RATE_NS: u64 = 2_000_000_000;
/// Rows that a page has.
const PAGE: usize = 10;

/// What the loop has to do after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    None,
    Quit,
    Reset,
    Write,
    Suspend,
}

/// Names a path through all changes of its figures: name, direction, end.
type PathId = (String, String, String);

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(crate) struct State {
    snapshot: Option<Arc<Snapshot>>,
    /// Whether more snapshots come.
    pub(crate) live: bool,
    pub(crate) paused: bool,
    pub(crate) focus: Panel,
    /// The focused panel has the whole body.
    pub(crate) zoom: bool,
    pub(crate) help: bool,
    /// Lines of it that were scrolled past.
    pub(crate) help_from: usize,
    /// Letters go to the filter.
    pub(crate) typing: bool,
    pub(crate) folding: Folding,
    /// Index in [`COLUMNS`]; `None` is the packet's order.
    pub(crate) sort: Option<usize>,
    /// Index in [`FLOW_ORDERS`].
    pub(crate) flow_order: usize,
    pub(crate) message: Option<String>,
    path: Option<PathId>,
    path_chosen: bool,
    cursor: Option<RowId>,
    /// By panel, the line at the cursor.
    lines: [usize; PANELS.len()],
    /// The order of sorted rows, and when it was made.
    order: Vec<RowId>,
    ordered_at_ns: u64,
    /// Time and packets seen of the last snapshots.
    seen: VecDeque<(u64, u64)>,
}

impl State {
    pub(crate) fn new(live: bool) -> Self {
        Self {
            snapshot: None,
            live,
            paused: false,
            focus: Panel::Breakdown,
            zoom: false,
            help: false,
            help_from: 0,
            typing: false,
            folding: Folding::default(),
            sort: None,
            flow_order: 0,
            message: None,
            path: None,
            path_chosen: false,
            cursor: None,
            lines: [0; PANELS.len()],
            order: Vec::new(),
            ordered_at_ns: 0,
            seen: VecDeque::new(),
        }
    }

    pub(crate) fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_deref()
    }

    /// Takes a new snapshot.
    pub(crate) fn take(&mut self, snapshot: Arc<Snapshot>) {
        let now = (snapshot.duration_ns, snapshot.packets.seen);
        if self.seen.back().is_some_and(|last| last.0 > now.0 || last.1 > now.1) {
            self.seen.clear();
            self.ordered_at_ns = 0;
        }
        while self.seen.len() > 1 && self.seen[1].0 + RATE_NS <= now.0 {
            self.seen.pop_front();
        }
        self.seen.push_back(now);
        self.snapshot = Some(snapshot);
        self.settle_path();
        let since = now.0.saturating_sub(self.ordered_at_ns);
        if self.sort.is_some() && (since >= RESORT_NS || self.order.is_empty()) {
            self.reorder();
        }
    }

    /// Unless somebody chose, the busiest outbound path is shown, and stays.
    fn settle_path(&mut self) {
        let Some(snapshot) = &self.snapshot else { return };
        if self.path_chosen {
            return;
        }
        let outbound = |p: &&PathReport| p.direction == Direction::Outbound.key();
        let busiest = |all: &mut dyn Iterator<Item = &PathReport>| {
            all.max_by_key(|p| p.packets).map(|p| (path_id(p), p.packets))
        };
        let best = busiest(&mut snapshot.paths.iter().filter(outbound))
            .or_else(|| busiest(&mut snapshot.paths.iter()));
        let now = self.path().map_or(0, |p| p.packets);
        if let Some((id, packets)) = best
            && (now == 0 || packets > now * OVERTAKES)
        {
            self.path = Some(id);
        }
    }

    /// The path that is shown, by its index among the snapshot's.
    pub(crate) fn path_index(&self) -> Option<usize> {
        let wanted = self.path.as_ref()?;
        self.snapshot()?.paths.iter().position(|p| path_id(p) == *wanted)
    }

    pub(crate) fn path(&self) -> Option<&PathReport> {
        self.snapshot()?.paths.get(self.path_index()?)
    }

    /// The breakdown's rows as they stand on the screen.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let Some(path) = self.path() else { return Vec::new() };
        let mut rows = rows(path, &self.folding, None);
        if self.sort.is_some() {
            let place = |r: &Row| self.order.iter().position(|id| *id == r.id);
            rows.sort_by_key(|r| place(r).unwrap_or(usize::MAX));
        }
        rows
    }

    fn reorder(&mut self) {
        let (Some(column), Some(path)) = (self.sort, self.path()) else { return };
        let sorted = rows(path, &self.folding, Some(&move |a, b| compare(column, a, b)));
        self.order = sorted.into_iter().map(|r| r.id).collect();
        self.ordered_at_ns = self.snapshot().map_or(0, |s| s.duration_ns);
    }

    /// The row under the cursor among these.
    pub(crate) fn cursor(&self, rows: &[Row]) -> usize {
        let wanted = self.cursor.as_ref();
        wanted.and_then(|id| rows.iter().position(|r| r.id == *id)).unwrap_or(0)
    }

    /// The hop under the cursor; a folded group's dearest.
    pub(crate) fn hop(&self) -> Option<(usize, &HopReport)> {
        let path = self.path()?;
        let rows = self.rows();
        let row = rows.get(self.cursor(&rows))?;
        let index = row.hop.or_else(|| {
            let members = path.hops.iter().enumerate().filter(|(_, h)| h.group == row.group);
            members.max_by(|a, b| a.1.share.total_cmp(&b.1.share)).map(|(i, _)| i)
        })?;
        Some((index, path.hops.get(index)?))
    }

    /// The line at the cursor of a panel that has `len`.
    pub(crate) fn line(&self, panel: Panel, len: usize) -> usize {
        self.lines[panel as usize].min(len.saturating_sub(1))
    }

    /// Packets per second: of late, or of the whole run where there is but one snapshot.
    pub(crate) fn rate(&self) -> Option<f64> {
        let (first, last) = (self.seen.front()?, self.seen.back()?);
        let (from, to) = if first == last { (&(0, 0), last) } else { (first, last) };
        let seconds = (to.0 - from.0) as f64 / 1e9;
        (seconds > 0.0).then(|| (to.1 - from.1) as f64 / seconds)
    }

    /// How many lines a panel has.
    pub(crate) fn len(&self, panel: Panel) -> usize {
        let Some(snapshot) = self.snapshot() else { return 0 };
        match panel {
            Panel::Breakdown => self.path().map_or(0, |p| p.hops.len()),
            Panel::Hop | Panel::History => usize::from(self.path().is_some()),
            Panel::Packets => self.path().map_or(0, |p| p.packets_shown.len()),
            Panel::Trips => snapshot.transactions.len(),
            Panel::Findings => words::findings(snapshot).len(),
            Panel::Flows => snapshot.flows.len(),
            Panel::Drops => snapshot.drops.len(),
        }
    }

    /// Does what a key asks for.
    pub(crate) fn act(&mut self, action: Action) -> Effect {
        self.message = None;
        match action {
            Action::Quit => return Effect::Quit,
            Action::Help => (self.help, self.help_from) = (!self.help, 0),
            Action::Write => return Effect::Write,
            Action::Suspend => return Effect::Suspend,
            Action::Reset if self.live => {
                self.message = Some("reset: figures count from now".to_owned());
                self.seen.clear();
                return Effect::Reset;
            }
            Action::Reset => self.message = Some("a recording can't be reset".to_owned()),
            Action::Pause if self.live => self.paused = !self.paused,
            Action::Pause => self.message = Some("a recording stands still".to_owned()),
            Action::Up => self.step(-1),
            Action::Down => self.step(1),
            Action::PageUp => self.step(-PAGE.cast_signed()),
            Action::PageDown => self.step(PAGE.cast_signed()),
            Action::First => self.step(isize::MIN),
            Action::Last => self.step(isize::MAX),
            Action::NextPanel => self.turn(true),
            Action::PreviousPanel => self.turn(false),
            Action::Into => self.enter(),
            Action::Back => self.leave(),
            Action::Direction => self.other_direction(),
            Action::NextPath => self.walk_paths(1),
            Action::PreviousPath => self.walk_paths(-1),
            Action::Sort if self.focus == Panel::Flows => {
                self.flow_order = (self.flow_order + 1) % FLOW_ORDERS.len();
            }
            Action::Sort => {
                self.sort = next_sort(self.sort);
                self.reorder();
                let by = self.sort.map_or("the packet's order", |c| COLUMNS[c].title);
                self.message = Some(format!("sorted by {by}"));
            }
            Action::Groups => {
                self.folding.grouped = !self.folding.grouped;
                self.folding.unfolded.clear();
                self.reorder();
            }
            Action::Filter => self.typing = true,
        }
        Effect::None
    }

    fn step(&mut self, by: isize) {
        if self.help {
            self.help_from = self.help_from.saturating_add_signed(by).min(help::last());
            return;
        }
        if self.focus != Panel::Breakdown && !(self.focus == Panel::Hop) {
            let len = self.len(self.focus);
            let line = &mut self.lines[self.focus as usize];
            *line = line.saturating_add_signed(by).min(len.saturating_sub(1));
            return;
        }
        let rows = self.rows();
        let at = self.cursor(&rows).saturating_add_signed(by).min(rows.len().saturating_sub(1));
        self.cursor = rows.get(at).map(|r| r.id.clone());
    }

    /// To the next panel that has something to show, or the one before.
    fn turn(&mut self, forward: bool) {
        let n = PANELS.len();
        for i in 1..n {
            let step = if forward { i } else { n - i };
            let panel = PANELS[(self.focus as usize + step) % n].0;
            if self.len(panel) > 0 {
                self.focus = panel;
                return;
            }
        }
    }

    fn enter(&mut self) {
        if self.help {
            return;
        }
        if self.focus == Panel::Breakdown && !self.zoom {
            let rows = self.rows();
            match rows.get(self.cursor(&rows)).map(|r| r.id.clone()) {
                Some(RowId::Group(group)) => {
                    if !self.folding.unfolded.remove(&group) {
                        self.folding.unfolded.insert(group);
                    }
                    self.cursor = rows.get(self.cursor(&rows)).map(|r| r.id.clone());
                    self.reorder();
                    return;
                }
                Some(RowId::Hop(_)) => self.focus = Panel::Hop,
                None => return,
            }
        }
        self.zoom = true;
    }

    fn leave(&mut self) {
        if self.help {
            self.help = false;
        } else if self.zoom {
            self.zoom = false;
            if self.focus == Panel::Hop {
                self.focus = Panel::Breakdown;
            }
        } else if !self.folding.filter.is_empty() {
            self.folding.filter.clear();
        } else {
            self.focus = Panel::Breakdown;
        }
    }

    fn other_direction(&mut self) {
        let (Some(snapshot), Some(path)) = (&self.snapshot, self.path()) else { return };
        let others = snapshot.paths.iter().filter(|p| p.direction != path.direction);
        match others.max_by_key(|p| p.packets).map(path_id) {
            Some(id) => self.choose(id),
            None => self.message = Some("no packets went the other way".to_owned()),
        }
    }

    fn walk_paths(&mut self, by: isize) {
        let (Some(snapshot), Some(at)) = (&self.snapshot, self.path_index()) else { return };
        let n = snapshot.paths.len();
        let next = (at + n).saturating_add_signed(by) % n;
        self.choose(path_id(&snapshot.paths[next]));
    }

    fn choose(&mut self, id: PathId) {
        self.path = Some(id);
        self.path_chosen = true;
        self.reorder();
    }

    /// A letter for the filter, or its last one taken back.
    pub(crate) fn letter(&mut self, letter: Option<char>) {
        match letter {
            Some(letter) => self.folding.filter.push(letter),
            None => drop(self.folding.filter.pop()),
        }
        self.lines[Panel::Flows as usize] = 0;
        self.reorder();
    }
}

fn path_id(path: &PathReport) -> PathId {
    (path.name.clone(), path.direction.clone(), path.end.clone())
}
