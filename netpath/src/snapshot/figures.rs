//! Distributions and single packets as figures.

use super::{Bucket, Compensated, PacketReport, PieceReport, ProbeCost, Summary};
use crate::{
    flight::End,
    ledger::{RowKey, Specimen, Times},
};

/// Of 1.96 standard deviations, a normal distribution holds 95 %.
const Z95: f64 = 1.96;

/// A total without the probes: of `flights` whose times it sums, each one's last event is written
/// after the clock was read, so that its cost is not in there.
pub(super) fn compensated(
    times: &Times,
    events: u64,
    flights: u64,
    cost: ProbeCost,
) -> Compensated {
    let n = times.count();
    if n == 0 {
        return Compensated::default();
    }
    let per_packet = events as f64 / n as f64 - flights as f64;
    let sampling = times.stddev_ns() / (n as f64).sqrt();
    Compensated {
        mean_ns: times.mean_ns() - per_packet * cost.mean,
        p50_ns: times.quantile_ns(0.5) as f64 - per_packet * cost.mean,
        uncertainty_ns: Z95 * (per_packet * cost.stddev).hypot(sampling),
    }
}

/// A distribution in seven figures, ns.
pub(super) fn summary(times: &Times) -> Summary {
    Summary {
        mean_ns: times.mean_ns(),
        p50_ns: times.quantile_ns(0.5),
        p90_ns: times.quantile_ns(0.9),
        p99_ns: times.quantile_ns(0.99),
        p999_ns: times.quantile_ns(0.999),
        max_ns: times.max_ns(),
        stddev_ns: times.stddev_ns(),
    }
}

/// How a packet ended, as reports name it.
pub(super) fn end_name(end: End) -> &'static str {
    match end {
        End::Delivered => "delivered",
        End::Reached => "reached",
        End::Transmitted => "transmitted",
        End::Merged => "merged",
        End::Dropped { .. } => "dropped",
        End::UnderWay => "under way",
        End::Vanished => "vanished",
    }
}

/// One packet's pieces, each with the index of its row.
pub(super) fn packet(
    label: &str,
    specimen: &Specimen,
    keys: &[RowKey],
    since_ns: u64,
) -> PacketReport {
    let pieces = specimen.pieces.iter().map(|piece| PieceReport {
        hop: keys.iter().position(|k| *k == piece.key),
        at_ns: piece.at_ns,
        ns: piece.ns,
        cpu: piece.cpu,
    });
    PacketReport {
        label: label.to_owned(),
        start_ns: specimen.start_ns.saturating_sub(since_ns),
        total_ns: specimen.total_ns,
        pieces: pieces.collect(),
    }
}

/// How many took how long: each bucket's upper bound, ns, and its count.
pub(super) fn histogram(times: &Times) -> Vec<Bucket> {
    times.buckets().into_iter().map(|(upto_ns, count)| Bucket { upto_ns, count }).collect()
}
