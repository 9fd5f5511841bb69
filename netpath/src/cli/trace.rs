//! `netpath trace`: attach, gather, detach, show.

use std::{
    process::ExitCode,
    thread,
    time::{Duration, Instant, SystemTime},
};

use super::{args, exit::Status, interrupt, output::Sink, topo::select};
use crate::{
    host::HostFacts,
    kernel::{self, Options, Tracer},
    ledger::Ledger,
    pipeline::Pipeline,
    serving::Serving,
    snapshot::{self, Facts},
};

/// Bounds of the time between polls.
const POLL_MIN: Duration = Duration::from_millis(1);
const POLL_MAX: Duration = Duration::from_millis(50);
/// How full the ring may get between polls before they come faster.
const FILL_HIGH: f64 = 0.2;
const FILL_LOW: f64 = 0.05;

pub(super) fn run(args: &args::Trace) -> anyhow::Result<ExitCode> {
    let mut sink = Sink::open(&args.output)?;
    kernel::check_rights()?;
    interrupt::catch()?;
    let (topology, netns) = select(&args.selection)?;
    let mut options = Options { log_kernel: args.log_kernel, ..Options::default() };
    if !args.backend.is_empty() {
        options.backends = args.backend.iter().map(|b| b.0).collect();
    }
    let mut tracer = Tracer::start(&topology, &options)?;
    let host = HostFacts::read(&topology, tracer.plan());
    let mut ledger = Ledger::new(topology, tracer.plan().clone());
    let mut pipeline = Pipeline::default();
    tracing::info!(
        "{} attached, {} devices in {} namespaces",
        tracer.attached(),
        ledger.topology.devices().count(),
        ledger.topology.hosts.len()
    );

    tracer.begin(&ledger.topology)?;
    pipeline.since(tracer.since_ns());
    let started = (SystemTime::now(), Instant::now());
    gather(args, &mut tracer, &mut pipeline, &mut ledger, started.1);
    tracer.end()?;
    tracer.poll(|chunk| pipeline.chunk(chunk));
    pipeline.finish(&mut ledger);

    let facts = Facts {
        iface: args.selection.iface.clone(),
        netns: ledger.topology.netns_name(netns.cookie),
        started: started.0,
        duration_ns: u64::try_from(started.1.elapsed().as_nanos()).unwrap_or(u64::MAX),
        host,
        serving: Serving::new(tracer.served(), tracer.absent()),
        lost: tracer.lost(),
        drop_reasons: tracer.drop_reasons(),
        notes: notes(&pipeline, &ledger, tracer.refused()),
    };
    drop(tracer);
    sink.write(&snapshot::build(&ledger, &facts))?;
    Ok(Status::Fine.into())
}

/// Polls until the time, the count or Ctrl-C ends it.
fn gather(
    args: &args::Trace,
    tracer: &mut Tracer,
    pipeline: &mut Pipeline,
    ledger: &mut Ledger,
    started: Instant,
) {
    let mut pause = POLL_MAX;
    loop {
        let polled = tracer.poll(|chunk| pipeline.chunk(chunk));
        pipeline.advance(polled.watermark_ns, ledger);
        let enough = args.count.is_some_and(|n| ledger.coverage.seen >= n);
        let left = args.for_.map(|d| d.saturating_sub(started.elapsed()));
        if enough || interrupt::requested() || left == Some(Duration::ZERO) {
            break;
        }
        if polled.fill > FILL_HIGH {
            pause = (pause / 2).max(POLL_MIN);
        } else if polled.fill < FILL_LOW {
            pause = (pause * 2).min(POLL_MAX);
        }
        thread::sleep(left.map_or(pause, |left| pause.min(left)));
    }
}

/// What a reader of the report should know.
fn notes(pipeline: &Pipeline, ledger: &Ledger, refused: &[String]) -> Vec<String> {
    let mut notes = refused.to_vec();
    if ledger.coverage.seen == 0 {
        let focus = ledger.topology.focus;
        let device = ledger.topology.device(focus);
        let mut text = "no packets passed in this time".to_owned();
        if device.is_some_and(|d| !d.up) {
            text += "; the interface is down";
        } else {
            text += "; is there traffic, and does it pass this interface? `netpath topo` shows the path that was watched";
        }
        notes.push(text);
    }
    if let Some(error) = &pipeline.last_error {
        notes.push(format!("{} chunks of events were bad: {error}", pipeline.bad_chunks));
    }
    notes
}
