//! What was measured, as tables in Markdown and as JSON.
//!
//! [`scale`]: the tables of that part.

mod scale;

use std::{fmt::Write as _, fs, path::Path};

use anyhow::Context as _;
use netpath::{hooks::HookPlan, host::HostFacts, topo::Topology};
use serde::Serialize;

use crate::{
    figures::Figure,
    overhead::{Overhead, WayFigures},
    programs::{Programs, Row},
    replay::Replay,
    scale::Scale,
    truth::Check,
};

/// The version of the JSON form.
const SCHEMA: &str = "netpath.bench/1";

/// Everything of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    schema: &'static str,
    version: &'static str,
    host: HostFacts,
    pub(crate) overhead: Option<Overhead>,
    pub(crate) programs: Option<Programs>,
    pub(crate) replay: Option<Replay>,
    pub(crate) scale: Option<Scale>,
    pub(crate) truth: Vec<Check>,
}

impl Report {
    pub(crate) fn begin() -> Self {
        Self {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION"),
            host: HostFacts::read(&Topology::default(), &HookPlan::default()),
            overhead: None,
            programs: None,
            replay: None,
            scale: None,
            truth: Vec::new(),
        }
    }

    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
    }

    /// The machine.
    pub(crate) fn head(&self) -> String {
        let host = &self.host;
        format!(
            "netpath {} · Linux {} · {} × {} · clock {} · governor {} · mitigations: {}\n",
            self.version,
            host.kernel,
            host.cpus,
            host.cpu,
            host.clocksource,
            host.governor,
            host.mitigations.keys().cloned().collect::<Vec<_>>().join(", "),
        )
    }

    /// What is kept, all loads side by side; then each load by itself.
    pub(crate) fn overhead_table(&self) -> String {
        let mut out = String::new();
        let Some(overhead) = &self.overhead else { return out };
        let mut heads = vec![""];
        heads.extend(overhead.loads.iter().map(|load| load.name));
        table(&mut out, &heads);
        let rows = overhead.loads.first().map_or(&[][..], |load| &load.ways[..]);
        for (index, row) in rows.iter().enumerate() {
            let _ = write!(out, "| {} |", row.what);
            for load in &overhead.loads {
                let way = &load.ways[index];
                let _ = match index {
                    0 => write!(out, " {} |", rate(way.per_second.median, load.unit)),
                    _ if way.failed.is_some() => write!(out, " – |"),
                    _ => write!(out, " {:.2} ({}) |", way.kept.median, spread(way.kept)),
                };
            }
            out.push('\n');
        }
        let served: Vec<String> =
            overhead.backends.iter().map(|(backend, hops)| format!("{backend} {hops}")).collect();
        let _ =
            writeln!(out, "\nhops that netpath sees, by what serves them: {}", served.join(", "));
        let mut versions: Vec<&str> =
            rows.iter().filter_map(|way| way.version.as_deref()).collect();
        versions.dedup();
        let _ = writeln!(out, "versions: {}", versions.join(", "));
        if !overhead.missing.is_empty() {
            let _ = writeln!(out, "left out, not installed: {}", overhead.missing.join(", "));
        }
        for load in &overhead.loads {
            let _ = writeln!(out, "\n### {}\n", load.load);
            let heads =
                ["way", "kept", "delivered", "per second", "CPUs", "lost", "printed of all"];
            table(&mut out, &heads);
            load.ways.iter().for_each(|way| way_row(&mut out, way));
        }
        out
    }

    pub(crate) fn programs_table(&self) -> String {
        let mut out = String::new();
        let Some(programs) = &self.programs else { return out };
        table(&mut out, &["program", "runs", "ns", "empty, ns", "clock, ns", "above, ns"]);
        for row in &programs.rows {
            let Row { program, runs, mean_ns, empty_ns, clock_ns } = row;
            let _ = writeln!(
                out,
                "| {program} | {runs} | {mean_ns:.0} | {empty_ns:.0} | {:.0} | {:.0} |",
                clock_ns - empty_ns,
                mean_ns - empty_ns
            );
        }
        let _ = writeln!(
            out,
            "| all, {:.1} runs a packet | | {:.0} | {:.0} | {:.0} | {:.0} |",
            programs.runs_per_packet,
            programs.mean_ns,
            programs.empty_mean_ns,
            programs.clock_mean_ns - programs.empty_mean_ns,
            programs.mean_ns - programs.empty_mean_ns
        );
        out
    }

    pub(crate) fn replay_table(&self) -> String {
        let mut out = String::new();
        let Some(replay) = &self.replay else { return out };
        let _ = writeln!(out, "{} events of {} packets\n", replay.events, replay.packets);
        table(&mut out, &["stages", "million events/s", "spread"]);
        for (name, figure) in [
            ("decode", replay.decode),
            ("decode, flights", replay.to_flights),
            ("decode, flights, ledger", replay.to_ledger),
        ] {
            let _ = writeln!(out, "| {name} | {:.1} | {} |", figure.median, spread(figure));
        }
        out
    }

    pub(crate) fn truth_table(&self) -> String {
        let mut out = String::new();
        table(&mut out, &["what", "netpath", "other", "ratio", "spread", "bar", ""]);
        for check in &self.truth {
            let figure = |f: Figure| match check.unit {
                "ns" if f.median > 100.0 => format!("{:.2} µs", f.median / 1e3),
                "ns" => format!("{:.2} ns", f.median),
                "" => format!("{:.4}", f.median),
                unit => format!("{:.0} {unit}", f.median),
            };
            let _ = writeln!(
                out,
                "| {} | {} | {}, {} | {:.3} | {:.3}–{:.3} | {} | {} |",
                check.what,
                figure(check.netpath),
                figure(check.other),
                check.by,
                check.ratio.median,
                check.ratio.low,
                check.ratio.high,
                check.bar.map_or_else(String::new, |(low, high)| format!("{low:.2}–{high:.2}")),
                match (check.bar, check.passed) {
                    (None, _) => "",
                    (_, true) => "pass",
                    (_, false) => "FAIL",
                },
            );
        }
        out.push('\n');
        for check in &self.truth {
            if let Some(note) = &check.note {
                let _ = writeln!(out, "{}: {note}", check.key);
            }
        }
        out
    }
}

fn way_row(out: &mut String, way: &WayFigures) {
    if let Some(why) = &way.failed {
        let _ = writeln!(out, "| {} | did not run: {why} | | | | | |", way.what);
        return;
    }
    let _ = writeln!(
        out,
        "| {} | {:.2} ({}) | {:.2} ({}) | {:.0} | {:.2} | {} | {} |",
        way.what,
        way.kept.median,
        spread(way.kept),
        way.delivered.median,
        spread(way.delivered),
        way.per_second.median,
        way.tool_cpus.median,
        way.lost_events.map_or_else(|| "not told".to_owned(), |n| n.to_string()),
        way.printed.map_or_else(String::new, |p| format!("{:.2} ({})", p.median, spread(p))),
    );
}

/// As many a second, as people write it.
fn rate(per_second: f64, unit: &str) -> String {
    match unit {
        "B" if per_second >= 1e9 => format!("{:.2} GB/s", per_second / 1e9),
        "B" => format!("{:.1} MB/s", per_second / 1e6),
        _ => format!("{per_second:.0} /s"),
    }
}

fn spread(figure: Figure) -> String {
    format!("{:.2}–{:.2}", figure.low, figure.high)
}

fn table(out: &mut String, heads: &[&str]) {
    let _ = writeln!(out, "| {} |", heads.join(" | "));
    let _ = writeln!(out, "|{}", " --- |".repeat(heads.len()));
}
