//! The path while it is traced: kept true as devices and namespaces come, go and change their names.
//!
//! In: what the watch sees, and namespaces that packets were met in. Out: a topology that has changed, and
//! what to say of it. Whatever takes longer is done on a thread of its own: a reader that waits loses events.

use std::{
    collections::BTreeSet,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::pace::Pace;
use crate::{
    netns::Netns,
    priority,
    spec::Wishes,
    topo::{self, Arrivals, Arrived, Change, Host, Place, Topology, Watch},
    units::time,
};

/// How long after a device has come the path is looked for anew: what it is joined with comes next. Where
/// containers come and go all the time, looking may take one part in so many of a CPU, and this much in advance.
const SETTLED: Duration = Duration::from_millis(200);
/// How often to look for what was chosen and is gone: a container that is started again has its name again.
const MISSING_EVERY: Duration = Duration::from_secs(1);
const FINDS_SHARE: u32 = 10;
const FINDS_BURST: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Surroundings {
    watch: Watch,
    wishes: Arc<Wishes>,
    came: Vec<Came>,
    /// When to look for the path anew.
    due: Option<Instant>,
    finding: Option<JoinHandle<Found>>,
    finds: Pace,
    meeting: Option<JoinHandle<Vec<Host>>>,
    /// Namespaces that were looked for.
    asked: BTreeSet<u32>,
    /// Something that was chosen is nowhere now.
    missing: bool,
    /// Where everything is traced: what comes and goes.
    arrivals: Option<Arrivals>,
    /// Devices of namespaces that are held which have gone since the last look.
    gone: Vec<Place>,
}

/// The path as it is now, and how long it took to find.
type Found = (Topology, Duration);

/// A device that has come, and when, since tracing began.
#[derive(Debug)]
struct Came {
    place: Place,
    after: Duration,
}

/// What a look has brought.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) notes: Vec<String>,
    /// Namespaces that nobody else holds any more.
    pub(super) released: Vec<u32>,
    /// The topology has other names.
    pub(super) renamed: bool,
    /// It leads to other devices.
    pub(super) followed: bool,
}

impl Surroundings {
    /// Takes the namespaces' handles out of the topology.
    pub(super) fn of(topology: &mut Topology, wishes: Wishes) -> Self {
        let restricted = !wishes.around.is_empty();
        let arrivals = topology.everything.then(|| Arrivals::start(topology, restricted)).flatten();
        Self {
            arrivals,
            gone: Vec::new(),
            watch: Watch::new(topology),
            wishes: Arc::new(wishes),
            came: Vec::new(),
            due: None,
            finding: None,
            finds: Pace::new(Duration::ZERO, FINDS_SHARE, FINDS_BURST),
            meeting: None,
            asked: BTreeSet::new(),
            missing: false,
        }
    }

    /// The namespaces that are still held, by the low half of their cookies.
    pub(super) fn namespaces(&self) -> impl Iterator<Item = (u32, &Netns)> {
        self.watch.namespaces()
    }

    /// Looks, unless it was done a moment ago; `elapsed` since tracing began.
    pub(super) fn look(
        &mut self,
        topology: &mut Topology,
        strangers: impl FnOnce() -> BTreeSet<u32>,
        elapsed: Duration,
    ) -> News {
        let mut news = News::default();
        let Some(changes) = self.watch.look() else { return news };
        if topology.everything {
            for change in changes {
                self.take_of_all(&change, topology, &mut news);
            }
            return news;
        }
        for change in changes {
            self.take(&change, topology, elapsed, &mut news);
        }
        if self.missing {
            self.due.get_or_insert_with(|| Instant::now() + MISSING_EVERY);
        }
        let due = self.due.is_some_and(|due| due <= Instant::now());
        if due && self.finding.is_none() && self.finds.is_due() {
            self.due = None;
            self.finding = self.find(topology);
        }
        if let Some((found, took)) = done(&mut self.finding) {
            self.finds.took(took);
            self.follow(found, topology, &mut news);
        }
        let unknown: BTreeSet<u32> = strangers().difference(&self.asked).copied().collect();
        if self.meeting.is_none() && !unknown.is_empty() {
            self.asked.extend(&unknown);
            self.meeting = spawn(move || topo::find_strangers(&unknown));
        }
        if let Some(met) = done(&mut self.meeting) {
            news.renamed |= !met.is_empty();
            topology.meet(met);
        }
        news
    }

    /// Where everything is traced, containers come and go all the time, which is no news.
    fn take_of_all(&mut self, change: &Change, topology: &mut Topology, news: &mut News) {
        match change {
            Change::NetnsGone { cookie, .. } => news.released.push(*cookie),
            Change::Renamed { place, to, .. } => {
                topology.rename(*place, to);
                news.renamed = true;
            }
            Change::Gone { place, .. } => self.gone.push(*place),
            Change::Came { .. } => {}
        }
    }

    /// What has come and gone, where everything is traced; `unknown` is asked for.
    pub(super) fn arrived(&mut self, unknown: BTreeSet<Place>) -> Vec<Arrived> {
        let Some(arrivals) = &self.arrivals else { return Vec::new() };
        if !unknown.is_empty() {
            arrivals.ask(unknown);
        }
        arrivals.news().collect()
    }

    /// Devices that have gone since the last time.
    pub(super) fn take_gone(&mut self) -> Vec<Place> {
        std::mem::take(&mut self.gone)
    }

    /// Lets go of a namespace that is gone.
    pub(super) fn release(&mut self, cookie: u32) {
        self.watch.release(cookie);
    }

    /// Those of the namespaces that are held.
    pub(super) fn held(&self, cookies: &BTreeSet<u32>) -> Vec<Netns> {
        let held = self.watch.namespaces().filter(|(cookie, _)| cookies.contains(cookie));
        held.map(|(_, netns)| netns.clone()).collect()
    }

    /// Puts neighbours that packets were met in on the path; their names.
    pub(super) fn take_in(&mut self, topology: &mut Topology, met: &BTreeSet<u32>) -> Vec<String> {
        let names = topology.take_in(met);
        if !names.is_empty() {
            self.watch.follow(topology);
        }
        names
    }

    /// Finds at once who these namespaces are.
    pub(super) fn meet(&mut self, topology: &mut Topology, strangers: &BTreeSet<u32>) {
        if let Some(met) = self.meeting.take().and_then(|thread| thread.join().ok()) {
            topology.meet(met);
        }
        if strangers.iter().any(|cookie| topology.host(*cookie).is_none()) {
            topology.meet(topo::find_strangers(strangers));
        }
    }

    fn take(
        &mut self,
        change: &Change,
        topology: &mut Topology,
        elapsed: Duration,
        news: &mut News,
    ) {
        let on_path = match change {
            Change::NetnsGone { cookie, .. } => {
                news.released.push(*cookie);
                self.missing |= topology.chosen.iter().any(|chosen| chosen.focus.netns == *cookie);
                true
            }
            Change::Came { place, .. } => {
                self.came.push(Came { place: *place, after: elapsed });
                self.due.get_or_insert_with(|| Instant::now() + SETTLED);
                false
            }
            Change::Renamed { place, to, .. } => {
                let known = topology.device(*place).is_some();
                topology.rename(*place, to);
                news.renamed |= known;
                known
            }
            Change::Gone { place, moved, .. } => {
                let known = topology.device(*place).is_some();
                self.missing |= topology.is_focus(*place);
                // The other end of what was moved leads elsewhere now.
                if known && *moved {
                    self.due.get_or_insert_with(|| Instant::now() + SETTLED);
                }
                known
            }
        };
        if on_path {
            news.notes.push(format!("{change} after {}", time(elapsed.as_nanos() as f64)));
        }
    }

    /// Begins to look for the path anew.
    fn find(&self, topology: &Topology) -> Option<JoinHandle<Found>> {
        let (wishes, before) = (self.wishes.clone(), topology.chosen.clone());
        spawn(move || {
            let begun = Instant::now();
            (wishes.anew(&before), begun.elapsed())
        })
    }

    fn follow(&mut self, now: Topology, topology: &mut Topology, news: &mut News) {
        let came = std::mem::take(&mut self.came);
        let fresh: Vec<Place> = now
            .chain
            .iter()
            .copied()
            .filter(|place| {
                !topology.chain.contains(place) || came.iter().any(|c| c.place == *place)
            })
            .collect();
        let beside = |place: &Place| now.host(place.netns).is_some_and(|host| host.beside);
        let names: Vec<String> = fresh
            .iter()
            .filter(|place| !beside(place))
            .map(|place| format!("{}/{}", now.netns_name(place.netns), now.dev_name(*place)))
            .collect();
        self.missing = now.chosen.iter().any(|chosen| now.device(chosen.focus).is_none());
        let moved = now.chosen != topology.chosen;
        topology.become_of(now);
        self.watch.follow(topology);
        if fresh.is_empty() && !moved {
            return;
        }
        news.followed = true;
        if let Some(after) = came.iter().map(|c| c.after).min().filter(|_| !names.is_empty()) {
            let after = time(after.as_nanos() as f64);
            news.notes.push(format!("new on the path after {after}: {}", names.join(", ")));
        } else if !names.is_empty() {
            news.notes.push(format!("the path leads elsewhere: {}", names.join(", ")));
        }
    }
}

fn spawn<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Option<JoinHandle<T>> {
    let run = move || {
        priority::normal();
        f()
    };
    thread::Builder::new().name("netpath-topo".to_owned()).spawn(run).ok()
}

/// What a thread has brought, once it is done.
fn done<T>(thread: &mut Option<JoinHandle<T>>) -> Option<T> {
    thread.take_if(|thread| thread.is_finished())?.join().ok()
}
