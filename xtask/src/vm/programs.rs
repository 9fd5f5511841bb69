//! What a guest has beside netpath: this machine's own programs, or those of the guest's architecture,
//! with the libraries they need.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

use super::{
    archive::{Archive, LINKED, place},
    root::Root,
};
use crate::{arch::Arch, setup, shell::output};

/// A program of the guest.
struct Program {
    /// Its name in the guest.
    name: &'static str,
    /// Its name here.
    host: &'static str,
    /// Debian's package of it.
    package: &'static str,
    /// Whether a guest can do without.
    optional: bool,
}

const fn program(name: &'static str, package: &'static str) -> Program {
    Program { name, host: name, package, optional: false }
}

const fn optional(name: &'static str, package: &'static str) -> Program {
    Program { optional: true, ..program(name, package) }
}

const PROGRAMS: &[Program] = &[
    program("busybox", "busybox-static"),
    // Programs that run others: busybox's would take its own `ip` and `ping` for them.
    Program { host: "dash", ..program("sh", "dash") },
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
    Program { host: "iptables-nft", ..program("iptables", "iptables") },
    Program { host: "ip6tables-nft", ..program("ip6tables", "iptables") },
    program("iptables-nft", "iptables"),
    program("ip6tables-nft", "iptables"),
    program("iptables-legacy", "iptables"),
    program("ip6tables-legacy", "iptables"),
    program("iptables-nft-save", "iptables"),
    program("ip6tables-nft-save", "iptables"),
    program("iptables-legacy-save", "iptables"),
    program("ip6tables-legacy-save", "iptables"),
    optional("conntrack", "conntrack"),
    optional("ethtool", "ethtool"),
    optional("iperf3", "iperf3"),
];

/// Programs that make guests.
const BUILDERS: &[(&str, &str)] = &[("depmod", "kmod"), ("xz", "xz-utils")];

/// What the programs read, `TRIPLET` standing for the architecture; not every release has each.
const DATA: &[&str] = &[
    "/etc/ethertypes",
    "/etc/iproute2",
    "/etc/protocols",
    "/etc/services",
    "/usr/lib/tc",
    "/usr/lib/TRIPLET/xtables",
    "/usr/lib/xtables",
    "/usr/share/iproute2",
    "/usr/share/tc",
];

/// Finds or installs all that is needed to make and run an architecture's guests, and returns where
/// their programs are.
pub(super) fn setup(arch: &'static Arch) -> anyhow::Result<Root> {
    let emulator = (arch.emulator.program, arch.emulator.package);
    setup::require(BUILDERS.iter().copied().chain([emulator]))?;
    if arch.is_own() {
        let wanted = PROGRAMS.iter().filter(|program| !program.optional);
        setup::require(wanted.map(|program| (program.host, program.package)))?;
        return Ok(Root::Own);
    }
    let packages: BTreeSet<&str> = PROGRAMS.iter().map(|program| program.package).collect();
    Root::tree(arch, &packages.into_iter().collect::<Vec<_>>())
}

/// Writes the programs into an archive, unless it holds these very files already.
pub(super) fn pack(root: &Root, arch: &Arch, archive: &Path) -> anyhow::Result<()> {
    let mut found: Vec<(&str, PathBuf)> = Vec::new();
    for Program { name, host, package, optional } in PROGRAMS {
        match root.which(host)? {
            Some(path) => found.push((*name, path)),
            None if *optional => {}
            None => bail!("{host} is not installed (package {package})"),
        }
    }
    let data = DATA.iter().map(|path| PathBuf::from(path.replace("TRIPLET", &arch.triplet())));
    let data: Vec<PathBuf> = data.filter(|path| root.here(path).exists()).collect();
    let here = |path: &PathBuf| root.here(path);
    let key = key(found.iter().map(|(_, path)| path).chain(&data).map(here))?;
    let stamp = archive.with_extension("key");
    if archive.is_file() && fs::read_to_string(&stamp).is_ok_and(|old| old == key) {
        return Ok(());
    }
    let mut files: BTreeSet<PathBuf> = found.iter().map(|(_, path)| path.clone()).collect();
    files.extend(root.libraries(&files.iter().map(here).collect())?);
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
    for file in files.iter().chain(&data) {
        to.put(&root.here(file), file)?;
    }
    for (name, path) in &found {
        let own = Path::new("/usr/bin").join(name);
        if place(&own) != place(path) {
            to.link(&own, path)?;
        }
    }
    // Where the kernel looks for it.
    to.link(Path::new("/sbin/modprobe"), Path::new("/usr/bin/modprobe"))?;
    to.finish()?;
    fs::write(stamp, key)?;
    Ok(())
}

/// Changes when one of the files does.
fn key(files: impl Iterator<Item = PathBuf>) -> anyhow::Result<String> {
    let mut key = String::new();
    for file in files {
        let meta = fs::metadata(&file)?;
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
