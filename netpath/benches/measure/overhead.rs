//! What traffic through veth, bridge and MASQUERADE keeps of its speed under each way to watch it.
//!
//! All ways take turns within one run, each between two runs with nothing attached; a figure is the
//! ratio to the mean of these two. So what the machine does besides meets all alike.
//!
//! What a tool lost is what it says itself. Some lose in silence: of those that print a line for
//! each event, the lines are counted, and held against what they print of as many datagrams that
//! come one by one ([`leisure`]).

mod leisure;

use std::{
    collections::BTreeMap,
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
    ways::{Needs, Tool, WAYS, Way},
};

/// How long a load goes on before it is measured.
const WARM_UP: Duration = Duration::from_millis(200);

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

    /// As the head of a column.
    fn name(self) -> &'static str {
        match self {
            Self::UdpFlood => "UDP flood, 64 B",
            Self::TcpRequests => "TCP request and reply",
            Self::TcpBulk => "TCP bulk",
        }
    }

    /// What is counted: bytes, or nothing that has a unit.
    fn unit(self) -> &'static str {
        if self == Self::TcpBulk { "B" } else { "" }
    }

    fn what(self) -> &'static str {
        match self {
            Self::UdpFlood => "UDP flood, 64 B: datagrams sent per second",
            Self::TcpRequests => "TCP request and reply, 100 B and 200 B: round trips per second",
            Self::TcpBulk => "TCP bulk: bytes per second",
        }
    }
}

/// All loads.
#[derive(Debug, Serialize)]
pub(crate) struct Overhead {
    pub(crate) loads: Vec<LoadFigures>,
    /// How many hops netpath sees here, by what serves them.
    pub(crate) backends: BTreeMap<String, usize>,
    /// Programs that are not installed, whose ways are left out.
    pub(crate) missing: Vec<&'static str>,
}

/// A load under all ways.
#[derive(Debug, Serialize)]
pub(crate) struct LoadFigures {
    pub(crate) load: &'static str,
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
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
    /// Events that it said it had lost, all runs together; `None` where it does not say.
    pub(crate) lost_events: Option<u64>,
    /// Of the lines that it would print if it lost nothing, those that it printed.
    pub(crate) printed: Option<Figure>,
    /// Why it did not run, where it didn't.
    pub(crate) failed: Option<String>,
}

/// A single run.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    per_second: f64,
    received: f64,
    cpus: f64,
    /// Lines printed for each datagram, round trip or byte.
    lines: f64,
    lost: Option<u64>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Overhead> {
    let topology = find("bridge-nat").context("the lab has no bridge-nat")?;
    let lab = Lab::up(topology)?;
    let backends = leisure::backends(&lab)?;
    let functions = backends.keys().any(|by| by.contains("fentry") || by.contains("kprobe"));
    let wanted = |way: &&Way| {
        (args.ways.is_empty() && (way.needs == Needs::Nothing || functions))
            || matches!(way.tool, Tool::Nothing)
            || args.ways.iter().any(|w| way.key == w)
    };
    let (ways, missing): (Vec<&Way>, Vec<&Way>) =
        WAYS.iter().filter(wanted).partition(|way| way.installed());
    let mut missing: Vec<_> = missing.iter().filter_map(|way| way.program()).collect();
    missing.dedup();
    let loads = LoadArg::ALL
        .into_iter()
        .filter(|l| args.loads.is_empty() || args.loads.contains(l))
        .map(|load| one_load(args, &lab, load, &ways))
        .collect::<anyhow::Result<_>>()?;
    Ok(Overhead { loads, backends, missing })
}

fn one_load(args: &Args, lab: &Lab, load: LoadArg, ways: &[&Way]) -> anyhow::Result<LoadFigures> {
    eprintln!("bench: {}", load.what());
    let length = Duration::from_millis(args.run_ms);
    let (untraced, others) = ways.split_first().context("no ways")?;
    // Only datagrams can be sent one by one and stay what they are.
    let alone = |way: &&Way| match load {
        LoadArg::UdpFlood if way.prints_events() => leisure::lines(way, lab).map(Some),
        _ => Ok(None),
    };
    let alone: Vec<Result<Option<f64>, _>> = others.iter().map(alone).collect();
    // Caches and conntrack's tables are warm from here on.
    measure(lab, load, length, &Watcher::Nothing)?;
    let mut runs: Vec<Vec<(Run, Run)>> = vec![Vec::new(); others.len()];
    let mut failed: Vec<Option<String>> = vec![None; others.len()];
    let mut bare: Vec<Run> = Vec::new();
    for round in 0..args.rounds {
        for at in 0..others.len() {
            // Another one is first each round.
            let at = (at + round) % others.len();
            eprintln!("bench: round {} of {}: {}", round + 1, args.rounds, others[at].what);
            let before = measure(lab, load, length, &Watcher::Nothing)?;
            match under(others[at], lab, load, length) {
                Ok(run) => {
                    let after = measure(lab, load, length, &Watcher::Nothing)?;
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
    }
    let bare: Vec<(Run, Run)> = bare.into_iter().map(|run| (run, run)).collect();
    let mut figures = vec![figures(args, untraced, &bare, None)];
    for (((way, runs), failed), alone) in others.iter().zip(&runs).zip(failed).zip(alone) {
        let mut of_way = self::figures(args, way, runs, failed);
        match alone {
            Ok(Some(alone)) => {
                let shares: Vec<f64> = runs.iter().map(|(run, _)| run.lines / alone).collect();
                of_way.printed = Some(Figure::of(&shares));
            }
            Ok(None) => {}
            Err(error) => eprintln!("bench: {}, datagrams one by one: {error:#}", way.what),
        }
        figures.push(of_way);
    }
    Ok(LoadFigures { load: load.what(), name: load.name(), unit: load.unit(), ways: figures })
}

/// The traffic begins when the tool is attached, and ends before the tool does: tools take long to
/// come and to go while a flood has the CPUs, most of all on an emulated machine.
fn under(way: &Way, lab: &Lab, load: LoadArg, length: Duration) -> anyhow::Result<Run> {
    let watcher = Watcher::start(way, lab)?;
    let run = measure(lab, load, length, &watcher);
    let said = watcher.stop()?;
    Ok(Run { lost: said.lost, ..run? })
}

/// Counts what the load gets done in this time.
fn measure(lab: &Lab, load: LoadArg, length: Duration, watcher: &Watcher) -> anyhow::Result<Run> {
    let mut traffic = Traffic::start(lab, load.load(), false)?;
    thread::sleep(WARM_UP);
    let (since, count, received, cpu, lines) =
        (Instant::now(), traffic.count(), traffic.received_bytes(), watcher.cpu(), watcher.lines());
    thread::sleep(length);
    let seconds = since.elapsed().as_secs_f64();
    let lines = (watcher.lines() - lines) as f64 / seconds;
    let received = (traffic.received_bytes() - received) as f64 / seconds;
    let counted = (traffic.count() - count) as f64 / seconds;
    let cpus = watcher.cpu().saturating_sub(cpu).as_secs_f64() / seconds;
    traffic.stop()?;
    // A write of a bulk load may be large or small.
    let per_second = if load == LoadArg::TcpBulk { received } else { counted };
    Ok(Run { per_second, received, cpus, lines: lines / per_second, lost: None })
}

fn figures(args: &Args, way: &Way, runs: &[(Run, Run)], failed: Option<String>) -> WayFigures {
    let of = |f: &dyn Fn(&(Run, Run)) -> f64| Figure::of(&runs.iter().map(f).collect::<Vec<_>>());
    WayFigures {
        way: way.key,
        what: way.what,
        version: way.version(&args.version_of),
        per_second: of(&|(run, _)| run.per_second),
        kept: of(&|(run, base)| run.per_second / base.per_second),
        delivered: of(&|(run, base)| run.received / base.received),
        tool_cpus: of(&|(run, _)| run.cpus),
        lost_events: runs.iter().map(|(run, _)| run.lost).sum(),
        printed: None,
        failed,
    }
}
