//! netpath as users run it, on traffic in the lab: cost and memory against hops, flows and packets a
//! second, and memory over time.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use netpath::{
    lab::{
        Lab,
        topologies::{Step, Topology, find},
    },
    snapshot::Snapshot,
};
use serde::Serialize;

use super::sender::Sender;
use crate::{Args, figures::Figure, watcher::Watcher, ways::FULL};

/// Datagrams per second where something else is varied.
const RATE: u64 = 40_000;
/// Concurrent flows of a step.
const FLOWS: &[usize] = &[1, 100, 10_000, 100_000];
/// Datagrams per second of a step; at last as many as there can be.
const RATES: &[Option<u64>] =
    &[Some(5_000), Some(10_000), Some(20_000), Some(40_000), Some(80_000), None];
/// From few hops to many: topologies, and how many chains stand in each of three hooks besides.
const HOPS: &[(&str, u32)] =
    &[("wire", 0), ("bridge", 0), ("bridge-nat", 0), ("bridge-nat", 4), ("bridge-nat", 8)];
/// What a step takes beside its own length, about: topology, attaching, ending.
const BESIDE: Duration = Duration::from_secs(4);
/// When a trace of one packet is given up.
const ONE_PACKET: &str = "30s";
/// Looks at memory in a soak, about.
const LOOKS: u32 = 15;
/// The shortest time between two.
const LOOK: Duration = Duration::from_secs(2);

/// A step.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// Rows of the ledger that most packets of the busiest path meet.
    pub(crate) hops: usize,
    pub(crate) flows: usize,
    pub(crate) packets: u64,
    pub(crate) packets_per_second: f64,
    /// CPU time of netpath's process per packet, ns.
    pub(crate) user_ns_per_packet: f64,
    /// What a packet pays for its events, as netpath reckons it, ns.
    pub(crate) kernel_ns_per_packet: f64,
    pub(crate) peak_bytes: u64,
    pub(crate) lost: u64,
}

/// Memory over time.
#[derive(Debug, Serialize)]
pub(crate) struct Soak {
    pub(crate) row: Row,
    pub(crate) samples: Vec<Sample>,
}

/// netpath's resident memory at a time.
#[derive(Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) seconds: f64,
    pub(crate) resident_bytes: u64,
    /// Packets sent by then.
    pub(crate) packets: u64,
}

/// A lab's traffic.
struct Traffic<'a> {
    lab: &'a Lab,
    flows: usize,
    rate: Option<u64>,
}

pub(super) fn hops(length: Duration) -> anyhow::Result<Vec<Row>> {
    say_begin("hops", HOPS.len(), length);
    let rows = HOPS.iter().map(|&(name, chains)| {
        eprintln!("bench: hops of {name}, {chains} chains more in each hook");
        let more: &'static [Step] = Vec::leak(chains_of(topology(name)?, chains));
        let lab = Lab::up_with(topology(name)?, &[more])?;
        Ok(step(&Traffic { lab: &lab, flows: 1, rate: Some(RATE) }, length, None)?.row)
    });
    rows.collect()
}

pub(super) fn flows(lab: &Lab, length: Duration) -> anyhow::Result<Vec<Row>> {
    say_begin("flows", FLOWS.len(), length);
    let rows = FLOWS.iter().map(|&flows| {
        eprintln!("bench: {flows} flows");
        Ok(step(&Traffic { lab, flows, rate: Some(RATE) }, length, None)?.row)
    });
    rows.collect()
}

pub(super) fn rates(lab: &Lab, length: Duration) -> anyhow::Result<Vec<Row>> {
    say_begin("packets a second", RATES.len(), length);
    let rows = RATES.iter().map(|&rate| {
        let said = rate.map_or_else(|| "as many as there can be".to_owned(), |r| r.to_string());
        eprintln!("bench: packets a second: {said}");
        Ok(step(&Traffic { lab, flows: 100, rate }, length, None)?.row)
    });
    rows.collect()
}

/// Memory over time, with the most flows.
pub(super) fn soak(lab: &Lab, args: &Args) -> anyhow::Result<Soak> {
    let length: Duration = args.soak.into();
    eprintln!("bench: against time: {length:?} at {} packets a second", args.soak_rate);
    let flows = FLOWS.last().copied().unwrap_or(1);
    let look = (length / LOOKS).max(LOOK);
    step(&Traffic { lab, flows, rate: Some(args.soak_rate) }, length, Some(look))
}

/// How long `netpath trace --count 1` takes while packets pass, ms, median of a few.
pub(super) fn start_ms(lab: &Lab) -> anyhow::Result<f64> {
    let sender = Sender::start(lab, 1, Some(RATE))?;
    let mut times = Vec::new();
    for _ in 0..5 {
        let mut command = FULL.command(lab).context("it is netpath's")?;
        command.args(["--count", "1", "--for", ONE_PACKET]).stdout(std::process::Stdio::null());
        command.stderr(std::process::Stdio::null());
        let since = Instant::now();
        let status = command.status()?;
        anyhow::ensure!(status.success(), "{command:?} failed: {status}");
        times.push(since.elapsed().as_secs_f64() * 1e3);
    }
    sender.stop()?;
    Ok(Figure::of(&times).median)
}

/// Says how long so many steps take.
fn say_begin(against: &str, steps: usize, length: Duration) {
    let all = (length + BESIDE) * u32::try_from(steps).unwrap_or(u32::MAX);
    eprintln!("bench: against {against}: {steps} steps of {length:?}, about {all:?}");
}

fn step(traffic: &Traffic<'_>, length: Duration, look: Option<Duration>) -> anyhow::Result<Soak> {
    let sender = Sender::start(traffic.lab, traffic.flows, traffic.rate)?;
    let watcher = Watcher::start(&FULL, traffic.lab)?;
    let (cpu, sent, since) = (watcher.cpu(), sender.sent(), Instant::now());
    let mut samples = Vec::new();
    while let Some(left) = length.checked_sub(since.elapsed()) {
        thread::sleep(left.min(look.unwrap_or(length)));
        if look.is_some() {
            let resident = watcher.resident() >> 10;
            eprintln!("bench: {:.0?} of {length:?}, {resident} KiB resident", since.elapsed());
        }
        samples.push(Sample {
            seconds: since.elapsed().as_secs_f64(),
            resident_bytes: watcher.resident(),
            packets: sender.sent() - sent,
        });
    }
    let (packets, seconds) = (sender.sent() - sent, since.elapsed().as_secs_f64());
    let cpu = watcher.cpu().saturating_sub(cpu);
    let peak_bytes = watcher.peak_memory();
    let snapshot = watcher.stop()?.snapshot.context("netpath has written no report")?;
    sender.stop()?;
    let row = Row {
        hops: hops_met(&snapshot),
        flows: traffic.flows,
        packets,
        packets_per_second: packets as f64 / seconds,
        user_ns_per_packet: cpu.as_nanos() as f64 / packets.max(1) as f64,
        kernel_ns_per_packet: kernel_ns(&snapshot),
        peak_bytes,
        lost: snapshot.lost_events,
    };
    Ok(Soak { row, samples })
}

/// Rows that most packets of the busiest path meet.
fn hops_met(snapshot: &Snapshot) -> usize {
    let busiest = snapshot.paths.iter().max_by_key(|path| path.packets);
    busiest.map_or(0, |path| path.hops.iter().filter(|h| 2 * h.count > path.packets).count())
}

fn kernel_ns(snapshot: &Snapshot) -> f64 {
    let spent = snapshot.own_cost.kernel_cpus * snapshot.duration_ns as f64;
    spent / snapshot.packets.seen.max(1) as f64
}

fn topology(name: &str) -> anyhow::Result<&'static Topology> {
    find(name).with_context(|| format!("the lab has no {name}"))
}

/// Base chains in the hooks that a forwarded packet passes, each at a priority of its own.
fn chains_of(topology: &Topology, chains: u32) -> Vec<Step> {
    const HOOKS: [&str; 3] = ["prerouting", "forward", "postrouting"];
    if chains == 0 {
        return Vec::new();
    }
    let mut script = "add table ip bench\n".to_owned();
    for hook in HOOKS {
        for n in 1..=chains {
            // Priorities between those that the kernel's own functions have.
            let priority = 200 + n;
            script += &format!(
                "add chain ip bench {hook}{n} {{ type filter hook {hook} priority {priority}; }}\n"
            );
        }
    }
    let words: &'static [&'static str] = Vec::leak(vec!["nft", String::leak(script)]);
    vec![Step::Command(topology.focus.0, words)]
}
