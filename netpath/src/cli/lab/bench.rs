//! `netpath lab compare` and `netpath lab matrix`.

use std::{
    fs,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use indicatif::ProgressBar;
use nix::{
    sched::{CpuSet, sched_getaffinity},
    unistd::Pid,
};

use super::{
    super::{
        args::{LabBench, LabCompare, LabFormat, LabMatrix},
        exit::Status,
        interrupt,
        output::print,
    },
    child, progress,
};
use crate::{
    kernel,
    lab::{
        bench::{self, Settings, Watcher},
        experiments::{self, EXPERIMENTS},
        outcome::Report,
        pace::Pace,
        plan::Plan,
        report::{html, markdown, text},
    },
};

pub(super) fn compare(args: &LabCompare) -> anyhow::Result<ExitCode> {
    let plan = Plan::compare(&args.a, &args.b)?;
    run(&[plan], &args.bench, false, None)
}

pub(super) fn matrix(args: &LabMatrix) -> anyhow::Result<ExitCode> {
    let chosen = if args.names.is_empty() {
        EXPERIMENTS.to_vec()
    } else {
        args.names.iter().map(|n| experiments::find(n)).collect::<Result<Vec<_>, _>>()?
    };
    let plans: Vec<Plan> = chosen.into_iter().map(Plan::of).collect();
    run(&plans, &args.bench, args.quick, Some(args.within))
}

fn settings(args: &LabBench, quick: bool) -> anyhow::Result<Settings> {
    let (runs, run_ms, traced_ms) = if quick { (3, 100, 300) } else { (5, 150, 400) };
    Ok(Settings {
        runs: args.runs.map_or(runs, usize::from),
        run: args.run_time.unwrap_or(Duration::from_millis(run_ms)),
        warm_up: Duration::from_millis(20),
        traced: (!args.no_trace).then_some(Duration::from_millis(traced_ms)),
        cpus: cpus(args.cpus)?,
    })
}

/// The CPUs of clients and servers: those that are asked for, or the first two.
fn cpus(asked: Option<(usize, usize)>) -> anyhow::Result<Option<(usize, usize)>> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).context("cannot read the CPU affinity")?;
    let here: Vec<usize> =
        (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false)).collect();
    if let Some((client, server)) = asked {
        for cpu in [client, server] {
            anyhow::ensure!(
                here.contains(&cpu),
                "--cpus: no CPU {cpu} for this process; there are {here:?}"
            );
        }
        return Ok(asked);
    }
    Ok(match here[..] {
        [client, server, ..] => Some((client, server)),
        _ => None,
    })
}

fn run(
    plans: &[Plan],
    args: &LabBench,
    quick: bool,
    within: Option<Duration>,
) -> anyhow::Result<ExitCode> {
    let settings = settings(args, quick)?;
    kernel::check_rights()?;
    if let Some(dir) = &args.output {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    interrupt::catch()?;
    let steps = plans.iter().map(|p| p.steps(settings.runs, settings.traced.is_some())).sum();
    let mut watcher = Progress::new(steps);
    let measuring = plans.iter().map(|p| p.measuring(settings.runs, settings.run)).sum();
    let mut pace = Pace::new(within, steps, measuring);
    let since = Instant::now();
    let mut report = Report::new(settings.runs, settings.run, settings.cpus);
    for plan in plans {
        if watcher.stop() {
            break;
        }
        let outcome = bench::run(plan, &settings, &mut pace, &child::snapshot, &mut watcher);
        report.experiments.push(outcome);
    }
    watcher.bar.finish_and_clear();
    report.given_up = pace.given_up();
    report.complete = !watcher.stop();
    report.took_s = since.elapsed().as_secs_f64();
    write(&report, args)?;
    let mut variants = report.experiments.iter().flat_map(|e| &e.variants);
    let nothing = report.complete && variants.all(|v| v.not_run.is_some());
    Ok(if nothing { Status::Kernel } else { Status::Fine }.into())
}

fn write(report: &Report, args: &LabBench) -> anyhow::Result<()> {
    let json = || -> anyhow::Result<String> { Ok(serde_json::to_string_pretty(report)? + "\n") };
    let summary = text::render(report);
    if let Some(dir) = &args.output {
        for (name, text) in [
            ("lab.html", html::render(report)),
            ("lab.json", json()?),
            ("lab.md", markdown::render(report)),
            ("lab.txt", summary.clone()),
        ] {
            put(&dir.join(name), &text)?;
        }
    }
    print(&match args.format {
        _ if args.json => json()?,
        LabFormat::Json => json()?,
        LabFormat::Markdown => markdown::render(report),
        LabFormat::Summary => summary,
    })
}

fn put(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Tells how far it is.
struct Progress {
    bar: ProgressBar,
}

impl Progress {
    fn new(steps: u64) -> Self {
        Self { bar: progress::steps(steps) }
    }
}

impl Watcher for Progress {
    fn step(&mut self, what: &str) {
        self.bar.inc(1);
        self.bar.set_message(what.to_owned());
        tracing::info!("{what}");
    }

    fn skip(&mut self, steps: u64) {
        self.bar.inc(steps);
    }

    fn stop(&self) -> bool {
        interrupt::requested()
    }
}
