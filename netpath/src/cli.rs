//! The command line: what can be asked, who answers, and what the exit status means.

pub mod args;
mod diff;
mod doctor;
mod exit;
mod explain;
mod hops;
mod interrupt;
mod lab;
mod live;
mod ls;
mod output;
mod progress;
mod report;
mod topo;
mod trace;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Args, Command};

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return exit::usage(&error),
    };
    exit::init_log(&args);
    let result = match args.command {
        Command::Trace(trace) => trace::run(&trace),
        Command::Record(record) => trace::record(&record),
        Command::Report(report) => report::run(&report),
        Command::Explain(explain) => explain::run(explain),
        Command::Diff(diff) => diff::run(&diff),
        Command::Topo(topo) => topo::run(&topo),
        Command::Ls(ls) => ls::run(&ls),
        Command::Lab(lab) => lab::run(&lab),
        Command::Hops(hops) => hops::run(&hops),
        Command::Doctor(doctor) => doctor::run(&doctor),
    };
    match result {
        Ok(code) => code,
        Err(error) => exit::failed(&error),
    }
}
