//! Flows: packets of one tuple, in a direction.
//!
//! What is known of many flows lies in no cache. A packet alone would wait for its flow at each step of
//! the way there; so packets are kept back, and their flows are looked up together: looks that need
//! nothing of each other wait at the same time.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

use indexmap::IndexMap;
use rustc_hash::{FxBuildHasher, FxHashSet};

use super::Direction;
use crate::packet::Tuple;

/// Flows that are kept apart. Where there are more, the half of them that has been silent for longer is added up in
/// [`Flows::others`].
const FLOWS_MAX: usize = 1 << 17;
/// The same where everything is traced, for as long as a node runs: containers that come and go leave flows behind.
const FLOWS_MAX_OF_ALL: usize = 1 << 13;
/// Packets whose flows are looked up together.
pub(super) const TOGETHER: usize = 64;

/// What a flow has added up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The tuple after NAT, where it differs.
    pub translated: Option<Tuple>,
    pub packets: u64,
    pub sum_ns: i64,
    pub max_ns: i64,
    /// How many packets had been booked when its last one was.
    last: u64,
}

/// All flows.
#[derive(Clone, Debug)]
pub struct Flows {
    /// Flows that are kept apart, at most.
    pub most: usize,
    by_tuple: IndexMap<(Tuple, Direction), Flow, FxBuildHasher>,
    kept: Vec<Packet>,
    /// Where the flow of each packet that is kept was found.
    found: Vec<Option<usize>>,
    /// Packets of flows that are not listed any more.
    pub others: u64,
    /// Packets booked so far.
    booked: u64,
}

/// A packet, as flows see it.
#[derive(Clone, Copy, Debug)]
struct Packet {
    key: (Tuple, Direction),
    translated: Option<Tuple>,
    total_ns: i64,
}

impl Default for Flows {
    fn default() -> Self {
        Self::of(false)
    }
}

impl Flows {
    /// Flows of what was chosen, or of everything.
    pub(super) fn of(everything: bool) -> Self {
        Self {
            most: if everything { FLOWS_MAX_OF_ALL } else { FLOWS_MAX },
            by_tuple: IndexMap::default(),
            kept: Vec::new(),
            found: Vec::new(),
            others: 0,
            booked: 0,
        }
    }

    /// Takes a packet; it is booked with others.
    pub(super) fn add(
        &mut self,
        tuple: Tuple,
        translated: Option<Tuple>,
        direction: Direction,
        total_ns: i64,
    ) {
        self.kept.push(Packet { key: (tuple, direction), translated, total_ns });
        if self.kept.len() >= TOGETHER {
            self.book();
        }
    }

    /// Books what is kept back.
    pub(super) fn book(&mut self) {
        if self.by_tuple.len() + self.kept.len() > self.most {
            self.forget_silent();
        }
        self.found.clear();
        self.found.extend(self.kept.iter().map(|packet| self.by_tuple.get_index_of(&packet.key)));
        for (Packet { key, translated, total_ns }, found) in self.kept.drain(..).zip(&self.found) {
            let flow = if let Some(index) = found {
                &mut self.by_tuple[*index]
            } else {
                // New, or since the look.
                let new = Flow { translated, packets: 0, sum_ns: 0, max_ns: i64::MIN, last: 0 };
                self.by_tuple.entry(key).or_insert(new)
            };
            self.booked += 1;
            flow.last = self.booked;
            flow.packets += 1;
            flow.sum_ns += total_ns;
            flow.max_ns = flow.max_ns.max(total_ns);
            flow.translated = flow.translated.or(translated);
        }
    }

    /// Forgets the half of the flows that has been silent for longer.
    fn forget_silent(&mut self) {
        let mut last: Vec<u64> = self.by_tuple.values().map(|flow| flow.last).collect();
        let middle = last.len() / 2;
        let (_, limit, _) = last.select_nth_unstable(middle);
        let limit = *limit;
        let others = &mut self.others;
        self.by_tuple.retain(|_, flow| {
            let stays = flow.last >= limit;
            *others += if stays { 0 } else { flow.packets };
            stays
        });
    }

    /// Whether packets of this tuple were seen, whichever way they went.
    pub(super) fn knows(&self, tuple: &Tuple) -> bool {
        let booked = |direction| self.by_tuple.contains_key(&(*tuple, direction));
        [Direction::Outbound, Direction::Inbound].into_iter().any(booked)
            || self.kept.iter().any(|packet| packet.key.0 == *tuple)
    }

    pub fn len(&self) -> usize {
        self.by_tuple.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_tuple.is_empty()
    }

    /// The `n` flows with the most packets, and of the others the `n` with the slowest packet; most
    /// packets first.
    ///
    /// One pass over all of them, as the live view asks several times a second.
    pub fn top(&self, n: usize) -> Vec<(&Tuple, Direction, &Flow)> {
        let mut busiest = Least::new(n);
        // As many of these can be among the busiest.
        let mut slowest = Least::new(2 * n);
        for ((tuple, direction), flow) in &self.by_tuple {
            busiest.add((Reverse(flow.packets), tuple, *direction), flow);
            slowest.add((Reverse(flow.max_ns), tuple, *direction), flow);
        }
        let mut top = busiest.sorted();
        let known: FxHashSet<_> = top.iter().map(|(t, d, _)| (*t, *d)).collect();
        let others = slowest.sorted().into_iter().filter(|(t, d, _)| !known.contains(&(*t, *d)));
        top.extend(others.take(n));
        top.sort_by_key(|(t, d, f)| (Reverse(f.packets), *t, *d));
        top
    }
}

/// A flow's place among others: a figure, the largest first; among equals it is the same each time.
type Place<'a, T> = (Reverse<T>, &'a Tuple, Direction);

/// The flows with the least places of all that were added.
struct Least<'a, T> {
    most: usize,
    /// The greatest place is on top.
    heap: BinaryHeap<Placed<'a, T>>,
}

struct Placed<'a, T> {
    place: Place<'a, T>,
    flow: &'a Flow,
}

impl<'a, T: Ord> Least<'a, T> {
    fn new(most: usize) -> Self {
        Self { most, heap: BinaryHeap::with_capacity(most + 1) }
    }

    fn add(&mut self, place: Place<'a, T>, flow: &'a Flow) {
        if self.heap.len() < self.most {
            self.heap.push(Placed { place, flow });
        } else if let Some(mut greatest) = self.heap.peek_mut()
            && place < greatest.place
        {
            *greatest = Placed { place, flow };
        }
    }

    fn sorted(self) -> Vec<(&'a Tuple, Direction, &'a Flow)> {
        let sorted = self.heap.into_sorted_vec().into_iter();
        sorted.map(|p| (p.place.1, p.place.2, p.flow)).collect()
    }
}

impl<T: Ord> Ord for Placed<'_, T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place.cmp(&other.place)
    }
}

impl<T: Ord> PartialOrd for Placed<'_, T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord> PartialEq for Placed<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl<T: Ord> Eq for Placed<'_, T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_silent_for_longest_goes_to_the_others() {
        let tuple = |n: u32| {
            let [a, b, c, d] = n.to_be_bytes();
            Tuple::v4(17, [10, b, c, d], [10, 0, 0, 2], [a, 1], [0; 2])
        };
        for mut flows in [Flows::of(false), Flows::of(true)] {
            let many = u32::try_from(flows.most).unwrap() + 1000;
            for n in 0..many {
                flows.add(tuple(n), None, Direction::Outbound, 1);
                // One that is never silent.
                flows.add(tuple(0), None, Direction::Outbound, 1);
            }
            flows.book();
            assert!(flows.len() <= flows.most, "{}", flows.len());
            assert!(flows.knows(&tuple(0)) && flows.knows(&tuple(many - 1)));
            assert!(!flows.knows(&tuple(1)));
            let listed: u64 = flows.by_tuple.values().map(|flow| flow.packets).sum();
            assert_eq!(listed + flows.others, u64::from(2 * many));
        }
    }

    #[test]
    fn the_busiest_and_the_slowest_are_on_top() {
        let mut flows = Flows::default();
        let tuple =
            |port: u16| Tuple::v4(17, [10, 0, 0, 1], [10, 0, 0, 2], port.to_be_bytes(), [0; 2]);
        for port in 0_u16..100 {
            for _ in 0..=port {
                flows.add(tuple(port), None, Direction::Outbound, i64::from(1000 - port));
            }
        }
        flows.book();
        let top: Vec<u64> = flows.top(2).iter().map(|(_, _, f)| f.packets).collect();
        assert_eq!(top, [100, 99, 2, 1]);
        // One that is among the busiest and the slowest is there once, and two others are as slow.
        flows.add(tuple(99), None, Direction::Outbound, 5_000);
        flows.book();
        let top: Vec<u64> = flows.top(2).iter().map(|(_, _, f)| f.packets).collect();
        assert_eq!(top, [101, 99, 2, 1]);
        assert_eq!(flows.top(0).len(), 0);
        assert_eq!(flows.top(1000).len(), 100);
    }
}
