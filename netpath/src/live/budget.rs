//! A budget held: the sampling rate, and the time in which probes are attached at all, follow what
//! netpath itself takes of the machine.
//!
//! Listening, then *draining* (nothing begins any more, what is under way is seen to its end), then
//! paused, and listening again: see [`Governor`].

use std::time::{Duration, Instant};

use crate::{
    clock::own_cpu_ns,
    decode::Gap,
    kernel::{KernelError, Selection, Tracer},
    sample::{Births, By, Governor, Share, Spent},
    session::{ProbeCost, Session},
};

/// What the kernel is to record of a session's packets, to begin with.
pub fn selection(session: &Session) -> Selection {
    let Session { filter, sampling, .. } = session;
    Selection {
        program: filter.as_ref().map_or(Selection::default().program, |f| *f.program()),
        rate: sampling.rate(),
        by: sampling.by,
        count: sampling.share == Share::Auto,
    }
}

/// How often the orders follow what was spent.
const LOOK: Duration = Duration::from_millis(250);
/// And how often at most, in times that attaching takes.
const LOOK_ATTACHING: u32 = 5;
/// What is under way has this long to come to its end.
pub(super) const DRAIN: Duration = Duration::from_millis(5);

/// What is under way.
#[derive(Clone, Copy, Debug)]
enum Phase {
    Listening,
    Draining { until: Instant, pause: Duration },
    Paused { from_ns: u64, since: Instant, until: Instant },
}

/// What the engine has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Nothing,
    /// Other conversations are drawn than before: round trips do not reach across this moment.
    Redrawn,
    /// The probes are attached again; what is new is to be looked for before packets are wanted.
    Resumed,
}

/// What had been counted at some time.
#[derive(Clone, Copy, Debug)]
struct Counted {
    at: Instant,
    births: Births,
    /// Events recorded.
    events: u64,
    cpu_ns: u64,
}

/// The governor of a session with a budget, and what was last looked at.
pub(super) struct Budgeted {
    governor: Governor,
    selection: Selection,
    cost: ProbeCost,
    last: Counted,
    phase: Phase,
    /// Of the time since the last look, that of the pause.
    paused: Duration,
    paused_in_all: Duration,
    /// What attaching took last.
    attaching: Duration,
}

impl Budgeted {
    /// What an event is taken to cost where that was not measured, ns.
    const EVENT_NS: f64 = 150.0;
    /// Being called is taken to be this much of it at least: what calibration finds of so short a
    /// time scatters. On a path through NAT it was found to be more (docs/performance.md, empty
    /// programs beside full ones).
    const CALLED_LEAST: f64 = 0.3;

    pub(super) fn of(session: &Session, tracer: &Tracer) -> Option<Self> {
        (session.sampling.share == Share::Auto).then(|| {
            let ProbeCost { mean, stddev, called } = session.probe_cost;
            let mean = if mean > 0.0 { mean } else { Self::EVENT_NS };
            let called = called.max(mean * Self::CALLED_LEAST).min(mean);
            Self {
                governor: Governor::new(session.sampling.budget.0, session.host.cpus),
                selection: selection(session),
                cost: ProbeCost { mean, stddev, called },
                last: count(tracer, 0),
                phase: Phase::Listening,
                paused: Duration::ZERO,
                paused_in_all: Duration::ZERO,
                attaching: tracer.attaching(),
            }
        })
    }

    /// For how long nothing was attached, in all.
    pub(super) fn paused(&self) -> Duration {
        let now = match self.phase {
            Phase::Paused { since, .. } => since.elapsed(),
            _ => Duration::ZERO,
        };
        self.paused_in_all + now
    }

    /// Whether probes are attached, or about to be let go.
    pub(super) fn is_listening(&self) -> bool {
        matches!(self.phase, Phase::Listening)
    }

    /// When to look again, if that is known.
    pub(super) fn wake(&self) -> Option<Duration> {
        match self.phase {
            Phase::Listening => None,
            Phase::Draining { until, .. } | Phase::Paused { until, .. } => {
                Some(until.saturating_duration_since(Instant::now()))
            }
        }
    }

    /// Follows what was spent. `events` were recorded so far, of a packet `each` on average.
    pub(super) fn look(
        &mut self,
        events: u64,
        each: f64,
        tracer: &mut Tracer,
    ) -> Result<Turn, KernelError> {
        match self.phase {
            Phase::Listening => return self.listening(events, each, tracer),
            Phase::Draining { until, pause } if Instant::now() >= until => {
                let from_ns = tracer.now_ns();
                tracer.pause();
                let since = Instant::now();
                self.phase = Phase::Paused { from_ns, since, until: since + pause };
            }
            Phase::Paused { until, .. } if Instant::now() >= until => {
                tracer.resume();
                self.attaching = tracer.attaching();
                return Ok(Turn::Resumed);
            }
            Phase::Draining { .. } | Phase::Paused { .. } => {}
        }
        Ok(Turn::Nothing)
    }

    fn listening(
        &mut self,
        events: u64,
        each: f64,
        tracer: &mut Tracer,
    ) -> Result<Turn, KernelError> {
        let listened = self.last.at.elapsed().saturating_sub(self.paused);
        if listened < LOOK.max(self.attaching * LOOK_ATTACHING) {
            return Ok(Turn::Nothing);
        }
        let now = count(tracer, events);
        let spent = spent(self.cost, self.last, now, self.paused, each);
        let orders = self.governor.next(spent);
        tracing::debug!(
            "budget: {now:?} {spent:?}, so {orders:?}; attaching took {:?}",
            self.attaching
        );
        (self.last, self.paused) = (now, Duration::ZERO);
        let other_rate = orders.rate != self.selection.rate;
        if other_rate {
            self.selection.rate = orders.rate;
            tracer.select(self.selection.clone())?;
        }
        if let Some(pause) = orders.pause {
            tracer.end()?;
            self.phase = Phase::Draining { until: Instant::now() + DRAIN, pause };
        }
        let redrawn = other_rate && self.selection.by == By::Flow;
        Ok(if redrawn { Turn::Redrawn } else { Turn::Nothing })
    }

    /// Packets are wanted again: the time in which none were.
    pub(super) fn resumed(&mut self, tracer: &Tracer) -> Option<Gap> {
        let Phase::Paused { from_ns, since, .. } = self.phase else { return None };
        self.phase = Phase::Listening;
        self.paused = since.elapsed();
        self.paused_in_all += self.paused;
        Some(Gap { from_ns, until_ns: tracer.now_ns() })
    }
}

/// What was spent between two looks, in which nothing was attached for `paused`; a packet passes
/// `each` probes.
fn spent(cost: ProbeCost, last: Counted, now: Counted, paused: Duration, each: f64) -> Spent {
    let elapsed = now.at.saturating_duration_since(last.at);
    let births = now.births.since(last.births);
    let recorded = now.events.saturating_sub(last.events) as f64;
    let refused = births.begun.saturating_sub(births.taken) as f64;
    Spent {
        elapsed_ns: nanos(elapsed),
        listened_ns: nanos(elapsed.saturating_sub(paused)),
        called_ns: cost.passing(refused * each + recorded, births.checked as f64),
        recording_ns: cost.recording(recorded),
        own_cpu_ns: now.cpu_ns.saturating_sub(last.cpu_ns),
    }
}

fn count(tracer: &Tracer, events: u64) -> Counted {
    Counted { at: Instant::now(), births: tracer.births(), events, cpu_ns: own_cpu_ns() }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a second costs in which of 100,000 packets 1,000 are recorded, each passing 20 probes, and
    /// the others are asked so often whether they are late.
    fn second(checks_each: u64) -> Spent {
        let cost = ProbeCost { mean: 150.0, stddev: 10.0, called: 50.0 };
        let last =
            Counted { at: Instant::now(), births: Births::default(), events: 0, cpu_ns: 1_000 };
        let (begun, taken) = (100_000, 1_000);
        let checked = (begun - taken) * checks_each;
        let now = Counted {
            at: last.at + Duration::from_secs(1),
            births: Births { begun, seen: begun, taken, late: 0, checked },
            events: taken * 20,
            cpu_ns: 3_000,
        };
        spent(cost, last, now, Duration::ZERO, 20.0)
    }

    #[test]
    fn refused_packets_count_with_their_calls_and_their_checks() {
        // 100,000 packets are called 20 times; 99,000 of them for nothing.
        let calls = 100_000.0 * 20.0 * 50.0;
        let none = second(0);
        assert!((none.called_ns - calls).abs() < 1.0, "{none:?}");
        assert!((none.recording_ns - 20_000.0 * 100.0).abs() < 1.0, "{none:?}");
        let twice = second(2);
        assert!((twice.called_ns - calls - 99_000.0 * 2.0 * 100.0).abs() < 1.0, "{twice:?}");
        assert_eq!((twice.own_cpu_ns, twice.listened_ns), (2_000, 1_000_000_000));
    }

    #[test]
    fn checks_make_the_governor_let_go_for_longer() {
        let pause = |checks_each| {
            let orders = Governor::new(0.02, 2).next(second(checks_each));
            orders.pause.expect("being called takes more than its part")
        };
        assert!(pause(2) > pause(0), "{:?} {:?}", pause(2), pause(0));
    }
}
