//! The README's picture of the live view, made anew from a real trace.

use crate::{
    build, ebpf,
    setup::Tools,
    shell::{cargo, check},
};

/// Writes docs/live.svg. Needs root.
pub(crate) fn run(tools: &Tools) -> anyhow::Result<()> {
    let binary = build::run(tools)?;
    let object = ebpf::build(tools)?;
    let mut command = cargo();
    command.env("NETPATH_EBPF", object);
    command.args(["run", "--release", "--quiet", "--package", "netpath"]);
    command.args(["--example", "screenshot", "--"]);
    check(command.arg(binary).arg("docs/live.svg"))
}
