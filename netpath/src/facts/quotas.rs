//! CPU quotas (CFS bandwidth control) of the processes in network namespaces: a reader that has used its quota up
//! stands still until the next period, and what was sent to it waits.
//!
//! In: network namespaces, by their inodes. Out: the quotas of their processes' cgroups and of the cgroups above
//! them, as the kernel counts them (`cpu.max` and `cpu.stat` of cgroup v2, `cpu.cfs_*` and `cpu.stat` of v1).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::netns;

/// A cgroup's quota of CPU time, and how often it was used up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CpuQuota {
    /// The cgroup's path below its hierarchy's root.
    pub cgroup: String,
    /// CPU time that its processes have together in each period, µs.
    pub quota_us: u64,
    pub period_us: u64,
    /// Periods in which that was used up, while tracing.
    pub throttled: u64,
    /// For how long processes stood still for it, all CPUs together, ns.
    pub stopped_ns: u64,
}

impl CpuQuota {
    /// What has grown since it was `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            throttled: self.throttled.saturating_sub(before.throttled),
            stopped_ns: self.stopped_ns.saturating_sub(before.stopped_ns),
            ..self.clone()
        }
    }
}

/// The quotas of the processes in these namespaces but the initial one, which are by inode, each with what it is
/// known by.
pub(crate) fn read(namespaces: &BTreeMap<u64, u32>) -> Vec<(u32, CpuQuota)> {
    let hierarchies = Hierarchies::of(&fs::read_to_string("/proc/mounts").unwrap_or_default());
    let mut cgroups: BTreeSet<(u32, PathBuf, String)> = BTreeSet::new();
    for (pid, inode) in netns::inhabitants() {
        let Some(netns) = namespaces.get(&inode) else { continue };
        let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        for (root, path) in hierarchies.with_cpu(&cgroup) {
            let above = Path::new(path).ancestors().filter_map(Path::to_str);
            cgroups.extend(above.map(|path| (*netns, root.to_owned(), path.to_owned())));
        }
    }
    cgroups
        .into_iter()
        .filter_map(|(netns, root, path)| Some((netns, quota(&root, &path)?)))
        .collect()
}

/// Where cgroups are mounted that can have quotas.
#[derive(Debug, Default)]
struct Hierarchies {
    /// The cpu controller's, of v1.
    v1: Option<PathBuf>,
    v2: Option<PathBuf>,
}

impl Hierarchies {
    /// From `/proc/mounts`.
    fn of(mounts: &str) -> Self {
        let mut found = Self::default();
        for line in mounts.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [_, at, kind, options, ..] = words[..] else { continue };
            match kind {
                "cgroup" if options.split(',').any(|option| option == "cpu") => {
                    found.v1 = Some(at.into());
                }
                "cgroup2" => found.v2 = Some(at.into()),
                _ => {}
            }
        }
        found
    }

    /// Root and path of the cgroups that a `/proc/PID/cgroup` names.
    fn with_cpu<'a>(&'a self, cgroup: &'a str) -> impl Iterator<Item = (&'a Path, &'a str)> {
        cgroup.lines().filter_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
            let root = if number == "0" {
                &self.v2
            } else if controllers.split(',').any(|name| name == "cpu") {
                &self.v1
            } else {
                &None
            };
            Some((root.as_deref()?, path))
        })
    }
}

/// The quota of one cgroup; `None` where it has none.
fn quota(root: &Path, path: &str) -> Option<CpuQuota> {
    let dir = root.join(path.trim_start_matches('/'));
    let text = |file: &str| fs::read_to_string(dir.join(file)).ok();
    let (quota_us, period_us) = match text("cpu.max") {
        Some(max) => {
            let (quota, period) = max.trim().split_once(' ')?;
            (quota.parse().ok()?, period.parse().ok()?)
        }
        None => (
            // Of none it is −1.
            text("cpu.cfs_quota_us")?.trim().parse().ok()?,
            text("cpu.cfs_period_us")?.trim().parse().ok()?,
        ),
    };
    let (throttled, stopped_ns) = stopped(&text("cpu.stat")?);
    Some(CpuQuota { cgroup: path.to_owned(), quota_us, period_us, throttled, stopped_ns })
}

/// From a `cpu.stat`: in how many periods processes stood still, and for how long, ns.
fn stopped(stat: &str) -> (u64, u64) {
    let value = |name: &str| {
        let mut lines = stat.lines().filter_map(|line| line.split_once(' '));
        lines.find(|(key, _)| *key == name).and_then(|(_, value)| value.parse::<u64>().ok())
    };
    let us = value("throttled_usec").map(|us| us.saturating_mul(1000));
    (value("nr_throttled").unwrap_or(0), us.or_else(|| value("throttled_time")).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_cgroups_are_found() {
        let both = "cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu 0 0\n\
                    cgroup /sys/fs/cgroup/cpuset cgroup rw,relatime,cpuset 0 0\n\
                    cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n";
        let found = Hierarchies::of(both);
        let of = |text: &str| {
            let all = found.with_cpu(text);
            all.map(|(root, path)| format!("{} {path}", root.display())).collect::<Vec<_>>()
        };
        assert_eq!(
            of("4:cpuset:/a\n3:cpu,cpuacct:/docker/1\n0::/init.scope\n"),
            ["/sys/fs/cgroup/cpu /docker/1", "/sys/fs/cgroup/unified /init.scope"]
        );
    }

    #[test]
    fn both_versions_count() {
        assert_eq!(stopped("nr_periods 9\nnr_throttled 4\nthrottled_time 1500\n"), (4, 1500));
        assert_eq!(stopped("usage_usec 9\nnr_throttled 4\nthrottled_usec 15\n"), (4, 15_000));
        assert_eq!(stopped("usage_usec 9\n"), (0, 0));
    }

    #[test]
    fn a_cgroup_without_a_quota_has_none() {
        let dir = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| fs::write(dir.path().join(file), text).unwrap();
        assert_eq!(quota(dir.path(), "/"), None);
        write("cpu.stat", "nr_throttled 2\nthrottled_usec 3\n");
        write("cpu.max", "max 100000\n");
        assert_eq!(quota(dir.path(), "/"), None);
        write("cpu.max", "10000 100000\n");
        let found = quota(dir.path(), "/").unwrap();
        assert_eq!((found.quota_us, found.period_us, found.stopped_ns), (10_000, 100_000, 3000));
    }
}
