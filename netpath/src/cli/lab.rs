//! `netpath lab`: ready-made topologies and traffic, and the published experiments.
//!
//! - [`run`]: one topology, traced as `netpath trace` does it;
//! - [`bench`]: comparing, and the matrix;
//! - [`child`]: the netpath that traces;
//! - [`progress`]: how far it is.

mod bench;
mod child;
mod progress;
mod run;

use std::process::ExitCode;

use super::{
    args::{self, LabCommand},
    exit::Status,
    output::print,
};
use crate::lab::{experiments::EXPERIMENTS, guest, topologies::TOPOLOGIES};

pub(super) fn run(args: &args::Lab) -> anyhow::Result<ExitCode> {
    match &args.command {
        LabCommand::List => list(),
        LabCommand::Run(args) => run::run(args),
        LabCommand::Compare(args) => bench::compare(args),
        LabCommand::Matrix(args) => bench::matrix(args),
        LabCommand::Agent { port } => {
            guest::agent::run(port)?;
            Ok(Status::Fine.into())
        }
    }
}

fn list() -> anyhow::Result<ExitCode> {
    let mut text = "Topologies: netpath lab run NAME\n".to_owned();
    for topology in TOPOLOGIES {
        text += &format!("  {:<16} {}\n", topology.name, topology.what);
    }
    text += "\nExperiments: netpath lab matrix [NAME…]; variants: netpath lab run NAME/VARIANT\n";
    for e in EXPERIMENTS {
        text += &format!("  {:<16} {}\n", e.name, e.question);
        for v in e.variants {
            text += &format!("    /{:<18} {}\n", v.name, v.what);
        }
    }
    print(&text)?;
    Ok(Status::Fine.into())
}
