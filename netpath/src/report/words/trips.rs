//! Round trips in words: how many there were, what one takes, and what was sent again.

use super::{MINOR_SHARE, counted};
use crate::{
    explain::trips::noun,
    snapshot::{Snapshot, TransactionReport},
    units::time,
};

/// The round trips that are not too few of their kind and protocol to be shown.
pub(crate) fn round_trips(snapshot: &Snapshot) -> impl Iterator<Item = &TransactionReport> {
    let of = |one: &TransactionReport| -> u64 {
        let same = |t: &&TransactionReport| (&t.kind, &t.protocol) == (&one.kind, &one.protocol);
        snapshot.transactions.iter().filter(same).map(|t| t.count).sum()
    };
    snapshot.transactions.iter().filter(move |t| {
        t.retransmitted > 0 || t.unanswered > 0 || t.count as f64 >= of(t) as f64 * MINOR_SHARE
    })
}

/// `200 requests, 1 unanswered`.
pub(crate) fn trips_counted(t: &TransactionReport) -> String {
    let mut text = counted(t.count, noun(t));
    if t.unanswered > 0 {
        text += &format!(", {} unanswered", counted(t.unanswered, noun(t)));
    }
    text
}

/// What the round trips take of which there are most: `A request takes 310 µs at the median …`.
pub(crate) fn round_trip(snapshot: &Snapshot) -> Option<String> {
    let first = round_trips(snapshot).find(|t| t.count > 0)?;
    let part = |part| first.mean_of(part).unwrap_or(0.0);
    let mut text = format!(
        "A {} takes {} at the median and {} at the 99th percentile ({}); on average {}, of which the way there and \
         back is {}",
        noun(first),
        time(first.total.p50_ns as f64),
        time(first.total.p99_ns as f64),
        trips_counted(first),
        time(first.total.mean_ns),
        time(part("request") + part("reply")),
    );
    if let Some(server) = first.mean_of("server") {
        text += &format!(", and the other side takes {}", time(server));
    }
    text.push('.');
    Some(text)
}
