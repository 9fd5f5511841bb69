//! All of it once more, from a clone of the repository in another directory, to see that it is the same.
//!
//! In: the checksums of what was made. Out: which files differ. Tools are shared, nothing that was built is.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

use super::SUMS;
use crate::{
    arch::Arch,
    shell::{all_is_committed, cargo, check as run, root, target},
};

/// Of the target directory, what is fetched or installed and not built here.
const SHARED: &[&str] = &["tools", "cross"];

/// Fails with the names of the files that differ.
pub(super) fn check(first: &Path, arch: Option<&Arch>) -> anyhow::Result<()> {
    all_is_committed()?;
    let clone = clone()?;
    let mut command = cargo();
    command.current_dir(&clone).env_remove("CARGO_TARGET_DIR").args(["xtask", "dist"]);
    if let Some(arch) = arch {
        command.args(["--arch", arch.rust]);
    }
    run(&mut command)?;
    let read = |dir: &Path| {
        let path = dir.join(SUMS);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let second = clone.join("target/packages");
    let differing = differing(&read(first)?, &read(&second)?);
    if !differing.is_empty() {
        bail!("{} in {} and {}", differing.join(", "), first.display(), second.display());
    }
    println!("made twice, the same bytes");
    fs::remove_dir_all(&clone).with_context(|| format!("cannot clear {}", clone.display()))
}

fn clone() -> anyhow::Result<PathBuf> {
    let clone = target().join("again/netpath");
    if clone.exists() {
        fs::remove_dir_all(&clone).with_context(|| format!("cannot clear {}", clone.display()))?;
    }
    run(Command::new("git").args(["clone", "--quiet"]).arg(root()).arg(&clone))?;
    fs::create_dir_all(clone.join("target"))?;
    for name in SHARED {
        let shared = target().join(name);
        fs::create_dir_all(&shared)?;
        symlink(fs::canonicalize(&shared)?, clone.join("target").join(name))?;
    }
    Ok(clone)
}

/// What is said of each file that is not in both, or not the same.
fn differing(first: &str, second: &str) -> Vec<String> {
    let of = |sums: &str| -> std::collections::BTreeMap<String, String> {
        let lines = sums.lines().filter_map(|line| line.split_once("  "));
        lines.map(|(sum, name)| (name.to_owned(), sum.to_owned())).collect()
    };
    let (first, second) = (of(first), of(second));
    let mut out = Vec::new();
    for (name, sum) in &first {
        match second.get(name) {
            None => out.push(format!("{name} was made once only")),
            Some(other) if other != sum => out.push(format!("{name} differs")),
            Some(_) => {}
        }
    }
    let more = second.keys().filter(|name| !first.contains_key(*name));
    out.extend(more.map(|name| format!("{name} was made once only")));
    out
}

#[cfg(test)]
mod tests {
    use super::differing;

    #[test]
    fn what_differs_or_is_missing_is_named() {
        let first = "aa  netpath.deb\nbb  netpath.rpm\ncc  left\n";
        assert!(differing(first, first).is_empty());
        let second = "aa  netpath.deb\nbd  netpath.rpm\nee  right\n";
        let said = differing(first, second);
        assert_eq!(
            said,
            ["left was made once only", "netpath.rpm differs", "right was made once only"]
        );
    }
}
