//! What it takes to build for another architecture than this machine's: a C compiler, which also
//! links, and Rust's standard library, found or fetched.
//!
//! In: an architecture. Out: what cargo has to be told. The machine's packages stay of its own
//! architecture: what is of the other one is unpacked below target/cross.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

use crate::{
    arch::Arch,
    setup::{self, DEBIAN_RUSTC},
    shell::{output, target},
    vm::apt,
};

/// What cargo has to be told.
pub(crate) struct Cross {
    /// Compiles C, and links.
    pub(crate) gcc: String,
    /// `None` where cargo's own compiler has the standard library.
    pub(crate) debian: Option<Debian>,
}

/// Debian's compiler, and the directory in which it finds a standard library for the architecture.
pub(crate) struct Debian {
    pub(crate) rustc: &'static str,
    pub(crate) sysroot: PathBuf,
}

/// Debian's package of the standard library, which is of one version with its compiler.
const STD_PACKAGE: &str = "libstd-rust-web-dev";

/// Finds what is needed; as root on Debian, installs or fetches what is missing.
pub(crate) fn prepare(arch: &Arch) -> anyhow::Result<Cross> {
    let triplet = arch.triplet();
    let gcc = format!("{triplet}-gcc");
    let gcc_package = format!("gcc-{}", triplet.replace('_', "-"));
    let libc = format!("/usr/{triplet}/lib/libc.a");
    let libc_package = libc_package(arch);
    setup::require([(&*gcc, &*gcc_package), (&*libc, &*libc_package)].into_iter())?;
    let debian = if has_std(arch) { None } else { Some(debian(arch)?) };
    Ok(Cross { gcc, debian })
}

/// Debian's package of another architecture's C library.
pub(crate) fn libc_package(arch: &Arch) -> String {
    format!("libc6-dev-{}-cross", arch.debian)
}

/// Whether cargo's own compiler can build for it.
fn has_std(arch: &Arch) -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut ask = Command::new(rustc);
    output(ask.args(["--print", "target-libdir", "--target", &arch.target()]))
        .and_then(|dir| fs::read_dir(dir).ok()?.next())
        .is_some()
}

/// The standard library that is of one version with Debian's compiler; fetched, unless it is there.
fn debian(arch: &Arch) -> anyhow::Result<Debian> {
    let or = format!("`rustup target add {}` does, too", arch.target());
    if !Path::new(DEBIAN_RUSTC).exists() {
        bail!("there is no standard library of Rust's for {}: {or}", arch.target());
    }
    let mut ask = Command::new("dpkg-query");
    ask.args(["--show", "--showformat", "${Version}", STD_PACKAGE]);
    let version = output(&mut ask)
        .with_context(|| format!("{DEBIAN_RUSTC} is there without package {STD_PACKAGE}: {or}"))?;
    let cross = target().join("cross").join(arch.debian);
    let tree = cross.join(&version);
    if !tree.is_dir() {
        fs::create_dir_all(&cross).with_context(|| format!("cannot make {}", cross.display()))?;
        let new = tempfile::Builder::new().prefix("new-").tempdir_in(&cross)?;
        let package = format!("{STD_PACKAGE}={version}");
        apt::fetch_one(&package, apt::DEBIAN_12, arch, &cross.join("apt"), new.path())
            .with_context(|| format!("cannot fetch {package} for {}: {or}", arch.debian))?;
        fs::rename(new.keep(), &tree)?;
    }
    Ok(Debian { rustc: DEBIAN_RUSTC, sysroot: tree.join("usr") })
}
