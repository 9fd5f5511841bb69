//! What is claimed of each case's report: the right answer in its script's header.

pub(crate) mod bridges;
pub(crate) mod copies;
pub(crate) mod loss;
pub(crate) mod modules;
pub(crate) mod names;
pub(crate) mod nat;
pub(crate) mod waits;

use super::{
    claims::Claims,
    report::{Report, count},
};

pub(crate) const SECOND: f64 = 1e9;

/// Only these packets were lost or refused.
fn only(claims: &mut Claims, report: &Report, right: u64) {
    let (listed, counted) = (report.dropped(&[]), report.packets("dropped"));
    claims.holds(
        "nothing else was lost or refused",
        (listed, counted) == (right, right),
        format_args!("{counted} dropped, {listed} listed, not {right}: {:?}", report.all_drops()),
    );
}

/// What holds of any report.
pub(crate) fn sound(claims: &mut Claims, report: &Report) {
    claims.equal("no event was lost", report.0["lost_events"].as_u64(), Some(0));
    claims.equal("nothing vanished", report.packets("vanished"), 0);
    let (ambiguous, seen) = (report.packets("ambiguous"), report.packets("seen"));
    claims.holds("at most one in a hundred is ambiguous", ambiguous * 100 <= seen, ambiguous);
    let crooked: Vec<String> = report.paths().filter_map(crooked).collect();
    claims.holds("rows and what is unattributed sum to the total", crooked.is_empty(), crooked);
}

/// A path whose rows do not sum to its total.
fn crooked(path: &serde_json::Value) -> Option<String> {
    let of = |object: &serde_json::Value, key: &str| object[key].as_f64().unwrap_or(f64::NAN);
    let packets = of(path, "packets");
    let hops = path["hops"].as_array().into_iter().flatten();
    let rows: f64 = hops.map(|hop| of(hop, "mean_ns") * count(hop) as f64 / packets).sum();
    let (sum, total) = (rows + of(path, "unattributed_ns"), of(&path["total"], "mean_ns"));
    let straight = (sum - total).abs() <= total * 0.01;
    (!straight).then(|| format!("{}: {sum} of {total}", path["name"]))
}
