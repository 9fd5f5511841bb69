//! How often something is looked at while tracing: regularly, and with a small share of one CPU in the long run.
//!
//! In: what each look has taken. Out: whether the next one is due. What a look takes is paid back by the time that
//! passes; several may follow each other at once, up to a limit, so that what changes quickly is seen.

use std::time::{Duration, Instant};

#[derive(Clone, Debug)]
pub(super) struct Pace {
    every: Duration,
    /// One part in so many of the time may be spent.
    share: u32,
    /// What may be spent in advance.
    burst: Duration,
    last: Instant,
    /// What has been spent and not been paid back, as it stood at `last`.
    owed: Duration,
}

impl Pace {
    /// Begins with a look that is over now.
    pub(super) fn new(every: Duration, share: u32, burst: Duration) -> Self {
        Self { every, share, burst, last: Instant::now(), owed: Duration::ZERO }
    }

    pub(super) fn is_due(&self) -> bool {
        self.is_due_at(Instant::now())
    }

    fn is_due_at(&self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.last);
        passed >= self.every && self.owed.saturating_sub(passed / self.share) <= self.burst
    }

    /// A look is over, and took so long.
    pub(super) fn took(&mut self, took: Duration) {
        self.took_at(Instant::now(), took);
    }

    fn took_at(&mut self, now: Instant, took: Duration) {
        let passed = now.saturating_duration_since(self.last);
        self.owed = self.owed.saturating_sub(passed / self.share) + took;
        self.last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// How many looks of `took` fit into `time`, asked for each millisecond.
    fn looks(pace: &mut Pace, took: Duration, time: Duration) -> u32 {
        let mut now = pace.last;
        let end = now + time;
        let mut looks = 0;
        while now < end {
            now += MS;
            if pace.is_due_at(now) {
                now += took;
                pace.took_at(now, took);
                looks += 1;
            }
        }
        looks
    }

    #[test]
    fn what_takes_no_time_is_looked_at_regularly() {
        let mut pace = Pace::new(100 * MS, 20, Duration::ZERO);
        assert_eq!(looks(&mut pace, Duration::ZERO, Duration::from_secs(10)), 100);
    }

    #[test]
    fn in_the_long_run_it_is_the_share() {
        let mut pace = Pace::new(Duration::ZERO, 20, 500 * MS);
        let time = Duration::from_secs(1000);
        let spent = looks(&mut pace, 50 * MS, time) * 50 * MS;
        assert!(spent.abs_diff(time / 20 + 500 * MS) < 100 * MS, "{spent:?}");
    }

    #[test]
    fn several_follow_each_other_until_the_advance_is_spent() {
        let mut pace = Pace::new(Duration::ZERO, 20, 500 * MS);
        assert_eq!(looks(&mut pace, 50 * MS, 600 * MS), 11);
    }

    #[test]
    fn without_an_advance_a_pause_follows_each() {
        let mut pace = Pace::new(Duration::ZERO, 20, Duration::ZERO);
        assert_eq!(looks(&mut pace, 50 * MS, 1100 * MS), 2);
    }
}
