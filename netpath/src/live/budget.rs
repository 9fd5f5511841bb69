//! A budget held: the sampling rate, and the time in which probes are attached at all, follow what
//! netpath itself takes of the machine.
//!
//! Listening, then *draining* (nothing begins any more, what is under way is seen to its end), then
//! paused, and listening again: see [`Governor`].

use std::time::{Duration, Instant};

use super::engine::own_cpu_ns;
use crate::{
    decode::Gap,
    kernel::{KernelError, Selection, Tracer},
    sample::{By, Governor, Share, Spent},
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
    begun: u64,
    /// Packets recorded.
    taken: u64,
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
        let spent = self.spent(now, each);
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

    fn spent(&self, now: Counted, each: f64) -> Spent {
        let Counted { at, begun, taken, events, cpu_ns } = self.last;
        let elapsed = now.at.saturating_duration_since(at);
        let recorded = now.events.saturating_sub(events) as f64;
        let refused = now.begun.saturating_sub(begun).saturating_sub(now.taken - taken) as f64;
        Spent {
            elapsed_ns: nanos(elapsed),
            listened_ns: nanos(elapsed.saturating_sub(self.paused)),
            called_ns: (refused * each + recorded) * self.cost.called,
            recording_ns: recorded * (self.cost.mean - self.cost.called),
            own_cpu_ns: now.cpu_ns.saturating_sub(cpu_ns),
        }
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

fn count(tracer: &Tracer, events: u64) -> Counted {
    let births = tracer.births();
    let at = Instant::now();
    Counted { at, begun: births.begun, taken: births.taken, events, cpu_ns: own_cpu_ns() }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
