//! `netpath diff`: what changed between two recordings or reports.

use std::process::ExitCode;

use super::{
    args::{self, DiffFormatArg},
    exit::Status,
    output::open,
    report::read,
};
use crate::report::diff::{self, DiffFormat};

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
