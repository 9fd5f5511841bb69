//! Receive packet steering of the calling thread's namespace: which CPUs each device's packets may
//! be handed to.
//!
//! sysfs shows the namespace that it was mounted in, so the thread, which is one of its own, gets a
//! private mount of it.

use std::{collections::BTreeMap, fs};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

/// Masks of devices that have one other than 0, as `rps_cpus` shows them.
pub(super) fn read() -> BTreeMap<String, String> {
    if own_sysfs().is_err() {
        return BTreeMap::new();
    }
    let mut masks = BTreeMap::new();
    for device in fs::read_dir("/sys/class/net").into_iter().flatten().flatten() {
        let Ok(mask) = fs::read_to_string(device.path().join("queues/rx-0/rps_cpus")) else {
            continue;
        };
        if mask.chars().any(|c| c.is_ascii_hexdigit() && c != '0') {
            masks.insert(device.file_name().to_string_lossy().into_owned(), mask.trim().to_owned());
        }
    }
    masks
}

fn own_sysfs() -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::MS_RDONLY, None::<&str>)
}
