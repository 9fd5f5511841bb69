//! `cargo xtask guest`: the guest that `netpath lab` starts for its experiment `virtio`.
//!
//! In: one of Debian's kernels, this machine's busybox, a netpath that needs no library. Out: a
//! kernel and an initramfs in target/guest, where netpath looks for them.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::{
    Kernel, TREE,
    archive::{Archive, LINKED},
    fetched, kernel_file, modules,
};
use crate::{
    build, setup,
    setup::Tools,
    shell::{target, which},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which kernel it has.
    #[arg(long, default_value = "6.12", ignore_case = true, value_parser = super::one())]
    kernel: &'static Kernel,
}

/// The first process.
const INIT: &str = include_str!("lab-init.sh");

/// What the guest's devices need.
const MODULES: &[&str] =
    &["drivers/char/virtio_console", "drivers/net/virtio_net", "drivers/virtio/virtio_pci."];

/// Programs that make it, and Debian's packages of them.
const PROGRAMS: &[(&str, &str)] =
    &[("busybox", "busybox-static"), ("depmod", "kmod"), ("xz", "xz-utils")];

/// Makes kernel and initramfs, and returns their directory.
pub(crate) fn command(tools: &Tools, args: &Args) -> anyhow::Result<PathBuf> {
    let arch = args.kernel.arch;
    let emulator = (arch.emulator.program, arch.emulator.package);
    setup::require(PROGRAMS.iter().copied().chain([emulator]))?;
    let netpath = build::run_static(tools, arch)?;
    let (dir, release) = fetched(args.kernel)?;
    let modules_archive = dir.join("lab-modules.cpio");
    modules::pack(&dir.join(TREE), &release, MODULES, &modules_archive)?;
    let guest = target().join("guest");
    fs::create_dir_all(&guest).with_context(|| format!("cannot make {}", guest.display()))?;
    // Both come to be when they are whole: a lab may look for them meanwhile.
    let new = tempfile::Builder::new().prefix("new-").tempdir_in(&guest)?;
    let (kernel, initramfs) = (new.path().join("vmlinuz"), new.path().join("initramfs"));
    fs::copy(kernel_file(&dir.join(TREE), &release)?, &kernel)?;
    pack(&netpath, &initramfs)?;
    let mut whole = File::options().append(true).open(&initramfs)?;
    io::copy(&mut File::open(&modules_archive)?, &mut whole)?;
    for file in [kernel, initramfs] {
        let to = guest.join(file.file_name().unwrap_or_default());
        fs::rename(&file, &to)?;
    }
    Ok(guest)
}

/// The part of the initramfs that is not the kernel's.
fn pack(netpath: &Path, to: &Path) -> anyhow::Result<()> {
    let mut archive = Archive::create(to)?;
    for dir in LINKED {
        archive.dir(&Path::new("/usr").join(dir))?;
        archive.raw_link(Path::new(dir), &Path::new("usr").join(dir))?;
    }
    for dir in ["dev", "proc", "sys", "tmp", "usr/lib/busybox"] {
        archive.dir(Path::new(dir))?;
    }
    let busybox = which("busybox").context("busybox is not installed")?;
    archive.put(&busybox.canonicalize()?, Path::new("/usr/bin/busybox"))?;
    archive.put(netpath, Path::new("/usr/bin/netpath"))?;
    archive.file(Path::new("/init"), 0o755, INIT.as_bytes())?;
    archive.finish()
}
