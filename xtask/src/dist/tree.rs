//! What a package holds, as data, and as a tree of files that all packages are made from.
//!
//! In: a built netpath, docs/, the texts of licences. Out: a directory as `/` would be with the package installed.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

use crate::shell::root;

/// Files of the sources, and where they go. A `*` stands for all names that end so, and on the right for each
/// of them. What goes to a `.gz` is compressed.
///
/// There is no unit of systemd's, no user and no configuration: nothing runs unasked. They would be
/// rows here, below usr/lib/systemd/system, usr/lib/sysusers.d and etc/netpath.
const FILES: &[(&str, &str)] = &[
    ("docs/man/*.1", "usr/share/man/man1/*.gz"),
    ("docs/completions/netpath.bash", "usr/share/bash-completion/completions/netpath"),
    ("docs/completions/netpath.fish", "usr/share/fish/vendor_completions.d/netpath.fish"),
    ("docs/completions/_netpath", "usr/share/zsh/site-functions/_netpath"),
    ("README.md", "usr/share/doc/netpath/README.md"),
    ("SECURITY.md", "usr/share/doc/netpath/SECURITY.md"),
    ("CHANGELOG.md", "usr/share/doc/netpath/CHANGELOG.md.gz"),
    ("docs/*.md", "usr/share/doc/netpath/docs/*.gz"),
    ("docs/report.schema.json", "usr/share/doc/netpath/docs/report.schema.json"),
    ("LICENSE-MIT", "usr/share/doc/netpath/LICENSE-MIT"),
    ("LICENSE-APACHE", "usr/share/doc/netpath/LICENSE-APACHE"),
];

/// Files that are made while packaging, and where they go.
const BINARY: &str = "usr/bin/netpath";
const NOTICES: &str = "usr/share/doc/netpath/THIRD-PARTY.gz";

/// Makes the tree anew.
pub(super) fn make(tree: &Path, binary: &Path, notices: &str) -> anyhow::Result<()> {
    if tree.exists() {
        fs::remove_dir_all(tree).with_context(|| format!("cannot clear {}", tree.display()))?;
    }
    put(tree, BINARY, &fs::read(binary).with_context(|| format!("{}", binary.display()))?, 0o755)?;
    put(tree, NOTICES, notices.as_bytes(), 0o644)?;
    for (from, to) in FILES {
        for (file, to) in resolve(&root(), from, to)? {
            let content = fs::read(&file).with_context(|| format!("{}", file.display()))?;
            put(tree, &to, &content, 0o644)?;
        }
    }
    Ok(())
}

/// Fills in the star of a row.
fn resolve(root: &Path, from: &str, to: &str) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let Some((dir, end)) = from.split_once('*') else {
        return Ok(vec![(root.join(from), to.to_owned())]);
    };
    let dir = root.join(dir);
    let mut found = Vec::new();
    for entry in fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(end) {
            found.push((dir.join(&name), to.replace('*', &name)));
        }
    }
    if found.is_empty() {
        bail!("there is no {from}");
    }
    found.sort();
    Ok(found)
}

/// Writes a file of the tree; one whose name ends in .gz is compressed.
fn put(tree: &Path, name: &str, content: &[u8], mode: u32) -> anyhow::Result<()> {
    let plain = name.strip_suffix(".gz");
    let path = tree.join(plain.unwrap_or(name));
    let dir = path.parent().context("a file of the tree lies in a directory")?;
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    if plain.is_some() {
        crate::shell::check(Command::new("gzip").args(["--best", "--no-name"]).arg(&path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_of_a_file_that_is_there_and_no_two_go_to_one() {
        let mut to = vec![BINARY.to_owned(), NOTICES.to_owned()];
        for (from, name) in FILES {
            for (file, name) in resolve(&root(), from, name).unwrap() {
                assert!(file.is_file(), "{}", file.display());
                to.push(name);
            }
        }
        let all = to.len();
        to.sort();
        to.dedup();
        assert_eq!(to.len(), all, "{to:?}");
    }

    #[test]
    fn a_star_takes_all_of_an_ending() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.1", "b.1", "c.2"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let found = resolve(dir.path(), "*.1", "man1/*.gz").unwrap();
        let to: Vec<&str> = found.iter().map(|(_, to)| &**to).collect();
        assert_eq!(to, ["man1/a.1.gz", "man1/b.1.gz"]);
        assert!(resolve(dir.path(), "*.3", "man3/*").is_err());
    }
}
