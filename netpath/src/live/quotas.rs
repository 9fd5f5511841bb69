//! CPU quotas while tracing: those of processes that come and go in between are known as well.
//!
//! In: namespaces. Out: by namespace, what their cgroups' quotas have cost. Who has which is looked up on a
//! thread of its own, since it takes a look at every process.

use std::{
    collections::BTreeMap,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::pace::Pace;
use crate::{
    facts::{self, CpuQuota},
    netns::Netns,
    priority,
};

const EVERY: Duration = Duration::from_millis(250);
/// Looks may take one part in so many of a CPU.
const SHARE: u32 = 100;

#[derive(Debug)]
pub(super) struct Quotas {
    /// By namespace and cgroup, as they were when they were first seen, and last.
    known: BTreeMap<(u32, String), (CpuQuota, CpuQuota)>,
    pace: Pace,
    looking: Option<JoinHandle<Look>>,
}

/// What a look has found, and how long it took.
#[derive(Debug)]
struct Look {
    found: Vec<(u32, CpuQuota)>,
    took: Duration,
}

impl Quotas {
    pub(super) fn of<'a>(namespaces: impl Iterator<Item = (u32, &'a Netns)>) -> Self {
        let pace = Pace::new(EVERY, SHARE, Duration::ZERO);
        let mut this = Self { known: BTreeMap::new(), pace, looking: None };
        this.begin(namespaces);
        this
    }

    /// Looks, unless it was done a moment ago.
    pub(super) fn look<'a>(&mut self, namespaces: impl Iterator<Item = (u32, &'a Netns)>) {
        if self.looking.as_ref().is_some_and(JoinHandle::is_finished) {
            self.collect();
        }
        if self.looking.is_none() && self.pace.is_due() {
            self.begin(namespaces);
        }
    }

    fn begin<'a>(&mut self, namespaces: impl Iterator<Item = (u32, &'a Netns)>) {
        let all: BTreeMap<u64, u32> =
            namespaces.map(|(cookie, netns)| (netns.inode, cookie)).collect();
        self.looking = Some(thread::spawn(move || {
            priority::normal();
            let begun = Instant::now();
            Look { found: facts::read_quotas(&all), took: begun.elapsed() }
        }));
    }

    fn collect(&mut self) {
        let Some(look) = self.looking.take().and_then(|thread| thread.join().ok()) else { return };
        self.pace.took(look.took);
        for (netns, quota) in look.found {
            let key = (netns, quota.cgroup.clone());
            let first =
                self.known.get(&key).map_or_else(|| quota.clone(), |(first, _)| first.clone());
            self.known.insert(key, (first, quota));
        }
    }

    /// What they have come to by now; looks once more, and waits for it.
    pub(super) fn end<'a>(
        &mut self,
        namespaces: impl Iterator<Item = (u32, &'a Netns)>,
    ) -> BTreeMap<u32, Vec<CpuQuota>> {
        self.collect();
        self.begin(namespaces);
        self.collect();
        self.so_far()
    }

    /// What they have come to at the last look.
    pub(super) fn so_far(&self) -> BTreeMap<u32, Vec<CpuQuota>> {
        let mut grown: BTreeMap<u32, Vec<CpuQuota>> = BTreeMap::new();
        for ((netns, _), (first, last)) in &self.known {
            grown.entry(*netns).or_default().push(last.since(first));
        }
        grown
    }

    /// Begins anew: what was counted up to now counts no more.
    pub(super) fn reset(&mut self) {
        self.collect();
        self.known.values_mut().for_each(|(first, last)| first.clone_from(last));
    }
}
