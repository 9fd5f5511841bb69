//! The licences of what is in netpath besides itself, as one text for the packages.
//!
//! In: the packages that are linked into netpath or into the kernel's programs, and their files in cargo's
//! registry. Out: a list of them, and each text once, with those whose it is.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use crate::metadata::{Metadata, Package};

/// What begins the name of a file with a licence.
const NAMES: &[&str] = &["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];

/// What is linked without cargo's knowing of it: name, licence, whose the sources are.
const BESIDE: &[(&str, &str, &str)] = &[
    ("Rust's standard library", "MIT OR Apache-2.0", "of the compiler that built netpath"),
    (
        "the GNU C Library",
        "LGPL-2.1-or-later",
        "of the distribution that built netpath; to link another one, build netpath from its sources",
    ),
    (
        "libgcc",
        "GPL-3.0-or-later WITH GCC-exception-3.1",
        "of the distribution that built netpath; the exception is for what is compiled with it",
    ),
];

/// A package's licences, as found.
#[derive(Debug)]
struct Notice {
    /// Name and version.
    whose: String,
    license: String,
    texts: Vec<String>,
}

/// Reads them all.
pub(super) fn text(metadata: &Metadata) -> anyhow::Result<String> {
    let linked = metadata.linked_into(&["netpath", "netpath-ebpf"]);
    let notices = linked.into_iter().map(read).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(render(&notices))
}

fn read(package: &Package) -> anyhow::Result<Notice> {
    let dir = package.manifest_path.parent().context("a manifest lies in a directory")?;
    let mut texts = Vec::new();
    for path in files(dir)? {
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        texts.push(String::from_utf8_lossy(&bytes).trim().replace("\r\n", "\n"));
    }
    Ok(Notice {
        whose: format!("{} {}", package.name, package.version),
        license: package.license.clone().unwrap_or_default(),
        texts,
    })
}

/// Files with licences, in a crate's directory and one below: there is code of others.
fn files(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = |dir: &Path| -> anyhow::Result<Vec<PathBuf>> {
        let read = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
        Ok(read.collect::<Result<Vec<_>, _>>()?.into_iter().map(|e| e.path()).collect())
    };
    for entry in entries(dir)? {
        if entry.is_dir() {
            found.extend(entries(&entry)?.into_iter().filter(|path| is_license(path)));
        } else if is_license(&entry) {
            found.push(entry);
        }
    }
    found.sort();
    Ok(found)
}

fn is_license(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
    let code = path.extension().is_some_and(|e| e == "rs" || e == "toml");
    path.is_file() && !code && NAMES.iter().any(|begin| name.starts_with(begin))
}

fn render(notices: &[Notice]) -> String {
    let mut out = "netpath is under MIT or Apache-2.0. This is what else is in the program, and under what.\n\n"
        .to_owned();
    let mut texts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Notice { whose, license, texts: own } in notices {
        let without = if own.is_empty() { " (the crate has no file with its text)" } else { "" };
        let _ = writeln!(out, "{whose}: {license}{without}");
        for text in own {
            texts.entry(text).or_default().push(whose);
        }
    }
    for (name, license, whose) in BESIDE {
        let _ = writeln!(out, "{name}: {license}; {whose}");
    }
    // In the order of the list above.
    let mut texts: Vec<(&str, Vec<&str>)> = texts.into_iter().collect();
    texts.sort_by(|a, b| a.1.cmp(&b.1).then(a.0.cmp(b.0)));
    for (text, whose) in texts {
        let line = "-".repeat(80);
        let _ = write!(out, "\n{line}\n{}\n{line}\n\n{text}\n", whose.join(", "));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(whose: &str, texts: &[&str]) -> Notice {
        let texts = texts.iter().map(|&text| text.to_owned()).collect();
        Notice { whose: whose.to_owned(), license: "MIT".to_owned(), texts }
    }

    #[test]
    fn each_text_stands_once_with_all_whose_it_is() {
        let out = render(&[
            notice("a 1.0", &["one", "both"]),
            notice("b 2.0", &["both"]),
            notice("c 3.0", &[]),
        ]);
        assert_eq!(out.matches("\nboth\n").count(), 1);
        assert!(out.contains("\na 1.0, b 2.0\n") && out.contains("\na 1.0\n"), "{out}");
        assert!(out.contains("c 3.0: MIT (the crate has no file with its text)\n"), "{out}");
        assert!(BESIDE.iter().all(|(name, ..)| out.contains(name)));
    }

    #[test]
    fn texts_are_found_also_of_code_within_a_crate() {
        let dir = tempfile::tempdir().unwrap();
        for name in
            ["LICENSE-MIT", "license.rs", "README", "c/COPYING", "c/zstd.c", "c/deep/LICENSE"]
        {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "text").unwrap();
        }
        let found = files(dir.path()).unwrap();
        let names: Vec<_> = found.iter().map(|p| p.strip_prefix(dir.path()).unwrap()).collect();
        assert_eq!(names, [Path::new("LICENSE-MIT"), Path::new("c/COPYING")]);
    }
}
