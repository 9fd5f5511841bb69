//! What changed between two reports, hop by hop, and whether it is more than chance.
//!
//! In: two snapshots, A and B. Out: for each path that both have, each hop's part of a mean packet in
//! both, their difference, and how sure it is; the differences of a path's rows sum to that of its
//! total.
//!
//! A difference is called a change where Welch's test on the means says that chance makes one so
//! large in less than [`ALPHA`] of all cases (shared among the rows of a path), and where it is larger
//! than what two runs of the same thing differ by, too: caches, clock speed and neighbours make a hop
//! a few per cent faster or slower for a whole run, which no number of packets averages out.

mod html;
mod stats;
mod summary;
mod svg;

use std::io::Write;

use serde::Serialize;

use super::{ReportError, words};
use crate::{
    snapshot::{HopReport, PathReport, Snapshot, Summary},
    view::summary::Style,
};

/// The version of the JSON form.
pub const SCHEMA: &str = "netpath.diff/1";
/// How often chance alone may make a change somewhere on a path.
pub const ALPHA: f64 = 0.01;
/// Differences below this share of the hop's time are what runs differ by.
pub const DRIFT: f64 = 0.08;
/// And those below this, ns.
pub const DRIFT_NS: f64 = 15.0;

/// All that changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diff {
    pub schema: &'static str,
    pub a: Side,
    pub b: Side,
    /// What else differs, and may be why, in sentences.
    pub notes: Vec<String>,
    pub paths: Vec<PathDiff>,
    /// Paths that only one has.
    pub only_a: Vec<String>,
    pub only_b: Vec<String>,
}

/// One of the two.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Side {
    pub file: String,
    pub started: String,
    pub iface: String,
    pub netns: String,
    pub kernel: String,
    pub packets: u64,
}

/// A path that both have.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PathDiff {
    pub name: String,
    pub direction: String,
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

/// Compares two reports; the names are those of their files.
pub fn compare(a: (&str, &Snapshot), b: (&str, &Snapshot)) -> Diff {
    let pairs = pairs(a.1, b.1);
    let only = |s: &Snapshot, paired: &dyn Fn(&PathReport) -> bool| {
        let alone = s.paths.iter().filter(|p| !paired(p));
        alone
            .map(|p| {
                format!("{} {} ({})", p.direction, p.name, words::counted(p.packets, "packet"))
            })
            .collect()
    };
    Diff {
        schema: SCHEMA,
        a: side(a),
        b: side(b),
        notes: notes(a.1, b.1),
        paths: pairs.iter().map(|(a, b)| path(a, b)).collect(),
        only_a: only(a.1, &|p| pairs.iter().any(|(a, _)| std::ptr::eq(*a, p))),
        only_b: only(b.1, &|p| pairs.iter().any(|(_, b)| std::ptr::eq(*b, p))),
    }
}

fn side((file, s): (&str, &Snapshot)) -> Side {
    Side {
        file: file.to_owned(),
        started: s.started.clone(),
        iface: s.iface.clone(),
        netns: s.netns.clone(),
        kernel: s.host.kernel.clone(),
        packets: s.packets.complete,
    }
}

/// What else differs between the two.
fn notes(a: &Snapshot, b: &Snapshot) -> Vec<String> {
    let facts = [
        ("kernel", &a.host.kernel, &b.host.kernel),
        ("CPU", &a.host.cpu, &b.host.cpu),
        ("governor", &a.host.governor, &b.host.governor),
        ("clock", &a.host.clocksource, &b.host.clocksource),
        ("netpath", &a.version, &b.version),
    ];
    let mut notes: Vec<String> = facts
        .iter()
        .filter(|(_, a, b)| a != b)
        .map(|(what, a, b)| format!("{what} differs: {a} in A, {b} in B"))
        .collect();
    if a.host.mitigations != b.host.mitigations {
        notes.push("CPU mitigations differ".to_owned());
    }
    let measured = |s: &Snapshot, other: &Snapshot| -> Vec<String> {
        s.backends.keys().filter(|hop| other.absent.contains_key(*hop)).cloned().collect()
    };
    for (name, hops) in [("A", measured(a, b)), ("B", measured(b, a))] {
        if !hops.is_empty() {
            notes.push(format!("only {name} could measure {}", hops.join(", ")));
        }
    }
    notes
}

/// Paths that are the same in both: by name, direction and end; what is left, the busiest of each
/// direction and end with each other.
fn pairs<'a, 'b>(a: &'a Snapshot, b: &'b Snapshot) -> Vec<(&'a PathReport, &'b PathReport)> {
    let mut rest_a: Vec<&PathReport> = a.paths.iter().collect();
    let mut rest_b: Vec<&PathReport> = b.paths.iter().collect();
    let mut pairs = Vec::new();
    let rules: [fn(&PathReport, &PathReport) -> bool; 2] = [
        |a, b| a.name == b.name && a.direction == b.direction && a.end == b.end,
        |a, b| a.direction == b.direction && a.end == b.end,
    ];
    for (i, same) in rules.into_iter().enumerate() {
        rest_a.retain(|path| {
            // Paths of other names are only held against each other where nothing else matches.
            let taken = |p: &&(&PathReport, &PathReport)| p.0.direction == path.direction;
            if i > 0 && pairs.iter().any(|p| taken(&p)) {
                return true;
            }
            let Some(at) = rest_b.iter().position(|other| same(path, other)) else { return true };
            pairs.push((*path, rest_b.remove(at)));
            false
        });
    }
    pairs
}

fn path(a: &PathReport, b: &PathReport) -> PathDiff {
    let total = |p: &PathReport| sample(&p.total, p.packets, p.packets);
    PathDiff {
        name: b.name.clone(),
        direction: b.direction.clone(),
        packets_a: a.packets,
        packets_b: b.packets,
        total: change(Some(total(a)), Some(total(b)), 1),
        p50_ns: stats::quantile(
            0.5,
            (&a.histogram, a.total.p50_ns),
            (&b.histogram, b.total.p50_ns),
        ),
        p99_ns: stats::quantile(
            0.99,
            (&a.histogram, a.total.p99_ns),
            (&b.histogram, b.total.p99_ns),
        ),
        unattributed_delta_ns: b.unattributed_ns - a.unattributed_ns,
        hops: hops(a, b),
    }
}

/// The rows of both, in A's order; what only B has stands before what follows it there.
fn hops(a: &PathReport, b: &PathReport) -> Vec<HopDiff> {
    let mut partners: Vec<Option<usize>> = vec![None; b.hops.len()];
    for (i, hop) in a.hops.iter().enumerate() {
        let free = |(j, other): (usize, &HopReport)| partners[j].is_none() && same(hop, other);
        if let Some(found) = b.hops.iter().enumerate().position(free) {
            partners[found] = Some(i);
        }
    }
    let mut only_b = (0..b.hops.len())
        .filter(|j| partners[*j].is_none())
        .collect::<Vec<_>>()
        .into_iter()
        .peekable();
    let rows = a.hops.len() + only_b.len();
    let mut hops = Vec::with_capacity(rows);
    for (i, hop_a) in a.hops.iter().enumerate() {
        let found = partners.iter().position(|p| *p == Some(i));
        while let Some(j) = only_b.next_if(|j| found.is_some_and(|found| *j < found)) {
            hops.push(hop((None, a), (Some(&b.hops[j]), b), rows));
        }
        hops.push(hop((Some(hop_a), a), (found.map(|j| &b.hops[j]), b), rows));
    }
    hops.extend(only_b.map(|j| hop((None, a), (Some(&b.hops[j]), b), rows)));
    hops
}

/// Whether two rows are of the same hop at the same place.
fn same(a: &HopReport, b: &HopReport) -> bool {
    (&a.hop, &a.netns, &a.dev, &a.hook, &a.part, a.bridged)
        == (&b.hop, &b.netns, &b.dev, &b.hook, &b.part, b.bridged)
}

fn hop(
    (a, path_a): (Option<&HopReport>, &PathReport),
    (b, path_b): (Option<&HopReport>, &PathReport),
    rows: usize,
) -> HopDiff {
    let sample =
        |h: Option<&HopReport>, p: &PathReport| h.map(|h| sample(&h.times, h.count, p.packets));
    let named = b.or(a);
    let quantile = |q: f64, of: fn(&Summary) -> u64| {
        let (a, b) = (a?, b?);
        Some(stats::quantile(q, (&a.histogram, of(&a.times)), (&b.histogram, of(&b.times))))
    };
    HopDiff {
        hop: named.map_or_else(String::new, |h| h.hop.clone()),
        group: named.map_or_else(String::new, |h| h.group.clone()),
        kind: named.map_or_else(String::new, |h| h.kind.clone()),
        what: named.map_or_else(String::new, words::what),
        place: named.map_or_else(String::new, HopReport::place),
        change: change(sample(a, path_a), sample(b, path_b), rows),
        p50_ns: quantile(0.5, |t| t.p50_ns),
        p99_ns: quantile(0.99, |t| t.p99_ns),
    }
}

/// A hop's part of the path's packets, of which some may not meet it.
fn sample(times: &Summary, count: u64, packets: u64) -> stats::Sample {
    let share = if packets == 0 { 0.0 } else { count as f64 / packets as f64 };
    let mean = times.mean_ns * share;
    let squares = share * (times.stddev_ns.powi(2) + times.mean_ns.powi(2));
    stats::Sample { n: packets, mean, variance: (squares - mean * mean).max(0.0) }
}

fn change(a: Option<stats::Sample>, b: Option<stats::Sample>, rows: usize) -> Change {
    let mean = |s: &Option<stats::Sample>| s.map_or(0.0, |s| s.mean);
    let (a_ns, b_ns) = (mean(&a), mean(&b));
    let delta_ns = b_ns - a_ns;
    let (verdict, welch) = match (a, b) {
        (Some(a), Some(b)) => {
            let welch = stats::welch(a, b);
            let drift = (a_ns.abs().max(b_ns.abs()) * DRIFT).max(DRIFT_NS);
            let sure = welch.p_value * (rows as f64) < ALPHA && delta_ns.abs() > drift;
            let verdict = match () {
                () if !sure => Verdict::Noise,
                () if delta_ns > 0.0 => Verdict::Longer,
                () => Verdict::Shorter,
            };
            (verdict, welch)
        }
        (Some(_), None) => (Verdict::OnlyA, stats::Welch::CERTAIN),
        _ => (Verdict::OnlyB, stats::Welch::CERTAIN),
    };
    Change {
        a_ns,
        b_ns,
        delta_ns,
        uncertainty_ns: welch.uncertainty,
        p_value: welch.p_value,
        verdict,
    }
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
        DiffFormat::Svg => svg::write(&pairs(a.1, b.1), out)?,
        DiffFormat::Html => out.write_all(html::render(&diff).as_bytes())?,
    }
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests;
