//! The netpath binary, with the eBPF object inside.

use std::path::PathBuf;

use crate::{
    ebpf,
    setup::Tools,
    shell::{cargo, check, target},
};

/// Builds target/release/netpath.
pub(crate) fn run(tools: &Tools) -> anyhow::Result<PathBuf> {
    let object = ebpf::build(tools)?;
    check(cargo().env("NETPATH_EBPF", object).args([
        "build",
        "--release",
        "--package",
        "netpath",
    ]))?;
    Ok(target().join("release/netpath"))
}
