//! `netpath trace` and `netpath record`: attach, gather, detach, show or keep.

use std::{
    collections::BTreeMap,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use nix::time::{ClockId, clock_gettime};

use super::{args, exit::Status, interrupt, output::Sink, topo::select};
use crate::{
    containers, facts,
    host::HostFacts,
    kernel::{self, Options, Selection, Tracer},
    ledger::Ledger,
    pipeline::Pipeline,
    recording::Writer,
    sample::{Governor, Share, Spent},
    session::{Ending, Session},
    snapshot,
    topo::{Gone, Topology, Watch},
    view::units::{count, time},
};

/// Bounds of the time between polls.
const POLL_MIN: Duration = Duration::from_millis(1);
const POLL_MAX: Duration = Duration::from_millis(50);
/// How full the ring may get between polls before they come faster.
const FILL_HIGH: f64 = 0.2;
const FILL_LOW: f64 = 0.05;

/// `netpath trace`.
pub(super) fn run(args: &args::Trace) -> anyhow::Result<ExitCode> {
    let mut sink = Sink::open(&args.output)?.of_snapshots()?;
    let (mut tracer, mut session) = attach(&args.gather)?;
    let mut watch = Watch::new(&mut session.topology);
    let mut ledger = Ledger::new(session.topology.clone(), session.hooks.clone());
    let mut pipeline = Pipeline::of(&session);
    let mut ending = gather(&args.gather, &session, &mut tracer, &mut watch, |tracer| {
        let polled = tracer.poll(|chunk| pipeline.chunk(chunk));
        pipeline.advance(polled.watermark_ns, &mut ledger);
        tracer.leave_out(pipeline.take_unwanted());
        Ok(Progress { fill: polled.fill, seen: ledger.coverage.seen, events: pipeline.events })
    })?;
    pipeline.finish(&mut ledger);
    ending.notes.extend(ledger.notes().into_iter().chain(pipeline.notes()));
    let status = sink.write(&snapshot::build(&ledger, &session, &ending))?;
    Ok(status.into())
}

/// `netpath record`.
pub(super) fn record(args: &args::Record) -> anyhow::Result<ExitCode> {
    let mut writer = Writer::create(&args.output)?;
    let (mut tracer, mut session) = attach(&args.gather)?;
    let mut watch = Watch::new(&mut session.topology);
    writer.session(&session)?;
    // Only to know how many packets there were.
    let mut ledger = Ledger::new(session.topology.clone(), session.hooks.clone());
    let mut pipeline = Pipeline::of(&session);
    let ending = gather(&args.gather, &session, &mut tracer, &mut watch, |tracer| {
        let polled = tracer.poll(|chunk| {
            pipeline.chunk(chunk);
            writer.chunk(chunk);
        });
        pipeline.advance(polled.watermark_ns, &mut ledger);
        writer.advance(polled.watermark_ns)?;
        tracer.leave_out(pipeline.take_unwanted());
        Ok(Progress { fill: polled.fill, seen: ledger.coverage.seen, events: pipeline.events })
    })?;
    pipeline.finish(&mut ledger);
    drop(tracer);
    let bytes = writer.end(&ending)?;
    eprintln!(
        "netpath: {} packets, {} events, {} bytes in {}",
        count(ledger.coverage.seen),
        count(pipeline.events),
        count(bytes),
        args.output.display()
    );
    Ok(Status::Fine.into())
}

/// Finds the path and attaches to it; nothing is recorded yet but the session's facts.
fn attach(args: &args::Gather) -> anyhow::Result<(Tracer, Session)> {
    let filter = args.filter()?;
    kernel::check_rights()?;
    interrupt::catch()?;
    let (topology, netns) = select(&args.selection)?;
    let mut options = Options {
        log_kernel: args.log_kernel,
        calibrate: !args.inert,
        inert: args.inert,
        ..Options::default()
    };
    if !args.backend.is_empty() {
        options.backends = args.backend.iter().map(|b| b.0).collect();
    }
    let mut tracer = Tracer::start(&topology, &options)?;
    let mut session = Session::new();
    session.iface.clone_from(&args.selection.iface);
    session.netns = topology.netns_name(netns.cookie);
    session.hooks = tracer.plan().clone();
    session.host = HostFacts::read(&topology, tracer.plan());
    session.serving = tracer.serving().clone();
    session.drop_reasons = tracer.drop_reasons();
    session.probe_cost = tracer.cost().unwrap_or_default();
    session.notes = tracer.refused().to_vec();
    session.filter = filter;
    session.sampling = args.sampling();
    tracer.select(&topology, &selection(&session))?;
    tracing::info!(
        "{} attached, {} devices in {} namespaces",
        tracer.attached(),
        topology.devices().count(),
        topology.hosts.len()
    );
    tracer.begin(&topology)?;
    // While packets are being recorded already: this takes a while.
    let handles =
        topology.hosts.iter().filter_map(|(cookie, h)| Some((*cookie, h.handle.as_ref()?)));
    let plan = &session.hooks;
    session.facts = facts::read(handles, |netns| plan.has_rules(netns));
    session.containers = containers(&topology);
    session.topology = topology;
    session.since_ns = tracer.since_ns();
    Ok((tracer, session))
}

/// By a namespace's name: who lives there.
fn containers(topology: &Topology) -> BTreeMap<String, String> {
    let handles: Vec<_> = topology.hosts.values().filter_map(|h| h.handle.as_ref()).collect();
    let inodes: Vec<u64> = handles.iter().map(|netns| netns.inode).collect();
    let found = containers::find(&inodes);
    let named = handles.iter().filter_map(|n| Some((n.name.clone(), found.get(&n.inode)?.clone())));
    named.collect()
}

/// What the kernel is to record of a session's packets, to begin with.
fn selection(session: &Session) -> Selection {
    let Session { filter, sampling, .. } = session;
    Selection {
        program: filter.as_ref().map_or(Selection::default().program, |f| *f.program()),
        rate: sampling.rate(),
        by: sampling.by,
        count: sampling.share == Share::Auto,
    }
}

/// What a poll tells the loop.
struct Progress {
    fill: f64,
    seen: u64,
    events: u64,
}

/// How often the sampling rate follows what was spent.
const LOOK: Duration = Duration::from_millis(200);

/// The governor of a session with a budget, and what was last looked at.
struct Budgeted {
    governor: Governor,
    selection: Selection,
    since: Instant,
    events: u64,
    cpu_ns: u64,
}

impl Budgeted {
    /// What an event is taken to cost where that was not measured, ns.
    const EVENT_NS: f64 = 150.0;

    fn of(session: &Session) -> Option<Self> {
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

    fn look(
        &mut self,
        events: u64,
        topology: &Topology,
        tracer: &mut Tracer,
    ) -> anyhow::Result<()> {
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
            tracer.select(topology, &self.selection)?;
        }
        Ok(())
    }
}

/// Polls until the time, the count or Ctrl-C ends it; then what is left.
fn gather(
    args: &args::Gather,
    session: &Session,
    tracer: &mut Tracer,
    watch: &mut Watch,
    mut poll: impl FnMut(&mut Tracer) -> anyhow::Result<Progress>,
) -> anyhow::Result<Ending> {
    let started = Instant::now();
    let cpu = own_cpu_ns();
    let mut pause = POLL_MAX;
    let mut notes = Vec::new();
    let mut budgeted = Budgeted::of(session);
    loop {
        let progress = poll(tracer)?;
        if let Some(budgeted) = &mut budgeted {
            budgeted.look(progress.events, &session.topology, tracer)?;
        }
        for gone in watch.look() {
            if let Gone::Netns { cookie, .. } = gone {
                tracer.release(cookie);
            }
            let note = format!("{gone} after {}", time(started.elapsed().as_nanos() as f64));
            tracing::warn!("{note}; tracing goes on");
            notes.push(note);
        }
        let enough = args.count.is_some_and(|n| progress.seen >= n);
        let left = args.for_.map(|d| d.saturating_sub(started.elapsed()));
        if enough || interrupt::requested() || left == Some(Duration::ZERO) {
            break;
        }
        if progress.fill > FILL_HIGH {
            pause = (pause / 2).max(POLL_MIN);
        } else if progress.fill < FILL_LOW {
            pause = (pause * 2).min(POLL_MAX);
        }
        thread::sleep(left.map_or(pause, |left| pause.min(left)));
    }
    tracer.end()?;
    poll(tracer)?;
    Ok(Ending {
        duration_ns: u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX),
        own_cpu_ns: own_cpu_ns().saturating_sub(cpu),
        facts: facts::read(watch.namespaces(), |_| false),
        births: tracer.births(),
        lost: tracer.lost(),
        notes,
    })
}

/// CPU time that this process has used, user and system, ns.
fn own_cpu_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)
        .map_or(0, |t| u64::try_from(Duration::from(t).as_nanos()).unwrap_or(u64::MAX))
}
