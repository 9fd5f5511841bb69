//! The programs for the kernel.

use std::path::PathBuf;

use crate::{
    arch::Arch,
    setup::{Tools, for_kernel},
    shell::{check, root, target},
};

/// Builds netpath-ebpf for this machine's architecture and returns the object.
pub(crate) fn build(tools: &Tools) -> anyhow::Result<PathBuf> {
    build_for(tools, Arch::own()?)
}

/// Builds netpath-ebpf for an architecture and returns the object. Each has a directory of its own, where
/// netpath's build script looks for it.
pub(crate) fn build_for(tools: &Tools, arch: &Arch) -> anyhow::Result<PathBuf> {
    let dir = target().join("bpf").join(arch.rust);
    check(
        for_kernel(tools, arch)
            .current_dir(root().join("netpath-ebpf"))
            .args(["build", "--release", "--quiet", "--target", "bpfel-unknown-none"])
            .arg("--target-dir")
            .arg(&dir),
    )?;
    Ok(dir.join("bpfel-unknown-none/release/netpath-ebpf"))
}
