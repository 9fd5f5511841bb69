//! How fast user space takes events in: a recording made on the spot, taken through more and more of
//! the stages, by one thread, in its CPU time.

use std::{path::Path, process::Command};

use anyhow::{Context as _, ensure};
use netpath::{
    decode::Batch,
    lab::{
        Lab,
        topologies::find,
        traffic::{Load, Sizes, Traffic},
    },
    ledger::Ledger,
    pipeline::Pipeline,
    recording::Reader,
};
use serde::Serialize;

use crate::{
    figures::{CpuClock, Figure},
    ways::netpath,
};

/// How long is recorded, and how often the result is taken in.
const RECORDED: &str = "2s";
const ROUNDS: usize = 9;

/// Millions of events per second, by how far they are taken.
#[derive(Debug, Serialize)]
pub(crate) struct Replay {
    pub(crate) events: u64,
    pub(crate) packets: u64,
    pub(crate) decode: Figure,
    pub(crate) to_flights: Figure,
    pub(crate) to_ledger: Figure,
}

/// A recording in memory: as polls brought it.
type Polls = Vec<(u64, Vec<Vec<u8>>)>;

pub(crate) fn run() -> anyhow::Result<Replay> {
    let file = std::env::temp_dir().join(format!("netpath-bench-{}.npz", std::process::id()));
    let read = record(&file).and_then(|()| read(&file));
    let _ = std::fs::remove_file(&file);
    let (session, polls) = read?;
    let mut packets = 0;
    let mut events = 0;
    let (mut decode, mut flights, mut ledgers) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let since = CpuClock::start()?;
        let mut batch = Batch::default();
        let mut decoded = 0;
        for chunk in polls.iter().flat_map(|(_, chunks)| chunks) {
            batch.chunk(chunk)?;
            decoded += batch.events.len();
            batch.clear();
        }
        decode.push(decoded as f64 / since.elapsed()?.as_secs_f64() / 1e6);

        let since = CpuClock::start()?;
        let mut pipeline = Pipeline::of(&session);
        let mut ended = 0_u64;
        for (watermark_ns, chunks) in &polls {
            for chunk in chunks {
                pipeline.chunk(chunk);
            }
            pipeline.advance_with(*watermark_ns, |_| ended += 1);
        }
        pipeline.finish_with(|_| ended += 1);
        flights.push(pipeline.events as f64 / since.elapsed()?.as_secs_f64() / 1e6);

        let since = CpuClock::start()?;
        let mut pipeline = Pipeline::of(&session);
        let mut ledger = Ledger::new(session.topology.clone(), session.hooks.clone());
        for (watermark_ns, chunks) in &polls {
            for chunk in chunks {
                pipeline.chunk(chunk);
            }
            pipeline.advance(*watermark_ns, &mut ledger);
        }
        pipeline.finish(&mut ledger);
        ledgers.push(pipeline.events as f64 / since.elapsed()?.as_secs_f64() / 1e6);
        ensure!(ended >= ledger.coverage.seen, "{ended} flights ended, fewer than were booked");
        (packets, events) = (ledger.coverage.seen, pipeline.events);
    }
    Ok(Replay {
        events,
        packets,
        decode: Figure::of(&decode),
        to_flights: Figure::of(&flights),
        to_ledger: Figure::of(&ledgers),
    })
}

/// Records request and reply traffic over TCP and UDP.
fn record(file: &Path) -> anyhow::Result<()> {
    let lab = Lab::up(find("bridge-nat").context("the lab has no bridge-nat")?)?;
    let loads = [Load::TcpRequests(Sizes::default()), Load::UdpRequests(Sizes::default())];
    let mut traffic = Vec::new();
    for load in loads {
        traffic.push(Traffic::start(&lab, load, false)?);
    }
    let focus = lab.topology().focus;
    let output = Command::new(netpath())
        .args(["record", "--iface", focus.1, "--for", RECORDED])
        .args(["--netns", &lab.full_name(focus.0), "--output"])
        .arg(file)
        .output()?;
    ensure!(output.status.success(), "netpath record: {}", String::from_utf8_lossy(&output.stderr));
    for load in &mut traffic {
        load.stop()?;
    }
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<(netpath::session::Session, Polls)> {
    let mut reader = Reader::open(file)?;
    let session = reader.session.clone();
    let mut polls = Polls::new();
    while let Some(step) = reader.step() {
        polls.push((step.watermark_ns, step.chunks().map(<[u8]>::to_vec).collect()));
    }
    Ok((session, polls))
}
