//! Keeps netpath's share of the machine under a budget by moving the sampling rate.
//!
//! In: what was spent since the last look. Out: the next rate. Spent is what the recorder takes in
//! the kernel (events times what one costs) and what the process itself takes.
//!
//! It begins low and doubles at most; when the budget is passed it falls at once, in proportion. So
//! it errs on the side of the traffic.

use super::RATE_ALL;

/// The first rate: one in 1024.
pub(super) const FIRST: u32 = 1 << 22;
/// The lowest rate: one in about a million.
const LOWEST: u32 = 1 << 12;
/// What is aimed at, of the budget: what follows is not known yet.
const AIM: f64 = 0.8;
/// A change of less than this is none.
const DEAD: f64 = 0.1;

/// What netpath has spent in some time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// That time, ns.
    pub elapsed_ns: u64,
    /// Events recorded.
    pub events: u64,
    /// CPU time of the process, ns.
    pub own_cpu_ns: u64,
}

/// Moves the rate.
#[derive(Clone, Copy, Debug)]
pub struct Governor {
    /// Share of the machine.
    budget: f64,
    cpus: f64,
    event_ns: f64,
    rate: u32,
    share: f64,
}

impl Governor {
    /// For a budget on a machine with so many CPUs, where an event costs so much.
    pub fn new(budget: f64, cpus: usize, event_ns: f64) -> Self {
        Self { budget, cpus: cpus.max(1) as f64, event_ns, rate: FIRST, share: 0.0 }
    }

    /// The share of the machine that was taken last, 0 to 1.
    pub fn share(&self) -> f64 {
        self.share
    }

    /// The next rate.
    pub fn next(&mut self, spent: Spent) -> u32 {
        if spent.elapsed_ns == 0 {
            return self.rate;
        }
        let kernel = spent.events as f64 * self.event_ns;
        let taken = (kernel + spent.own_cpu_ns as f64) / (spent.elapsed_ns as f64 * self.cpus);
        self.share = taken;
        let factor = (self.budget * AIM / taken.max(1e-9)).clamp(1.0 / 16.0, 2.0);
        if (factor - 1.0).abs() > DEAD {
            let rate =
                (f64::from(self.rate) * factor).clamp(f64::from(LOWEST), f64::from(RATE_ALL));
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "clamped to what fits"
            )]
            let rate = rate as u32;
            self.rate = rate;
        }
        self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine on which a second's packets, all recorded, would take this share of it.
    fn after(steps: usize, full: f64) -> (f64, u32) {
        let mut governor = Governor::new(0.02, 2, 100.0);
        let mut rate = FIRST;
        for _ in 0..steps {
            let share = full * f64::from(rate) / f64::from(RATE_ALL);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
            let events = (share * 2.0 * 1e9 / 100.0) as u64;
            rate = governor.next(Spent { elapsed_ns: 1_000_000_000, events, own_cpu_ns: 0 });
        }
        (governor.share(), rate)
    }

    #[test]
    fn it_settles_below_the_budget() {
        for full in [0.05, 0.5, 5.0] {
            let (share, _) = after(40, full);
            assert!(share <= 0.02 && share > 0.01, "{full}: {share}");
        }
    }

    #[test]
    fn with_little_traffic_every_packet_is_taken() {
        assert_eq!(after(40, 0.001).1, RATE_ALL);
    }

    #[test]
    fn what_cannot_be_met_ends_at_the_lowest_rate() {
        let mut governor = Governor::new(0.02, 2, 100.0);
        let hopeless = Spent { elapsed_ns: 1_000_000_000, events: 0, own_cpu_ns: 1_000_000_000 };
        for _ in 0..20 {
            governor.next(hopeless);
        }
        assert_eq!(governor.next(hopeless), LOWEST);
    }
}
