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

/// Builds a netpath that needs no library, for any machine; beside the other, not in its place.
pub(crate) fn run_static(tools: &Tools) -> anyhow::Result<PathBuf> {
    const TARGET: &str = "x86_64-unknown-linux-gnu";
    let object = ebpf::build(tools)?;
    check(
        cargo()
            .env("NETPATH_EBPF", object)
            .env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-C target-feature=+crt-static")
            // They would take the place of those above.
            .env_remove("RUSTFLAGS")
            .args(["build", "--release", "--quiet", "--package", "netpath", "--target", TARGET]),
    )?;
    Ok(target().join(TARGET).join("release/netpath"))
}
