//! Conditions against a snapshot.

use netpath_common::{
    group::Group,
    hop::{HOPS, HopId},
};

use super::{Condition, Counter, Figure, Subject};
use crate::{
    report::words,
    snapshot::{PathReport, Snapshot, Summary},
    units::{count, percent, time},
};

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// A sentence for each condition that was passed, at each place.
    pub passed: Vec<String>,
    /// Why conditions could not be judged, in sentences.
    pub unjudged: Vec<String>,
}

/// Judges all.
pub fn judge(conditions: &[Condition], snapshot: &Snapshot) -> Verdict {
    let mut verdict = Verdict::default();
    for condition in conditions {
        match condition.subject {
            Subject::Counter(counter) => {
                let n = counted(counter, snapshot);
                if condition.operator.holds(n as f64, condition.value) {
                    verdict.passed.push(format!("{}: there were {}", condition.text, count(n)));
                }
            }
            _ if snapshot.paths.is_empty() => {
                let why = "no packet got through, so there is nothing to compare";
                verdict.unjudged.push(format!("{}: {why}", condition.text));
            }
            Subject::Hop(id) => hop(condition, id, snapshot, &mut verdict),
            Subject::Group(id) => group(condition, id, snapshot, &mut verdict),
            Subject::Total | Subject::Unattributed => {
                for path in &snapshot.paths {
                    compare(condition, of_path(condition, path), &path_words(path), &mut verdict);
                }
            }
        }
    }
    verdict
}

fn counted(counter: Counter, s: &Snapshot) -> u64 {
    match counter {
        Counter::Lost => s.lost_events,
        Counter::Drops => s.packets.dropped,
        Counter::Incomplete => s.packets.incomplete,
        Counter::Vanished => s.packets.vanished,
        Counter::Negative => s.packets.negative,
    }
}

fn hop(condition: &Condition, id: HopId, s: &Snapshot, verdict: &mut Verdict) {
    let key = id.info().key;
    if let Some(why) = s.absent.get(key) {
        verdict.unjudged.push(format!("{}: {key} was not measured ({why})", condition.text));
        return;
    }
    for path in &s.paths {
        for hop in path.hops.iter().filter(|h| h.hop == key) {
            let value = figure(condition.figure, hop.count, hop.share, &hop.times);
            let place = format!("{} at {}, {}", words::what(hop), hop.place(), path_words(path));
            compare(condition, value, &place, verdict);
        }
    }
}

/// A group's own figures: what packets spent in all of its hops.
fn group(condition: &Condition, id: Group, s: &Snapshot, verdict: &mut Verdict) {
    let key = id.key();
    let mut met = false;
    for path in &s.paths {
        let hops = path.hops.iter().filter(|h| h.group == key).count();
        let Some(group) = path.groups.iter().find(|g| g.group == key) else {
            if hops > 0 {
                // A report that an older netpath has written.
                let why = format!("{} has no figures of its groups", path_words(path));
                verdict.unjudged.push(format!("{}: {why}", condition.text));
                met = true;
            }
            continue;
        };
        met = true;
        let value = figure(condition.figure, group.count, group.share, &group.times);
        let hops = words::counted(hops as u64, "hop");
        let place = format!("{} ({hops}), {}", id.label(), path_words(path));
        compare(condition, value, &place, verdict);
    }
    let mut all = HOPS.iter().filter(|h| h.group == id);
    if !met && all.all(|h| s.absent.contains_key(h.key)) {
        verdict.unjudged.push(format!("{}: none of {key}'s hops was measured", condition.text));
    }
}

fn figure(figure: Figure, count: u64, share: f64, times: &Summary) -> f64 {
    match figure {
        Figure::Count => count as f64,
        Figure::Share => share,
        Figure::Mean => times.mean_ns,
        Figure::P50 => times.p50_ns as f64,
        Figure::P90 => times.p90_ns as f64,
        Figure::P99 => times.p99_ns as f64,
        Figure::P999 => times.p999_ns as f64,
        Figure::Max => times.max_ns as f64,
    }
}

/// What a condition on all of a path asks for.
fn of_path(condition: &Condition, path: &PathReport) -> f64 {
    match (condition.subject, condition.figure) {
        (Subject::Unattributed, Figure::Share) => words::share(path, path.unattributed_ns),
        (Subject::Unattributed, _) => path.unattributed_ns,
        (_, of) => figure(of, path.packets, 1.0, &path.total),
    }
}

fn path_words(path: &PathReport) -> String {
    format!("{} path {} ({})", path.direction, path.name, words::counted(path.packets, "packet"))
}

fn compare(condition: &Condition, value: f64, place: &str, verdict: &mut Verdict) {
    if !condition.operator.holds(value, condition.value) {
        return;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count that came from u64"
    )]
    let words = match condition.figure {
        Figure::Count => count(value as u64),
        Figure::Share => percent(value),
        _ => time(value),
    };
    let figure = condition.figure.key();
    verdict.passed.push(format!("{}: {figure} is {words} on {place}", condition.text));
}
