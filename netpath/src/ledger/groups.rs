//! What the cost groups of a path add up to, packet by packet.
//!
//! Percentiles of several hops don't add up, so a group's times are sums over the hops that one
//! packet met. As long as a group has a single row, that row's times are the group's.

use netpath_common::group::Group;

use super::{Row, Times};

/// A path's cost groups.
#[derive(Clone, Debug, Default)]
pub struct Groups(Vec<Sum>);

/// One of them.
#[derive(Clone, Debug)]
struct Sum {
    group: Group,
    /// `None` for a single row's.
    times: Option<Times>,
    /// The flight at hand's time here, until it is booked.
    pending_ns: i64,
    pending: bool,
}

impl Groups {
    /// The index of the group that a new row belongs to; `rows` are those that were there before.
    pub(super) fn join(&mut self, group: Group, rows: &[Row]) -> usize {
        let Some(index) = self.0.iter().position(|sum| sum.group == group) else {
            self.0.push(Sum { group, times: None, pending_ns: 0, pending: false });
            return self.0.len() - 1;
        };
        if self.0[index].times.is_none() {
            // Until now, packets met that row alone.
            self.0[index].times = rows.iter().find(|r| r.group == index).map(|r| r.times.clone());
        }
        index
    }

    /// Adds a row's time to what the flight at hand has spent in its group.
    pub(super) fn add(&mut self, index: usize, ns: i64) {
        let sum = &mut self.0[index];
        sum.pending_ns += ns;
        sum.pending = true;
    }

    /// Books the flight at hand.
    pub(super) fn book(&mut self) {
        for sum in &mut self.0 {
            if let Some(times) = &mut sum.times
                && sum.pending
            {
                times.add(sum.pending_ns);
            }
            (sum.pending, sum.pending_ns) = (false, 0);
        }
    }

    /// Each group with its times, in the order in which they were first met.
    pub fn times<'a>(&'a self, rows: &'a [Row]) -> impl Iterator<Item = (Group, &'a Times)> {
        self.0.iter().enumerate().filter_map(move |(index, sum)| {
            let single = || rows.iter().find(|r| r.group == index).map(|r| &r.times);
            Some((sum.group, sum.times.as_ref().or_else(single)?))
        })
    }
}
