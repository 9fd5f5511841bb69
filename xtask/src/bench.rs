//! What netpath costs, beside other tools: builds both and runs `netpath/benches/measure`.

use std::{ffi::OsString, process::ExitCode};

use anyhow::Context as _;

use crate::{
    build,
    setup::{self, Tools},
    shell::{cargo, target},
};

/// What netpath is held against, and Debian's packages of it.
const PEERS: &[(&str, &str)] = &[("bpftrace", "bpftrace"), ("perf", "linux-perf")];

/// Measures; the results go to target/bench.json unless `--output` is among the arguments.
pub(crate) fn run(tools: &Tools, arguments: &[OsString]) -> anyhow::Result<ExitCode> {
    setup::require(PEERS.iter().copied())?;
    build::run(tools)?;
    let object = crate::ebpf::build(tools)?;
    let mut command = cargo();
    command.env("NETPATH_EBPF", object);
    command.args(["bench", "--quiet", "--package", "netpath", "--bench", "measure", "--"]);
    let given = |a: &OsString| a.to_str().is_some_and(|a| a == "-o" || a.starts_with("--output"));
    if !arguments.iter().any(given) {
        command.arg("--output").arg(target().join("bench.json"));
    }
    command.args(arguments);
    let status = command.status().context("cannot run cargo bench")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
