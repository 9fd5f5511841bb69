//! Keeps netpath's share of the machine under a budget.
//!
//! In: what was spent since the last look. Out: the next sampling rate, and for how long to let go
//! of the kernel altogether. Three things are spent:
//! - *being called*: every packet on the path pays for the probes that it passes, recorded or not, and
//!   one that is not for being asked whether it is late by now. Only letting go lowers that;
//! - *recording*: what a recorded packet pays on top, which the rate lowers;
//! - the process's own time: reading, and attaching again.
//!
//! Where being called takes more than its part of the budget, netpath listens for a while and then
//! pauses; what the budget leaves goes into the rate. It begins low and rises by [`RISE`] at most;
//! when the budget is passed it falls at once, in proportion. So it errs on the side of the traffic.

use std::time::Duration;

use super::RATE_ALL;

/// The first rate: one in 128.
pub(super) const FIRST: u32 = 1 << 25;
/// By how much the rate rises at most, at a time.
const RISE: f64 = 4.0;
/// The lowest rate: one in about a million.
const LOWEST: u32 = 1 << 12;
/// What is aimed at, of the budget: what follows is not known yet.
const AIM: f64 = 0.8;
/// What being called may take, of the budget.
const CALLED_PART: f64 = 0.4;
/// A change of less than this is none.
const DEAD: f64 = 0.1;
/// A longer pause says too little of what happens meanwhile.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// A shorter one is not worth its attaching.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// Pauses differ by up to this share, so that they are in step with no traffic.
const SPREAD: f64 = 0.25;

/// What netpath has spent in some time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// That time, ns.
    pub elapsed_ns: u64,
    /// Of it, the time in which probes were attached, ns.
    pub listened_ns: u64,
    /// What packets paid for passing probes, recorded or not, and for being asked whether they are
    /// late, ns.
    pub called_ns: f64,
    /// What recorded ones paid on top, ns.
    pub recording_ns: f64,
    /// CPU time of the process, ns.
    pub own_cpu_ns: u64,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orders {
    /// See [`RATE_ALL`].
    pub rate: u32,
    /// For how long to let go.
    pub pause: Option<Duration>,
}

/// Gives the orders.
#[derive(Clone, Copy, Debug)]
pub struct Governor {
    /// Share of the machine.
    budget: f64,
    cpus: f64,
    rate: u32,
    share: f64,
    pauses: u32,
}

impl Governor {
    /// For a budget on a machine with so many CPUs.
    pub fn new(budget: f64, cpus: usize) -> Self {
        Self { budget, cpus: cpus.max(1) as f64, rate: FIRST, share: 0.0, pauses: 0 }
    }

    /// The share of the machine that was taken last, 0 to 1.
    pub fn share(&self) -> f64 {
        self.share
    }

    /// The next orders.
    pub fn next(&mut self, spent: Spent) -> Orders {
        if spent.elapsed_ns == 0 || spent.listened_ns == 0 {
            return Orders { rate: self.rate, pause: None };
        }
        let machine_ns = spent.elapsed_ns as f64 * self.cpus;
        let called = spent.called_ns / machine_ns;
        let scaling = (spent.recording_ns + spent.own_cpu_ns as f64) / machine_ns;
        self.share = called + scaling;

        // While listening, being called takes this much of the machine.
        let standing = spent.called_ns / (spent.listened_ns as f64 * self.cpus);
        let listen = (self.budget * CALLED_PART / standing.max(1e-9)).min(1.0);
        let pause = (listen < 1.0).then(|| self.pause(spent.listened_ns, listen)).flatten();

        // What the rate scales, if the next time is as long as this one.
        let left = self.budget * AIM - called.min(self.budget * CALLED_PART);
        let factor = (left / scaling.max(1e-9)).clamp(1.0 / 16.0, RISE);
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
        Orders { rate: self.rate, pause }
    }

    /// The pause after listening for so long that this share of the time is listened.
    fn pause(&mut self, listened_ns: u64, listen: f64) -> Option<Duration> {
        self.pauses = self.pauses.wrapping_add(1);
        // Multiples of the golden ratio are spread evenly.
        let part = f64::from(self.pauses.wrapping_mul(0x9e37_79b1)) / f64::from(u32::MAX);
        let spread = 1.0 + SPREAD * (2.0 * part - 1.0);
        let seconds = listened_ns as f64 * 1e-9 * (1.0 / listen - 1.0) * spread;
        let pause = Duration::from_secs_f64(seconds.min(PAUSE_MAX.as_secs_f64()));
        (pause >= PAUSE_MIN).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// A machine on which packets take `called` of it for passing probes, and `recording` on top if
    /// all are recorded: the share that is taken in the end, the rate, and the share of the time
    /// that is listened.
    fn after(steps: usize, called: f64, recording: f64) -> (f64, u32, f64) {
        let mut governor = Governor::new(0.02, 2);
        let mut orders = Orders { rate: FIRST, pause: None };
        let (mut shares, mut listened) = (0.0, 0.0);
        let last = steps / 2;
        for step in 0..steps {
            let rate = f64::from(orders.rate) / f64::from(RATE_ALL);
            let pause = orders.pause.unwrap_or_default();
            let per_second = 2.0 * SECOND as f64;
            orders = governor.next(Spent {
                elapsed_ns: SECOND + u64::try_from(pause.as_nanos()).unwrap(),
                listened_ns: SECOND,
                called_ns: called * per_second,
                recording_ns: recording * rate * per_second,
                own_cpu_ns: 0,
            });
            if step >= last {
                shares += governor.share() / (steps - last) as f64;
                listened += 1.0 / (1.0 + pause.as_secs_f64()) / (steps - last) as f64;
            }
        }
        (shares, orders.rate, listened)
    }

    #[test]
    fn it_settles_below_the_budget() {
        for recording in [0.05, 0.5, 5.0] {
            let (share, _, listened) = after(80, 0.001, recording);
            assert!(share <= 0.02 && share > 0.008, "{recording}: {share}");
            assert!((listened - 1.0).abs() < 1e-9, "{listened}");
        }
    }

    #[test]
    fn where_being_called_is_too_much_it_lets_go() {
        for called in [0.03, 0.06] {
            let (share, _, listened) = after(80, called, 0.5);
            assert!(share <= 0.02 && share > 0.008, "{called}: {share}");
            let expected = 0.02 * CALLED_PART / called;
            assert!((listened / expected - 1.0).abs() < SPREAD, "{called}: {listened}");
        }
    }

    #[test]
    fn with_little_traffic_every_packet_is_taken() {
        assert_eq!(after(40, 0.0001, 0.001).1, RATE_ALL);
    }

    #[test]
    fn what_cannot_be_met_ends_at_the_lowest_rate() {
        let mut governor = Governor::new(0.02, 2);
        let hopeless = Spent {
            elapsed_ns: SECOND,
            listened_ns: SECOND,
            own_cpu_ns: SECOND,
            ..Spent::default()
        };
        for _ in 0..20 {
            governor.next(hopeless);
        }
        assert_eq!(governor.next(hopeless).rate, LOWEST);
    }
}
