//! The loop of a trace: poll, decode, book, and publish when asked.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    time::{Duration, Instant},
};

use nix::time::{ClockId, clock_gettime};

use super::{
    LiveError,
    budget::{Budgeted, DRAIN, Turn},
    quotas::Quotas,
    rules::RuleWatch,
    settings::{self, Settings},
    surroundings::Surroundings,
};
use crate::{
    clock::Moment,
    decode::{Gap, Missed},
    facts::{self, Facts},
    kernel::Tracer,
    ledger::Ledger,
    pipeline::Pipeline,
    priority::Raised,
    recording::Writer,
    sample::{Births, Share, Tail},
    session::{Ending, Session},
    snapshot::{self, Snapshot},
    view::units::time,
};

/// Bounds of the time between polls.
const POLL_MIN: Duration = Duration::from_millis(1);
const POLL_MAX: Duration = Duration::from_millis(50);
/// How full the ring may get between polls before they come faster.
const FILL_HIGH: f64 = 0.2;
const FILL_LOW: f64 = 0.05;
/// How often to look for what can be attached to by now.
const REFRESH_EVERY: Duration = Duration::from_secs(1);
/// The namespaces' counters are entered and read at most this often while tracing.
const FACTS_EVERY: Duration = Duration::from_secs(5);

/// Notes of what came and went that are kept.
const NOTES_MAX: usize = 200;

/// What a trace begins with.
pub struct Attached {
    pub tracer: Tracer,
    pub session: Session,
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
    /// When was last looked for what can be attached to by now.
    refreshed: Instant,
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
}

impl Engine {
    pub(super) fn new(attached: Attached) -> Self {
        let Attached { tracer, mut session, writer } = attached;
        let surroundings = Surroundings::of(&mut session.topology, &session.iface);
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
            refreshed: now,
            budgeted,
            tail,
            rules,
            settings,
            quotas,
            rule_names: BTreeMap::new(),
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
        let mut pause = POLL_MAX;
        loop {
            let fill = self.poll()?;
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
                pause = (pause * 2).min(POLL_MAX);
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

    /// Attaches to what has come since the last look, and says what is late now; about once a second.
    fn refresh(&mut self) -> Result<(), LiveError> {
        let listening = self.budgeted.as_ref().is_none_or(Budgeted::is_listening);
        if !listening || self.refreshed.elapsed() < REFRESH_EVERY {
            return Ok(());
        }
        if let Some(tail) = &mut self.tail {
            self.tracer.take_late(tail.follow(self.ledger.late.p99_lately()))?;
        }
        self.attach_news()
    }

    fn attach_news(&mut self) -> Result<(), LiveError> {
        self.refreshed = Instant::now();
        let namespaces = self.surroundings.namespaces().map(|(_, netns)| netns);
        // A namespace can go away while it is looked at; the next look is without it.
        let news = match self.tracer.refresh(&self.session.topology, namespaces) {
            Ok(Some(news)) => news,
            Ok(None) => return Ok(()),
            Err(error) => {
                tracing::debug!("what is new can't be seen: {error}");
                return Ok(());
            }
        };
        for note in news.notes {
            tracing::info!("{note}");
            self.note(note);
        }
        self.session.refreshed(self.tracer.plan(), self.tracer.serving(), news.unsure);
        if let Some(writer) = &mut self.writer {
            writer.session(&self.session)?;
        }
        self.pipeline.unsure(news.unsure);
        // Addresses may be others' now.
        self.ledger.names.forget();
        self.ledger.hooks.clone_from(&self.session.hooks);
        Ok(())
    }

    /// Keeps the path true: names, what went away, what has come.
    fn look(&mut self) -> Result<(), LiveError> {
        let Self { surroundings, session, ledger, .. } = self;
        let strangers = || ledger.strangers();
        let news = surroundings.look(&mut session.topology, strangers, self.started.elapsed());
        for netns in news.released {
            self.tracer.release(netns);
        }
        for note in news.notes {
            tracing::warn!("{note}; tracing goes on");
            self.note(note);
        }
        if news.followed {
            self.attach_news()?;
            if let Err(error) = self.tracer.follow(&self.session.topology) {
                let note = format!("what is new on the path is not traced: {error}");
                tracing::warn!("{note}");
                self.note(note);
            }
        }
        if self.look_at_settings() || news.followed || news.renamed {
            self.know()?;
        }
        Ok(())
    }

    /// Notes which settings have changed; whether the topology has one of them.
    fn look_at_settings(&mut self) -> bool {
        let changes = self.settings.look(self.surroundings.namespaces());
        if changes.is_empty() {
            return false;
        }
        let after = time(self.started.elapsed().as_nanos() as f64);
        let mut in_topology = false;
        for change in changes {
            let topology = &mut self.session.topology;
            let note =
                format!("{change} in {} after {after}", topology.netns_name(change.netns));
            if change.name == settings::BRIDGE_NF
                && let Some(host) = topology.hosts.get_mut(&change.netns)
            {
                host.bridge_nf = change.to.as_deref() == Some("1");
                in_topology = true;
            }
            tracing::info!("{note}");
            self.note(note);
        }
        in_topology
    }

    /// Keeps a note; of very many, the first ones.
    fn note(&mut self, note: String) {
        if self.notes.len() < NOTES_MAX {
            self.notes.push(note);
        } else {
            self.unkept_notes += 1;
        }
    }

    /// Tells everybody what is known of the path by now.
    fn know(&mut self) -> Result<(), LiveError> {
        self.ledger.know(&self.session.topology);
        if let Some(writer) = &mut self.writer {
            writer.session(&self.session)?;
        }
        Ok(())
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

    /// What an ending now would say.
    fn ending(&self) -> Ending {
        let mut lost = self.tracer.lost();
        for (point, before) in &self.lost_before {
            if let Some(n) = lost.get_mut(point) {
                *n = n.saturating_sub(*before);
            }
        }
        lost.retain(|_, n| *n > 0);
        let more = (self.unkept_notes > 0)
            .then(|| format!("{} more notes of this sort were not kept", self.unkept_notes));
        Ending {
            paused_ns: u64::try_from(self.paused().saturating_sub(self.paused_before).as_nanos())
                .unwrap_or(u64::MAX),
            duration_ns: u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX),
            until_ns: 0,
            own_cpu_ns: own_cpu_ns().saturating_sub(self.cpu_before_ns),
            facts: self.facts.clone(),
            births: self.tracer.births().since(self.births_before),
            late_after_ns: self.tail.map_or(0, |tail| tail.after_ns()),
            lost,
            rules: BTreeMap::new(),
            rule_sets: BTreeMap::new(),
            quotas: self.quotas.so_far(),
            functions: self.ledger.functions.clone(),
            notes: self.notes.iter().cloned().chain(more).collect(),
        }
    }

    /// Reads what the namespaces' counters say now.
    fn read_facts(&mut self) {
        let begun = Instant::now();
        self.facts = facts::read(self.surroundings.namespaces());
        self.facts_at = Instant::now();
        tracing::debug!("facts read in {:?}", begun.elapsed());
    }

    /// Names the functions that have freed packets without a reason.
    fn name_functions(&mut self) {
        let asked = self.ledger.locations();
        self.ledger.functions.clone_from(self.tracer.functions(asked));
    }

    fn snapshot(&mut self) -> Snapshot {
        if self.facts_at.elapsed() >= FACTS_EVERY {
            self.read_facts();
        }
        self.name_functions();
        let mut ending = self.ending();
        ending.notes.extend(self.pipeline.notes());
        self.ledger.accounting = self.pipeline.accounting();
        let begun = Instant::now();
        // Lent: they can be large.
        ending.rule_sets = std::mem::take(&mut self.rules.histories);
        let snapshot = snapshot::build(&mut self.ledger, &self.session, &ending);
        self.rules.histories = ending.rule_sets;
        tracing::debug!("snapshot built in {:?}", begun.elapsed());
        snapshot
    }

    fn end(mut self) -> Result<Done, LiveError> {
        self.tracer.end()?;
        let until_ns = self.tracer.now_ns();
        std::thread::sleep(DRAIN);
        self.poll()?;
        let strangers = self.ledger.strangers();
        if !strangers.is_empty() {
            self.surroundings.meet(&mut self.session.topology, &strangers);
            self.know()?;
        }
        self.notes.extend(self.tracer.notes());
        self.read_facts();
        let mut ending = self.ending();
        ending.until_ns = until_ns;
        ending.quotas = self.quotas.end(self.surroundings.namespaces());
        self.pipeline.finish(&mut self.ledger);
        self.rules.end(&self.session.hooks, &self.ledger.filtered, self.surroundings.namespaces());
        ending.rule_sets = std::mem::take(&mut self.rules.histories);
        self.name_rules();
        ending.rules = std::mem::take(&mut self.rule_names);
        self.name_functions();
        ending.functions.clone_from(&self.ledger.functions);
        let recorded_bytes = match self.writer.take() {
            Some(writer) => writer.end(&ending)?,
            None => 0,
        };
        ending.notes.extend(self.ledger.notes().into_iter().chain(self.pipeline.notes()));
        self.ledger.accounting = self.pipeline.accounting();
        let snapshot = snapshot::build(&mut self.ledger, &self.session, &ending);
        Ok(Done {
            snapshot: Some(Arc::new(snapshot)),
            events: self.pipeline.events,
            recorded_bytes,
        })
    }
}

/// CPU time that this process has used, user and system, ns.
pub(super) fn own_cpu_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)
        .map_or(0, |t| u64::try_from(Duration::from(t).as_nanos()).unwrap_or(u64::MAX))
}
