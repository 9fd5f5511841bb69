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
    Guest, Image, Put,
    archive::{self, Archive},
    root::Root,
};

/// The first process.
const INIT: &str = include_str!("init.sh");

/// Writes the initramfs of one run.
pub(super) fn write(image: &Image, guest: &Guest, to: &Path) -> anyhow::Result<()> {
    let own = to.with_extension("own");
    pack(&image.root, &image.netpath, guest, &own)?;
    let mut out = File::create(to).with_context(|| format!("cannot write {}", to.display()))?;
    for part in image.parts.iter().chain([&own]) {
        let mut part =
            File::open(part).with_context(|| format!("cannot read {}", part.display()))?;
        io::copy(&mut part, &mut out)?;
    }
    fs::remove_file(own)?;
    Ok(())
}

fn pack(root: &Root, netpath: &Path, guest: &Guest, to: &Path) -> anyhow::Result<()> {
    let mut archive = Archive::create(to)?;
    archive.file(Path::new("/init"), 0o755, INIT.as_bytes())?;
    archive.file(Path::new("/command"), 0o644, script(guest).as_bytes())?;
    archive.put(netpath, Path::new("/usr/bin/netpath"))?;
    let mut programs = BTreeSet::new();
    for file in &guest.files {
        archive.put(&file.host, &file.guest)?;
        let meta = fs::metadata(&file.host)?;
        let library = file.host.extension().is_some_and(|end| end == "so");
        if meta.is_file() && (library || meta.permissions().mode() & 0o111 != 0) {
            programs.insert(file.host.clone());
        }
    }
    for library in root.libraries(&programs)? {
        archive.put(&root.here(&library), &library)?;
    }
    archive.finish()
}

/// A shell's script that becomes the command. Where something is to be brought out of the guest, a command
/// that takes too long is ended while there is time left for that. It is a session of its own then: of a process group
/// below PID 1, which `timeout` makes, whoever in it is stopped while another ends has the whole of it hung up on
/// (`kill_orphaned_pgrp`).
fn script(guest: &Guest) -> String {
    let words: Vec<String> =
        guest.command.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect();
    let limit = guest.timeout.as_secs() * 9 / 10;
    let within = guest
        .out
        .as_ref()
        .map_or(String::new(), |_| format!("setsid --wait timeout --kill-after=5 {limit} "));
    format!("exec {within}{}\n", words.join(" "))
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
    use std::time::Duration;

    use super::*;

    #[test]
    fn words_reach_the_command_as_they_are() {
        let command = ["sh", "-c", "echo 'a b' $HOME; exit 3"].map(str::to_owned).to_vec();
        let guest = Guest { command, ..Guest::default() };
        assert_eq!(script(&guest), "exec 'sh' '-c' 'echo '\\''a b'\\'' $HOME; exit 3'\n");
    }

    #[test]
    fn what_was_left_comes_out_although_the_command_never_ends() {
        let guest = Guest {
            command: vec!["yes".to_owned()],
            timeout: Duration::from_secs(100),
            out: Some("there".into()),
            ..Guest::default()
        };
        assert_eq!(script(&guest), "exec setsid --wait timeout --kill-after=5 90 'yes'\n");
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
