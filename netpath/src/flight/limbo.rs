//! Packets that were freed where packets are rebuilt, cut up or copied: what they go on as may turn up next on
//! the CPU that freed them. Rule 8 of [`super`].
#![expect(clippy::vec_box, reason = "flights move between maps, lines and their assembler")]

use netpath_common::situation::At;
use rustc_hash::FxHashMap;

use super::{Flight, recent};
use crate::packet::Headers;

/// What a freed packet goes on as turns up within this, ns.
const LIMBO_NS: u64 = 1_000_000;

/// The CPU, and whether the packet was itself made of another one: of each sort the last one is kept, so
/// that parts don't drive out what they are parts of.
pub(super) type Key = (u16, bool);

#[derive(Debug)]
struct Freed {
    /// When, ns: it can have waited in a ring before.
    at_ns: u64,
    flight: Box<Flight>,
}

/// What was freed lately.
#[derive(Debug, Default)]
pub(super) struct Limbo {
    freed: FxHashMap<Key, Freed>,
    /// Since when the one that is there longest is, ns; or earlier.
    since_ns: u64,
}

impl Limbo {
    /// Takes a flight that a CPU has freed now; comes back with the one that it takes the place of.
    pub(super) fn keep(
        &mut self,
        cpu: u16,
        at_ns: u64,
        flight: Box<Flight>,
    ) -> Option<Box<Flight>> {
        let key = (cpu, flight.family != 0);
        self.since_ns = self.since_ns.min(at_ns);
        self.freed.insert(key, Freed { at_ns, flight }).map(|freed| freed.flight)
    }

    /// Of which one a packet with these headers, that turns up in `at` on this CPU, can be a copy or a part:
    /// the one that got furthest.
    pub(super) fn find(&self, cpu: u16, at: At, headers: &Headers) -> Option<Key> {
        let keys = [(cpu, false), (cpu, true)].into_iter();
        let source = |key: &Key| {
            let freed = self.freed.get(key)?;
            recent::is_of_freed(&freed.flight, at, headers).then(|| freed.flight.last_ns())
        };
        keys.max_by_key(source).filter(|key| source(key).is_some())
    }

    pub(super) fn get(&self, key: Key) -> Option<&Flight> {
        Some(&self.freed.get(&key)?.flight)
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Flight> {
        Some(&mut self.freed.get_mut(&key)?.flight)
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<Box<Flight>> {
        self.freed.remove(&key).map(|freed| freed.flight)
    }

    /// Gives up on what was freed so long ago that nothing more comes of it; in the order of their birth.
    pub(super) fn release(&mut self, now_ns: u64) -> Vec<Box<Flight>> {
        if now_ns.saturating_sub(self.since_ns) <= LIMBO_NS {
            return Vec::new();
        }
        let late = |freed: &Freed| now_ns.saturating_sub(freed.at_ns) > LIMBO_NS;
        let gone = self.freed.extract_if(|_, freed| late(freed)).map(|(_, freed)| freed.flight);
        let gone = in_order(gone);
        self.since_ns = self.freed.values().map(|freed| freed.at_ns).min().unwrap_or(u64::MAX);
        gone
    }

    /// Gives up on all.
    pub(super) fn take(&mut self) -> Vec<Box<Flight>> {
        in_order(self.freed.drain().map(|(_, freed)| freed.flight))
    }
}

fn in_order(flights: impl Iterator<Item = Box<Flight>>) -> Vec<Box<Flight>> {
    let mut all: Vec<_> = flights.collect();
    all.sort_by_key(|flight| flight.seq);
    all
}
