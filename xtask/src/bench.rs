//! What netpath costs, beside other tools: builds both and runs `netpath/benches/measure`, here or
//! on another kernel.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;

use crate::{
    build,
    setup::{self, Tools},
    shell::{cargo, target},
    vm,
};

/// What netpath is held against, and Debian's packages of it.
const PEERS: &[(&str, &str)] = &[("bpftrace", "bpftrace"), ("perf", "linux-perf")];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Measure on one of Debian's kernels, in QEMU: there functions can be probed, and pwru is
    /// there. Without --only, the parts `overhead` and `programs`.
    #[arg(long, value_name = "KERNEL", value_parser = vm::one())]
    vm: Option<&'static vm::Kernel>,
    /// CPUs of that machine.
    #[arg(long, requires = "vm", default_value_t = 2)]
    cpus: u8,
    /// Give it up after this time.
    #[arg(long, requires = "vm", value_name = "TIME", default_value = "3h", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Passed on to the measurement, after the options above, such as --rounds 15 or --only
    /// overhead; --help lists all.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Measures; the results go to target/bench.json unless `--output` is among the arguments, those of
/// another kernel to target/bench-KERNEL.
pub(crate) fn run(tools: &Tools, args: &Args) -> anyhow::Result<ExitCode> {
    let given = |name: &str| args.arguments.iter().any(|a| a.starts_with(name));
    if let Some(kernel) = args.vm {
        let mut arguments = args.arguments.clone();
        if !given("--only") {
            arguments.push("--only=overhead,programs".to_owned());
        }
        let bench = vm::Bench {
            measure: &build::static_bench(tools, kernel.arch)?,
            netpath: build::static_netpath(kernel.arch),
            arguments,
            out: target().join(format!("bench-{}", kernel.name)),
            cpus: args.cpus,
            timeout: args.timeout,
        };
        return vm::bench(kernel, bench);
    }
    setup::require(PEERS.iter().copied())?;
    build::run(tools)?;
    let object = crate::ebpf::build(tools)?;
    let mut command = cargo();
    command.env("NETPATH_EBPF", object);
    command.args(["bench", "--quiet", "--package", "netpath", "--bench", "measure", "--"]);
    if !given("-o") && !given("--output") {
        command.arg("--output").arg(target().join("bench.json"));
    }
    command.args(&args.arguments);
    let status = command.status().context("cannot run cargo bench")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
