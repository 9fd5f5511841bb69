//! `netpath diff`: what changed between two recordings or reports.

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context as _, bail};

use super::{
    args::{self, DiffFormatArg},
    exit::Status,
    output::open,
};
use crate::{
    recording, replay,
    report::diff::{self, DiffFormat},
    snapshot::{SCHEMA, Snapshot},
};

pub(super) fn run(args: &args::Diff) -> anyhow::Result<ExitCode> {
    let (a, b) = (read(&args.a)?, read(&args.b)?);
    let (mut out, style) = open(args.output.as_deref(), args.look)?;
    let (name_a, name_b) = (args.a.display().to_string(), args.b.display().to_string());
    let format = match args.format {
        DiffFormatArg::Summary => DiffFormat::Summary,
        DiffFormatArg::Json => DiffFormat::Json,
        DiffFormatArg::Svg => DiffFormat::Svg,
        DiffFormatArg::Html => DiffFormat::Html,
    };
    diff::write((&name_a, &a), (&name_b, &b), format, style, &mut out)?;
    Ok(Status::Fine.into())
}

/// Reads a recording, or a report in JSON.
fn read(file: &Path) -> anyhow::Result<Snapshot> {
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
