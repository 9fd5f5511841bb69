//! CPU time of a load, and on which CPUs it runs.
//!
//! Packets of this machine's own are handled in the softirqs that their sender's and receiver's
//! system calls end with, or in ksoftirqd: their time is that of this process and of those threads.
//! Where daemons of the lab's forward them, it is theirs as well.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    sched::{CpuSet, sched_setaffinity},
    sys::{
        resource::{UsageWho, getrusage},
        time::TimeValLike as _,
    },
    unistd::Pid,
};

/// CPU time used until a moment, and by whom.
#[derive(Clone, Debug)]
pub(super) struct CpuTime {
    used: Duration,
    /// The PID namespaces of daemons, by inode.
    daemons: Vec<u64>,
}

impl CpuTime {
    pub(super) fn now(daemons: Vec<u64>) -> Self {
        let own = getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| {
            usage.user_time().num_microseconds() + usage.system_time().num_microseconds()
        });
        let own = Duration::from_micros(u64::try_from(own).unwrap_or(0));
        let used = own + ksoftirqd() + inhabitants(&daemons);
        Self { used, daemons }
    }

    /// The same, now.
    pub(super) fn again(&self) -> Self {
        Self::now(self.daemons.clone())
    }

    pub(super) fn until_now(&self) -> Duration {
        self.again().used.saturating_sub(self.used)
    }
}

/// What the processes in these PID namespaces have used.
fn inhabitants(pid_namespaces: &[u64]) -> Duration {
    if pid_namespaces.is_empty() {
        return Duration::ZERO;
    }
    let inside = |process: &PathBuf| {
        fs::metadata(process.join("ns/pid")).is_ok_and(|m| pid_namespaces.contains(&m.ino()))
    };
    let processes = entries(Path::new("/proc")).filter(inside);
    let threads = processes.flat_map(|process| entries(&process.join("task")).collect::<Vec<_>>());
    Duration::from_nanos(threads.filter_map(|thread| on_cpu_ns(&thread)).sum())
}

fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// What a thread has used; its directory in /proc is given.
fn on_cpu_ns(thread: &Path) -> Option<u64> {
    let text = fs::read_to_string(thread.join("schedstat")).ok()?;
    text.split_whitespace().next()?.parse().ok()
}

/// What the softirq threads have used; nothing where they can't be seen.
fn ksoftirqd() -> Duration {
    /// The first processes of a kernel are its own threads.
    const FIRST: u32 = 1024;
    let ns = (2..FIRST)
        .map(|pid| PathBuf::from(format!("/proc/{pid}")))
        .filter(|dir| {
            fs::read_to_string(dir.join("comm")).is_ok_and(|c| c.starts_with("ksoftirqd/"))
        })
        .filter_map(|dir| on_cpu_ns(&dir))
        .sum();
    Duration::from_nanos(ns)
}

/// Keeps the calling thread on a CPU.
pub(super) fn pin(cpu: Option<usize>) -> io::Result<()> {
    let Some(cpu) = cpu else { return Ok(()) };
    let mut set = CpuSet::new();
    set.set(cpu)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}
