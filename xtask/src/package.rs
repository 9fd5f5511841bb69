//! The crates, as a registry gets them. netpath's carries the kernel's programs for each architecture, so that
//! whoever installs it needs no other tool than cargo.
//!
//! In: the sources as committed. Out: target/package/*.crate, each of which was built from what is in it alone; and the
//! programs that netpath carries are what netpath-ebpf's sources give, byte for byte.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

use crate::{
    arch::{self, Arch},
    ebpf,
    setup::{Tools, for_kernel},
    shell::{all_is_committed, cargo, check, root, target},
};

/// In the order in which they need each other.
const CRATES: [&str; 3] = ["netpath-common", "netpath-ebpf", "netpath"];

pub(crate) fn run(tools: &Tools) -> anyhow::Result<()> {
    all_is_committed()?;
    carry(tools)?;
    // netpath-ebpf is for the kernel only: it is built below.
    package(&["--no-verify", "--package", "netpath-common", "--package", "netpath-ebpf"])?;
    // git knows nothing of what netpath carries.
    package(&["--allow-dirty", "--package", "netpath-common", "--package", "netpath"])?;
    let unpacked = unpack()?;
    for arch in arch::all() {
        compare(tools, arch, &unpacked)?;
    }
    for name in CRATES {
        println!("{}", crate_file(name).display());
    }
    Ok(())
}

/// Packs crates, and builds each from what is in it alone, those that they need beside them.
fn package(arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = cargo();
    command.env_remove("NETPATH_EBPF").args(["package", "--quiet"]).args(arguments);
    check(&mut command)
}

/// Puts the programs where netpath's crate takes them from.
fn carry(tools: &Tools) -> anyhow::Result<()> {
    let objects = root().join("netpath/objects");
    fs::create_dir_all(&objects).with_context(|| format!("cannot make {}", objects.display()))?;
    for arch in arch::all() {
        let (from, to) = (ebpf::build_for(tools, arch)?, objects.join(object_name(arch)));
        fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
    }
    Ok(())
}

/// As netpath/build.rs looks for it.
fn object_name(arch: &Arch) -> String {
    format!("netpath-ebpf.{}", arch.rust)
}

/// A crate's name with its version.
fn versioned(name: &str) -> String {
    format!("{name}-{}", env!("CARGO_PKG_VERSION"))
}

fn crate_file(name: &str) -> PathBuf {
    target().join("package").join(versioned(name) + ".crate")
}

/// What stands around the unpacked crates: as in the repository, for paths and profile are in what is built. A
/// difference from the repository's own shows, as one of the programs.
const WORKSPACE: &str = r#"
[workspace]
resolver = "3"
members = ["netpath-common", "netpath-ebpf"]

[patch.crates-io]
netpath-common = { path = "netpath-common" }

[profile.release]
strip = true

[profile.release.package.netpath-ebpf]
codegen-units = 1
"#;

/// Unpacks them all anew into a directory.
fn unpack() -> anyhow::Result<PathBuf> {
    let dir = target().join("package/unpacked");
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("cannot clear {}", dir.display()))?;
    }
    for name in CRATES {
        let into = dir.join(name);
        fs::create_dir_all(&into).with_context(|| format!("cannot make {}", into.display()))?;
        let mut tar = Command::new("tar");
        tar.args(["--extract", "--gzip", "--strip-components=1", "--file"]).arg(crate_file(name));
        check(tar.arg("--directory").arg(&into))?;
    }
    fs::write(dir.join("Cargo.toml"), WORKSPACE)?;
    fs::copy(dir.join("netpath-ebpf/Cargo.lock"), dir.join("Cargo.lock"))?;
    Ok(dir)
}

/// Builds the programs from the crates' own sources, and holds what netpath carries to them.
fn compare(tools: &Tools, arch: &Arch, unpacked: &Path) -> anyhow::Result<()> {
    let built = unpacked.join("target").join(arch.rust);
    let mut command = for_kernel(tools, arch);
    command
        .current_dir(unpacked.join("netpath-ebpf"))
        .args(["build", "--release", "--quiet", "--target", "bpfel-unknown-none"])
        .arg("--target-dir")
        .arg(&built);
    check(&mut command)?;
    let built = built.join("bpfel-unknown-none/release/netpath-ebpf");
    let carried = unpacked.join("netpath/objects").join(object_name(arch));
    let read =
        |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    if read(&built)? != read(&carried)? {
        bail!("{} is not what the sources give, {}", carried.display(), built.display());
    }
    println!("{}: what the sources give", object_name(arch));
    Ok(())
}
