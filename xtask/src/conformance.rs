//! Real programs beside netpath: installs them, builds and runs `netpath/tests/conformance`, which
//! writes docs/conformance.md.
//!
//! - [`selftests`]: where the kernel's own come from.
//!
//! In: which rows. Out: the page, and whether the rows pass.

pub(crate) mod selftests;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::Context as _;

use crate::{
    build, ebpf,
    setup::{self, Tools},
    shell::{cargo, output, root, target},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only rows whose names, `program::topology`, hold this. The others stay on the page as they were.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Only the rows that `cargo xtask test` runs.
    #[arg(long)]
    core: bool,
    /// Run the kernel's own selftests instead, alone and with netpath beside them. They come with Debian's
    /// linux-source, which is unpacked into target/selftests.
    #[arg(long, conflicts_with = "core")]
    selftests: bool,
    /// Run nothing: write the page anew from what the rows came to last.
    #[arg(long, conflicts_with_all = ["only", "core", "selftests"])]
    table: bool,
}

/// How the names of the selftests' rows begin.
const SELFTESTS: &str = "selftest::";

pub(crate) fn run(tools: &Tools, args: &Args) -> anyhow::Result<ExitCode> {
    let rows = executable(tools)?;
    let mut command = Command::new(&rows);
    command.current_dir(root().join("netpath"));
    command.env("NETPATH_CONFORMANCE_TABLE", root().join("docs/conformance.md"));
    if args.table {
        command.args(["--exact", "none"]);
    } else if args.selftests {
        install(&rows, Some("--selftests"))?;
        command.env("NETPATH_SELFTESTS", selftests::source()?);
        command
            .arg("--ignored")
            .arg(format!("{SELFTESTS}{}", args.only.as_deref().unwrap_or_default()));
    } else {
        install(&rows, args.core.then_some("--core"))?;
        command.args(["--skip", SELFTESTS]).args((!args.core).then_some("--include-ignored"));
        match &args.only {
            Some(text) => {
                command.arg(text);
            }
            // What rows that are no more came to.
            None => forget_rows(),
        }
    }
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Installs what the core's rows take, for those who run them as tests.
pub(crate) fn install_core(tools: &Tools) -> anyhow::Result<()> {
    install(&executable(tools)?, Some("--core"))
}

/// Builds the rows, and netpath as users have it.
fn executable(tools: &Tools) -> anyhow::Result<PathBuf> {
    let mut command = cargo();
    command.env("NETPATH_EBPF", ebpf::build(tools)?);
    command.args(["test", "--no-run", "--release", "--quiet", "--package", "netpath"]);
    command.args(["--test", "conformance", "--message-format", "json-render-diagnostics"]);
    build::executable(&mut command, "conformance")
}

/// Forgets what the rows came to before, but for the selftests, which run by themselves.
fn forget_rows() {
    let kept = fs::read_dir(target().join("conformance")).into_iter().flatten().flatten();
    for file in kept.filter(|file| !file.file_name().to_string_lossy().starts_with("selftest-")) {
        let _ = fs::remove_file(file.path());
    }
}

/// Installs what the rows say that they take: all of them, or those of an option.
fn install(rows: &Path, which: Option<&str>) -> anyhow::Result<()> {
    let mut command = Command::new(rows);
    command.arg("--needs").args(which);
    let needs = output(&mut command).with_context(|| format!("{command:?} failed"))?;
    let _quiet = NoServices::begin();
    setup::require(needs.lines().filter_map(|line| line.split_once(' ')))
}

/// While it is held, packages that are installed start none of their services on this machine: the rows
/// start them in namespaces of their own.
struct NoServices {
    made: bool,
}

/// Asked by Debian's packages before they start anything.
const POLICY: &str = "/usr/sbin/policy-rc.d";

impl NoServices {
    fn begin() -> Self {
        let made = !Path::new(POLICY).exists()
            && fs::write(POLICY, "#!/bin/sh\nexit 101\n").is_ok()
            && fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755)).is_ok();
        Self { made }
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.made {
            let _ = fs::remove_file(POLICY);
        }
    }
}
