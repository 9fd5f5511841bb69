//! Rule sets: their cost must be a straight line in the number of rules, as steep as the sender's own
//! clock says; and none in the size of a set.

use std::time::Duration;

use anyhow::Context as _;
use netpath::lab::{
    Lab,
    bench::{Settings, measure_once},
    experiments::ONE_WAY,
    topologies::{Flavour, Step, find},
    traffic::{Load, Sizes},
};
use netpath::snapshot::Snapshot;

use super::{Check, plain, rows};
use crate::{Args, figures::Figure, watcher::Watcher, ways::FULL};

/// How rules are written, how many of them there are, and the chain that a finding must name.
const FLAVOURS: [(&str, Flavour, &str); 3] = [
    ("iptables-legacy", Flavour::Legacy, "ip filter FORWARD"),
    ("iptables-nft", Flavour::Compat, "ip filter FORWARD"),
    ("nft", Flavour::Nft, "ip lab forward"),
];
const RULES: [u32; 4] = [10, 100, 1000, 3000];
/// From how many on the finding must be there.
const LONG: u32 = 100;

/// A line through points.
struct Line {
    slope: f64,
    r_squared: f64,
}

fn fit(points: &[(f64, f64)]) -> Line {
    let n = points.len() as f64;
    let mean = |f: fn(&(f64, f64)) -> f64| points.iter().map(f).sum::<f64>() / n;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let sum = |f: &dyn Fn(f64, f64) -> f64| points.iter().map(|p| f(p.0 - x, p.1 - y)).sum::<f64>();
    let (xx, xy, yy) = (sum(&|a, _| a * a), sum(&|a, b| a * b), sum(&|_, b| b * b));
    Line { slope: xy / xx, r_squared: xy * xy / (xx * yy) }
}

/// One number of rules: the median of netpath's time in the chain, and of the sender's for a datagram,
/// ns; and whether the finding is right. (The probes' cost is the same in all, and no part of a slope.)
struct Point {
    rules: f64,
    netpath: f64,
    clock: f64,
    named: bool,
}

fn measure(args: &Args, flavour: Flavour, n: u32, chain: &str) -> anyhow::Result<Point> {
    let steps: &'static [Step] = Box::leak(Box::new([Step::Rules("host", flavour, n)]));
    let lab = Lab::up_with(find("bridge").context("the lab has no bridge")?, &[steps])?;
    let settings = Settings {
        runs: 1,
        run: Duration::from_millis(args.run_ms),
        warm_up: Duration::ZERO,
        traced: None,
        cpus: super::HERE.cpus,
    };
    let one_way = || -> anyhow::Result<f64> {
        let measured = measure_once(&lab, &ONE_WAY, &settings)?;
        Ok(measured.round_trips.value_at_quantile(0.5) as f64)
    };
    // Both within one trace, in turns: a shared machine's speed changes from second to second. What
    // netpath adds to a datagram is the same for all, and no part of a slope.
    let watcher = Watcher::start(&FULL, &lab)?;
    let round_trips = || plain(&lab, Load::UdpRequests(Sizes::default()), settings.run / 2);
    round_trips()?;
    let before = one_way()?;
    round_trips()?;
    let after = one_way()?;
    let snapshot = watcher.stop()?.snapshot.context("netpath has written no report")?;
    let forward = rows(&snapshot, "rules").filter(|h| h.hook.as_deref() == Some("FORWARD"));
    let row = forward.max_by_key(|h| h.count).context("netpath has seen no rules")?;
    Ok(Point {
        rules: f64::from(n),
        netpath: row.times.p50_ns as f64,
        clock: f64::midpoint(before, after),
        named: is_named(&snapshot, n, chain),
    })
}

/// Whether the finding is there where it must be, with chain and number, and only there.
fn is_named(snapshot: &Snapshot, n: u32, chain: &str) -> bool {
    let Some(finding) = snapshot.findings.iter().find(|f| f.id == "linear-rules") else {
        return n < LONG;
    };
    let says = |key: &str| finding.evidence.get(key);
    says("chain").and_then(|v| v.as_str()) == Some(chain)
        && says("rules").and_then(serde_json::Value::as_u64) == Some(u64::from(n))
}

pub(super) fn run(args: &Args) -> anyhow::Result<Vec<Check>> {
    let mut checks = Vec::new();
    let mut per_rule = f64::NAN;
    for (name, flavour, chain) in FLAVOURS {
        let (mut slopes, mut straight) = (Vec::new(), Vec::new());
        let (mut named, mut points) = (0, 0);
        for round in 0..args.rounds {
            eprintln!("bench: truth: {name}, round {} of {}", round + 1, args.rounds);
            let all = RULES.map(|n| measure(args, flavour, n, chain));
            let all = all.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
            let line = |y: fn(&Point) -> f64| {
                fit(&all.iter().map(|p| (p.rules, y(p))).collect::<Vec<_>>())
            };
            let (ours, clock) = (line(|p| p.netpath), line(|p| p.clock));
            slopes.push((ours.slope, clock.slope));
            straight.push((ours.r_squared, 1.0));
            named += all.iter().filter(|p| p.named).count();
            points += all.len();
        }
        let what = format!("a rule of {name}, slope from 10 to 3,000");
        let slope = Check::new(
            format!("slope-{name}"),
            what,
            ("the sender's clock", "ns"),
            &slopes,
            0.85..=1.15,
        );
        per_rule = slope.netpath.median;
        checks.push(slope);
        let what = format!("R² of {name}'s line");
        let mut line = Check::new(
            format!("line-{name}"),
            what,
            ("a straight line", ""),
            &straight,
            0.95..=1.0,
        )
        .noting(format!(
            "the finding linear-rules names {chain} and the number in {named} of {points}"
        ));
        line.passed &= named == points;
        checks.push(line);
    }
    checks.push(set(args, per_rule)?);
    Ok(checks)
}

/// The slope of an nft set in its size, against that of as many rules.
fn set(args: &Args, per_rule: f64) -> anyhow::Result<Check> {
    let mut slopes = Vec::new();
    for round in 0..args.rounds {
        eprintln!("bench: truth: nft set, round {} of {}", round + 1, args.rounds);
        let all = RULES.map(|n| measure(args, Flavour::Set, n, ""));
        let all = all.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
        slopes.push(fit(&all.iter().map(|p| (p.rules, p.netpath)).collect::<Vec<_>>()).slope);
    }
    let runs: Vec<(f64, f64)> = slopes.iter().map(|s| (*s, per_rule)).collect();
    let at = Figure::of(&slopes).median;
    let what = "an element of an nft set, slope, against a rule's";
    Ok(Check::new("set-nft", what, ("netpath, of nft's rules", "ns"), &runs, -0.02..=0.02)
        .noting(format!("{at:.4} ns an element")))
}
