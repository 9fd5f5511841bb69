//! What is handed out: for each architecture an archive, a .deb and an .rpm of one tree of files, what is in them, and
//! their checksums.
//!
//! In: the sources as committed. Out: target/packages, the same bytes whoever builds it where with the same tools.

mod again;
mod bill;
mod notices;
mod pack;
mod tree;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

use crate::{
    arch::{self, Arch},
    build,
    metadata::Metadata,
    setup::{self, Tools},
    shell::{output, root, target},
};

/// The packagers' programs. Each says what it is for.
const CARGO_DEB: setup::Crate =
    setup::Crate { name: "cargo-deb", version: "3.8.0", takes: "some minutes" };
const CARGO_GENERATE_RPM: setup::Crate =
    setup::Crate { name: "cargo-generate-rpm", version: "0.21.1", takes: "some minutes" };
const CARGO_CYCLONEDX: setup::Crate =
    setup::Crate { name: "cargo-cyclonedx", version: "0.5.9", takes: "some minutes" };

const SUMS: &str = "SHA256SUMS";
/// The program is never larger, bytes; docs/packaging.md says what it weighs.
const LARGEST: u64 = 12 << 20;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only for machines of this architecture; all else.
    #[arg(long, value_name = "ARCH", value_parser = arch::named())]
    arch: Option<&'static Arch>,
    /// Make all of it twice, the second time from a clone of the repository elsewhere, and fail unless it
    /// is the same, byte for byte.
    #[arg(long)]
    check: bool,
}

/// What is the same for all that is made in one go.
struct Release {
    version: String,
    /// When what is made was committed, in seconds since 1970: no file says another time.
    epoch: String,
    out: PathBuf,
}

/// Makes it, and returns where it is.
pub(crate) fn run(tools: &Tools, args: &Args) -> anyhow::Result<PathBuf> {
    let out = target().join("packages");
    make(tools, &archs(args), &out)?;
    if args.check {
        again::check(&out, args.arch)?;
    }
    Ok(out)
}

fn archs(args: &Args) -> Vec<&'static Arch> {
    args.arch.map_or_else(|| arch::all().to_vec(), |arch| vec![arch])
}

fn make(tools: &Tools, archs: &[&'static Arch], out: &Path) -> anyhow::Result<()> {
    if out.exists() {
        fs::remove_dir_all(out).with_context(|| format!("cannot clear {}", out.display()))?;
    }
    fs::create_dir_all(out)?;
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let release = Release { version, epoch: epoch()?, out: out.to_owned() };
    let mut files = Vec::new();
    for arch in archs {
        files.extend(release.of(tools, arch)?);
    }
    release.sum(&files)
}

/// Of the last commit.
fn epoch() -> anyhow::Result<String> {
    if let Ok(given) = std::env::var("SOURCE_DATE_EPOCH") {
        return Ok(given);
    }
    output(Command::new("git").current_dir(root()).args(["log", "-1", "--format=%ct"])).context(
        "git knows no commit here, and with it no time for the files: set SOURCE_DATE_EPOCH",
    )
}

impl Release {
    /// Makes all for an architecture.
    fn of(&self, tools: &Tools, arch: &Arch) -> anyhow::Result<Vec<PathBuf>> {
        let binary = build::run_dist(tools, arch)?;
        let size = fs::metadata(&binary).with_context(|| format!("{}", binary.display()))?.len();
        if size > LARGEST {
            bail!("{} has {size} bytes, more than {LARGEST}", binary.display());
        }
        let tree = target().join(pack::TREE);
        tree::make(&tree, &binary, &notices::text(&Metadata::read(&arch.target())?)?)?;
        Ok(vec![
            self.archive(arch, &tree)?,
            self.deb(arch)?,
            self.rpm(arch)?,
            self.bill(arch)?,
            self.provenance(tools, arch)?,
        ])
    }

    /// Writes the checksums.
    fn sum(&self, files: &[PathBuf]) -> anyhow::Result<()> {
        let names = files.iter().filter_map(|file| file.file_name());
        let sums = output(Command::new("sha256sum").current_dir(&self.out).arg("--").args(names));
        let sums = sums.context("sha256sum failed")?;
        fs::write(self.out.join(SUMS), sums + "\n").context(SUMS)
    }
}
