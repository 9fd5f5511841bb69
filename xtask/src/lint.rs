//! Formatting and clippy, on the host's crates and on the kernel's, and what netpath is made of.

mod dependencies;

use crate::{
    ebpf,
    setup::Tools,
    shell::{cargo, check},
};

pub(crate) fn run(tools: &Tools) -> anyhow::Result<()> {
    check(cargo().args(["fmt", "--all", "--check"]))?;
    dependencies::check()?;
    let object = ebpf::build(tools)?;
    check(cargo().env("NETPATH_EBPF", object).args([
        "clippy",
        "--release",
        "--all-targets",
        "--quiet",
        "--",
        "--deny",
        "warnings",
    ]))
}
