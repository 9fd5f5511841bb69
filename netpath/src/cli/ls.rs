//! `netpath ls`: what can be traced.

use std::process::ExitCode;

use super::{
    args::{self, LsFormat},
    exit::Status,
    output::print,
};
use crate::{inventory::Listing, kernel, view};

pub(super) fn run(args: &args::Ls) -> anyhow::Result<ExitCode> {
    if let Err(why) = kernel::check_rights() {
        tracing::warn!("what others have may be missing: {why}");
    }
    let listing = Listing::read();
    if args.json || args.format == LsFormat::Json {
        print(&format!("{}\n", serde_json::to_string_pretty(&listing)?))?;
    } else {
        print(&view::listing::render(&listing))?;
    }
    Ok(Status::Fine.into())
}
