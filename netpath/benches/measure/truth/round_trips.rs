//! Round trips: the ledger's sum against the client's clock while both look at the same packets, and
//! the compensated figure against the client's clock with nothing attached.
//!
//! Where no probe of this kernel sees the sender's call (`socket.send`), the ledger begins later than the
//! client's clock does. There the bar holds for the ledger and both [`ends`] together.

use std::{ops::RangeInclusive, time::Duration};

use anyhow::Context as _;
use netpath::{
    lab::{
        Lab,
        topologies::find,
        traffic::{Load, Sizes},
    },
    snapshot::TransactionReport,
};

use super::{Check, ends, plain, traced};
use crate::{Args, figures::Figure};

/// A protocol's runs.
#[derive(Debug, Default)]
struct Runs {
    /// Means, ns.
    ledger: Vec<(f64, f64)>,
    /// Medians, ns.
    compensated: Vec<(f64, f64)>,
    /// Before the first event, and after the last one, ns.
    ends: Vec<(f64, f64)>,
    /// Whether the sender's call is seen.
    sending: bool,
    /// What netpath says it may be off by, of the untraced median.
    uncertainty: Vec<f64>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Vec<Check>> {
    let lab = Lab::up(find("bridge-nat").context("the lab has no bridge-nat")?)?;
    let mut checks = Vec::new();
    for (protocol, load) in
        [("tcp", Load::TcpRequests(Sizes::default())), ("udp", Load::UdpRequests(Sizes::default()))]
    {
        eprintln!("bench: truth: {protocol} round trips");
        let mut runs = Runs::default();
        for _ in 0..args.rounds {
            runs.add(&lab, protocol, load, Duration::from_millis(args.run_ms))?;
        }
        checks.extend(runs.checks(protocol));
    }
    Ok(checks)
}

impl Runs {
    fn add(&mut self, lab: &Lab, protocol: &str, load: Load, time: Duration) -> anyhow::Result<()> {
        let median =
            |m: &netpath::lab::traffic::Measured| m.round_trips.value_at_quantile(0.5) as f64;
        let before = median(&plain(lab, load, time)?);
        let (client, snapshot) = traced(lab, load, time)?;
        let after = median(&plain(lab, load, time)?);
        let most = |t: &&TransactionReport| t.protocol == protocol;
        let trips = snapshot.transactions.iter().filter(most).max_by_key(|t| t.count);
        let trips = trips.context("netpath has seen no round trips")?;
        let untraced = f64::midpoint(before, after);
        let request = trips.parts.first().and_then(|part| part.path_of(&snapshot));
        self.sending = request.is_some_and(|p| p.hops.iter().any(|h| h.hop == "socket.send"));
        let ends = ends::measure(lab, load, time / 2)?;
        self.ends.push((ends.before(&snapshot, trips), ends.back));
        self.ledger.push((trips.total.mean_ns, client.round_trips.mean()));
        self.compensated.push((trips.compensated.p50_ns, untraced));
        self.uncertainty.push(trips.compensated.uncertainty_ns / untraced);
        Ok(())
    }

    fn checks(&self, protocol: &str) -> Vec<Check> {
        let own = ("the client's clock", "ns");
        let what = |of: &str| format!("{protocol} round trip through NAT, {of}");
        let (ledger, untraced) =
            (what("mean, both while traced"), what("median, compensated, untraced"));
        let ended = |runs: &[(f64, f64)]| -> Vec<(f64, f64)> {
            let with = |(run, ends): (&(f64, f64), &(f64, f64))| (run.0 + ends.0 + ends.1, run.1);
            runs.iter().zip(&self.ends).map(with).collect()
        };
        let alone = [
            Check::new(format!("ledger-{protocol}"), ledger.as_str(), own, &self.ledger, LEDGER),
            self.covered(Check::new(
                format!("compensated-{protocol}"),
                untraced.as_str(),
                own,
                &self.compensated,
                COMPENSATED,
            )),
        ];
        let of =
            |f: fn(&(f64, f64)) -> f64| Figure::of(&self.ends.iter().map(f).collect::<Vec<_>>());
        let ends = format!(
            "bpftrace: {:.2} µs before the first event, {:.2} µs after the last",
            of(|e| e.0).median / 1e3,
            of(|e| e.1).median / 1e3
        );
        let mut checks: Vec<Check> = if self.sending {
            alone.into()
        } else {
            let key = |of: &str| format!("{of}-{protocol}-with-ends");
            let (l, c) = (ended(&self.ledger), ended(&self.compensated));
            let more = |what: &str| format!("{what}, and the ends that no probe sees");
            let [ledger_alone, compensated_alone] = alone.map(Check::without_bar);
            vec![
                ledger_alone,
                Check::new(key("ledger"), more(&ledger), own, &l, LEDGER),
                compensated_alone,
                self.covered(Check::new(key("compensated"), more(&untraced), own, &c, COMPENSATED)),
            ]
        };
        if let Some(first) = checks.first_mut() {
            first.note = Some(ends);
        }
        checks
    }

    /// Says how often the uncertainty holds the truth.
    fn covered(&self, check: Check) -> Check {
        let within = Figure::of(&self.uncertainty).median;
        let off = |r: f64| (r - 1.0).abs() <= within;
        let (low, high) = (off(check.ratio.low), off(check.ratio.high));
        let covers = match (low, high) {
            (true, true) => "which covers both quartiles",
            (false, false) => "which covers neither quartile",
            _ => "which covers one quartile",
        };
        check.noting(format!("netpath says ± {within:.2}, {covers}"))
    }
}

/// How far the ledger may be from what the client measures at the same time.
const LEDGER: RangeInclusive<f64> = 0.95..=1.05;
/// How far the compensated figure may be from what the client measures without netpath.
const COMPENSATED: RangeInclusive<f64> = 0.90..=1.10;
