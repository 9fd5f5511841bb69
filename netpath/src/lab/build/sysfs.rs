//! Writing to the sysfs of a network namespace: what is mounted at /sys shows another one's.

use std::{fs, io};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

use super::super::LabError;
use crate::netns::Netns;

/// Writes `value` to a path below /sys, as processes in `netns` see it.
pub(super) fn write(host: &str, netns: &Netns, path: &str, value: &str) -> Result<(), LabError> {
    netns
        // On a thread of its own, whose mounts nobody else sees.
        .run(|| -> io::Result<()> {
            unshare(CloneFlags::CLONE_NEWNS)?;
            let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
            mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
            mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), None::<&str>)?;
            fs::write(format!("/sys/{path}"), value)
        })?
        .map_err(|e| LabError::system(format!("write {value} to /sys/{path} in {host}"), e))
}
