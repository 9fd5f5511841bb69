//! From two snapshots to their differences: which paths and hops belong together, and what is a change.

use super::{
    ALPHA, Change, DRIFT_MAX, DRIFT_MIN, DRIFT_NS, Diff, HopDiff, PathDiff, SCHEMA, Side, Verdict,
    stats,
};
use crate::{
    report::words,
    snapshot::{HopReport, PathReport, Snapshot, Summary},
};

/// The drift in medians of relative differences.
const DRIFT_MEDIANS: f64 = 3.0;
/// Hops with fewer packets say nothing of the drift.
const DRIFT_PACKETS: u64 = 100;

/// Compares two reports; the names are those of their files.
pub fn compare(a: (&str, &Snapshot), b: (&str, &Snapshot)) -> Diff {
    let pairs = pairs(a.1, b.1);
    let drift = drift(&pairs);
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
        drift,
        notes: notes(a.1, b.1),
        paths: pairs.iter().map(|(a, b)| path(a, b, drift)).collect(),
        only_a: only(a.1, &|p| pairs.iter().any(|(a, _)| std::ptr::eq(*a, p))),
        only_b: only(b.1, &|p| pairs.iter().any(|(_, b)| std::ptr::eq(*b, p))),
    }
}

/// How much hops differ between these runs though nothing changed.
fn drift(pairs: &[(&PathReport, &PathReport)]) -> f64 {
    let mut differences: Vec<f64> = Vec::new();
    for (a, b) in pairs {
        for hop in a.hops.iter().filter(|h| h.count >= DRIFT_PACKETS && !words::is_wait(h)) {
            let Some(other) = b.hops.iter().find(|other| same(hop, other)) else { continue };
            let (x, y) = (hop.times.mean_ns, other.times.mean_ns);
            if other.count >= DRIFT_PACKETS && x.max(y) > 0.0 {
                differences.push((y - x).abs() / x.max(y));
            }
        }
    }
    differences.sort_by(f64::total_cmp);
    let median = differences.get(differences.len() / 2).copied().unwrap_or(0.0);
    (median * DRIFT_MEDIANS).clamp(DRIFT_MIN, DRIFT_MAX)
}

fn side((file, s): (&str, &Snapshot)) -> Side {
    Side {
        file: file.to_owned(),
        started: s.started.clone(),
        iface: s.iface.clone(),
        netns: s.netns.clone(),
        what: s.what(),
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
pub(super) fn pairs<'a, 'b>(
    a: &'a Snapshot,
    b: &'b Snapshot,
) -> Vec<(&'a PathReport, &'b PathReport)> {
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

fn path(a: &PathReport, b: &PathReport, drift: f64) -> PathDiff {
    let total = |p: &PathReport| sample(&p.total, p.packets, p.packets);
    PathDiff {
        name: b.name.clone(),
        direction: b.direction.clone(),
        end: b.end.clone(),
        packets_a: a.packets,
        packets_b: b.packets,
        total: change(Some(total(a)), Some(total(b)), Bar { rows: 1, drift }),
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
        hops: hops(a, b, drift),
    }
}

/// The rows of both, in A's order; what only B has stands before what follows it there.
fn hops(a: &PathReport, b: &PathReport, drift: f64) -> Vec<HopDiff> {
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
    let bar = Bar { rows: a.hops.len() + only_b.len(), drift };
    let mut hops = Vec::with_capacity(bar.rows);
    for (i, hop_a) in a.hops.iter().enumerate() {
        let found = partners.iter().position(|p| *p == Some(i));
        while let Some(j) = only_b.next_if(|j| found.is_some_and(|found| *j < found)) {
            hops.push(hop((None, a), (Some(&b.hops[j]), b), bar));
        }
        hops.push(hop((Some(hop_a), a), (found.map(|j| &b.hops[j]), b), bar));
    }
    hops.extend(only_b.map(|j| hop((None, a), (Some(&b.hops[j]), b), bar)));
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
    bar: Bar,
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
        change: change(sample(a, path_a), sample(b, path_b), bar),
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

/// What a difference has to pass to be a change.
#[derive(Clone, Copy, Debug)]
struct Bar {
    /// Among how many rows chance may strike.
    rows: usize,
    drift: f64,
}

fn change(a: Option<stats::Sample>, b: Option<stats::Sample>, bar: Bar) -> Change {
    let mean = |s: &Option<stats::Sample>| s.map_or(0.0, |s| s.mean);
    let (a_ns, b_ns) = (mean(&a), mean(&b));
    let delta_ns = b_ns - a_ns;
    let (verdict, welch) = match (a, b) {
        (Some(a), Some(b)) => {
            let welch = stats::welch(a, b);
            let drift = (a_ns.abs().max(b_ns.abs()) * bar.drift).max(DRIFT_NS);
            let sure = welch.p_value * (bar.rows as f64) < ALPHA && delta_ns.abs() > drift;
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
