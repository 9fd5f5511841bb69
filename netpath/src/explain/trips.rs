//! Why round trips took long that had to wait until a lost packet was sent again, in a sentence.

use crate::{
    snapshot::TransactionReport,
    units::{count, time},
};

/// What one of them is called.
pub(crate) fn noun(t: &TransactionReport) -> &str {
    if t.kind.is_empty() { "round trip" } else { &t.kind }
}

/// Why some took so long: `3 connects waited 1.00 s for a packet to be sent again, which was lost at host
/// POSTROUTING (NETFILTER_DROP)`.
pub(crate) fn sent_again(t: &TransactionReport) -> Option<String> {
    let after = t.sent_again_after.as_ref()?;
    let (p50, max) = (time(after.p50_ns as f64), time(after.max_ns as f64));
    let after = if p50 == max { p50 } else { format!("{p50} (at most {max})") };
    // What its sender's program repeats is a request of its own.
    let waits = t.mean_of("retransmission timeout").is_some();
    let lost: Vec<String> =
        t.lost_at.iter().map(|l| format!("{} ({}) {}", l.place, l.reason, l.count)).collect();
    let place = match &t.lost_at[..] {
        [] => ", the first was not seen to be dropped".to_owned(),
        [one] if one.count == t.sent_again => {
            format!(": the first was dropped at {} ({})", one.place, one.reason)
        }
        _ => format!(": the first was dropped at {}", lost.join(", ")),
    };
    let what = match (waits, t.sent_again) {
        (true, _) => "waited until a packet was sent again, after",
        (false, 1) => "was sent again, after",
        (false, _) => "were sent again, after",
    };
    let many = if t.sent_again == 1 { "" } else { "s" };
    Some(format!("{} {}{many} {what} {after}{place}", count(t.sent_again), noun(t)))
}
