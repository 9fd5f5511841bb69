//! Finds each CPU's backlog and ksoftirqd, so that the programs can say who takes packets up.
//!
//! Where a backlog is, `softnet_data`, is a per-CPU symbol that many kernels don't tell. Its `napi_struct`
//! lies in it, and comes by in `napi_poll`: for as long as that takes, a program waits there while a
//! datagram is sent on each CPU.

use aya::{
    maps::Array,
    programs::{RawTracePoint, raw_trace_point::RawTracePointLinkId},
    util::online_cpus,
};
use netpath_common::softirq::Softirqs;

use super::{
    KernelError,
    calibrate::Bench,
    object::{Object, SoftirqsPod},
};
use crate::netns;

const PROGRAM: &str = "find_backlog";
const TRACEPOINT: &str = "napi_poll";

/// Lets the programs know the backlogs and the ksoftirqd of the CPUs that are online. Where that can't be
/// had, an error says so, and nobody is said to have taken a packet up.
pub(super) fn find(object: &mut Object, bench: &Bench) -> Result<(), KernelError> {
    if !object.layout.has_backlog() {
        return Err(KernelError::Object("BTF has no struct softnet_data".to_owned()));
    }
    let daemons = ksoftirqds();
    {
        let mut map: Array<_, SoftirqsPod> = object.map_mut("SOFTIRQS")?;
        for (cpu, ksoftirqd) in &daemons {
            let known = Softirqs { ksoftirqd: *ksoftirqd, ..Softirqs::default() };
            map.set(*cpu, SoftirqsPod(known), 0)
                .map_err(|e| KernelError::Object(format!("SOFTIRQS: {e}")))?;
        }
    }
    let link = attach(object.runnable(PROGRAM)?)?;
    let toured = bench.on_each_cpu();
    let detached = object.runnable(PROGRAM)?.detach(link);
    toured.map_err(|e| KernelError::system("send a datagram on each CPU", e))?;
    detached.map_err(|e| KernelError::Object(format!("{PROGRAM}: {e}")))?;
    let map: Array<_, SoftirqsPod> = object.map_mut("SOFTIRQS")?;
    let found = |cpu: &u32| map.get(cpu, 0).is_ok_and(|known| known.0.softnet != 0);
    match daemons.iter().filter(|(cpu, _)| found(cpu)).count() {
        0 => Err(KernelError::Object(format!("{TRACEPOINT} has shown no CPU's backlog"))),
        _ => Ok(()),
    }
}

fn attach(program: &mut RawTracePoint) -> Result<RawTracePointLinkId, KernelError> {
    program.attach(TRACEPOINT).map_err(|e| KernelError::Object(format!("{TRACEPOINT}: {e}")))
}

/// CPUs, and the process id of each one's ksoftirqd. They are among the first that a machine starts.
fn ksoftirqds() -> Vec<(u32, u32)> {
    let mut pids: Vec<u32> = netns::pids().collect();
    pids.sort_unstable();
    let cpus = online_cpus().map_or(0, |cpus| cpus.len());
    let daemon =
        |pid: u32| Some((netns::comm(pid)?.strip_prefix("ksoftirqd/")?.parse().ok()?, pid));
    pids.into_iter().filter_map(daemon).take(cpus).collect()
}
