//! What traffic through veth, bridge and MASQUERADE keeps of its speed under each way to watch it.
//!
//! All ways take turns within one run, each between two runs with nothing attached; a figure is the
//! ratio to the mean of these two. So what the machine does besides meets all alike.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::ValueEnum;
use netpath::lab::{
    Lab,
    topologies::find,
    traffic::{Load, Sizes, Traffic},
};
use serde::Serialize;

use crate::{
    Args,
    figures::Figure,
    watcher::Watcher,
    ways::{Tool, WAYS, Way},
};

/// A load by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LoadArg {
    UdpFlood,
    TcpRequests,
    TcpBulk,
}

impl LoadArg {
    const ALL: [Self; 3] = [Self::UdpFlood, Self::TcpRequests, Self::TcpBulk];

    fn load(self) -> Load {
        match self {
            Self::UdpFlood => Load::UdpFlood { bytes: 64, rate: None },
            Self::TcpRequests => Load::TcpRequests(Sizes::default()),
            Self::TcpBulk => Load::TcpBulk,
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::UdpFlood => "UDP flood, 64 B: datagrams sent per second",
            Self::TcpRequests => "TCP request and reply, 100 B and 200 B: round trips per second",
            Self::TcpBulk => "TCP bulk: bytes per second",
        }
    }
}

/// A load under all ways.
#[derive(Debug, Serialize)]
pub(crate) struct LoadFigures {
    pub(crate) load: &'static str,
    pub(crate) ways: Vec<WayFigures>,
}

/// A load under one way.
#[derive(Debug, Serialize)]
pub(crate) struct WayFigures {
    pub(crate) way: &'static str,
    pub(crate) what: &'static str,
    pub(crate) version: Option<String>,
    /// Datagrams, round trips or bytes per second.
    pub(crate) per_second: Figure,
    /// Of what the load has with nothing attached.
    pub(crate) kept: Figure,
    /// The same, of what reached the receiver.
    pub(crate) delivered: Figure,
    /// CPU time of the tool's process per second.
    pub(crate) tool_cpus: Figure,
    /// Events that it said it had lost, all runs together.
    pub(crate) lost_events: u64,
    /// Why it did not run, where it didn't.
    pub(crate) failed: Option<String>,
}

/// A single run.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    per_second: f64,
    received: f64,
    cpus: f64,
    lost: u64,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Vec<LoadFigures>> {
    let topology = find("bridge-nat").context("the lab has no bridge-nat")?;
    let lab = Lab::up(topology)?;
    let wanted = |way: &&Way| {
        args.ways.is_empty()
            || matches!(way.tool, Tool::Nothing)
            || args.ways.iter().any(|w| way.key == w)
    };
    let ways: Vec<&Way> = WAYS.iter().filter(wanted).collect();
    LoadArg::ALL
        .into_iter()
        .filter(|l| args.loads.is_empty() || args.loads.contains(l))
        .map(|load| one_load(args, &lab, load, &ways))
        .collect()
}

fn one_load(args: &Args, lab: &Lab, load: LoadArg, ways: &[&Way]) -> anyhow::Result<LoadFigures> {
    eprintln!("bench: {}", load.what());
    let length = Duration::from_millis(args.run_ms);
    let mut traffic = Traffic::start(lab, load.load(), false)?;
    // Connections and caches are warm from here on.
    measure(&traffic, load, length, &Watcher::Nothing);
    let (untraced, others) = ways.split_first().context("no ways")?;
    let mut runs: Vec<Vec<(Run, Run)>> = vec![Vec::new(); others.len()];
    let mut failed: Vec<Option<String>> = vec![None; others.len()];
    let mut bare: Vec<Run> = Vec::new();
    for round in 0..args.rounds {
        for at in 0..others.len() {
            // Another one is first each round.
            let at = (at + round) % others.len();
            let before = measure(&traffic, load, length, &Watcher::Nothing);
            match under(others[at], lab, &traffic, load, length) {
                Ok(run) => {
                    let after = measure(&traffic, load, length, &Watcher::Nothing);
                    let plain = Run {
                        per_second: f64::midpoint(before.per_second, after.per_second),
                        received: f64::midpoint(before.received, after.received),
                        ..Run::default()
                    };
                    bare.extend([before, after]);
                    runs[at].push((run, plain));
                }
                Err(error) => failed[at] = Some(format!("{error:#}")),
            }
        }
        eprintln!("bench: round {} of {}", round + 1, args.rounds);
    }
    traffic.stop()?;
    let bare: Vec<(Run, Run)> = bare.into_iter().map(|run| (run, run)).collect();
    let mut figures = vec![figures(untraced, &bare, None)];
    for ((way, runs), failed) in others.iter().zip(&runs).zip(failed) {
        figures.push(self::figures(way, runs, failed));
    }
    Ok(LoadFigures { load: load.what(), ways: figures })
}

fn under(
    way: &Way,
    lab: &Lab,
    traffic: &Traffic,
    load: LoadArg,
    length: Duration,
) -> anyhow::Result<Run> {
    let watcher = Watcher::start(way, lab)?;
    let mut run = measure(traffic, load, length, &watcher);
    run.lost = watcher.stop()?.lost;
    Ok(run)
}

/// Counts what the load gets done in this time.
fn measure(traffic: &Traffic, load: LoadArg, length: Duration, watcher: &Watcher) -> Run {
    let (since, count, received, cpu) =
        (Instant::now(), traffic.count(), traffic.received(), watcher.cpu());
    thread::sleep(length);
    let seconds = since.elapsed().as_secs_f64();
    let received = (traffic.received() - received) as f64 / seconds;
    let counted = (traffic.count() - count) as f64 / seconds;
    Run {
        // A write of a bulk load may be large or small.
        per_second: if load == LoadArg::TcpBulk { received } else { counted },
        received,
        cpus: (watcher.cpu().saturating_sub(cpu)).as_secs_f64() / seconds,
        lost: 0,
    }
}

fn figures(way: &Way, runs: &[(Run, Run)], failed: Option<String>) -> WayFigures {
    let of = |f: &dyn Fn(&(Run, Run)) -> f64| Figure::of(&runs.iter().map(f).collect::<Vec<_>>());
    WayFigures {
        way: way.key,
        what: way.what,
        version: way.version(),
        per_second: of(&|(run, _)| run.per_second),
        kept: of(&|(run, base)| run.per_second / base.per_second),
        delivered: of(&|(run, base)| run.received / base.received),
        tool_cpus: of(&|(run, _)| run.cpus),
        lost_events: runs.iter().map(|(run, _)| run.lost).sum(),
        failed,
    }
}
