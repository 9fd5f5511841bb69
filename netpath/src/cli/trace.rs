//! `netpath trace` and `netpath record`: attach, gather, detach, show or keep.

use std::{
    io::IsTerminal as _,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::bail;

use super::{args, exit::Status, interrupt, live, output::Sink, progress, report, topo::select};
use crate::{
    facts,
    host::HostFacts,
    kernel::{self, Options, Tracer},
    live::{Attached, Done, Limits, Live, News, selection},
    recording::{self, Writer},
    report::Format,
    session::{ALL, HERE, Session},
    spec::Wishes,
    units::count,
};

/// How often `--format ndjson` writes a line.
const LINE_EVERY: Duration = Duration::from_secs(1);

/// `netpath trace`.
pub(super) fn run(args: &args::Trace) -> anyhow::Result<ExitCode> {
    if let Some(recording) = recorded(args)? {
        return report::run(&recording);
    }
    let mut sink = Sink::open(&args.output, default_format(&args.output))?.of_snapshots()?;
    live::check(sink.format())?;
    let mut trace = start(&args.gather, None, false)?;
    let done = match sink.format() {
        Format::Ndjson => lines(trace, &mut sink)?,
        Format::Tui => {
            live::view(&mut trace, args.output.look)?;
            trace.finish()?
        }
        _ => progress::follow(trace, "tracing", args.gather.for_)?,
    };
    let status = done.snapshot.map_or(Ok(Status::Fine), |snapshot| sink.write(&snapshot))?;
    Ok(status.into())
}

/// A recording in an interface's place is shown as if it were traced now.
fn recorded(args: &args::Trace) -> anyhow::Result<Option<args::Report>> {
    let args::Gather { selection, for_, count, filter, .. } = &args.gather;
    let Some(iface) = selection.iface.first() else { return Ok(None) };
    let file = PathBuf::from(iface);
    if !file.is_file() || !recording::is_one(&file)? {
        return Ok(None);
    }
    if for_.is_some() || count.is_some() || !filter.is_empty() || selection.only_iface().is_none() {
        bail!(
            "{} is a recording: it is shown as it is, without --for, --count, a filter, and what says where \
             an interface is",
            file.display()
        );
    }
    let format = args.output.format().unwrap_or_else(|| default_format(&args.output));
    let output =
        args::Output { format: Some(args::FormatArg(format)), json: false, ..args.output.clone() };
    Ok(Some(args::Report { file, output }))
}

/// `netpath record`.
pub(super) fn record(args: &args::Record) -> anyhow::Result<ExitCode> {
    let writer = Writer::create(&args.output)?;
    let trace = start(&args.gather, Some(writer), args.capture_headers)?;
    let done = progress::follow(trace, "recording", args.gather.for_)?;
    eprintln!(
        "netpath: {} packets, {} events, {} bytes in {}",
        count(done.snapshot.map_or(0, |s| s.packets.seen)),
        count(done.events),
        count(done.recorded_bytes),
        args.output.display()
    );
    Ok(Status::Fine.into())
}

/// The live view, where somebody can look at it and press keys.
fn default_format(output: &args::Output) -> Format {
    let terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    if terminal && !dumb && output.output.is_none() { Format::Tui } else { Format::Summary }
}

/// Starts a trace that the limits, or Ctrl-C, end.
fn start(
    gather: &args::Gather,
    writer: Option<Writer>,
    capture_headers: bool,
) -> anyhow::Result<Live> {
    kernel::check_rights()?;
    kernel::allow_many_files();
    interrupt::catch()?;
    let limits =
        Limits { for_: gather.for_, count: gather.count, interrupted: interrupt::requested };
    let gather = gather.clone();
    let attach = move || {
        let (tracer, session, wishes) = attach(&gather, capture_headers)?;
        Ok(Attached { tracer, session, wishes, writer })
    };
    progress::during("attaching, and measuring what a probe costs", || Live::start(attach, limits))
}

/// Finds the path and attaches to it; nothing is recorded yet but the session's facts.
fn attach(args: &args::Gather, capture_headers: bool) -> anyhow::Result<(Tracer, Session, Wishes)> {
    let filter = args.filter()?;
    let (topology, wishes) = select(&args.selection)?;
    let mut options = Options {
        log_kernel: args.log_kernel,
        calibrate: args.inert.is_none(),
        inert: args.inert.map(Into::into),
        capture_headers,
        filter_steps: filter.as_ref().map_or(0, |filter| filter.program().len),
        ..Options::default()
    };
    if !args.backend.is_empty() {
        options.backends = args.backend.iter().map(|b| b.0).collect();
    }
    let mut tracer = Tracer::start(&topology, &options)?;
    let mut session = Session::new();
    // By whichever of its names it was asked for.
    if topology.everything {
        ALL.clone_into(&mut session.iface);
        let around = &wishes.around;
        session.netns = if around.is_empty() { HERE.to_owned() } else { around.join(", ") };
    } else {
        let first = topology.chosen.first().copied().unwrap_or_default().focus;
        session.iface = topology.dev_name(first);
        session.netns = topology.netns_name(first.netns);
    }
    session.hooks = tracer.plan().clone();
    session.host = HostFacts::read(&topology, tracer.plan());
    session.serving = tracer.serving().clone();
    session.drop_reasons = tracer.drop_reasons();
    session.freeing = tracer.freeing().to_vec();
    session.probe_cost = tracer.cost().unwrap_or_default();
    session.notes = tracer.refused().to_vec();
    session.filter = filter;
    session.sampling = args.sampling();
    session.capture_headers = capture_headers;
    tracer.select(selection(&session))?;
    let handles: Vec<_> = topology
        .hosts
        .iter()
        .filter_map(|(cookie, h)| Some((*cookie, h.handle.as_ref()?)))
        .collect();
    // Before the first packet is recorded: what netpath counts, the kernel has counted since.
    session.facts = facts::read(handles.iter().copied());
    tracer.begin(&topology)?;
    // While packets are being recorded already: this takes a while.
    let plan = &session.hooks;
    session.facts.read_rules(handles.into_iter().filter(|(netns, _)| plan.has_rules(*netns)));
    session.topology = topology;
    session.begun(tracer.since());
    tracing::info!(
        "{} attached in {:.0?}, {} devices in {} namespaces",
        tracer.attached(),
        tracer.starting(),
        session.topology.devices().count(),
        session.topology.hosts.len()
    );
    Ok((tracer, session, wishes))
}

/// A report a second; the last one is written by the caller.
fn lines(live: Live, sink: &mut Sink) -> anyhow::Result<Done> {
    let mut due = Instant::now() + LINE_EVERY;
    loop {
        match live.wait(due.saturating_duration_since(Instant::now())) {
            News::Snapshot(snapshot) => sink.write_so_far(&snapshot)?,
            News::Nothing => {
                live.ask();
                due += LINE_EVERY;
            }
            News::Over => return Ok(live.join()?),
        }
    }
}
