//! Keeping within a time: how long runs may be, and how many of them there can be, so that all that
//! was planned is done by then.
//!
//! In: how many steps there are, of what length, and the clock. Out: a share of the planned length.
//! Runs become shorter before they become fewer: a median's worth is in their number.

use std::time::{Duration, Instant};

/// No run is shorter than this share of what was planned.
const SHORTEST: f64 = 0.4;
/// What beside measuring takes time is reckoned as if so many steps had gone before, of so long:
/// the first ones bring things up, and say little of the others.
const BEFORE: u32 = 60;
const BEFORE_EACH: Duration = Duration::from_millis(150);
/// No experiment has fewer runs than this.
pub const RUNS_MIN: usize = 3;

/// A plan's time.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    since: Instant,
    within: Option<Duration>,
    steps: u64,
    done: u64,
    /// What was measured for, of all that has passed.
    measured: Duration,
    /// The planned length of what has been done and of all.
    planned_done: Duration,
    planned: Duration,
    /// The smallest share that a run was given, and how many experiments had fewer runs.
    least: f64,
    fewer: usize,
}

impl Pace {
    /// So many steps, in which there is measuring for `planned`, without a limit where `within` is
    /// none.
    pub fn new(within: Option<Duration>, steps: u64, planned: Duration) -> Self {
        Self {
            since: Instant::now(),
            within,
            steps,
            done: 0,
            measured: Duration::ZERO,
            planned_done: Duration::ZERO,
            planned,
            least: 1.0,
            fewer: 0,
        }
    }

    /// A step is over that was planned to measure for `planned`, and did for `measured`.
    pub fn step(&mut self, planned: Duration, measured: Duration) {
        self.done += 1;
        self.planned_done += planned;
        self.measured += measured;
    }

    /// Steps are left out that were planned to measure for so long in all.
    pub fn left_out(&mut self, steps: u64, planned: Duration) {
        self.done += steps;
        self.planned_done += planned;
        self.fewer += 1;
    }

    /// The share of its planned length that a run can have.
    pub fn share(&mut self) -> f64 {
        let share = self.share_at(self.since.elapsed()).clamp(SHORTEST, 1.0);
        self.least = self.least.min(share);
        share
    }

    /// What was given up to be done in time.
    pub fn given_up(&self) -> Option<String> {
        let within = humantime::format_duration(self.within?);
        let fewer = match self.fewer {
            0 => String::new(),
            n => format!(", and {n} of the experiments had fewer of them"),
        };
        (self.least < 1.0).then(|| {
            let share = self.least * 100.0;
            format!("To be done within {within}, runs were as short as {share:.0} % of that{fewer}")
        })
    }

    /// Whether even the shortest runs would take too long.
    pub fn is_late(&self) -> bool {
        self.share_at(self.since.elapsed()) < SHORTEST
    }

    /// What beside measuring takes time goes on to take as much for each step as it has until now.
    fn share_at(&self, passed: Duration) -> f64 {
        let Some(within) = self.within else { return 1.0 };
        let beside = (passed.saturating_sub(self.measured) + BEFORE_EACH * BEFORE).as_secs_f64()
            / (self.done + u64::from(BEFORE)) as f64;
        let left = self.steps.saturating_sub(self.done) as f64;
        let planned = self.planned.saturating_sub(self.planned_done).as_secs_f64();
        let time = within.as_secs_f64() - passed.as_secs_f64() - beside * left;
        if planned > 0.0 { time / planned } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    /// 100 steps of a second each, of which `done` are over.
    fn after(done: u32, within: Option<Duration>) -> Pace {
        let mut pace = Pace::new(within, 100, 100 * S);
        for _ in 0..done {
            pace.step(S, S);
        }
        pace
    }

    #[test]
    fn in_good_time_runs_are_as_long_as_planned() {
        // Nearly a third of a second beside each.
        let share = after(50, Some(200 * S)).share_at(75 * S);
        assert!(share > 1.0, "{share}");
        assert_eq!(after(50, Some(200 * S)).given_up(), None);
        assert!((after(50, None).share_at(1000 * S) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_left_shares_the_time_that_is_left() {
        // 32.5 s are left for 50 steps, and 0.15 s beside each.
        let share = after(50, Some(90 * S)).share_at(50 * S + 50 * BEFORE_EACH);
        assert!((share - 0.5).abs() < 1e-9, "{share}");
    }

    #[test]
    fn what_takes_long_at_first_shortens_nothing() {
        // A guest was booted in the first of 45 steps.
        let mut pace = Pace::new(Some(480 * S), 45, 5 * S);
        pace.step(Duration::ZERO, Duration::ZERO);
        assert!(pace.share_at(60 * S) > 1.0);
    }

    #[test]
    fn what_can_not_be_done_in_time_is_late() {
        let pace = after(50, Some(80 * S));
        assert!(pace.share_at(75 * S) < SHORTEST);
        let mut fewer = pace;
        fewer.left_out(45, 45 * S);
        assert!(fewer.share_at(75 * S) > pace.share_at(75 * S));
        let mut none_left = after(50, Some(Duration::ZERO));
        assert!((none_left.share() - SHORTEST).abs() < 1e-9);
        none_left.left_out(45, 45 * S);
        let text = none_left.given_up().expect("runs were shorter");
        assert!(text.contains("40 %") && text.contains("1 of the experiments"), "{text}");
    }
}
