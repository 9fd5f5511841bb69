//! What netpath costs, measured beside what else can be used. `cargo xtask bench` builds and runs it.
//!
//! In: a machine with root. Out: tables on stdout, and with `--output` everything as JSON.
//!
//! - [`ways`]: ways to watch packets, netpath's and others', as a table;
//! - [`overhead`]: what traffic keeps of its speed under each of them, interleaved in one run;
//! - [`programs`]: ns per run of each of netpath's programs, beside an empty one;
//! - [`replay`]: how fast user space takes events, on a recording made on the spot;
//! - [`scale`]: cost and memory with many hops, flows, paths and packets, and over time;
//! - [`truth`]: netpath's figures against independent ones;
//! - [`figures`]: medians and their spread; [`report`]: tables and JSON.

mod figures;
mod overhead;
mod programs;
mod replay;
mod report;
mod scale;
mod truth;
mod watcher;
mod ways;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, ValueEnum};

use report::Report;

/// Measures netpath on this machine.
#[derive(Debug, Parser)]
struct Args {
    /// Rounds of the interleaved runs.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Length of a single run in milliseconds.
    #[arg(long, default_value_t = 700)]
    run_ms: u64,
    /// Only these parts.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Only ways whose key begins so.
    #[arg(long, value_delimiter = ',')]
    ways: Vec<String>,
    /// Only this load.
    #[arg(long, value_enum, value_delimiter = ',')]
    loads: Vec<overhead::LoadArg>,
    /// Of `scale`, only what is measured against these.
    #[arg(long, value_enum, value_delimiter = ',')]
    against: Vec<scale::Against>,
    /// How long each step of `scale` lasts that runs in the lab.
    #[arg(long, default_value = "6s")]
    step: humantime::Duration,
    /// How long memory is watched at the end of `scale`.
    #[arg(long, default_value = "30s")]
    soak: humantime::Duration,
    /// Packets a second meanwhile.
    #[arg(long, default_value_t = 50_000)]
    soak_rate: u64,
    /// What a package calls its program's version.
    #[arg(long, value_name = "NAME=VERSION", hide = true)]
    version_of: Vec<String>,
    /// Write the results as JSON.
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// cargo passes this on.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Overhead,
    Programs,
    Replay,
    Scale,
    /// netpath's figures against independent ones: the status says whether they agree.
    Truth,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    netpath::kernel::check_rights()?;
    let wanted = |part| args.only.is_empty() || args.only.contains(&part);
    let mut report = Report::begin();
    println!("{}", report.head());
    if wanted(Part::Overhead) {
        report.overhead = Some(overhead::run(args)?);
        println!("{}", report.overhead_table());
    }
    if wanted(Part::Programs) {
        report.programs = Some(programs::run()?);
        println!("{}", report.programs_table());
    }
    if wanted(Part::Replay) {
        report.replay = Some(replay::run()?);
        println!("{}", report.replay_table());
    }
    if wanted(Part::Scale) {
        report.scale = Some(scale::run(args)?);
        println!("{}", report.scale_table());
    }
    if wanted(Part::Truth) {
        report.truth = truth::run(args)?;
        println!("{}", report.truth_table());
    }
    if let Some(path) = &args.output {
        report.write(path)?;
    }
    let failed: Vec<&str> =
        report.truth.iter().filter(|c| !c.passed).map(|c| c.key.as_str()).collect();
    anyhow::ensure!(failed.is_empty(), "not as the others have it: {}", failed.join(", "));
    Ok(())
}
