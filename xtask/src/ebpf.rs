//! The programs for the kernel.

use std::path::PathBuf;

use crate::{
    setup::{Tools, for_kernel},
    shell::{check, root, target},
};

/// Builds netpath-ebpf and returns the object.
pub(crate) fn build(tools: &Tools) -> anyhow::Result<PathBuf> {
    let dir = target().join("bpf");
    check(
        for_kernel(tools)
            .current_dir(root().join("netpath-ebpf"))
            .args(["build", "--release", "--quiet", "--target", "bpfel-unknown-none"])
            .arg("--target-dir")
            .arg(&dir),
    )?;
    Ok(dir.join("bpfel-unknown-none/release/netpath-ebpf"))
}
