//! The initramfs of a guest: programs, modules, and what is of this run alone.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::{
    Image, Put,
    archive::{self, Archive},
    root::Root,
};

/// The first process.
const INIT: &str = include_str!("init.sh");

/// Writes the initramfs of one run.
pub(super) fn write(
    image: &Image,
    command: &[String],
    files: &[Put],
    to: &Path,
) -> anyhow::Result<()> {
    let own = to.with_extension("own");
    pack(&image.root, &image.netpath, command, files, &own)?;
    let mut out = File::create(to).with_context(|| format!("cannot write {}", to.display()))?;
    for part in image.parts.iter().chain([&own]) {
        let mut part =
            File::open(part).with_context(|| format!("cannot read {}", part.display()))?;
        io::copy(&mut part, &mut out)?;
    }
    fs::remove_file(own)?;
    Ok(())
}

fn pack(
    root: &Root,
    netpath: &Path,
    command: &[String],
    files: &[Put],
    to: &Path,
) -> anyhow::Result<()> {
    let mut archive = Archive::create(to)?;
    archive.file(Path::new("/init"), 0o755, INIT.as_bytes())?;
    archive.file(Path::new("/command"), 0o644, script(command).as_bytes())?;
    archive.put(netpath, Path::new("/usr/bin/netpath"))?;
    let mut programs = BTreeSet::new();
    for file in files {
        archive.put(&file.host, &file.guest)?;
        let meta = fs::metadata(&file.host)?;
        if meta.is_file() && meta.permissions().mode() & 0o111 != 0 {
            programs.insert(file.host.clone());
        }
    }
    for library in root.libraries(&programs)? {
        archive.put(&root.here(&library), &library)?;
    }
    archive.finish()
}

/// A shell's script that becomes the command.
fn script(command: &[String]) -> String {
    let words: Vec<String> =
        command.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect();
    format!("exec {}\n", words.join(" "))
}

/// `HOST[:GUEST]`: a relative place in the guest is one in root's home, where the command runs.
pub(super) fn put(text: &str) -> Result<Put, String> {
    let (host, guest) = text.split_once(':').unwrap_or((text, ""));
    let host = PathBuf::from(host);
    let guest = match (guest, host.file_name()) {
        ("", Some(name)) => Path::new(name),
        ("", None) => return Err("it has no name to go by in the guest".to_owned()),
        (guest, _) => Path::new(guest),
    };
    if !host.exists() {
        return Err(format!("{} is not there", host.display()));
    }
    let guest = Path::new("/root").join(guest);
    if archive::place(&guest).as_os_str().is_empty() {
        return Err("it would take the root's place".to_owned());
    }
    Ok(Put { host, guest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_command_as_they_are() {
        let words = ["sh", "-c", "echo 'a b' $HOME; exit 3"].map(str::to_owned);
        assert_eq!(script(&words), "exec 'sh' '-c' 'echo '\\''a b'\\'' $HOME; exit 3'\n");
    }

    #[test]
    fn files_go_home_or_where_they_are_told() {
        let guest = |text| put(text).map(|p| p.guest);
        assert_eq!(guest("/etc/passwd"), Ok(PathBuf::from("/root/passwd")));
        assert_eq!(guest("/etc/passwd:x/y"), Ok(PathBuf::from("/root/x/y")));
        assert_eq!(guest("/etc/passwd:/opt/z"), Ok(PathBuf::from("/opt/z")));
        assert!(guest("/etc/passwd:/").is_err());
        assert!(guest("/no/such/file").is_err());
        assert!(guest("/").is_err());
    }
}
