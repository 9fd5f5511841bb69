//! What changed between two reports, hop by hop, and whether it is more than chance.
//!
//! In: two snapshots, A and B. Out: for each path that both have, each hop's part of a mean packet in
//! both, their difference, and how sure it is; the differences of a path's rows sum to that of its
//! total.
//!
//! A difference is called a change where Welch's test on the means says that chance makes one so
//! large in less than [`ALPHA`] of all cases (shared among the rows of a path), and where it is larger
//! than the drift between the two runs, too: caches, clock speed and neighbours make hops a few per
//! cent faster or slower for a whole run, which no number of packets averages out. How much that is
//! here, most hops tell: what changed is seldom most of them. So the drift is three times the median
//! of all hops' relative differences, within [`DRIFT_MIN`] and [`DRIFT_MAX`].

mod compare;
mod html;
mod stats;
mod summary;
mod svg;

use std::io::Write;

use serde::Serialize;

pub use compare::compare;

use super::{ReportError, words};
use crate::{snapshot::Snapshot, view::summary::Style};

/// The version of the JSON form.
pub const SCHEMA: &str = "netpath.diff/1";
/// How often chance alone may make a change somewhere on a path.
pub const ALPHA: f64 = 0.01;
/// Bounds of the drift, as a share of a hop's time.
pub const DRIFT_MIN: f64 = 0.08;
pub const DRIFT_MAX: f64 = 0.3;
/// Differences below this are never called a change, ns.
pub const DRIFT_NS: f64 = 15.0;
/// All that changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diff {
    pub schema: &'static str,
    pub a: Side,
    pub b: Side,
    /// Relative differences up to this are not called changes, 0 to 1.
    pub drift: f64,
    /// What else differs, and may be why, in sentences.
    pub notes: Vec<String>,
    pub paths: Vec<PathDiff>,
    /// Paths that only one has.
    pub only_a: Vec<String>,
    pub only_b: Vec<String>,
}

impl Diff {
    /// The paths that are shown, and how many are left out for having few packets.
    fn shown(&self) -> (Vec<&PathDiff>, u64) {
        let packets = |p: &PathDiff| p.packets_a + p.packets_b;
        let all: u64 = self.paths.iter().map(packets).sum();
        let limit = all as f64 * words::MINOR_SHARE;
        let (shown, minor): (Vec<_>, Vec<_>) =
            self.paths.iter().partition(|p| packets(p) as f64 >= limit);
        (shown, minor.len() as u64)
    }
}

/// One of the two.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Side {
    pub file: String,
    pub started: String,
    pub iface: String,
    pub netns: String,
    /// All that was asked for, in a few words.
    pub what: String,
    pub kernel: String,
    pub packets: u64,
}

/// A path that both have.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PathDiff {
    pub name: String,
    pub direction: String,
    /// `delivered`, `reached` or `transmitted`.
    pub end: String,
    pub packets_a: u64,
    pub packets_b: u64,
    pub total: Change,
    pub p50_ns: Quantile,
    pub p99_ns: Quantile,
    /// B's mean unattributed time less A's, ns.
    pub unattributed_delta_ns: f64,
    /// In the order of the path; hops that only A has stand where they stood there.
    pub hops: Vec<HopDiff>,
}

/// A hop in both.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HopDiff {
    pub hop: String,
    pub group: String,
    pub kind: String,
    /// What people call it.
    pub what: String,
    pub place: String,
    #[serde(flatten)]
    pub change: Change,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_ns: Option<Quantile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_ns: Option<Quantile>,
}

/// Of a mean packet, ns.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Change {
    pub a_ns: f64,
    pub b_ns: f64,
    pub delta_ns: f64,
    /// Half the width of the interval that holds the true difference with 95 %.
    pub uncertainty_ns: f64,
    /// How often chance alone makes a difference this large.
    pub p_value: f64,
    pub verdict: Verdict,
}

/// Whether it changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Longer,
    Shorter,
    /// Chance, or what runs differ by.
    Noise,
    OnlyA,
    OnlyB,
}

impl Verdict {
    pub fn is_change(self) -> bool {
        self != Self::Noise
    }

    /// What people call it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Longer => "longer",
            Self::Shorter => "shorter",
            Self::Noise => "noise",
            Self::OnlyA => "gone",
            Self::OnlyB => "new",
        }
    }
}

/// A percentile in both, and whether the intervals that hold the true ones lie apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quantile {
    pub a: u64,
    pub b: u64,
    pub changed: bool,
}

/// A form in which differences are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiffFormat {
    Summary,
    Json,
    Svg,
    Html,
}

/// Writes the difference of two reports.
pub fn write(
    a: (&str, &Snapshot),
    b: (&str, &Snapshot),
    format: DiffFormat,
    style: Style,
    out: &mut dyn Write,
) -> Result<(), ReportError> {
    let diff = compare(a, b);
    match format {
        DiffFormat::Summary => out.write_all(summary::render(&diff, style).as_bytes())?,
        DiffFormat::Json => {
            serde_json::to_writer_pretty(&mut *out, &diff).map_err(super::json)?;
            writeln!(out)?;
        }
        DiffFormat::Svg => svg::write(&compare::pairs(a.1, b.1), out)?,
        DiffFormat::Html => out.write_all(html::render(&diff).as_bytes())?,
    }
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests;
