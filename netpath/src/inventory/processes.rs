//! The processes of this machine: in which network namespace each is, and to what it belongs.
//!
//! In: `/proc`, read once. Out: a [`Seen`] per process that could be read.

use std::{collections::BTreeMap, fs};

use super::{
    cgroup::{self, Belongs, Id},
    runtimes::Task,
};
use crate::netns;

/// A process.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) pid: u32,
    /// Inode of its network namespace.
    pub(super) netns: u64,
    pub(super) belongs: Belongs,
}

/// All processes but this one, by their numbers. `tasks` are first processes of containers whose cgroups may not
/// say so.
pub(super) fn all(tasks: &[Task]) -> Vec<Seen> {
    let tasks: BTreeMap<u32, &Task> = tasks.iter().map(|task| (task.pid, task)).collect();
    let own = std::process::id();
    let mut all: Vec<Seen> = netns::pids()
        .filter(|pid| *pid != own)
        .filter_map(|pid| {
            let netns = netns::inode_of(pid)?;
            let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
            let mut belongs = cgroup::parse(&text);
            if belongs.container.is_none() {
                belongs.container = tasks.get(&pid).and_then(|task| started_as(task, &text));
            }
            Some(Seen { pid, netns, belongs })
        })
        .collect();
    all.sort_by_key(|seen| seen.pid);
    all
}

/// The container that a process is the first of: its number may be another process' by now, or mean another one
/// here, and the cgroup tells.
fn started_as(task: &Task, cgroup: &str) -> Option<Id> {
    let last = cgroup.lines().find_map(|line| line.splitn(3, ':').nth(2)?.rsplit('/').next());
    (last == Some(&task.id)).then(|| Id { runtime: "containerd", id: task.id.clone() })
}

/// When a process was started, in ticks since the machine was; the largest number where it is gone.
pub(super) fn started(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    started_in(&stat).unwrap_or(u64::MAX)
}

/// From a `/proc/PID/stat`; the name in it can hold anything.
fn started_in(stat: &str) -> Option<u64> {
    const AFTER_NAME: usize = 19;
    stat.rsplit_once(')')?.1.split_whitespace().nth(AFTER_NAME)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_found_behind_any_name() {
        let stat = "812 (a) b (c) S 1 812 812 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 1000 50 x";
        assert_eq!(started_in(stat), Some(4711));
        assert_eq!(started_in("812 (a"), None);
        assert_eq!(started_in(""), None);
        assert!(started(1) <= started(std::process::id()));
    }

    #[test]
    fn only_the_process_that_was_meant_is_a_containers_first() {
        let task = Task { id: "web".to_owned(), pid: 812 };
        assert!(started_as(&task, "0::/default/web").is_some());
        assert!(started_as(&task, "0::/default/web2").is_none());
        assert!(started_as(&task, "").is_none());
    }

    #[test]
    fn others_are_seen_and_this_one_is_not() {
        let all = all(&[]);
        assert!(all.iter().all(|seen| seen.pid != std::process::id() && seen.netns > 0));
        assert!(all.is_sorted_by_key(|seen| seen.pid));
    }
}
