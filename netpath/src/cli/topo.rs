//! `netpath topo`: the discovered path.

use std::process::ExitCode;

use super::{args, exit::Status, output::print};
use crate::{
    netns::Netns,
    topo::{Topology, discover},
    view,
};

/// The topology of what was selected.
pub(super) fn select(selection: &args::Selection) -> anyhow::Result<(Topology, Netns)> {
    let netns = match &selection.netns {
        Some(wanted) => Netns::find(wanted)?,
        None => Netns::current()?,
    };
    Ok((discover(&selection.iface, &netns)?, netns))
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
