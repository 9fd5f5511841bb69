//! Real programs over the lab's topologies, and netpath beside them, held against what the programs
//! say themselves and against the kernel's counters. `cargo xtask conformance` runs it.
//!
//! In: the table of programs ([`conformance::programs`]), each with its topologies. Out: a test a row,
//! an outcome a row in target/conformance, and with `NETPATH_CONFORMANCE_TABLE` those as a table in
//! that file. Rows beyond the core are ignored tests.
//!
//! The kernel's selftests ([`conformance::selftests`]) are rows of their own.
//!
//! `NETPATH_ROWS` restricts them to those whose names hold one of its words. `--needs` prints what the rows need (with `--core`, with `--selftests`: those), a program and Debian's
//! package of it a line.

mod conformance {
    pub(crate) mod bars;
    pub(crate) mod outcome;
    pub(crate) mod process;
    pub(crate) mod programs;
    pub(crate) mod report;
    pub(crate) mod row;
    pub(crate) mod selftests;
    pub(crate) mod stage;
    pub(crate) mod table;
    pub(crate) mod trace;
    pub(crate) mod witness;
}

use std::{collections::BTreeSet, env, process::ExitCode};

use conformance::{
    outcome, programs, row,
    selftests::{self, SELFTESTS},
    table,
};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    if env::args().any(|argument| argument == "--needs") {
        for (program, package) in needs() {
            println!("{program} {package}");
        }
        return ExitCode::SUCCESS;
    }
    let mut arguments = Arguments::from_args();
    // Rows share the machine's CPUs with their own traffic.
    arguments.test_threads = Some(1);
    let selftests = SELFTESTS.iter().map(|test| Trial::test(test.row(), || Ok(test.run()?)));
    let trials = row::all().map(trial).chain(selftests.map(|test| test.with_ignored_flag(true)));
    let named = env::var("NETPATH_ROWS").unwrap_or_default();
    let is_named = |row: &str| named.is_empty() || named.split(' ').any(|name| row.contains(name));
    let trials = trials.filter(|trial| is_named(trial.name()));
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    if !arguments.list
        && let Some(file) = env::var_os("NETPATH_CONFORMANCE_TABLE")
    {
        let rows = row::all()
            .map(|row| row.name())
            .chain(SELFTESTS.iter().map(conformance::selftests::Selftest::row));
        let outcomes: Vec<_> = rows.filter_map(|row| outcome::read(&row)).collect();
        if let Err(error) = std::fs::write(&file, table::markdown(&outcomes)) {
            eprintln!("cannot write {}: {error}", file.display());
            return ExitCode::FAILURE;
        }
        if !table::clean_enough(&outcomes) {
            eprintln!("too many rows have vanished or ambiguous packets");
            return ExitCode::FAILURE;
        }
    }
    if conclusion.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn trial(row: row::Row) -> Trial {
    let core = row.on.core;
    Trial::test(row.name(), move || row::run(&row).map_err(Failed::from)).with_ignored_flag(!core)
}

/// What the rows, those of the core, or the selftests take: programs, each with Debian's package of it.
fn needs() -> BTreeSet<(&'static str, &'static str)> {
    let asked = |option: &str| env::args().any(|argument| argument == option);
    if asked("--selftests") {
        return selftests::NEEDS.iter().copied().collect();
    }
    let core = asked("--core");
    let programs = row::all().filter(|row| row.on.core || !core).map(|row| row.program);
    programs.flat_map(|program| program.needs).chain(programs::ALWAYS).copied().collect()
}
