//! Where a guest's programs come from: this machine, or, where the guest is of another architecture,
//! Debian's packages for it, unpacked. Nothing of these is run here.
//!
//! In: names of programs and of their packages. Out: paths as they are in the guest, where each of
//! these files lies on this machine, and the libraries that programs need.

use std::{
    collections::BTreeSet,
    fs,
    path::{Component, Path, PathBuf},
    process::Command,
};

use anyhow::bail;

use super::{apt, programs};
use crate::{
    arch::Arch,
    setup,
    shell::{output, target, which},
};

/// A system's files.
#[derive(Clone, Debug)]
pub(crate) enum Root {
    /// This machine's.
    Own,
    /// Those of packages, unpacked.
    Tree { dir: PathBuf, arch: &'static Arch },
}

/// Below a tree's directory: the files, and the packages that they are of.
const FILES: &str = "tree";
const PACKAGES: &str = "packages";

/// Where programs are.
const BIN: &[&str] = &["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// How many links lead from one to another at most.
const LINKS_MAX: usize = 8;

impl Root {
    /// The files of an architecture's packages; fetched, unless they are there.
    pub(super) fn tree(arch: &'static Arch, packages: &[&str]) -> anyhow::Result<Self> {
        setup::require([("readelf", "binutils")].into_iter())?;
        let cache = target().join("vm/cache");
        let own = cache.join(format!("programs-{}", arch.debian));
        let key = packages.join("\n");
        if fs::read_to_string(own.join(PACKAGES)).ok().as_ref() != Some(&key) {
            fs::create_dir_all(&cache)?;
            let new = tempfile::Builder::new().prefix("new-").tempdir_in(&cache)?;
            let state = target().join("vm/apt").join(format!("programs-{}", arch.debian));
            apt::fetch_programs(packages, apt::DEBIAN_12, arch, &state, &new.path().join(FILES))?;
            fs::write(new.path().join(PACKAGES), key)?;
            let _ = fs::remove_dir_all(&own);
            fs::rename(new.keep(), &own)?;
        }
        Ok(Self::Tree { dir: own.join(FILES), arch })
    }

    /// Where a file of this root lies on this machine.
    pub(super) fn here(&self, path: &Path) -> PathBuf {
        match self {
            Self::Own => path.to_owned(),
            Self::Tree { dir, .. } => dir.join(path.strip_prefix("/").unwrap_or(path)),
        }
    }

    /// A program; what its name is a link to.
    pub(super) fn which(&self, program: &str) -> anyhow::Result<Option<PathBuf>> {
        match self {
            Self::Own => which(program).map(|path| Ok(path.canonicalize()?)).transpose(),
            Self::Tree { .. } => {
                let places = BIN.iter().map(|dir| Path::new(dir).join(program));
                Ok(places.map(|path| self.follow(path)).find(|path| self.here(path).is_file()))
            }
        }
    }

    /// Follows links within the root.
    fn follow(&self, mut path: PathBuf) -> PathBuf {
        for _ in 0..LINKS_MAX {
            let Ok(to) = fs::read_link(self.here(&path)) else { break };
            // An absolute one takes the place of what it is joined to.
            path = plain(&path.parent().unwrap_or(Path::new("/")).join(to));
        }
        path
    }

    /// The shared libraries of programs, which may be anywhere on this machine; none for static
    /// ones.
    pub(super) fn libraries(
        &self,
        programs: &BTreeSet<PathBuf>,
    ) -> anyhow::Result<BTreeSet<PathBuf>> {
        let Self::Tree { arch, .. } = self else { return programs::libraries(programs) };
        let triplet = arch.triplet();
        let dirs = [
            format!("/lib/{triplet}"),
            format!("/usr/lib/{triplet}"),
            "/lib".to_owned(),
            "/usr/lib".to_owned(),
        ];
        let mut found = BTreeSet::new();
        let mut open: Vec<PathBuf> = programs.iter().cloned().collect();
        while let Some(file) = open.pop() {
            let mut ask = Command::new("readelf");
            // It fails for scripts.
            let Some(text) = output(ask.env("LC_ALL", "C").arg("--dynamic").arg(&file)) else {
                continue;
            };
            for name in needed(&text) {
                let mut places = dirs.iter().map(|dir| Path::new(dir).join(name));
                let Some(library) = places.find(|path| self.here(path).is_file()) else {
                    bail!(
                        "library {name} of {} is in no package that was fetched for {}",
                        file.display(),
                        arch.debian
                    );
                };
                if found.insert(library.clone()) {
                    open.push(self.here(&library));
                }
            }
        }
        if !found.is_empty() {
            let loader = self.follow(PathBuf::from(arch.loader));
            if !self.here(&loader).is_file() {
                bail!("{} is in no package that was fetched for {}", arch.loader, arch.debian);
            }
            found.insert(PathBuf::from(arch.loader));
        }
        Ok(found)
    }
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

/// Reads readelf's `0x0000000000000001 (NEEDED)  Shared library: [NAME]`.
fn needed(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| line.contains("(NEEDED)"))
        .filter_map(|line| line.split_once('[')?.1.strip_suffix(']'))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::arch::ARM64;

    #[test]
    fn libraries_are_read_from_readelf() {
        let text = "\nDynamic section at offset 0xfd38 contains 29 entries:\n  Tag        Type\n \
                    0x0000000000000001 (NEEDED)             Shared library: [libmnl.so.0]\n \
                    0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]\n \
                    0x000000000000001e (FLAGS)              BIND_NOW\n";
        assert_eq!(needed(text).collect::<Vec<_>>(), ["libmnl.so.0", "libc.so.6"]);
    }

    #[test]
    fn links_stay_within_the_tree() -> anyhow::Result<()> {
        let tree = tempfile::tempdir()?;
        let file = |path: &str| tree.path().join(path);
        for dir in ["sbin", "bin", "usr/sbin"] {
            fs::create_dir_all(file(dir))?;
        }
        fs::write(file("bin/kmod"), "")?;
        symlink("/bin/kmod", file("sbin/modprobe"))?;
        symlink("../../bin/kmod", file("usr/sbin/lsmod"))?;
        symlink("/etc/passwd", file("sbin/away"))?;
        let root = Root::Tree { dir: tree.path().to_owned(), arch: &ARM64 };
        let kmod = Some(PathBuf::from("/bin/kmod"));
        assert_eq!(root.which("modprobe")?, kmod);
        assert_eq!(root.which("lsmod")?, kmod);
        assert_eq!(root.which("away")?, None);
        Ok(())
    }
}
