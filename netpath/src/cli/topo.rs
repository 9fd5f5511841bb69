//! `netpath topo`: the discovered path.

use std::process::ExitCode;

use super::{args, exit::Status, output::print};
use crate::{
    inventory,
    netns::Netns,
    topo::{TopoError, Topology, discover, interfaces, main_interface},
    view,
};

/// The topology of what was selected.
pub(super) fn select(selection: &args::Selection) -> anyhow::Result<(Topology, Netns)> {
    let netns = match selection.meant() {
        Some(meant) => {
            // What else could have been meant.
            let here = Netns::current().map_err(TopoError::from).and_then(|n| interfaces(&n));
            inventory::find(meant, &here.unwrap_or_default())?
        }
        None => Netns::current()?,
    };
    let iface = match &selection.iface {
        Some(iface) => iface.clone(),
        None => main_interface(&netns)?,
    };
    Ok((discover(&iface, &netns)?, netns))
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
