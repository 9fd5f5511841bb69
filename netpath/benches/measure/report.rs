//! What was measured, as tables and as JSON.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::Context as _;
use netpath::{hooks::HookPlan, host::HostFacts, topo::Topology};
use serde::Serialize;

use crate::{
    figures::Figure, overhead::LoadFigures, programs::Programs, replay::Replay, scale::Scale,
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
    pub(crate) overhead: Vec<LoadFigures>,
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
            overhead: Vec::new(),
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

    pub(crate) fn overhead_table(&self) -> String {
        let mut out = String::new();
        for load in &self.overhead {
            let _ = writeln!(out, "### {}\n", load.load);
            table(&mut out, &["way", "kept", "spread", "delivered", "per second", "CPUs", "lost"]);
            for way in &load.ways {
                if let Some(why) = &way.failed {
                    let _ = writeln!(out, "| {} | did not run: {why} | | | | | |", way.what);
                    continue;
                }
                let _ = writeln!(
                    out,
                    "| {} | {:.2} | {} | {:.2} | {:.0} | {:.2} | {} |",
                    way.what,
                    way.kept.median,
                    spread(way.kept),
                    way.delivered.median,
                    way.per_second.median,
                    way.tool_cpus.median,
                    way.lost_events,
                );
            }
            out.push('\n');
        }
        out
    }

    pub(crate) fn programs_table(&self) -> String {
        let mut out = String::new();
        let Some(programs) = &self.programs else { return out };
        table(&mut out, &["program", "runs", "ns", "empty, ns", "above, ns"]);
        for row in &programs.rows {
            let above = row.mean_ns - row.empty_ns;
            let _ = writeln!(
                out,
                "| {} | {} | {:.0} | {:.0} | {above:.0} |",
                row.program, row.runs, row.mean_ns, row.empty_ns
            );
        }
        let _ = writeln!(
            out,
            "| all, {:.1} runs a packet | | {:.0} | {:.0} | {:.0} |",
            programs.runs_per_packet,
            programs.mean_ns,
            programs.empty_mean_ns,
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

    pub(crate) fn scale_table(&self) -> String {
        const MIB: f64 = (1 << 20) as f64;
        let mut out = String::new();
        let Some(scale) = &self.scale else { return out };
        table(&mut out, &["flows", "packets", "user ns a packet", "peak memory, MiB", "lost"]);
        for row in &scale.steps {
            let _ = writeln!(
                out,
                "| {} | {} | {:.0} | {:.1} | {} |",
                row.flows,
                row.packets,
                row.user_ns_per_packet,
                row.peak_bytes as f64 / MIB,
                row.lost
            );
        }
        let soak: Vec<String> =
            scale.soak.iter().map(|bytes| format!("{:.1}", *bytes as f64 / MIB)).collect();
        let _ = writeln!(
            out,
            "\nresident memory over time with the most flows, MiB: {}\n\
             start to first packet and end: {:.0} ms; binary: {:.1} MiB",
            soak.join(" "),
            scale.start_ms,
            scale.binary_bytes as f64 / MIB
        );
        out
    }
}

fn spread(figure: Figure) -> String {
    format!("{:.2}–{:.2}", figure.low, figure.high)
}

fn table(out: &mut String, heads: &[&str]) {
    let _ = writeln!(out, "| {} |", heads.join(" | "));
    let _ = writeln!(out, "|{}", " --- |".repeat(heads.len()));
}
