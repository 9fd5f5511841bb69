//! A row's causes as JSON. Keys:
//!
//! | hops | keys |
//! | --- | --- |
//! | in a netfilter hook | `new`, `unreplied`, `established`, `related`, `invalid`: `{count, mean_ns}` by the connection's state; `new` opens it, `unreplied` came later, before any answer |
//! | `nat` | `snat`, `dnat`, `snat_undone`, `dnat_undone`: `{count, mean_ns}` by what was rewritten, the last two of replies; `rules`: what the rules of its hook ask for, of `masquerade`, `snat`, `dnat`, `redirect` |
//! | waits | `same_cpu`, `other_cpu`: `{count, mean_ns}` by where the packet went on; `idle_cpu`: those for which an idle CPU was woken |
//! | `handoff` | `in_line`, `ksoftirqd`: `{count, mean_ns}` by who took the packet up; `behind_mean`, `behind_max`: packets left on the CPU's backlog then, by one look in eight |
//! | `qdisc.wait` | `ahead_mean`, `ahead_max` in packets, `backlog_mean` in bytes, `met_empty`, `qdisc` |

use std::collections::{BTreeMap, BTreeSet};

use netpath_common::hop::{HopId, Kind};
use serde_json::{Value, json};

use crate::ledger::{Causes, CtState, Rewritten, Tally};

/// The causes of a row of this hop; `qdisc` is what its device has, `nat` what its hook's rules ask
/// for.
pub(super) fn build(
    causes: &Causes,
    hop: HopId,
    qdisc: Option<&str>,
    nat: &BTreeSet<&str>,
) -> BTreeMap<String, Value> {
    let mut out = BTreeMap::new();
    for what in Rewritten::ALL {
        tally(&mut out, what.key(), &causes.rewritten[what as usize]);
    }
    if !nat.is_empty() {
        out.insert("rules".to_owned(), json!(nat));
    }
    for state in CtState::ALL {
        tally(&mut out, state.key(), &causes.states[state as usize]);
    }
    if hop.info().kind == Kind::Wait {
        tally(&mut out, "same_cpu", &causes.same_cpu);
        tally(&mut out, "other_cpu", &causes.other_cpu);
        tally(&mut out, "idle_cpu", &causes.idle_cpu);
    }
    let backlog = &causes.backlog;
    tally(&mut out, "in_line", &backlog.in_line);
    tally(&mut out, "ksoftirqd", &backlog.ksoftirqd);
    if backlog.looked > 0 {
        let mean = backlog.behind_sum as f64 / backlog.looked as f64;
        out.insert("behind_mean".to_owned(), json!(mean));
        out.insert("behind_max".to_owned(), json!(backlog.behind_max));
    }
    let queue = &causes.queue;
    if queue.count > 0 {
        let mean = |sum: u64| sum as f64 / queue.count as f64;
        out.insert("ahead_mean".to_owned(), json!(mean(queue.ahead_sum)));
        out.insert("ahead_max".to_owned(), json!(queue.ahead_max));
        out.insert("backlog_mean".to_owned(), json!(mean(queue.bytes_sum)));
        out.insert("met_empty".to_owned(), json!(queue.empty));
    }
    if let Some(qdisc) = qdisc {
        out.insert("qdisc".to_owned(), json!(qdisc));
    }
    out
}

fn tally(out: &mut BTreeMap<String, Value>, key: &str, tally: &Tally) {
    if tally.count > 0 {
        out.insert(key.to_owned(), json!({"count": tally.count, "mean_ns": tally.mean_ns()}));
    }
}
