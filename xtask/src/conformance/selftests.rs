//! The kernel's selftests of the network and of netfilter, from Debian's package of its source.
//!
//! Out: where they are, below target/; nothing of them is installed or committed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};

use crate::{
    setup,
    shell::{check, target},
};

/// The directories of the source that are unpacked.
const PARTS: [&str; 3] = [
    "*/tools/testing/selftests/netfilter/*",
    "*/tools/testing/selftests/net/*",
    "*/tools/testing/selftests/kselftest/*",
];

/// Where the kernel's source is, as much of it as the selftests take.
pub(super) fn source() -> anyhow::Result<PathBuf> {
    if let Some(found) = unpacked() {
        return Ok(found);
    }
    let dir = home();
    setup::require([("xz", "xz-utils"), ("dpkg-deb", "dpkg")].into_iter())?;
    fs::create_dir_all(&dir)?;
    let package = package()?;
    eprintln!("xtask: unpacking the selftests of {package} into {}", dir.display());
    check(Command::new("apt-get").args(["download", "--quiet", &package]).current_dir(&dir))?;
    let file = files(&dir, ".deb").next().context("apt-get has downloaded nothing")?;
    check(Command::new("dpkg-deb").arg("-x").arg(&file).arg(dir.join("package")))?;
    let archive = files(&dir.join("package/usr/src"), ".tar.xz").next();
    let archive = archive.with_context(|| format!("{package} has no source"))?;
    let mut tar = Command::new("tar");
    tar.arg("-xf").arg(&archive).arg("-C").arg(&dir).arg("--wildcards").args(PARTS);
    // A pattern that nothing has is not needed.
    tar.stderr(Stdio::null()).status().context("cannot run tar")?;
    fs::remove_file(file)?;
    fs::remove_dir_all(dir.join("package"))?;
    unpacked().with_context(|| format!("{package} has no selftests"))
}

fn home() -> PathBuf {
    target().join("selftests")
}

/// Where it is, if it has been unpacked before.
pub(crate) fn unpacked() -> Option<PathBuf> {
    files(&home(), "").find(|path| path.join("tools/testing/selftests/netfilter").is_dir())
}

fn files<'a>(dir: &Path, ending: &'a str) -> impl Iterator<Item = PathBuf> + use<'a> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(move |path| path.to_string_lossy().ends_with(ending))
}

/// The source of the distribution's own kernel: what linux-source depends on.
fn package() -> anyhow::Result<String> {
    let output = Command::new("apt-cache").args(["depends", "linux-source"]).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let named = text.lines().find_map(|line| line.trim().strip_prefix("Depends: linux-source-"));
    match named {
        Some(version) => Ok(format!("linux-source-{version}")),
        None => bail!("no package linux-source; `apt-get update` may help"),
    }
}
