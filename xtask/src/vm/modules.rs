//! The modules that a guest can load, as a part of its initramfs.
//!
//! In: a kernel's packages, unpacked. Out: a cpio archive with the modules that are wanted, all that
//! these depend on, and the tables that modprobe reads.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

use super::archive::Archive;
use crate::shell::check;

/// Modules that a guest is given: a path's beginning, below `kernel/`.
pub(super) const WANTED: &[&str] = &[
    "net/802/",
    "net/8021q/",
    "net/bridge/",
    "net/core/",
    "net/ipv4/",
    "net/ipv6/",
    "net/llc/",
    "net/mpls/",
    "net/netfilter/",
    "net/nsh/",
    "net/openvswitch/",
    "net/packet/",
    "net/psample/",
    "net/sched/",
    "net/xdp/",
    "net/xfrm/",
    "drivers/char/virtio_console",
    "drivers/net/bonding/",
    "drivers/net/dummy",
    "drivers/net/geneve",
    "drivers/net/ifb",
    "drivers/net/ipvlan/",
    "drivers/net/macvlan",
    "drivers/net/macvtap",
    "drivers/net/netkit",
    "drivers/net/tap",
    "drivers/net/tun",
    "drivers/net/veth",
    "drivers/net/virtio_net",
    "drivers/net/vrf",
    "drivers/net/vxlan",
    "drivers/net/wireguard/",
    "drivers/vhost/",
    "drivers/virtio/virtio_pci.",
    "fs/fuse/",
    "fs/overlayfs/",
];

/// Where a tree of packages has its modules: `/lib` is `/usr/lib` from Debian 13 on.
pub(super) fn dir(tree: &Path, release: &str) -> anyhow::Result<PathBuf> {
    ["usr/lib/modules", "lib/modules"]
        .map(|dir| tree.join(dir).join(release))
        .into_iter()
        .find(|dir| dir.is_dir())
        .with_context(|| format!("{} has no modules of {release}", tree.display()))
}

/// Writes an archive of some modules, each a path's beginning, and all that they need.
pub(super) fn pack(
    tree: &Path,
    release: &str,
    wanted: &[&str],
    archive: &Path,
) -> anyhow::Result<()> {
    let all = dir(tree, release)?;
    depmod(&all, release)?;
    let table = fs::read_to_string(all.join("modules.dep"))?;
    let dependencies = parse(&table);
    let stage = tempfile::tempdir_in(tree)?;
    let own = stage.path().join("lib/modules").join(release);
    let mut compressed = Vec::new();
    for module in closure(&dependencies, wanted) {
        let to = own.join(module);
        fs::create_dir_all(to.parent().unwrap_or(&own))?;
        fs::copy(all.join(module), &to).with_context(|| format!("cannot copy {module}"))?;
        if to.extension().is_some_and(|e| e == "xz") {
            compressed.push(to);
        }
    }
    for list in ["modules.builtin", "modules.builtin.modinfo", "modules.order"] {
        // Not every kernel has each.
        let _ = fs::copy(all.join(list), own.join(list));
    }
    if !compressed.is_empty() {
        check(Command::new("xz").args(["--decompress", "--quiet", "--"]).args(compressed))?;
    }
    depmod(&own, release)?;
    let mut archive = Archive::create(archive)?;
    archive.put(&own, &Path::new("/usr/lib/modules").join(release))?;
    archive.finish()
}

/// Writes modules.dep and the other tables into `BASE/lib/modules/RELEASE`.
fn depmod(dir: &Path, release: &str) -> anyhow::Result<()> {
    let Some(base) = dir.ancestors().nth(3) else { bail!("{} is no place", dir.display()) };
    let depmod = crate::shell::which("depmod").context("depmod is not installed")?;
    check(Command::new(depmod).arg("-b").arg(base).arg(release))
}

/// Each module and what it needs, of modules.dep.
type Dependencies<'a> = BTreeMap<&'a str, Vec<&'a str>>;

/// Reads `MODULE: NEEDED NEEDED…`.
fn parse(text: &str) -> Dependencies<'_> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(module, needed)| (module, needed.split_whitespace().collect()))
        .collect()
}

/// The modules that begin with one of `wanted`, and all that they need.
fn closure<'a>(dependencies: &Dependencies<'a>, wanted: &[&str]) -> BTreeSet<&'a str> {
    let begins = |module: &str| {
        let path = module.strip_prefix("kernel/").unwrap_or(module);
        wanted.iter().any(|prefix| path.starts_with(prefix))
    };
    let mut open: Vec<&str> = dependencies.keys().copied().filter(|m| begins(m)).collect();
    let mut found = BTreeSet::new();
    while let Some(module) = open.pop() {
        if found.insert(module) {
            open.extend(dependencies.get(module).into_iter().flatten());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_module_needs_comes_with_it() {
        let dependencies = parse(
            "kernel/net/bridge/bridge.ko: kernel/net/802/stp.ko kernel/net/llc/llc.ko\n\
             kernel/net/802/stp.ko: kernel/net/llc/llc.ko\n\
             kernel/net/llc/llc.ko:\n\
             kernel/drivers/net/veth.ko:\n\
             kernel/drivers/net/vethernet/big.ko: kernel/lib/crc.ko\n\
             kernel/lib/crc.ko:\n",
        );
        let found = closure(&dependencies, &["net/bridge/"]);
        let all = ["kernel/net/802/stp.ko", "kernel/net/bridge/bridge.ko", "kernel/net/llc/llc.ko"];
        assert_eq!(found.into_iter().collect::<Vec<_>>(), all);
        let found = closure(&dependencies, &["drivers/net/veth."]);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["kernel/drivers/net/veth.ko"]);
        assert!(closure(&dependencies, &["fs/"]).is_empty());
    }
}
