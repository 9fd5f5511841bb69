//! Debian's packages of kernels and of programs, fetched with apt and unpacked, never installed.
//!
//! apt gets sources, lists, cache and state of its own: the machine's are not touched.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

use super::{
    kernels::{self, Kernel},
    sources,
};
use crate::{
    arch::Arch,
    shell::{check, output},
};

/// One of Debian's two archives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Archive {
    Main,
    Security,
}

/// Where packages are.
pub(crate) type Suites = &'static [(Archive, &'static str)];

/// Debian's stable releases.
pub(crate) const DEBIAN_12: Suites =
    &[(Archive::Main, "bookworm"), (Archive::Security, "bookworm-security")];
pub(crate) const DEBIAN_13: Suites =
    &[(Archive::Main, "trixie"), (Archive::Security, "trixie-security")];

/// An apt of our own.
struct Apt {
    dir: PathBuf,
    /// Whose packages it sees.
    arch: &'static str,
}

impl Apt {
    /// With sources of these suites.
    fn new(dir: PathBuf, suites: Suites, arch: &Arch) -> anyhow::Result<Self> {
        for sub in ["lists/partial", "cache/archives/partial"] {
            let sub = dir.join(sub);
            fs::create_dir_all(&sub).with_context(|| format!("cannot make {}", sub.display()))?;
        }
        fs::write(dir.join("status"), "")?;
        fs::write(dir.join("own.sources"), sources::find()?.of(suites))?;
        Ok(Self { dir, arch: arch.debian })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let dir = self.dir.display();
        for option in [
            format!("Dir::Etc::SourceList={dir}/own.sources"),
            "Dir::Etc::SourceParts=/dev/null".to_owned(),
            format!("Dir::State={dir}"),
            format!("Dir::State::Status={dir}/status"),
            format!("Dir::Cache={dir}/cache"),
            // The user that root's apt works as can't write here.
            "APT::Sandbox::User=root".to_owned(),
            format!("APT::Architecture={}", self.arch),
            format!("APT::Architectures={}", self.arch),
            // Descriptions and icons are of no use.
            "Acquire::Languages=none".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
        ] {
            command.args(["-o", &option]);
        }
        command.args(["--quiet", "--quiet"]);
        command
    }

    fn update(&self) -> anyhow::Result<()> {
        // Stdout is the guest's.
        let mut command = self.command("apt-get");
        check(command.args(["--error-on=any", "update"]).stdout(std::io::stderr()))
    }

    fn cache(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = self.command("apt-cache");
        output(command.args(arguments)).with_context(|| format!("apt-cache {arguments:?} failed"))
    }

    /// Downloads packages into a directory.
    fn download(&self, packages: &[String], into: &Path) -> anyhow::Result<()> {
        let mut command = self.command("apt-get");
        command.arg("download").args(packages);
        check(command.current_dir(into).stdout(std::io::stderr()))
    }

    /// Downloads packages, and those that they depend on, into the cache: as this apt sees it,
    /// nothing is installed.
    fn download_with_dependencies(&self, packages: &[&str]) -> anyhow::Result<()> {
        let mut command = self.command("apt-get");
        command.args(["--download-only", "--no-install-recommends", "--yes", "install"]);
        check(command.args(packages).stdout(std::io::stderr()))
    }
}

/// Fetches the newest packages of a kernel, unpacks them into `tree`, and returns the kernel's
/// version, as `uname -r` says it. Lists are kept in `state`.
pub(super) fn fetch(kernel: &Kernel, state: &Path, tree: &Path) -> anyhow::Result<String> {
    let apt = Apt::new(state.to_owned(), kernel.suites, kernel.arch)?;
    apt.update()?;
    let names = apt.cache(&["pkgnames", kernel.prefix])?;
    let Some(package) = kernel.newest(names.lines()) else {
        bail!("Debian's archive has no package {}…", kernel.prefix);
    };
    let stanza = apt.cache(&["show", "--no-all-versions", package])?;
    let field = |name| stanza.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default().trim();
    let parts = kernels::parts(package, field("Depends:"));
    eprintln!("xtask: fetching {package} {}", field("Version:"));
    let debs = tempfile::tempdir_in(state)?;
    apt.download(&parts, debs.path())?;
    extract(debs.path(), tree)?;
    Ok(kernel.release(package).unwrap_or_default().to_owned())
}

/// Fetches a package, without what it depends on, and unpacks it into `tree`. `NAME=VERSION` asks for a
/// version.
pub(crate) fn fetch_one(
    package: &str,
    suites: Suites,
    arch: &Arch,
    state: &Path,
    tree: &Path,
) -> anyhow::Result<()> {
    let apt = Apt::new(state.to_owned(), suites, arch)?;
    apt.update()?;
    eprintln!("xtask: fetching {package} for {}", arch.debian);
    let debs = tempfile::tempdir_in(state)?;
    apt.download(&[package.to_owned()], debs.path())?;
    extract(debs.path(), tree)
}

/// Fetches packages of programs and all that they depend on, unpacks them into `tree`, and returns
/// the packages' versions.
pub(super) fn fetch_programs(
    packages: &[&str],
    suites: Suites,
    arch: &Arch,
    state: &Path,
    tree: &Path,
) -> anyhow::Result<Vec<String>> {
    let apt = Apt::new(state.to_owned(), suites, arch)?;
    apt.update()?;
    eprintln!("xtask: fetching {} and what they depend on", packages.join(", "));
    apt.download_with_dependencies(packages)?;
    extract(&state.join("cache/archives"), tree)?;
    // Later ones must not lie beside them.
    check(apt.command("apt-get").arg("clean"))?;
    let version = |package: &&str| {
        let stanza = apt.cache(&["show", "--no-all-versions", package])?;
        let version = stanza.lines().find_map(|l| l.strip_prefix("Version: "));
        version.map(str::to_owned).with_context(|| format!("{package} has no version"))
    };
    packages.iter().map(version).collect()
}

/// Unpacks all packages of a directory.
fn extract(debs: &Path, tree: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(debs)? {
        let deb = entry?.path();
        if deb.extension().is_some_and(|e| e == "deb") {
            check(Command::new("dpkg-deb").arg("--extract").arg(deb).arg(tree))?;
        }
    }
    Ok(())
}
