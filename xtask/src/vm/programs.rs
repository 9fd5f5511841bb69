//! What a guest has beside netpath: this machine's own programs, with the libraries they need.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

use super::archive::{Archive, LINKED};
use crate::{
    setup,
    shell::{output, which},
};

/// A program of the guest.
struct Program {
    /// Its name in the guest.
    name: &'static str,
    /// Its name here.
    host: &'static str,
    /// Debian's package of it; `None` where a guest can do without.
    package: Option<&'static str>,
}

const fn program(name: &'static str, package: &'static str) -> Program {
    Program { name, host: name, package: Some(package) }
}

const PROGRAMS: &[Program] = &[
    program("busybox", "busybox-static"),
    // Programs that run others: busybox's would take its own `ip` and `ping` for them.
    Program { name: "sh", host: "dash", package: Some("dash") },
    program("env", "coreutils"),
    program("nice", "coreutils"),
    program("nohup", "coreutils"),
    program("timeout", "coreutils"),
    program("find", "findutils"),
    program("xargs", "findutils"),
    program("nsenter", "util-linux"),
    program("setpriv", "util-linux"),
    program("setsid", "util-linux"),
    program("taskset", "util-linux"),
    program("unshare", "util-linux"),
    program("modprobe", "kmod"),
    program("ip", "iproute2"),
    program("tc", "iproute2"),
    program("bridge", "iproute2"),
    program("ss", "iproute2"),
    program("ping", "iputils-ping"),
    program("nft", "nftables"),
    // Debian's choice, also where this machine's is another.
    Program { name: "iptables", host: "iptables-nft", package: Some("iptables") },
    Program { name: "ip6tables", host: "ip6tables-nft", package: Some("iptables") },
    program("iptables-nft", "iptables"),
    program("ip6tables-nft", "iptables"),
    program("iptables-legacy", "iptables"),
    program("ip6tables-legacy", "iptables"),
    Program { name: "conntrack", host: "conntrack", package: None },
    Program { name: "ethtool", host: "ethtool", package: None },
    Program { name: "iperf3", host: "iperf3", package: None },
];

/// Programs that make and run guests.
const BUILDERS: &[(&str, &str)] =
    &[("qemu-system-x86_64", "qemu-system-x86"), ("depmod", "kmod"), ("xz", "xz-utils")];

/// What the programs read; not every release has each.
const DATA: &[&str] = &[
    "/etc/ethertypes",
    "/etc/iproute2",
    "/etc/protocols",
    "/etc/services",
    "/usr/lib/tc",
    "/usr/lib/x86_64-linux-gnu/xtables",
    "/usr/lib/xtables",
    "/usr/share/iproute2",
    "/usr/share/tc",
];

/// Finds or installs all that is needed.
pub(super) fn setup() -> anyhow::Result<()> {
    let own = PROGRAMS.iter().filter_map(|p| Some((p.host, p.package?)));
    setup::require(own.chain(BUILDERS.iter().copied()))
}

/// Writes the programs into an archive, unless it holds these very files already.
pub(super) fn pack(archive: &Path) -> anyhow::Result<()> {
    let mut found: Vec<(&str, PathBuf)> = Vec::new();
    for program in PROGRAMS {
        match (which(program.host), program.package) {
            (Some(path), _) => found.push((program.name, path.canonicalize()?)),
            (None, None) => {}
            (None, Some(package)) => bail!("{} is not installed (package {package})", program.host),
        }
    }
    let data: Vec<&Path> = DATA.iter().map(Path::new).filter(|path| path.exists()).collect();
    let key = key(found.iter().map(|(_, path)| path.as_path()).chain(data.iter().copied()))?;
    let stamp = archive.with_extension("key");
    if archive.is_file() && fs::read_to_string(&stamp).is_ok_and(|old| old == key) {
        return Ok(());
    }
    let mut files: BTreeSet<PathBuf> = found.iter().map(|(_, path)| path.clone()).collect();
    files.extend(libraries(&files)?);
    let mut to = Archive::create(archive)?;
    for dir in LINKED {
        to.dir(&Path::new("/usr").join(dir))?;
        to.raw_link(Path::new(dir), &Path::new("usr").join(dir))?;
    }
    for dir in ["dev", "etc", "out", "proc", "root", "run", "sys", "tmp", "var/lib", "var/tmp"] {
        to.dir(Path::new(dir))?;
    }
    to.link(Path::new("/var/run"), Path::new("/run"))?;
    to.link(Path::new("/etc/mtab"), Path::new("/proc/self/mounts"))?;
    to.file(Path::new("/etc/passwd"), 0o644, b"root:x:0:0:root:/root:/bin/sh\n")?;
    to.file(Path::new("/etc/group"), 0o644, b"root:x:0:\n")?;
    to.file(Path::new("/etc/hosts"), 0o644, b"127.0.0.1 localhost\n::1 localhost\n")?;
    for file in &files {
        to.put(file, file)?;
    }
    for (name, path) in &found {
        let own = Path::new("/usr/bin").join(name);
        if own != *path {
            to.link(&own, path)?;
        }
    }
    // Where the kernel looks for it.
    to.link(Path::new("/sbin/modprobe"), Path::new("/usr/bin/modprobe"))?;
    for path in data {
        to.put(path, path)?;
    }
    to.finish()?;
    fs::write(stamp, key)?;
    Ok(())
}

/// Changes when one of the files does.
fn key<'a>(files: impl Iterator<Item = &'a Path>) -> anyhow::Result<String> {
    let mut key = String::new();
    for file in files {
        let meta = fs::metadata(file)?;
        writeln!(key, "{} {} {}", file.display(), meta.size(), meta.mtime())?;
    }
    Ok(key)
}

/// The shared libraries of programs; none for static ones.
pub(super) fn libraries(programs: &BTreeSet<PathBuf>) -> anyhow::Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for program in programs {
        // ldd fails for static ones.
        let Some(text) = output(Command::new("ldd").arg(program)) else { continue };
        found.extend(loaded(&text).with_context(|| program.display().to_string())?);
    }
    Ok(found)
}

/// Reads ldd's `NAME => PATH (ADDRESS)` and `PATH (ADDRESS)`.
pub(super) fn loaded(text: &str) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for line in text.lines() {
        let (name, path) = line.trim().split_once(" => ").unwrap_or(("", line.trim()));
        if path.starts_with("not found") {
            bail!("library {name} is not here");
        }
        if let Some(path) = path.split_whitespace().next().filter(|p| p.starts_with('/')) {
            found.push(PathBuf::from(path));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for (i, a) in PROGRAMS.iter().enumerate() {
            assert!(PROGRAMS[i + 1..].iter().all(|b| a.name != b.name), "{}", a.name);
        }
    }

    #[test]
    fn libraries_are_read_from_ldd() {
        let found = loaded(
            "\tlinux-vdso.so.1 (0x00007ffd)\n\
             \tlibmnl.so.0 => /lib/x86_64-linux-gnu/libmnl.so.0 (0x00007f68)\n\
             \t/lib64/ld-linux-x86-64.so.2 (0x00007f68)\n",
        );
        let expected = ["/lib/x86_64-linux-gnu/libmnl.so.0", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(found.unwrap(), expected.map(PathBuf::from));
        assert_eq!(loaded("\tstatically linked\n").unwrap(), Vec::<PathBuf>::new());
        assert!(loaded("\tlibx.so => not found\n").is_err());
    }
}
