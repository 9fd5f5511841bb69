//! `netpath report`: a recording, or a report in JSON, rendered.

use std::{fs, io::Write as _, path::Path, process::ExitCode, sync::Arc};

use anyhow::{Context as _, bail};

use super::{args, interrupt, live, output::Sink};
use crate::{
    recording::{self, Reader},
    replay,
    report::{Format, ReportError, passage, pcapng::Capture},
    snapshot::{SCHEMA, Snapshot},
    tui::Still,
};

pub(super) fn run(args: &args::Report) -> anyhow::Result<ExitCode> {
    let mut sink = Sink::open(&args.output, Format::Summary)?;
    live::check(sink.format())?;
    if sink.format() == Format::Pcapng {
        capture(args, &mut sink)?;
    }
    let snapshot = Arc::new(read(&args.file)?);
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

/// Reads a recording, or a report in JSON.
pub(super) fn read(file: &Path) -> anyhow::Result<Snapshot> {
    if recording::is_one(file)? {
        return Ok(replay::snapshot(file)?);
    }
    let text = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    // Only what says of which version it is, so that an error tells that before anything else.
    let value: serde_json::Value = serde_json::from_slice(&text).with_context(|| {
        format!(
            "{} is neither a recording (`netpath record`) nor a report in JSON (--format json)",
            file.display()
        )
    })?;
    match value.get("schema").and_then(serde_json::Value::as_str) {
        Some(SCHEMA) => {}
        Some(other) => bail!("{} is a {other}; this netpath reads {SCHEMA}", file.display()),
        None => bail!("{} is JSON without a \"schema\"; netpath's has {SCHEMA}", file.display()),
    }
    serde_json::from_value(value)
        .with_context(|| format!("{} is not as {SCHEMA} should be", file.display()))
}
