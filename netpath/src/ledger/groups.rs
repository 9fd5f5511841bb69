//! What the cost groups of a path add up to, packet by packet.
//!
//! Percentiles of several hops don't add up, so a group's times are sums over the hops that one
//! packet met. As long as a group has a single row, that row's times are the group's, and cost
//! nothing. Sums are kept back and booked many at once, while a group's histogram is in the cache.

use std::borrow::Cow;

use netpath_common::group::{GROUPS, Group};

use super::{Row, Times};

/// Sums that are kept back.
const KEPT: usize = 64;
/// Groups, up to a power of two.
const SLOTS: usize = 16;
const _: () = assert!(GROUPS.len() <= SLOTS);

/// A path's cost groups.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    /// The flight at hand's time in each group, ns.
    sums_ns: [i64; SLOTS],
    /// A bit for each group that it has met.
    met: u32,
    /// A bit for each group that has rows.
    there: u32,
    /// A bit for each group that has several.
    several: u32,
    /// Of those that have several rows.
    booked: [Option<Box<Booked>>; SLOTS],
}

#[derive(Clone, Debug, Default)]
struct Booked {
    times: Times,
    kept: Vec<i64>,
}

impl Booked {
    fn book(&mut self) {
        for ns in self.kept.drain(..) {
            self.times.add(ns);
        }
    }
}

impl Groups {
    /// Says that a row of this group comes to `rows`, which were there before.
    pub(super) fn join(&mut self, group: Group, rows: &[Row]) {
        let bit = 1 << group as u32;
        if self.there & bit != 0 && self.several & bit == 0 {
            // Until now, packets met the other row alone.
            self.several |= bit;
            let single = rows.iter().find(|r| r.group == group);
            let times = single.map(|r| r.times.clone()).unwrap_or_default();
            self.booked[group as usize] = Some(Box::new(Booked { times, kept: Vec::new() }));
        }
        self.there |= bit;
    }

    /// Adds a row's time to what the flight at hand has spent in its group.
    pub(super) fn add(&mut self, group: Group, ns: i64) {
        self.sums_ns[group as usize] += ns;
        self.met |= 1 << group as u32;
    }

    /// Books the flight at hand.
    pub(super) fn book(&mut self) {
        let mut met = self.met & self.several;
        while met != 0 {
            let index = met.trailing_zeros() as usize % SLOTS;
            met &= met - 1;
            if let Some(booked) = &mut self.booked[index] {
                booked.kept.push(self.sums_ns[index]);
                if booked.kept.len() >= KEPT {
                    booked.book();
                }
            }
        }
        self.sums_ns = [0; SLOTS];
        self.met = 0;
    }

    /// Each group with its times, in the order of the rows.
    pub fn times<'a>(&'a self, rows: &'a [Row]) -> Vec<(Group, Cow<'a, Times>)> {
        let mut groups: Vec<(Group, Cow<'a, Times>)> = Vec::new();
        for row in rows {
            if groups.iter().any(|(group, _)| *group == row.group) {
                continue;
            }
            let times = match &self.booked[row.group as usize] {
                Some(booked) => {
                    let mut booked = Booked::clone(booked);
                    booked.book();
                    Cow::Owned(booked.times)
                }
                None => Cow::Borrowed(&row.times),
            };
            groups.push((row.group, times));
        }
        groups
    }
}
