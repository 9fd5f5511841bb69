//! A part of an initramfs: a cpio archive (newc). The kernel unpacks several, one after another.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{BufWriter, Write},
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::{Component, Path, PathBuf},
};

use anyhow::Context as _;
use cpio::newc::{Builder, ModeFileType, trailer};

/// An archive that is being written.
pub(super) struct Archive<W: Write> {
    to: W,
    entries: u32,
    dirs: BTreeSet<PathBuf>,
}

impl Archive<BufWriter<File>> {
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let file =
            File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self::new(BufWriter::new(file)))
    }
}

impl<W: Write> Archive<W> {
    fn new(to: W) -> Self {
        Self { to, entries: 0, dirs: BTreeSet::new() }
    }

    /// A directory, and those that it is in.
    pub(super) fn dir(&mut self, path: &Path) -> anyhow::Result<()> {
        self.have(&place(path))
    }

    pub(super) fn file(&mut self, path: &Path, mode: u32, content: &[u8]) -> anyhow::Result<()> {
        let path = place(path);
        self.parents(&path)?;
        self.entry(&path, ModeFileType::Regular, mode, content)
    }

    pub(super) fn link(&mut self, path: &Path, target: &Path) -> anyhow::Result<()> {
        let path = place(path);
        self.parents(&path)?;
        self.entry(&path, ModeFileType::Symlink, 0o777, target.as_os_str().as_bytes())
    }

    /// A link at the very place, not below `usr`.
    pub(super) fn raw_link(&mut self, path: &Path, target: &Path) -> anyhow::Result<()> {
        self.entry(path, ModeFileType::Symlink, 0o777, target.as_os_str().as_bytes())
    }

    /// A file of this machine, or a directory with all that is in it, at a place in the guest.
    pub(super) fn put(&mut self, from: &Path, path: &Path) -> anyhow::Result<()> {
        let cannot = || format!("cannot read {}", from.display());
        let meta = fs::metadata(from).with_context(cannot)?;
        if !meta.is_dir() {
            let content = fs::read(from).with_context(cannot)?;
            return self.file(path, meta.permissions().mode() & 0o7777, &content);
        }
        self.dir(path)?;
        for entry in fs::read_dir(from).with_context(cannot)? {
            let entry = entry?;
            let inside = path.join(entry.file_name());
            if entry.file_type()?.is_symlink() {
                self.link(&inside, &fs::read_link(entry.path())?)?;
            } else {
                self.put(&entry.path(), &inside)?;
            }
        }
        Ok(())
    }

    /// Writes the archive's end.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        trailer(self.to)?.flush()?;
        Ok(())
    }

    /// Makes a directory and those that it is in, unless they are there.
    fn have(&mut self, dir: &Path) -> anyhow::Result<()> {
        if dir.as_os_str().is_empty() || self.dirs.contains(dir) {
            return Ok(());
        }
        self.parents(dir)?;
        self.dirs.insert(dir.to_owned());
        self.entry(dir, ModeFileType::Directory, 0o755, &[])
    }

    fn parents(&mut self, path: &Path) -> anyhow::Result<()> {
        path.parent().map_or(Ok(()), |parent| self.have(parent))
    }

    fn entry(
        &mut self,
        path: &Path,
        kind: ModeFileType,
        mode: u32,
        content: &[u8],
    ) -> anyhow::Result<()> {
        let cannot = || format!("cannot put {} into an initramfs", path.display());
        let name = path.to_str().with_context(cannot)?;
        let size = u32::try_from(content.len()).with_context(cannot)?;
        self.entries += 1;
        let mut entry = Builder::new(name)
            .ino(self.entries)
            .mode(mode)
            .set_mode_file_type(kind)
            .write(&mut self.to, size);
        entry.write_all(content).with_context(cannot)?;
        entry.finish().with_context(cannot)?;
        Ok(())
    }
}

/// Where a path of this machine is in a guest: relative to its root, below `usr` where it has a
/// link to there.
pub(super) fn place(path: &Path) -> PathBuf {
    let mut parts: Vec<_> =
        path.components().filter(|part| matches!(part, Component::Normal(_))).collect();
    let linked = parts.first().is_some_and(|first| LINKED.iter().any(|l| first.as_os_str() == *l));
    if linked {
        parts.insert(0, Component::Normal("usr".as_ref()));
    }
    parts.into_iter().collect()
}

/// Directories of the root that are links into `usr`.
pub(super) const LINKED: &[&str] = &["bin", "sbin", "lib", "lib64"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let mut bytes = Vec::new();
        let mut archive = Archive::new(&mut bytes);
        archive.file(Path::new("/lib/a/b"), 0o750, b"content").unwrap();
        archive.file(Path::new("/usr/lib/a/c"), 0o644, b"").unwrap();
        archive.link(Path::new("/x"), Path::new("/lib/a/b")).unwrap();
        archive.dir(Path::new("/out")).unwrap();
        archive.finish().unwrap();
        let mut rest = bytes.as_slice();
        let mut found = Vec::new();
        loop {
            let reader = cpio::newc::Reader::new(rest).unwrap();
            let entry = reader.entry();
            if entry.is_trailer() {
                break;
            }
            found.push((entry.name().to_owned(), entry.mode(), entry.file_size()));
            rest = reader.finish().unwrap();
        }
        let expected = [
            ("usr", 0o040_755, 0),
            ("usr/lib", 0o040_755, 0),
            ("usr/lib/a", 0o040_755, 0),
            ("usr/lib/a/b", 0o100_750, 7),
            ("usr/lib/a/c", 0o100_644, 0),
            ("x", 0o120_777, 8),
            ("out", 0o040_755, 0),
        ];
        assert_eq!(found, expected.map(|(name, mode, size)| (name.to_owned(), mode, size)));
        // The next archive must begin at a multiple of four.
        assert_eq!(bytes.len() % 4, 0);
    }

    #[test]
    fn places_are_below_usr() {
        assert_eq!(place(Path::new("/lib/x/y")), Path::new("usr/lib/x/y"));
        assert_eq!(place(Path::new("/usr/bin/z")), Path::new("usr/bin/z"));
        assert_eq!(place(Path::new("/lib32/x")), Path::new("lib32/x"));
        assert_eq!(place(Path::new("root/./x")), Path::new("root/x"));
    }
}
