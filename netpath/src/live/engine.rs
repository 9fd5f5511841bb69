//! The loop of a trace: poll, decode, book, and publish when asked.

mod ending;
mod everything;
mod news;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    time::{Duration, Instant},
};

use super::{
    LiveError,
    budget::{Budgeted, DRAIN, Turn},
    pace::Pace,
    quotas::Quotas,
    rules::RuleWatch,
    settings::Settings,
    surroundings::Surroundings,
};
use crate::{
    clock::{Moment, own_cpu_ns},
    decode::{Gap, Missed},
    facts::Facts,
    kernel::Tracer,
    ledger::Ledger,
    pipeline::Pipeline,
    priority::Raised,
    recording::Writer,
    sample::{Births, Share, Tail},
    session::Session,
    snapshot::Snapshot,
    spec::Wishes,
    topo::Place,
};

/// Bounds of the time between polls.
const POLL_MIN: Duration = Duration::from_millis(1);
const POLL_MAX: Duration = Duration::from_millis(50);
/// Where everything is traced, a namespace that goes waits for this.
const POLL_MAX_OF_ALL: Duration = Duration::from_millis(10);
/// How full the ring may get between polls before they come faster.
const FILL_HIGH: f64 = 0.2;
const FILL_LOW: f64 = 0.05;
/// How often to look for what can be attached to by now, which may take one part in so many of a CPU, and
/// this much in advance.
const REFRESH_EVERY: Duration = Duration::from_millis(100);
const REFRESH_SHARE: u32 = 50;
const REFRESH_BURST: Duration = Duration::from_millis(200);
/// How often to say anew which packets are late.
const LATE_EVERY: Duration = Duration::from_secs(1);
/// Notes of what came and went that are kept.
const NOTES_MAX: usize = 200;

/// What a trace begins with.
pub struct Attached {
    pub tracer: Tracer,
    pub session: Session,
    /// How to find again what is traced.
    pub wishes: Wishes,
    /// Where events are kept, if they are.
    pub writer: Option<Writer>,
}

/// When a trace ends.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// After this time.
    pub for_: Option<Duration>,
    /// Once so many packets were seen.
    pub count: Option<u64>,
    /// As soon as this says so; it is asked at every poll.
    pub interrupted: fn() -> bool,
}

/// What a trace has gathered.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// `None` where the trace never began.
    pub snapshot: Option<Arc<Snapshot>>,
    /// Events decoded.
    pub events: u64,
    /// Bytes of the recording.
    pub recorded_bytes: u64,
}

/// What a viewer can ask for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Command {
    Publish,
    Reset,
    Stop,
}

/// Everything that a running trace consists of.
pub(super) struct Engine {
    tracer: Tracer,
    session: Session,
    writer: Option<Writer>,
    surroundings: Surroundings,
    ledger: Ledger,
    pipeline: Pipeline,
    /// When tracing began: `--for` counts from here.
    started: Instant,
    /// When the ledger began; later than `started` after a reset.
    since: Instant,
    /// Events that were lost before the ledger began.
    lost_before: BTreeMap<u16, u64>,
    /// Packets that began before the ledger did.
    births_before: Births,
    /// For how long nothing was attached before the ledger began.
    paused_before: Duration,
    notes: Vec<String>,
    /// Notes beyond [`NOTES_MAX`].
    unkept_notes: u64,
    /// CPU time that the process had used when the ledger began, ns.
    cpu_before_ns: u64,
    /// What was last read of the namespaces, and when.
    facts: Facts,
    facts_at: Instant,
    /// Looks for what can be attached to by now.
    refreshes: Pace,
    /// When it was last said which packets are late.
    late_said: Instant,
    /// How far the ledger had got when neighbours were last looked for in it.
    extent: (usize, usize),
    budgeted: Option<Budgeted>,
    /// Chunks of programs that had interrupted others, when that was last looked at, and how often probes had
    /// been passed over by then, and when it was, ns.
    alone: u64,
    passed_over: u64,
    looked_ns: u64,
    /// Where only some packets are drawn: which of the others are late.
    tail: Option<Tail>,
    rules: RuleWatch,
    settings: Settings,
    quotas: Quotas,
    /// What rules at these addresses were called, last.
    rule_names: BTreeMap<u64, String>,
    /// What is gone, and since when; index 0 stands for a namespace.
    gone: Vec<(Instant, Place)>,
    /// When what is gone was last forgotten.
    forgot: Instant,
    /// When the session was last written to the recording, and whether it has changed since.
    written: Instant,
    unwritten: bool,
}

impl Engine {
    pub(super) fn new(attached: Attached) -> Self {
        let Attached { tracer, mut session, wishes, writer } = attached;
        let surroundings = Surroundings::of(&mut session.topology, wishes);
        let ledger = Ledger::of(&session);
        let budgeted = Budgeted::of(&session, &tracer);
        let pipeline = Pipeline::of(&session);
        let tail = (session.sampling.share != Share::All).then(Tail::default);
        let now = Instant::now();
        let facts = session.facts.clone();
        let rules = RuleWatch::new(&facts);
        let settings = Settings::of(surroundings.namespaces());
        let quotas = Quotas::of(surroundings.namespaces());
        let (passed_over, looked_ns) = (tracer.passed_over(), session.since_ns);
        Self {
            alone: 0,
            passed_over,
            looked_ns,
            tracer,
            session,
            writer,
            surroundings,
            ledger,
            pipeline,
            started: now,
            since: now,
            lost_before: BTreeMap::new(),
            births_before: Births::default(),
            paused_before: Duration::ZERO,
            notes: Vec::new(),
            unkept_notes: 0,
            cpu_before_ns: own_cpu_ns(),
            facts,
            facts_at: now,
            refreshes: Pace::new(REFRESH_EVERY, REFRESH_SHARE, REFRESH_BURST),
            late_said: now,
            extent: (0, 0),
            budgeted,
            tail,
            rules,
            settings,
            quotas,
            rule_names: BTreeMap::new(),
            gone: Vec::new(),
            forgot: now,
            written: now,
            unwritten: false,
        }
    }

    /// Polls until a limit or a command ends it; then what is left.
    pub(super) fn run(
        mut self,
        limits: &Limits,
        inbox: &Receiver<Command>,
        outbox: &Sender<Arc<Snapshot>>,
    ) -> Result<Done, LiveError> {
        // A reader that waits for a CPU while packets pass loses their events, and it needs little.
        if let Some(raised) = Raised::now() {
            raised.for_good();
        } else {
            tracing::info!("the tracing thread stays at normal priority");
        }
        if let Some(writer) = &mut self.writer {
            writer.session(&self.session)?;
        }
        let most = if self.session.topology.everything { POLL_MAX_OF_ALL } else { POLL_MAX };
        let mut pause = most;
        loop {
            let fill = self.poll()?;
            self.keep_everything()?;
            self.take_in()?;
            self.look()?;
            self.keep_to_budget()?;
            self.refresh()?;
            let namespaces = self.surroundings.namespaces();
            if self.rules.look(&self.session.hooks, &self.ledger.filtered, namespaces) {
                self.ledger.names.forget();
            }
            self.quotas.look(self.surroundings.namespaces());
            let enough = limits.count.is_some_and(|n| self.ledger.coverage.seen >= n);
            let left = limits.for_.map(|d| d.saturating_sub(self.started.elapsed()));
            if enough || (limits.interrupted)() || left == Some(Duration::ZERO) {
                break;
            }
            if fill > FILL_HIGH {
                pause = (pause / 2).max(POLL_MIN);
            } else if fill < FILL_LOW {
                pause = (pause * 2).min(most);
            }
            let wake = self.budgeted.as_ref().and_then(Budgeted::wake);
            let wait = [left, wake].into_iter().flatten().fold(pause, Duration::min);
            match inbox.recv_timeout(wait) {
                Ok(Command::Publish) => {
                    // What has happened up to now belongs to it.
                    self.poll()?;
                    // A viewer that has gone sends its stop next.
                    let _ = outbox.send(Arc::new(self.snapshot()));
                }
                Ok(Command::Reset) => self.reset(),
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        self.end()
    }

    /// Reads and books what was recorded; how full the ring was, 0 to 1.
    fn poll(&mut self) -> Result<f64, LiveError> {
        let Self { tracer, pipeline, writer, .. } = self;
        let polled = tracer.poll(|chunk| {
            pipeline.chunk(chunk);
            if let Some(writer) = writer {
                writer.chunk(chunk);
            }
        });
        if pipeline.alone > self.alone {
            // Programs were interrupted: the kernel may have passed over some of them meanwhile.
            self.alone = pipeline.alone;
            let (passed_over, now_ns) = (tracer.passed_over(), tracer.now_ns());
            if passed_over > self.passed_over {
                let chunk = Missed { from_ns: self.looked_ns, until_ns: now_ns }.chunk();
                pipeline.chunk(&chunk);
                if let Some(writer) = writer {
                    writer.chunk(&chunk);
                }
            }
            (self.passed_over, self.looked_ns) = (passed_over, now_ns);
        }
        pipeline.advance(polled.watermark_ns, &mut self.ledger);
        if let Some(writer) = writer {
            writer.advance(polled.watermark_ns)?;
        }
        tracer.leave_out(pipeline.take_unwanted());
        self.name_rules();
        Ok(polled.fill)
    }

    /// Finds out what the rules are called that packets have met, while they still are there.
    fn name_rules(&mut self) {
        let met = self.ledger.names.take_unnamed();
        if met.is_empty() {
            return;
        }
        let named = self.tracer.rule_names(met);
        self.ledger.name_rules(named.iter().map(|(at, name)| (*at, name.as_str())));
        self.rule_names.extend(named);
    }

    /// Lets the budget decide what is recorded, and whether anything is attached.
    fn keep_to_budget(&mut self) -> Result<(), LiveError> {
        let Some(budgeted) = &mut self.budgeted else { return Ok(()) };
        let (events, each) = (self.pipeline.events, self.ledger.events_of_one());
        let turn = budgeted.look(events, each, &mut self.tracer)?;
        let gap = match turn {
            Turn::Nothing => None,
            Turn::Redrawn => {
                let now_ns = self.tracer.now_ns();
                Some(Gap { from_ns: now_ns, until_ns: now_ns })
            }
            Turn::Resumed => {
                // Hooks may have changed meanwhile: first that, then packets.
                self.attach_news()?;
                self.tracer.go_on()?;
                self.budgeted.as_mut().and_then(|budgeted| budgeted.resumed(&self.tracer))
            }
        };
        if let Some(gap) = gap {
            self.gap(gap);
        }
        Ok(())
    }

    /// Tells everybody of a gap.
    fn gap(&mut self, gap: Gap) {
        let chunk = gap.chunk();
        self.pipeline.chunk(&chunk);
        if let Some(writer) = &mut self.writer {
            writer.chunk(&chunk);
        }
    }

    /// Begins anew with an empty ledger. Packets under way stay known.
    fn reset(&mut self) {
        self.ledger = Ledger::of(&self.session);
        self.since = Instant::now();
        self.session.begun(Moment::now());
        // Read only now: what is on its way to the ledger has been counted by the kernel before, so that
        // the two can't be compared.
        self.read_facts();
        self.session.facts = self.facts.clone();
        self.rules.reset();
        self.quotas.reset();
        for (netns, facts) in &mut self.session.facts.netns {
            facts.rules = self.rules.now(*netns);
        }
        self.cpu_before_ns = own_cpu_ns();
        self.lost_before = self.tracer.lost();
        self.births_before = self.tracer.births();
        self.paused_before = self.paused();
    }

    /// For how long nothing was attached, to keep to the budget.
    fn paused(&self) -> Duration {
        self.budgeted.as_ref().map_or(Duration::ZERO, Budgeted::paused)
    }
}
