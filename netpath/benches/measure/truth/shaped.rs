//! A token bucket on the uplink: how long packets wait in it, against bpftrace on the same packets.

use std::time::Duration;

use anyhow::Context as _;
use netpath::lab::{
    Lab,
    topologies::{Step, find},
    traffic::Load,
};

use super::{Check, bpftrace::Bpftrace, rows, traced};
use crate::Args;

/// 100 Mb/s, and 8 ms of queue. The handle is one that nobody else has.
const TBF: &[Step] = &[Step::Command(
    "host",
    &[
        "tc", "qdisc", "replace", "dev", "up0", "root", "handle", "7ea1:", "tbf", "rate",
        "100mbit", "burst", "4kb", "limit", "100kb",
    ],
)];

/// Each packet's time from the tracepoint at the queue's entry to the one at its exit.
const SCRIPT: &str = "
tracepoint:qdisc:qdisc_enqueue /args->handle == 0x7ea10000/ { @at[args->skbaddr] = nsecs; }
tracepoint:qdisc:qdisc_dequeue /args->handle == 0x7ea10000 && @at[args->skbaddr]/ {
    @sum = sum(nsecs - @at[args->skbaddr]); @n = count(); delete(@at[args->skbaddr]);
}";

/// Datagrams of 1,000 B a second, and what that means.
const RATES: [(u64, &str); 2] = [(11_000, "below its rate"), (20_000, "above its rate")];

pub(super) fn run(args: &Args) -> anyhow::Result<Vec<Check>> {
    let lab = Lab::up_with(find("bridge-nat").context("the lab has no bridge-nat")?, &[TBF])?;
    let mut checks = Vec::new();
    for (rate, what) in RATES {
        eprintln!("bench: truth: tbf, {what}");
        let (mut waits, mut counts) = (Vec::new(), Vec::new());
        for _ in 0..args.rounds {
            let bpftrace = Bpftrace::start(SCRIPT)?;
            let load = Load::UdpFlood { bytes: 1000, rate: Some(rate) };
            let (_, snapshot) = traced(&lab, load, Duration::from_millis(args.run_ms))?;
            let maps = bpftrace.stop()?;
            let of = |name: &str| maps.get(name).copied().context("bpftrace has seen no packet");
            let (n, sum) = (of("@n")?, of("@sum")?);
            let ours = || rows(&snapshot, "qdisc.wait").filter(|h| h.dev.as_deref() == Some("up0"));
            let count = ours().map(|h| h.count).sum::<u64>() as f64;
            let total: f64 = ours().map(|h| h.count as f64 * h.times.mean_ns).sum();
            // The ledger is of packets that arrive; some pass the queue and find the server's socket full.
            let beyond = snapshot.drops.iter().filter(|d| d.netns == "server").map(|d| d.count);
            waits.push((total / count, sum / n));
            counts.push((count + beyond.sum::<u64>() as f64, n));
        }
        let below = rate == RATES[0].0;
        let key = |of: &str| format!("{of}-{}", if below { "below" } else { "above" });
        checks.push(Check::new(
            key("tbf-wait"),
            format!("mean wait in a tbf of 100 Mb/s, {what}"),
            ("bpftrace", "ns"),
            &waits,
            0.97..=1.03,
        ));
        checks.push(Check::new(
            key("tbf-packets"),
            format!("packets through it, {what}"),
            ("bpftrace", "packets"),
            &counts,
            0.97..=1.03,
        ));
    }
    Ok(checks)
}
