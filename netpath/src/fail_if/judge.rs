//! Conditions against a snapshot.

use netpath_common::hop::HopId;

use super::{Condition, Counter, Figure, Subject};
use crate::{
    report::words,
    snapshot::{HopReport, PathReport, Snapshot, Summary},
    view::units::{count, percent, time},
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
            Subject::Group(_) | Subject::Total | Subject::Unattributed => {
                for path in &snapshot.paths {
                    if let Some(value) = of_path(condition, path) {
                        compare(condition, value, &path_words(path), &mut verdict);
                    }
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
            let value = of_hop(condition.figure, hop);
            let place = format!("{} at {}, {}", words::what(hop), hop.place(), path_words(path));
            compare(condition, value, &place, verdict);
        }
    }
}

fn of_hop(figure: Figure, hop: &HopReport) -> f64 {
    match figure {
        Figure::Count => hop.count as f64,
        Figure::Share => hop.share,
        figure => of_times(figure, &hop.times),
    }
}

fn of_times(figure: Figure, times: &Summary) -> f64 {
    match figure {
        Figure::P50 => times.p50_ns as f64,
        Figure::P90 => times.p90_ns as f64,
        Figure::P99 => times.p99_ns as f64,
        Figure::P999 => times.p999_ns as f64,
        Figure::Max => times.max_ns as f64,
        Figure::Mean | Figure::Count | Figure::Share => times.mean_ns,
    }
}

/// What a condition asks of a path; `None` where the path has no such hop.
fn of_path(condition: &Condition, path: &PathReport) -> Option<f64> {
    let mean = match condition.subject {
        Subject::Total => {
            return Some(match condition.figure {
                Figure::Count => path.packets as f64,
                figure => of_times(figure, &path.total),
            });
        }
        Subject::Unattributed => path.unattributed_ns,
        Subject::Group(group) => {
            words::by_group(path).into_iter().find(|(info, _)| info.group == group)?.1
        }
        Subject::Hop(_) | Subject::Counter(_) => return None,
    };
    Some(if condition.figure == Figure::Share { words::share(path, mean) } else { mean })
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
