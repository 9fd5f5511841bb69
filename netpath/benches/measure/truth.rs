//! netpath's figures beside what others measure of the same traffic, and how far apart they may be.
//!
//! In: the lab. Out: [`Check`]s, each with netpath's figure, the other one, their ratio run by run,
//! and the bar that the ratio's median has to keep within.
//!
//! - [`round_trips`]: against the client's own clock, traced and untraced;
//! - [`ends`]: what of a round trip no probe sees;
//! - [`shaped`]: the wait in a token bucket, against bpftrace;
//! - [`connections`]: who opened how many, against the client's count;
//! - [`rules`]: what a rule costs, against the sender's clock;
//! - [`bpftrace`]: the other tracer.

mod bpftrace;
mod connections;
mod ends;
mod round_trips;
mod rules;
mod shaped;

use std::{ops::RangeInclusive, thread, time::Duration};

use anyhow::Context as _;
use netpath::{
    lab::{
        Lab,
        traffic::{How, Load, Measured, Traffic},
    },
    snapshot::{HopReport, Snapshot},
};
use serde::Serialize;

use crate::{Args, figures::Figure, watcher::Watcher, ways::FULL};

/// Something that was measured twice.
#[derive(Debug, Serialize)]
pub(crate) struct Check {
    pub(crate) key: String,
    pub(crate) what: String,
    /// Who else measured it.
    pub(crate) by: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) netpath: Figure,
    pub(crate) other: Figure,
    /// netpath's by the other's, run by run.
    pub(crate) ratio: Figure,
    /// None where the figure is there to be known.
    pub(crate) bar: Option<(f64, f64)>,
    pub(crate) passed: bool,
    /// What else one should know.
    pub(crate) note: Option<String>,
}

impl Check {
    /// Of runs: netpath's figure and the other's in each.
    fn new(
        key: impl Into<String>,
        what: impl Into<String>,
        (by, unit): (&'static str, &'static str),
        runs: &[(f64, f64)],
        bar: RangeInclusive<f64>,
    ) -> Self {
        let of = |f: fn(&(f64, f64)) -> f64| Figure::of(&runs.iter().map(f).collect::<Vec<_>>());
        let ratio = of(|(netpath, other)| netpath / other);
        Self {
            key: key.into(),
            what: what.into(),
            by,
            unit,
            netpath: of(|run| run.0),
            other: of(|run| run.1),
            ratio,
            passed: bar.contains(&ratio.median),
            bar: Some(bar.into_inner()),
            note: None,
        }
    }

    /// For the record only.
    fn without_bar(self) -> Self {
        Self { bar: None, passed: true, ..self }
    }

    fn noting(self, note: String) -> Self {
        Self { note: Some(note), ..self }
    }
}

/// Everything.
pub(crate) fn run(args: &Args) -> anyhow::Result<Vec<Check>> {
    let mut checks = round_trips::run(args)?;
    checks.extend(shaped::run(args)?);
    checks.extend(connections::run(args)?);
    checks.extend(rules::run(args)?);
    Ok(checks)
}

/// One CPU for both ends: two would differ by what else they do.
const HERE: How = How { v6: false, cpus: Some((0, 0)), reverse: false };
/// How long a load goes on before it is measured.
const WARM_UP: Duration = Duration::from_millis(100);

/// What a load measures of itself with nothing attached.
fn plain(lab: &Lab, load: Load, time: Duration) -> anyhow::Result<Measured> {
    let mut traffic = Traffic::start_as(lab, load, HERE)?;
    thread::sleep(WARM_UP);
    traffic.begin();
    thread::sleep(time);
    Ok(traffic.stop()?)
}

/// What a load measures of itself while netpath traces it from its first packet to its last, and
/// what netpath does.
fn traced(lab: &Lab, load: Load, time: Duration) -> anyhow::Result<(Measured, Snapshot)> {
    let watcher = Watcher::start(&FULL, lab)?;
    let mut traffic = Traffic::start_as(lab, load, HERE)?;
    thread::sleep(time);
    let measured = traffic.stop()?;
    let snapshot = watcher.stop()?.snapshot.context("netpath has written no report")?;
    Ok((measured, *snapshot))
}

/// Rows of this hop, on all paths.
fn rows<'a>(snapshot: &'a Snapshot, hop: &'a str) -> impl Iterator<Item = &'a HopReport> {
    snapshot.paths.iter().flat_map(|p| &p.hops).filter(move |h| h.hop == hop)
}
