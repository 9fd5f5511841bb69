//! The tests: units and properties anywhere, the kernel's where there is root, and those of other
//! kernels in virtual machines.

use std::{
    ffi::OsString,
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, ExitCode, Stdio},
};

use anyhow::Context as _;

use crate::{
    conformance, ebpf, lint,
    setup::{self, Tools},
    shell::{cargo, output},
    vm,
};

/// Programs that tests run beside those of the lab, and Debian's packages of them: a reader of captures,
/// and what the cases' scripts are made of.
const PROGRAMS: &[(&str, &str)] = &[
    ("tshark", "tshark"),
    ("python3", "python3"),
    ("ethtool", "ethtool"),
    ("nstat", "iproute2"),
    ("sysctl", "procps"),
];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also on the newest kernel that Debian has, beside those of its stable releases.
    #[arg(long)]
    all_kernels: bool,
    /// Passed on to the test runner, such as a filter; then no other kernels are booted.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

pub(crate) fn run(tools: &Tools, args: &Args) -> anyhow::Result<ExitCode> {
    let object = ebpf::build(tools)?;
    // Only where they can be had: a test says what it can't do without.
    if let Err(error) = setup::require(PROGRAMS.iter().copied()) {
        eprintln!("xtask: {error:#}");
    }
    if let Err(error) = conformance::install_core(tools) {
        eprintln!("xtask: {error:#}");
    }
    let nextest = output(cargo().args(["nextest", "--version"])).is_some();
    let mut command = cargo();
    command.env("NETPATH_EBPF", &object);
    if nextest {
        command.args(["nextest", "run", "--release", "--no-fail-fast"]);
    } else {
        // The kernel's tests must not disturb each other.
        command.args(["test", "--release", "--no-fail-fast"]).env("RUST_TEST_THREADS", "1");
    }
    command.args(&args.arguments);
    let (ok, mut tally) = tally(&mut command)?;
    if !ok && tally.failed == 0 {
        tally.failed = 1;
    }
    match lint::run(tools) {
        Ok(()) => tally.passed += 1,
        Err(error) => {
            eprintln!("xtask: lint: {error:#}");
            tally.failed += 1;
        }
    }
    if args.arguments.is_empty() {
        on_other_kernels(tools, args.all_kernels, &mut tally);
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the kernel's tests in virtual machines. One that can't run counts as failed where
/// `NETPATH_REQUIRE_KERNEL` is 1, and is told as skipped elsewhere.
fn on_other_kernels(tools: &Tools, all: bool, tally: &mut Tally) {
    let required = std::env::var("NETPATH_REQUIRE_KERNEL").is_ok_and(|v| v == "1");
    let kernels: Vec<_> = vm::own().into_iter().filter(|k| all || k.stable).collect();
    let mut missing = 0;
    let mut unable = |name: &str, error: &anyhow::Error| {
        let word = if required { "FAILED" } else { "SKIP" };
        eprintln!("xtask: {word} tests on kernel {name}: {error:#}");
        missing += u64::from(required);
    };
    match vm::test(tools, &kernels, |kernel, error| unable(kernel.name, error)) {
        Ok(sum) => {
            tally.passed += sum.passed;
            tally.failed += sum.failed;
        }
        // What can't be built is wrong everywhere.
        Err(error) => {
            eprintln!("xtask: tests for other kernels: {error:#}");
            tally.failed += 1;
        }
    }
    tally.failed += missing;
}

#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

/// Runs the tests, shows what they print, and adds up what the runner's summaries say.
fn tally(command: &mut Command) -> anyhow::Result<(bool, Tally)> {
    // nextest sums up on stderr, cargo test on stdout: both go into one pipe.
    let (reader, writer) = std::io::pipe()?;
    let mut child = command
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot run {command:?}"))?;
    // The command holds the pipe's writing ends until it is dropped or changed.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut tally = Tally::default();
    for line in BufReader::new(reader).lines() {
        let line = line?;
        writeln!(std::io::stderr(), "{line}")?;
        tally.add(&line);
    }
    Ok((child.wait()?.success(), tally))
}

impl Tally {
    /// Reads a summary line: nextest's `… 7 tests run: 5 passed (1 slow), 2 failed, 0 skipped`, or
    /// cargo test's `test result: ok. 5 passed; 2 failed; …`.
    pub(crate) fn add(&mut self, line: &str) {
        let plain = strip_colours(line);
        // What a failed test printed is indented by nextest, and has such a line too.
        let counts = ["test result: ok.", "test result: FAILED."]
            .iter()
            .find_map(|mark| plain.strip_prefix(mark))
            .or_else(|| {
                let summary = plain.trim_start().strip_prefix("Summary [")?;
                ["tests run:", "test run:"]
                    .iter()
                    .find_map(|mark| Some(summary.split_once(mark)?.1))
            });
        for part in counts.unwrap_or_default().split([',', ';']) {
            let words: Vec<&str> = part.split_whitespace().collect();
            if let [number, what, ..] = words[..]
                && let Ok(number) = number.parse::<u64>()
            {
                match what {
                    "passed" => self.passed += number,
                    "failed" | "timed" => self.failed += number,
                    _ => {}
                }
            }
        }
    }
}

fn strip_colours(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        out.push_str(before);
        rest = after.split_once('m').map_or("", |(_, rest)| rest);
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_added_up() {
        let mut tally = Tally::default();
        tally.add(
            "\u{1b}[32m     Summary\u{1b}[0m [ 1.0s] 7 tests run: 5 passed (1 slow), 2 failed, 3 skipped",
        );
        tally.add("anything else, 9 passed");
        tally.add("    test result: FAILED. 0 passed; 1 failed; 0 ignored");
        assert_eq!((tally.passed, tally.failed), (5, 2));
        tally.add("test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured");
        assert_eq!((tally.passed, tally.failed), (9, 2));
    }
}
