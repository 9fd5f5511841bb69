//! CPU time of a load, and on which CPUs it runs.
//!
//! Packets of this machine's own are handled in the softirqs that their sender's and receiver's
//! system calls end with, or in ksoftirqd: their time is that of this process and of those threads.

use std::{fs, io, time::Duration};

use nix::{
    sched::{CpuSet, sched_setaffinity},
    sys::{
        resource::{UsageWho, getrusage},
        time::TimeValLike as _,
    },
    unistd::Pid,
};

/// CPU time used until a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct CpuTime(Duration);

impl CpuTime {
    pub(super) fn now() -> Self {
        let own = getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| {
            usage.user_time().num_microseconds() + usage.system_time().num_microseconds()
        });
        let own = Duration::from_micros(u64::try_from(own).unwrap_or(0));
        Self(own + ksoftirqd())
    }

    pub(super) fn until_now(self) -> Duration {
        Self::now().0.saturating_sub(self.0)
    }
}

/// What the softirq threads have used; nothing where they can't be seen.
fn ksoftirqd() -> Duration {
    /// The first processes of a kernel are its own threads.
    const FIRST: u32 = 1024;
    let ns = (2..FIRST)
        .map(|pid| format!("/proc/{pid}"))
        .filter(|dir| {
            fs::read_to_string(format!("{dir}/comm")).is_ok_and(|c| c.starts_with("ksoftirqd/"))
        })
        .filter_map(|dir| {
            let text = fs::read_to_string(format!("{dir}/schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        })
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
