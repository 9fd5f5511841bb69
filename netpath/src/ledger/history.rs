//! The last minutes of a path, second by second, on the events' clock.
//!
//! In: when a packet's passage ended, and how long it took. Out: a [`Second`] for every second that
//! had packets. Percentiles of seconds can't be added up afterwards, so each open second has a
//! distribution of its own; it is closed to four figures once later seconds have begun.

use std::collections::VecDeque;

use super::Times;

/// ns.
const SECOND: u64 = 1_000_000_000;
/// Seconds that still take packets: a flight is only known to have ended after up to
/// [`crate::flight::REACHED_NS`] of silence.
const OPEN: usize = 3;
/// Seconds that are kept.
const KEPT: usize = 300;

/// What the packets that ended in one second took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Second {
    /// When it began, on the events' clock, ns.
    pub start_ns: u64,
    pub packets: u64,
    pub p50_ns: u64,
    pub p99_ns: u64,
    pub max_ns: u64,
}

/// Seconds, oldest first.
#[derive(Clone, Debug, Default)]
pub struct History {
    closed: VecDeque<Second>,
    /// By number of the second.
    open: VecDeque<(u64, Times)>,
    /// A distribution that was closed, to be used again.
    spare: Option<Times>,
    /// Packets that were booked after their second was closed, and are in none.
    pub late: u64,
}

impl History {
    /// Adds a packet that ended at `end_ns`.
    pub(super) fn add(&mut self, end_ns: u64, total_ns: i64) {
        let second = end_ns / SECOND;
        // The newest is nearly always the one.
        let after = self.open.iter().rposition(|(s, _)| *s <= second);
        let at = match after {
            Some(at) if self.open[at].0 == second => at,
            _ if after.is_none() && self.is_closed(second) => {
                self.late += 1;
                return;
            }
            _ => {
                let times = self.spare.take().unwrap_or_default();
                let at = after.map_or(0, |at| at + 1);
                self.open.insert(at, (second, times));
                at
            }
        };
        self.open[at].1.add(total_ns);
        if self.open.len() > OPEN
            && let Some((number, mut times)) = self.open.pop_front()
        {
            self.closed.push_back(figures(number, &times));
            if self.closed.len() > KEPT {
                self.closed.pop_front();
            }
            times.clear();
            self.spare = Some(times);
        }
    }

    fn is_closed(&self, second: u64) -> bool {
        self.open.len() >= OPEN || self.closed.back().is_some_and(|c| c.start_ns / SECOND >= second)
    }

    /// The seconds that had packets, oldest first; the last ones can still grow.
    pub fn seconds(&self) -> impl Iterator<Item = Second> {
        self.closed.iter().copied().chain(self.open.iter().map(|(n, times)| figures(*n, times)))
    }
}

fn figures(number: u64, times: &Times) -> Second {
    Second {
        start_ns: number * SECOND,
        packets: times.count(),
        p50_ns: times.quantile_ns(0.5),
        p99_ns: times.quantile_ns(0.99),
        max_ns: times.max_ns(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(history: &History) -> Vec<(u64, u64)> {
        history.seconds().map(|s| (s.start_ns / SECOND, s.packets)).collect()
    }

    #[test]
    fn packets_are_counted_in_the_second_in_which_they_ended() {
        let mut history = History::default();
        for (end_ns, total_ns) in [(5 * SECOND, 10), (5 * SECOND + 1, 30), (7 * SECOND, 20)] {
            history.add(end_ns, total_ns);
        }
        // Booked later, ended earlier.
        history.add(6 * SECOND, 40);
        assert_eq!(starts(&history), [(5, 2), (6, 1), (7, 1)]);
        assert_eq!(history.seconds().map(|s| s.max_ns).collect::<Vec<_>>(), [30, 40, 20]);
    }

    #[test]
    fn a_packet_of_a_closed_second_is_counted_as_late() {
        let mut history = History::default();
        for second in 0..5 {
            history.add(second * SECOND, 10);
        }
        history.add(0, 10);
        assert_eq!((history.late, starts(&history).len()), (1, 5));
        // A distribution that is used again begins empty.
        assert!(history.seconds().all(|s| s.packets == 1 && s.max_ns == 10));
    }

    #[test]
    fn the_oldest_go_first() {
        let mut history = History::default();
        for second in 0..KEPT as u64 + 10 {
            history.add(second * SECOND, 10);
        }
        let all = starts(&history);
        assert_eq!((all.len(), all[0].0), (KEPT + OPEN, 10 - OPEN as u64));
    }
}
