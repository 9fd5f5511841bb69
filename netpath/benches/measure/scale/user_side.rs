//! What user space pays for a packet, and what it remembers, against hops, flows and paths: CPU time
//! of one thread over events made by hand, so that a busy machine matters little and a run can be
//! had again.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use netpath::{ledger::Ledger, pipeline::Pipeline};
use serde::Serialize;

use super::synthetic::{Shape, Stream};
use crate::figures::{CpuClock, Figure};

/// Packets of a run: several of each flow.
const PACKETS: u64 = 400_000;
/// Packets between two polls.
const POLL: u64 = 500;
const ROUNDS: usize = 3;

/// What is varied, and the shapes.
const SERIES: &[(&str, &[Shape])] = &[
    (
        "hops",
        &[shape(0, 100, 1), shape(1, 100, 1), shape(2, 100, 1), shape(3, 100, 1), shape(5, 100, 1)],
    ),
    (
        "flows",
        &[
            shape(1, 1, 1),
            shape(1, 100, 1),
            shape(1, 10_000, 1),
            shape(1, 50_000, 1),
            shape(1, 100_000, 1),
        ],
    ),
    ("paths", &[shape(1, 1000, 1), shape(1, 1000, 10), shape(1, 1000, 100), shape(1, 1000, 1000)]),
];

const fn shape(routers: u32, flows: u32, paths: u32) -> Shape {
    Shape { routers, flows, paths }
}

/// A thing that is varied.
#[derive(Debug, Serialize)]
pub(crate) struct Series {
    pub(crate) against: &'static str,
    pub(crate) rows: Vec<Row>,
}

/// A shape.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// Rows of a path's ledger.
    pub(crate) hops: usize,
    pub(crate) flows: usize,
    pub(crate) paths: usize,
    pub(crate) events_per_packet: f64,
    pub(crate) ns_per_packet: Figure,
    /// Of the heap, what pipeline and ledger hold at the end, bytes.
    pub(crate) heap_bytes: usize,
}

/// All series, or the one that is asked for; a shape takes some seconds.
pub(super) fn run(only: Option<&str>) -> anyhow::Result<Vec<Series>> {
    let wanted = SERIES.iter().filter(|(against, _)| only.is_none_or(|only| only == *against));
    let series = wanted.map(|(against, shapes)| {
        let rows = shapes.iter().enumerate().map(|(n, shape)| {
            eprintln!("bench: user side, {against}: shape {} of {}", n + 1, shapes.len());
            row(*shape)
        });
        Ok(Series { against, rows: rows.collect::<anyhow::Result<_>>()? })
    });
    series.collect()
}

fn row(shape: Shape) -> anyhow::Result<Row> {
    let mut figures = Vec::new();
    let mut last = None;
    for _ in 0..ROUNDS {
        let before = heap_bytes();
        let (ns, pipeline, ledger) = once(shape)?;
        figures.push(ns / PACKETS as f64);
        last = Some((heap_bytes().saturating_sub(before), pipeline, ledger));
    }
    let (heap_bytes, pipeline, ledger) = last.context("no rounds")?;
    Ok(Row {
        hops: ledger.paths().iter().map(|path| path.rows.len()).max().unwrap_or(0),
        flows: ledger.flows.len(),
        paths: ledger.paths().len(),
        events_per_packet: pipeline.events as f64 / PACKETS as f64,
        ns_per_packet: Figure::of(&figures),
        heap_bytes,
    })
}

/// CPU time that one run's packets took, ns, and what they left.
fn once(shape: Shape) -> anyhow::Result<(f64, Pipeline, Ledger)> {
    let session = shape.session();
    let mut stream = Stream::new(shape);
    let mut pipeline = Pipeline::of(&session);
    let mut ledger = Ledger::of(&session);
    let mut took = Duration::ZERO;
    for _ in 0..PACKETS / POLL {
        let (chunks, watermark_ns) = stream.chunks(POLL);
        let since = CpuClock::start()?;
        for chunk in &chunks {
            pipeline.chunk(chunk);
        }
        pipeline.advance(watermark_ns, &mut ledger);
        took += since.elapsed()?;
    }
    let since = CpuClock::start()?;
    pipeline.finish(&mut ledger);
    took += since.elapsed()?;
    let complete = ledger.coverage.complete;
    ensure!(complete == PACKETS, "of {PACKETS} packets {complete} were booked: {shape:?}");
    Ok((took.as_nanos() as f64, pipeline, ledger))
}

/// Bytes of the heap that are in use, as the allocator counts them.
fn heap_bytes() -> usize {
    // SAFETY: it only reads the allocator's counts, under its locks.
    let info = unsafe { nix::libc::mallinfo2() };
    info.uordblks + info.hblkhd
}
