//! Other tracers for a guest, of the same Debian as its kernel: newer than this machine's own, and
//! some that it does not have.
//!
//! In: packages' names. Out: a directory with the programs, the libraries that they need, and
//! scripts that start them with these; nothing of it meets the guest's own programs.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

use super::{
    Put,
    apt::{self, Archive, Suites},
    programs,
};
use crate::{
    arch::Arch,
    shell::{output, target},
};

/// Where Debian has them. Each package's program has its name.
const SUITES: Suites = &[(Archive::Main, "trixie")];
const PACKAGES: &[&str] = &["bpftrace", "pwru"];

/// Where a guest finds them.
pub(crate) const GUEST: &str = "/opt/peers";

/// Below the directory: what the scripts start, and with which libraries.
const BIN: &str = "libexec";
const LIB: &str = "lib";
/// The packages' versions, a line each.
const VERSIONS: &str = "versions";

/// Programs for a guest.
pub(crate) struct Peers {
    pub(crate) put: Put,
    /// `NAME=VERSION`, as Debian numbers its packages.
    pub(crate) versions: Vec<String>,
}

/// Fetches the programs, unless they are there.
pub(crate) fn prepare() -> anyhow::Result<Peers> {
    let cache = target().join("vm/cache");
    let dir = cache.join("peers");
    if !dir.join(VERSIONS).is_file() {
        fs::create_dir_all(&cache)?;
        let new = tempfile::Builder::new().prefix("new-").tempdir_in(&cache)?;
        fetch(new.path())?;
        let _ = fs::remove_dir_all(&dir);
        fs::rename(new.keep(), &dir)?;
    }
    let versions = fs::read_to_string(dir.join(VERSIONS))?.lines().map(str::to_owned).collect();
    Ok(Peers { put: Put { host: dir, guest: GUEST.into() }, versions })
}

fn fetch(dir: &Path) -> anyhow::Result<()> {
    let tree = tempfile::tempdir_in(dir)?;
    let arch = Arch::own()?;
    let state = target().join("vm/apt/peers");
    let versions = apt::fetch_programs(PACKAGES, SUITES, arch, &state, tree.path())?;
    let loader = Path::new(arch.loader).file_name().and_then(OsStr::to_str);
    let loader = loader.context("a loader has a name")?;
    for sub in [BIN, LIB] {
        fs::create_dir_all(dir.join(sub))?;
    }
    let lib = tree.path().join("usr/lib").join(arch.triplet());
    for package in PACKAGES {
        let program = tree.path().join("usr/bin").join(package);
        for library in libraries(&lib, loader, &program)? {
            let name = library.file_name().context("a library has a name")?;
            fs::copy(&library, dir.join(LIB).join(name))
                .with_context(|| format!("cannot copy {}", library.display()))?;
        }
        fs::copy(&program, dir.join(BIN).join(package))
            .with_context(|| format!("package {package} has no program of its name"))?;
        let script = dir.join(package);
        fs::write(&script, start(loader, package))?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    }
    let lines = PACKAGES.iter().zip(versions).map(|(name, version)| format!("{name}={version}\n"));
    fs::write(dir.join(VERSIONS), lines.collect::<String>())?;
    Ok(())
}

/// What a program needs, the loader included: the loader of the same Debian says it.
fn libraries(lib: &Path, loader: &str, program: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let loader = lib.join(loader);
    let mut command = Command::new(&loader);
    command.arg("--library-path").arg(lib).arg("--list").arg(program);
    let text = output(&mut command).with_context(|| format!("{command:?} failed"))?;
    let mut found = programs::loaded(&text).with_context(|| program.display().to_string())?;
    found.retain(|path| path.starts_with(lib));
    found.push(loader);
    Ok(found)
}

/// A script that starts a program.
fn start(loader: &str, program: &str) -> String {
    format!(
        "#!/bin/sh\nexec {GUEST}/{LIB}/{loader} --library-path {GUEST}/{LIB} \
         {GUEST}/{BIN}/{program} \"$@\"\n"
    )
}
