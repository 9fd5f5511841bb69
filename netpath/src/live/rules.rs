//! Rule sets while tracing: listed again whenever they change, and when netfilter drops packets that their
//! counters have not been asked about since.
//!
//! In: the namespaces, the hook plan, and when packets were dropped last. Out: a [`RuleHistory`] of each
//! namespace. Listing runs the tools, which takes a while: it is done on a thread of its own, one namespace
//! at a time, and takes a small part of one CPU at most.

use std::{
    collections::BTreeMap,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::{TimeVal, TimeValLike as _},
};

use super::pace::Pace;
use crate::{
    facts::{self, Facts, RuleHistory, Rules, Stamp},
    hooks::HookPlan,
    ledger::FilteredDrops,
    netns::Netns,
    priority,
};

/// How often to look whether rule sets have changed: packets that were dropped between two looks can have
/// met the old rules or the new ones. It may take one part in so many of a CPU.
const EVERY: Duration = Duration::from_millis(100);
const LOOKS_SHARE: u32 = 50;
const LOOKS_BURST: Duration = Duration::from_millis(200);
/// Rule sets that have not changed are listed again, for their counters, at most this often. All listings
/// may take one part in so many of a CPU, and this much in advance: rules that are loaded by many commands,
/// or for a moment, are seen as they come.
const COUNT_EVERY: Duration = Duration::from_secs(1);
const SHARE: u32 = 20;
const BURST: Duration = Duration::from_secs(1);

/// The rule sets of a trace's namespaces.
#[derive(Debug)]
pub(super) struct RuleWatch {
    pub(super) histories: BTreeMap<u32, RuleHistory>,
    stamps: BTreeMap<u32, Stamp>,
    unlisted: BTreeMap<u32, Unlisted>,
    looks: Pace,
    listings: Pace,
    /// When the last listing was over.
    listed: Instant,
    listing: Option<Listing>,
}

/// Rules that are there, and have not been listed.
#[derive(Debug)]
struct Unlisted {
    stamp: Stamp,
    /// When they were first seen.
    from_ns: u64,
    /// Others were seen before, which have not been listed either.
    after_others: bool,
}

/// A listing under way.
#[derive(Debug)]
struct Listing {
    netns: u32,
    /// What was listed, and the CPU time that it took.
    thread: JoinHandle<Option<(Stamp, Rules, Duration)>>,
}

impl RuleWatch {
    /// Begins with what was listed when tracing began.
    pub(super) fn new(facts: &Facts) -> Self {
        let histories = facts
            .netns
            .iter()
            .filter_map(|(netns, facts)| Some((*netns, RuleHistory::new(facts.rules.as_ref()?))));
        Self {
            histories: histories.collect(),
            stamps: BTreeMap::new(),
            unlisted: BTreeMap::new(),
            looks: Pace::new(EVERY, LOOKS_SHARE, LOOKS_BURST),
            listings: Pace::new(Duration::ZERO, SHARE, BURST),
            listed: Instant::now(),
            listing: None,
        }
    }

    /// Looks whether anything has changed, unless it was done a moment ago; whether a rule set has.
    pub(super) fn look<'a>(
        &mut self,
        hooks: &HookPlan,
        drops: &FilteredDrops,
        namespaces: impl Iterator<Item = (u32, &'a Netns)>,
    ) -> bool {
        let changed = self.collect();
        if !self.looks.is_due() {
            return changed;
        }
        let begun = Instant::now();
        let may_list = self.listing.is_none() && self.listings.is_due();
        let counts = self.listed.elapsed() >= COUNT_EVERY;
        // One at a time: the others' turn comes when it is over.
        let mut next = None;
        for (cookie, netns) in namespaces.filter(|(cookie, _)| hooks.has_rules(*cookie)) {
            let history = self.histories.get_mut(&cookie);
            let counted_ns = history.as_ref().map_or(0, |history| history.counted_ns());
            let dropping = drops.latest_ns(cookie).is_some_and(|last_ns| last_ns > counted_ns);
            let now_ns = facts::now_ns();
            let stamp = netns.run(Stamp::read).unwrap_or_default();
            let same = self.stamps.get(&cookie) == Some(&stamp);
            if same && let Some(history) = history {
                history.unchanged(now_ns);
            }
            if !same && self.unlisted.get(&cookie).is_none_or(|seen| seen.stamp != stamp) {
                let after_others = self.unlisted.contains_key(&cookie);
                self.unlisted.insert(cookie, Unlisted { stamp, from_ns: now_ns, after_others });
            }
            if may_list && (!same || (dropping && counts)) {
                next.get_or_insert((cookie, netns));
            }
        }
        self.looks.took(begun.elapsed());
        if let Some((cookie, netns)) = next {
            self.list(cookie, netns);
        }
        changed
    }

    fn list(&mut self, cookie: u32, netns: &Netns) {
        let netns = netns.clone();
        // What changes while it is listed has another stamp at the next look.
        let thread = thread::spawn(move || {
            priority::normal();
            let before = cpu_of_children();
            let (stamp, rules) = netns.run(|| (Stamp::read(), facts::list_rules())).ok()?;
            Some((stamp, rules, cpu_of_children().saturating_sub(before)))
        });
        self.listing = Some(Listing { netns: cookie, thread });
    }

    /// Takes a listing that is over; whether it was news.
    fn collect(&mut self) -> bool {
        self.listing.as_ref().is_some_and(|listing| listing.thread.is_finished()) && self.join()
    }

    fn join(&mut self) -> bool {
        let Some(Listing { netns, thread }) = self.listing.take() else { return false };
        let listed = thread.join();
        self.listed = Instant::now();
        let Ok(Some((stamp, rules, took))) = listed else {
            // It was tried; whatever that took, it is not tried again at once.
            self.listings.took(BURST);
            return false;
        };
        self.listings.took(took);
        tracing::debug!("{} rules listed, which took {took:?} of a CPU", rules.listed.len());
        let (mut from_ns, mut after_others) = (rules.listed_ns, false);
        if let Some(seen) = self.unlisted.remove(&netns) {
            let listed = seen.stamp == stamp;
            after_others = seen.after_others || !listed;
            from_ns = if listed { seen.from_ns.min(from_ns) } else { from_ns };
        }
        self.stamps.insert(netns, stamp);
        self.histories.entry(netns).or_default().take_seen(rules, from_ns, after_others)
    }

    /// Reads counters once more, where packets were dropped that they have not been asked about.
    pub(super) fn end<'a>(
        &mut self,
        hooks: &HookPlan,
        drops: &FilteredDrops,
        namespaces: impl Iterator<Item = (u32, &'a Netns)>,
    ) {
        self.join();
        for (cookie, netns) in namespaces.filter(|(cookie, _)| hooks.has_rules(*cookie)) {
            let counted_ns = self.histories.get(&cookie).map_or(0, RuleHistory::counted_ns);
            if drops.latest_ns(cookie).is_some_and(|last_ns| last_ns > counted_ns) {
                self.list(cookie, netns);
                self.join();
            }
        }
    }

    /// Begins anew: what was counted up to now counts no more.
    pub(super) fn reset(&mut self) {
        self.join();
        for history in self.histories.values_mut() {
            history.restart();
        }
    }

    /// The rule sets as they are now, for a trace that begins now.
    pub(super) fn now(&self, netns: u32) -> Option<Rules> {
        self.histories.get(&netns)?.versions.last().map(|version| version.rules.clone())
    }
}

/// CPU time of the programs that this process has started and that have ended.
fn cpu_of_children() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN);
    let time = |of: TimeVal| Duration::from_micros(of.num_microseconds().try_into().unwrap_or(0));
    usage.map_or(Duration::ZERO, |usage| time(usage.user_time()) + time(usage.system_time()))
}
