//! `netpath report`: a recording, rendered.

use std::{process::ExitCode, sync::Arc};

use super::{
    args::{self, Format},
    exit::Status,
    interrupt, live,
    output::Sink,
};
use crate::{
    ledger::Ledger,
    pipeline::Pipeline,
    recording::Reader,
    session::Ending,
    snapshot::{self, Snapshot},
    tui::{Look, Still},
};

pub(super) fn run(args: &args::Report, look: Look) -> anyhow::Result<ExitCode> {
    let format = args.output.format().unwrap_or(Format::Summary);
    live::check(format)?;
    let mut sink = Sink::open(&args.output, format)?;
    let snapshot = Arc::new(replay(&args.file)?);
    if format == Format::Tui {
        interrupt::catch()?;
        live::view(&mut Still::new(snapshot.clone()), look)?;
    }
    sink.write(&snapshot)?;
    Ok(Status::Fine.into())
}

/// Runs a recording through the same stages as live events.
pub(super) fn replay(file: &std::path::Path) -> anyhow::Result<Snapshot> {
    let mut reader = Reader::open(file)?;
    let mut ledger = Ledger::new(reader.session.topology.clone(), reader.session.hooks.clone());
    let mut pipeline = Pipeline::of(&reader.session);
    let mut last_ns = reader.session.since_ns;
    while let Some(step) = reader.step() {
        for chunk in step.chunks() {
            pipeline.chunk(chunk);
        }
        pipeline.advance(step.watermark_ns, &mut ledger);
        last_ns = last_ns.max(step.watermark_ns);
    }
    pipeline.finish(&mut ledger);
    let mut ending = reader.ending.take().unwrap_or_else(|| Ending {
        duration_ns: last_ns - reader.session.since_ns,
        notes: vec!["the recording has no end: its writer was killed or its disk was full".into()],
        ..Ending::default()
    });
    if let Some(damage) = &reader.damage {
        ending.notes.push(format!("{damage}; what precedes it is shown"));
    }
    ending.notes.extend(ledger.notes().into_iter().chain(pipeline.notes()));
    Ok(snapshot::build(&ledger, &reader.session, &ending))
}
