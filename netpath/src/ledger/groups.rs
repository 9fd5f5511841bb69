//! What the cost groups of a path add up to, packet by packet.
//!
//! Percentiles of several hops don't add up, so a group's times are sums over the hops that one
//! packet met. As long as a group has a single row, that row's times are the group's, and cost
//! nothing.

use netpath_common::group::{GROUPS, Group};

use super::{Row, Times};

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
    booked: [Option<Box<Times>>; SLOTS],
}

impl Groups {
    /// Says that a row of this group comes to `rows`, which were there before.
    pub(super) fn join(&mut self, group: Group, rows: &[Row]) {
        let bit = 1 << group as u32;
        if self.there & bit != 0 && self.several & bit == 0 {
            // Until now, packets met the other row alone.
            self.several |= bit;
            let single = rows.iter().find(|r| r.group == group);
            let times = single.map(|r| r.sums.times.clone()).unwrap_or_default();
            self.booked[group as usize] = Some(Box::new(times));
        }
        self.there |= bit;
    }

    /// Adds a row's time to what the flight at hand has spent in its group.
    pub(super) fn add(&mut self, group: Group, ns: i64) {
        self.sums_ns[group as usize] += ns;
        self.met |= 1 << group as u32;
    }

    /// Adds what a group of another path has added up to.
    pub(super) fn absorb(&mut self, group: Group, times: &Times) {
        let bit = 1 << group as u32;
        self.there |= bit;
        self.several |= bit;
        self.booked[group as usize].get_or_insert_default().merge(times);
    }

    /// Books the flight at hand.
    pub(super) fn book(&mut self) {
        let mut met = self.met & self.several;
        while met != 0 {
            let index = met.trailing_zeros() as usize % SLOTS;
            met &= met - 1;
            if let Some(times) = &mut self.booked[index] {
                times.add(self.sums_ns[index]);
            }
        }
        self.sums_ns = [0; SLOTS];
        self.met = 0;
    }

    /// Each group with its times, in the order of the rows.
    pub fn times<'a>(&'a self, rows: &'a [Row]) -> Vec<(Group, &'a Times)> {
        let mut groups: Vec<(Group, &'a Times)> = Vec::new();
        for row in rows {
            if groups.iter().all(|(group, _)| *group != row.group) {
                let booked = self.booked[row.group as usize].as_deref();
                groups.push((row.group, booked.unwrap_or(&row.sums.times)));
            }
        }
        groups
    }
}
