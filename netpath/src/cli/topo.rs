//! `netpath topo`: the discovered path.

use std::process::ExitCode;

use super::{args, exit::Status, output::print};
use crate::{
    spec::{SpecError, Wishes},
    topo::Topology,
    view,
};

/// The topology of what was selected, and how to find it again.
pub(super) fn select(selection: &args::Selection) -> anyhow::Result<(Topology, Wishes)> {
    selection.spec().find().map_err(|error| match error {
        SpecError::Choose(error) => error.into(),
        SpecError::Topo(error) => error.into(),
    })
}

pub(super) fn run(args: &args::Topo) -> anyhow::Result<ExitCode> {
    crate::kernel::check_rights()?;
    let (topology, _) = select(&args.selection)?;
    if args.json {
        print(&format!("{}\n", serde_json::to_string_pretty(&topology)?))?;
    } else {
        print(&view::topo::render(&topology))?;
    }
    Ok(Status::Fine.into())
}
