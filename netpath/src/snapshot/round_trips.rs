//! Round trips with names instead of indices.

use std::collections::BTreeMap;

use super::{
    LostAtReport, PathReport, TransactionPart, TransactionReport, drops,
    figures::{compensated, summary},
};
use crate::{
    ledger::{Ledger, RoundTrips, TRIPS_OF_OTHERS, Times, TripKind, TripPart},
    packet,
    session::Session,
    topo::OTHERS,
};

/// `paths` in the ledger's order. Requests first, most of them first.
pub(super) fn build(
    ledger: &Ledger,
    paths: &[PathReport],
    session: &Session,
) -> Vec<TransactionReport> {
    let done = ledger.transactions.done();
    let by_id: BTreeMap<usize, &PathReport> =
        ledger.paths().iter().map(|path| path.id).zip(paths).collect();
    let one = |trips| one(trips, &by_id, ledger, session);
    let mut all: Vec<(TripKind, TransactionReport)> =
        done.iter().filter_map(|trips| Some((trips.kind, one(trips)?))).collect();
    all.sort_by_key(|(kind, t)| (*kind, std::cmp::Reverse(t.count)));
    for ((kind, proto), unanswered) in ledger.transactions.unanswered() {
        let protocol = packet::proto_name(*proto);
        let same =
            |(k, t): &&mut (TripKind, TransactionReport)| k == kind && t.protocol == protocol;
        if let Some((_, most)) = all.iter_mut().find(same) {
            most.unanswered = *unanswered;
        } else {
            all.push((*kind, none(*kind, protocol, *unanswered)));
        }
    }
    all.into_iter().map(|(_, report)| report).collect()
}

fn one(
    trips: &RoundTrips,
    paths: &BTreeMap<usize, &PathReport>,
    ledger: &Ledger,
    session: &Session,
) -> Option<TransactionReport> {
    let path = |id| paths.get(&id).copied();
    let (request, reply) = (path(trips.request_path), path(trips.reply_path));
    if trips.request_path != TRIPS_OF_OTHERS && (request.is_none() || reply.is_none()) {
        return None;
    }
    let protocol = packet::proto_name(trips.proto);
    Some(TransactionReport {
        name: match request {
            Some(PathReport { from, to, .. }) => {
                format!("{}/{} ⇄ {}/{} {protocol}", from.netns, from.dev, to.netns, to.dev)
            }
            None => format!("{OTHERS} {protocol}"),
        },
        protocol,
        kind: trips.kind.key().to_owned(),
        count: trips.total.count(),
        total: summary(&trips.total),
        first_byte: summary(&trips.first_byte),
        compensated: compensated(&trips.total, trips.events, 1, session.probe_cost),
        parts: parts(trips, request, reply),
        retransmitted: trips.retransmitted,
        sent_again: trips.sent_again_after.count(),
        sent_again_after: (trips.sent_again_after.count() > 0)
            .then(|| summary(&trips.sent_again_after)),
        lost_at: lost_at(trips, ledger, session),
        unanswered: 0,
        overlapped: trips.overlapped,
    })
}

fn parts(
    trips: &RoundTrips,
    request: Option<&PathReport>,
    reply: Option<&PathReport>,
) -> Vec<TransactionPart> {
    let total_ns = trips.total.sum_ns() as f64;
    let part = |part: TripPart| {
        let times: &Times = trips.part(part);
        let path = match part {
            TripPart::Request => request,
            TripPart::Reply => reply,
            _ => None,
        };
        TransactionPart {
            part: part.key().to_owned(),
            path: path.map(|p| p.name.clone()),
            end: path.map(|p| p.end.clone()),
            count: Some(times.count()),
            times: summary(times),
            share: if total_ns > 0.0 { times.sum_ns() as f64 / total_ns } else { 0.0 },
        }
    };
    TripPart::ALL.iter().map(|p| part(*p)).filter(|p| p.count > Some(0)).collect()
}

/// Where packets were lost that were sent again, most first.
fn lost_at(trips: &RoundTrips, ledger: &Ledger, session: &Session) -> Vec<LostAtReport> {
    let mut all: Vec<LostAtReport> = trips
        .lost_at
        .iter()
        .filter_map(|(place, count)| {
            let key = ledger.transactions.place(*place)?;
            let topology = &ledger.topology;
            let place = match key.within.and_then(|within| within.hook) {
                Some(hook) => format!("{} {}", topology.netns_name(key.place.netns), hook.name()),
                None => topology.place_name(key.place),
            };
            Some(LostAtReport { reason: drops::reason(key.reason, session), place, count: *count })
        })
        .collect();
    all.sort_by_key(|lost| std::cmp::Reverse(lost.count));
    all
}

/// Requests of which none was answered.
fn none(kind: TripKind, protocol: String, unanswered: u64) -> TransactionReport {
    TransactionReport {
        name: format!("{protocol}, unanswered"),
        protocol,
        kind: kind.key().to_owned(),
        unanswered,
        ..TransactionReport::default()
    }
}
