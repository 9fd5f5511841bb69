//! `netpath report`: a recording, rendered.

use std::{io::Write as _, process::ExitCode, sync::Arc};

use super::{args, interrupt, live, output::Sink};
use crate::{
    recording::Reader,
    replay,
    report::{Format, ReportError, passage, pcapng::Capture},
    tui::Still,
};

pub(super) fn run(args: &args::Report) -> anyhow::Result<ExitCode> {
    let mut sink = Sink::open(&args.output, Format::Summary)?;
    live::check(sink.format())?;
    if sink.format() == Format::Pcapng {
        capture(args, &mut sink)?;
    }
    let snapshot = Arc::new(replay::snapshot(&args.file)?);
    if sink.format() == Format::Tui {
        interrupt::catch()?;
        live::view(&mut Still::new(snapshot.clone()), args.output.look)?;
    }
    let status = sink.write(&snapshot)?;
    Ok(status.into())
}

/// Writes the recording's packets one by one.
fn capture(args: &args::Report, sink: &mut Sink) -> anyhow::Result<()> {
    let mut reader = Reader::open(&args.file)?;
    let session = reader.session.clone();
    let mut capture = Capture::begin(sink.bytes(), &session)?;
    let mut result: Result<(), ReportError> = Ok(());
    replay::flights(&mut reader, |flight, ledger| {
        if result.is_ok()
            && let Some(passage) = passage::of(flight, ledger, &session)
        {
            result = capture.add(&passage);
        }
    });
    result?;
    sink.bytes().flush()?;
    if let Some(damage) = &reader.damage {
        writeln!(std::io::stderr(), "netpath: {damage}; what precedes it is in the capture")?;
    }
    Ok(())
}
