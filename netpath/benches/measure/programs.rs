//! Nanoseconds per run of each of netpath's programs, as the kernel counts them
//! (`BPF_ENABLE_STATS`), beside the same programs with nothing in them.
//!
//! The kernel's own two looks at the clock are in both, so what is above the empty program is what
//! netpath adds where a probe is attached already.

use std::{collections::BTreeMap, fs, thread, time::Duration};

use anyhow::Context as _;
use aya::{
    programs::loaded_programs,
    sys::{Stats, enable_stats},
};
use netpath::lab::{
    Lab,
    topologies::find,
    traffic::{Load, Traffic},
};
use serde::Serialize;

use crate::{
    watcher::Watcher,
    ways::{CLOCK, EMPTY, FULL, Way},
};

/// How long each is counted.
const COUNTED: Duration = Duration::from_secs(2);

/// All programs.
#[derive(Debug, Serialize)]
pub(crate) struct Programs {
    pub(crate) rows: Vec<Row>,
    /// Mean of all runs, ns.
    pub(crate) mean_ns: f64,
    pub(crate) empty_mean_ns: f64,
    pub(crate) clock_mean_ns: f64,
    /// Runs for each datagram of the flood.
    pub(crate) runs_per_packet: f64,
}

/// A program.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) program: String,
    pub(crate) runs: u64,
    pub(crate) mean_ns: f64,
    /// Mean of the same program with nothing in it.
    pub(crate) empty_ns: f64,
    /// Mean of the same program with nothing but a look at the clock in it.
    pub(crate) clock_ns: f64,
}

/// Time and runs.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    ns: u64,
    runs: u64,
}

impl Count {
    fn mean(self) -> f64 {
        if self.runs == 0 { 0.0 } else { self.ns as f64 / self.runs as f64 }
    }
}

pub(crate) fn run() -> anyhow::Result<Programs> {
    let lab = Lab::up(find("bridge-nat").context("the lab has no bridge-nat")?)?;
    let _counting = enable_stats(Stats::RunTime)?;
    let (empty, _) = counted(&EMPTY, &lab)?;
    let (clock, _) = counted(&CLOCK, &lab)?;
    let (full, packets) = counted(&FULL, &lab)?;
    let sum = |counts: &BTreeMap<String, Count>| {
        counts
            .values()
            .fold(Count::default(), |a, b| Count { ns: a.ns + b.ns, runs: a.runs + b.runs })
    };
    let rows = full
        .iter()
        .filter(|(_, count)| count.runs > 1000)
        .map(|(program, count)| Row {
            program: program.clone(),
            runs: count.runs,
            mean_ns: count.mean(),
            empty_ns: empty.get(program).copied().unwrap_or_default().mean(),
            clock_ns: clock.get(program).copied().unwrap_or_default().mean(),
        })
        .collect();
    Ok(Programs {
        rows,
        mean_ns: sum(&full).mean(),
        empty_mean_ns: sum(&empty).mean(),
        clock_mean_ns: sum(&clock).mean(),
        runs_per_packet: sum(&full).runs as f64 / packets.max(1) as f64,
    })
}

/// Runs of a way's programs, and the datagrams sent meanwhile.
fn counted(way: &Way, lab: &Lab) -> anyhow::Result<(BTreeMap<String, Count>, u64)> {
    let watcher = Watcher::start(way, lab)?;
    let mut traffic = Traffic::start(lab, Load::UdpFlood { bytes: 64, rate: None }, false)?;
    let pid = watcher.pid().context("netpath runs as a process")?;
    let (before, sent) = (read(pid)?, traffic.count());
    thread::sleep(COUNTED);
    let (after, until) = (read(pid)?, traffic.count());
    traffic.stop()?;
    watcher.stop()?;
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    for (id, (name, now)) in after {
        let then = before.get(&id).map(|(_, c)| *c).unwrap_or_default();
        let count = counts.entry(name).or_default();
        count.ns += now.ns - then.ns;
        count.runs += now.runs - then.runs;
    }
    Ok((counts, until - sent))
}

/// By id: name and count of the programs that a process holds. Others may be loaded as well.
fn read(pid: u32) -> anyhow::Result<BTreeMap<u32, (String, Count)>> {
    let names: BTreeMap<u32, String> = loaded_programs()
        .flatten()
        .map(|info| (info.id(), info.name_as_str().unwrap_or_default().to_owned()))
        .collect();
    let mut counts = BTreeMap::new();
    let dir = format!("/proc/{pid}/fdinfo");
    for entry in fs::read_dir(&dir).with_context(|| dir.clone())? {
        // One that has been closed since.
        let Ok(text) = fs::read_to_string(entry?.path()) else { continue };
        let field = |key: &str| -> Option<u64> {
            text.lines().find_map(|line| line.strip_prefix(key))?.trim().parse().ok()
        };
        let (Some(id), Some(ns), Some(runs)) =
            (field("prog_id:"), field("run_time_ns:"), field("run_cnt:"))
        else {
            continue;
        };
        let id = u32::try_from(id)?;
        let name = names.get(&id).cloned().unwrap_or_default();
        counts.insert(id, (name, Count { ns, runs }));
    }
    Ok(counts)
}
