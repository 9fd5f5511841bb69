//! A budget held: the sampling rate follows what netpath itself takes of the machine.

use std::time::{Duration, Instant};

use super::engine::own_cpu_ns;
use crate::{
    kernel::{KernelError, Selection, Tracer},
    sample::{Governor, Share, Spent},
    session::Session,
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

/// How often the sampling rate follows what was spent.
const LOOK: Duration = Duration::from_millis(200);

/// The governor of a session with a budget, and what was last looked at.
pub(super) struct Budgeted {
    governor: Governor,
    selection: Selection,
    since: Instant,
    events: u64,
    cpu_ns: u64,
}

impl Budgeted {
    /// What an event is taken to cost where that was not measured, ns.
    const EVENT_NS: f64 = 150.0;

    pub(super) fn of(session: &Session) -> Option<Self> {
        (session.sampling.share == Share::Auto).then(|| {
            let measured = session.probe_cost.mean;
            let event_ns = if measured > 0.0 { measured } else { Self::EVENT_NS };
            Self {
                governor: Governor::new(session.sampling.budget.0, session.host.cpus, event_ns),
                selection: selection(session),
                since: Instant::now(),
                events: 0,
                cpu_ns: own_cpu_ns(),
            }
        })
    }

    pub(super) fn look(&mut self, events: u64, tracer: &mut Tracer) -> Result<(), KernelError> {
        let elapsed = self.since.elapsed();
        if elapsed < LOOK {
            return Ok(());
        }
        let cpu_ns = own_cpu_ns();
        let spent = Spent {
            elapsed_ns: u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX),
            events: events.saturating_sub(self.events),
            own_cpu_ns: cpu_ns.saturating_sub(self.cpu_ns),
        };
        (self.since, self.events, self.cpu_ns) = (Instant::now(), events, cpu_ns);
        let rate = self.governor.next(spent);
        if rate != self.selection.rate {
            self.selection.rate = rate;
            tracer.select(&self.selection)?;
        }
        Ok(())
    }
}
