//! Medians and their spread; CPU time.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// A figure of several runs.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Figure {
    pub(crate) median: f64,
    /// First and third quartile.
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) runs: usize,
}

impl Figure {
    pub(crate) fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Self {
            median: quantile(&sorted, 2),
            low: quantile(&sorted, 1),
            high: quantile(&sorted, 3),
            runs: sorted.len(),
        }
    }
}

/// The value at so many quarters of a sorted list, between neighbours where need be.
fn quantile(sorted: &[f64], quarters: usize) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let (at, rest) = (last * quarters / 4, (last * quarters) % 4);
    let next = sorted[(at + 1).min(last)];
    sorted[at] + (next - sorted[at]) * rest as f64 / 4.0
}

/// A clock that goes with the CPU time of this thread: what others do on the machine is not in it.
pub(crate) struct CpuClock(Duration);

impl CpuClock {
    pub(crate) fn start() -> anyhow::Result<Self> {
        Ok(Self(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into()))
    }

    pub(crate) fn elapsed(&self) -> anyhow::Result<Duration> {
        Ok(Self::start()?.0.saturating_sub(self.0))
    }
}
