//! Round trips with names instead of indices.

use super::{
    PathReport, ProbeCost, TransactionPart, TransactionReport,
    build::{compensated, summary},
};
use crate::{
    ledger::{RoundTrips, Times},
    packet,
};

/// `paths` in the ledger's order.
pub(super) fn build(
    done: &[RoundTrips],
    paths: &[PathReport],
    cost: ProbeCost,
) -> Vec<TransactionReport> {
    let mut all: Vec<TransactionReport> =
        done.iter().filter_map(|trips| one(trips, paths, cost)).collect();
    all.sort_by_key(|t| std::cmp::Reverse(t.count));
    all
}

fn one(trips: &RoundTrips, paths: &[PathReport], cost: ProbeCost) -> Option<TransactionReport> {
    let (request, reply) = (paths.get(trips.request_path)?, paths.get(trips.reply_path)?);
    let protocol = packet::proto_name(trips.proto);
    let total_ns = trips.total.sum_ns() as f64;
    let part = |part: &str, path: Option<&PathReport>, times: &Times| TransactionPart {
        part: part.to_owned(),
        path: path.map(|p| p.name.clone()),
        end: path.map(|p| p.end.clone()),
        times: summary(times),
        share: if total_ns > 0.0 { times.sum_ns() as f64 / total_ns } else { 0.0 },
    };
    Some(TransactionReport {
        name: format!(
            "{}/{} ⇄ {}/{} {protocol}",
            request.from.netns, request.from.dev, request.to.netns, request.to.dev
        ),
        protocol,
        count: trips.total.count(),
        total: summary(&trips.total),
        compensated: compensated(&trips.total, trips.events, 1, cost),
        parts: vec![
            part("request", Some(request), &trips.request),
            part("server", None, &trips.answerer),
            part("reply", Some(reply), &trips.reply),
        ],
    })
}
