//! Flights that passed devices of which nothing is known yet, where everything is traced: a container's first packet
//! is there before anybody has looked who it is.
//!
//! In: flights with what they lack. Out: the same flights, once that is known, or is not to be had in time. Time is
//! the events'.

use std::collections::{BTreeSet, VecDeque};

use crate::{flight::Flight, topo::Place};

/// For how long flights are held, ns, and how many of them.
const HELD_NS: u64 = 3_000_000_000;
const HELD_MAX: usize = 8_192;

/// Flights, in the order in which they ended.
#[derive(Debug, Default)]
pub(super) struct Held {
    flights: VecDeque<Flight>,
    unknown: BTreeSet<Place>,
}

impl Held {
    /// Keeps a flight that has met unknown places.
    pub(super) fn hold(&mut self, flight: &Flight, unknown: impl Iterator<Item = Place>) {
        self.unknown.extend(unknown);
        self.flights.push_back(flight.clone());
    }

    /// Places that are unknown, since the last time.
    pub(super) fn take_unknown(&mut self) -> BTreeSet<Place> {
        std::mem::take(&mut self.unknown)
    }

    /// The flights that have been held for too long at this time, or are too many.
    pub(super) fn overdue(&mut self, now_ns: u64) -> Vec<Flight> {
        let mut overdue = Vec::new();
        while let Some(first) = self.flights.front() {
            let late = first.last_ns().saturating_add(HELD_NS) < now_ns;
            if !late && self.flights.len() <= HELD_MAX {
                break;
            }
            overdue.extend(self.flights.pop_front());
        }
        overdue
    }

    /// Gives up those that lack nothing any more.
    pub(super) fn known(&mut self, is_known: impl Fn(&Flight) -> bool) -> Vec<Flight> {
        if self.flights.is_empty() {
            return Vec::new();
        }
        let all = std::mem::take(&mut self.flights).into_iter();
        let (known, left): (Vec<Flight>, Vec<Flight>) = all.partition(is_known);
        self.flights = left.into();
        known
    }

    pub(super) fn all(&mut self) -> Vec<Flight> {
        self.flights.drain(..).collect()
    }
}
