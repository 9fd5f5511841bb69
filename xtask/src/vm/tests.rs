//! netpath's tests on some of the kernels.
//!
//! In: the kernels' rows, the suite, and which of its tests. Out: how many passed, as the guests' outputs say.

use std::{panic::resume_unwind, path::Path, thread, time::Duration};

use anyhow::bail;

use super::{End, Guest, Image, Kernel, Outcome, Put, boot, cases, line, prepare, rows};
use crate::{arch::Arch, build, setup::Tools, test::Tally};

/// Tests that can be carried to a guest.
pub(super) struct Suite {
    /// As cargo calls it.
    name: &'static str,
    /// Tests that every kernel is asked for, of which one wants to know whatever has changed.
    asked: &'static [&'static str],
    /// Tests that say nothing where a machine is emulated, and why.
    skipped: &'static [(&'static str, &'static str)],
    /// Options of its own.
    options: &'static [&'static str],
    /// The variable that says which tests, where it takes no more than one name as an argument.
    names: Option<&'static str>,
    /// What its guests have beside the tests.
    baggage: fn(&Arch) -> anyhow::Result<Baggage>,
}

/// What a suite's tests need beside themselves.
#[derive(Clone, Debug, Default)]
pub(super) struct Baggage {
    /// Variables of their environment.
    pub(super) environment: Vec<String>,
    pub(super) files: Vec<Put>,
}

/// What netpath says of the kernel that runs.
pub(super) static KERNEL: Suite = Suite {
    name: "kernel",
    asked: ASKED,
    skipped: SKIPPED,
    options: &[],
    names: None,
    baggage: |_| {
        // Too large for an initramfs, and no other there than here.
        Ok(Baggage { environment: vec!["NETPATH_WITHOUT=tshark".to_owned()], files: Vec::new() })
    },
};

/// Situations from bug reports, each a script.
pub(super) static CASES: Suite = Suite {
    name: "cases",
    asked: &[],
    skipped: &[],
    options: &[],
    names: None,
    baggage: cases::baggage,
};

/// Real programs over the lab's topologies.
pub(super) static ROWS: Suite = Suite {
    name: "conformance",
    asked: &[],
    skipped: &[],
    options: &["--include-ignored"],
    names: Some("NETPATH_ROWS"),
    baggage: rows::baggage,
};

/// The tests that every kernel is asked for: packets' paths, both ways, IPv4 and IPv6, drops; and
/// every hop, with each sort of rules and by each backend; modules that come later. All the others take
/// an emulated machine many minutes: `cargo xtask vm --kernel K` runs them.
const ASKED: &[&str] = &["kernel::paths::", "kernel::matrix::", "kernel::modules::"];

/// Which tests a guest runs.
pub(super) enum Which {
    /// Those that every kernel is asked for.
    Asked,
    /// All, or all whose names hold one of these.
    Named(Vec<String>),
    /// These.
    Exactly(Vec<String>),
}

/// Tests that say nothing where a machine is emulated.
const SKIPPED: &[(&str, &str)] = &[
    ("twenty_thousand_packets_a_second", "an emulated machine can't send as many"),
    ("what_does_more_takes_longer", "an emulated machine's scatter hides what a hop costs"),
    ("a_shaped_uplink", "the matrix has a queue whose time is known better"),
];

/// Runs tests on some kernels of one architecture, as many at a time as there are CPUs: each guest has
/// one. What fails is tried once more, as the test runner does here: an emulated machine shares its CPU
/// with others.
///
/// `adapt` has the last word on a guest. Where a kernel can't be run the others are, and `unable` hears
/// of it.
///
/// # Errors
/// The tests can't be built, or somebody wants us to stop.
pub(super) fn run(
    tools: &Tools,
    kernels: &[&Kernel],
    suite: &Suite,
    which: &Which,
    adapt: impl Fn(&Kernel, Guest) -> Guest + Sync,
    mut unable: impl FnMut(&Kernel, &anyhow::Error),
) -> anyhow::Result<Tally> {
    let Some(arch) = kernels.first().map(|kernel| kernel.arch) else {
        return Ok(Tally::default());
    };
    let baggage = (suite.baggage)(arch)?;
    let tests = build::static_tests(tools, arch, suite.name)?;
    let mut ready = Vec::new();
    for kernel in kernels {
        match prepare(kernel, build::static_netpath(arch)) {
            Ok(image) => ready.push((*kernel, image)),
            Err(error) => unable(kernel, &error),
        }
    }
    let label = |kernel: &Kernel| (ready.len() > 1).then(|| format!("{:<6}", kernel.name));
    let guest = |kernel: &Kernel, which: &Which| Guest {
        label: label(kernel),
        ..adapt(kernel, guest(kernel, suite, &baggage, &tests, which))
    };
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let mut sum = Tally::default();
    let mut lines = Vec::new();
    for together in ready.chunks(cpus) {
        let guest = &guest;
        let ends: Vec<_> = thread::scope(|scope| {
            let run = |(kernel, image)| {
                scope.spawn(move || run_twice(kernel, image, which, |which| guest(kernel, which)))
            };
            let guests: Vec<_> = together.iter().map(|(k, image)| run((*k, image))).collect();
            guests.into_iter().map(|g| g.join().unwrap_or_else(|p| resume_unwind(p))).collect()
        });
        for ((kernel, _), end) in together.iter().zip(ends) {
            match end {
                Ok(Tried { interrupted: true, .. }) => bail!("interrupted"),
                Ok(Tried { tally, said, .. }) => {
                    sum.passed += tally.passed;
                    sum.failed += tally.failed;
                    lines.extend(said);
                }
                Err(error) => unable(kernel, &error),
            }
        }
    }
    for line in &lines {
        eprintln!("xtask: {line}");
    }
    Ok(sum)
}

/// What became of the tests on a kernel.
struct Tried {
    tally: Tally,
    /// A line for each guest.
    said: Vec<String>,
    interrupted: bool,
}

/// Runs tests in a guest, and those that failed in another one.
fn run_twice(
    kernel: &Kernel,
    image: &Image,
    which: &Which,
    guest: impl Fn(&Which) -> Guest,
) -> anyhow::Result<Tried> {
    let first = boot(kernel, image, &guest(which))?;
    let mut tried = Tried {
        tally: tally(&first),
        said: told(kernel, &first),
        interrupted: first.end == End::Interrupted,
    };
    let failed = failed(&first);
    // Where the guest has not come to its end there are tests that nobody has run.
    if failed.is_empty() || !matches!(first.end, End::Exited(_)) {
        return Ok(tried);
    }
    let again = boot(kernel, image, &guest(&Which::Exactly(failed.clone())))?;
    tried.interrupted = again.end == End::Interrupted;
    let second = tally(&again);
    tried.tally.passed += second.passed;
    tried.tally.failed = second.failed;
    tried.said.push(format!(
        "{}  (what failed, again: {})",
        line(kernel, &again),
        failed.join(", ")
    ));
    Ok(tried)
}

/// A guest that runs tests.
fn guest(kernel: &Kernel, suite: &Suite, baggage: &Baggage, tests: &Path, which: &Which) -> Guest {
    let program = Path::new("/root").join(format!("{}-tests", suite.name));
    let mut words = vec![
        "env".to_owned(),
        "NETPATH_REQUIRE_KERNEL=1".to_owned(),
        "NETPATH_EMULATED=1".to_owned(),
        format!("NETPATH_BACKENDS={}", kernel.backends.join(",")),
        "CARGO_BIN_EXE_netpath=/usr/bin/netpath".to_owned(),
    ];
    words.extend(baggage.environment.iter().cloned());
    let by_variable = match (suite.names, which) {
        (Some(variable), Which::Named(names) | Which::Exactly(names)) => {
            words.push(format!("{variable}={}", names.join(" ")));
            true
        }
        _ => false,
    };
    words.push(program.display().to_string());
    // What a test that was skipped says of itself is shown, too.
    words.extend(["--test-threads=1", "--show-output"].map(str::to_owned));
    words.extend(suite.options.iter().map(|&option| option.to_owned()));
    match which {
        _ if by_variable => {}
        Which::Asked => words.extend(suite.asked.iter().map(|&module| module.to_owned())),
        Which::Named(parts) => words.extend(parts.iter().cloned()),
        Which::Exactly(names) => {
            words.push("--exact".to_owned());
            words.extend(names.iter().cloned());
        }
    }
    for (test, _) in suite.skipped {
        words.extend(["--skip".to_owned(), (*test).to_owned()]);
    }
    let mut files = baggage.files.clone();
    files.push(Put { host: tests.to_owned(), guest: program });
    Guest {
        command: words,
        files,
        // There, no time between two marks can be negative; and the CPUs of an emulated machine
        // would take turns.
        cpus: 1,
        timeout: Duration::from_mins(45),
        ..Guest::default()
    }
}

/// What is said of a guest in the end: its line, and what its tests could not try there.
fn told(kernel: &Kernel, outcome: &Outcome) -> Vec<String> {
    let stdout = String::from_utf8_lossy(&outcome.stdout);
    let skipped = stdout.lines().filter(|line| line.starts_with("SKIP "));
    let mut lines: Vec<String> = skipped.map(|s| format!("{:<10} {s}", kernel.name)).collect();
    lines.push(line(kernel, outcome));
    lines
}

/// The tests that failed: the last list of the output.
fn failed(outcome: &Outcome) -> Vec<String> {
    failed_in(&String::from_utf8_lossy(&outcome.stdout))
}

fn failed_in(stdout: &str) -> Vec<String> {
    let list = stdout.rsplit_once("\nfailures:\n").map_or("", |(_, list)| list);
    let names = list.lines().map_while(|line| line.strip_prefix("    "));
    names.filter(|name| !name.contains(' ')).map(str::to_owned).collect()
}

/// What the tests' output adds up to; a guest that said nothing of its tests has failed.
fn tally(outcome: &Outcome) -> Tally {
    let mut tally = Tally::default();
    for line in String::from_utf8_lossy(&outcome.stdout).lines() {
        tally.add(line);
    }
    if tally.failed == 0 && (tally.passed == 0 || outcome.end.status() != 0) {
        tally.failed = 1;
    }
    tally
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn what_failed_is_the_last_list() {
        let said = "test a::b ... a::b: FAILED\n  x\n\nFAILED\n\nfailures:\n\n---- a::b ----\n    no name\n\n\n\
                    failures:\n    a::b\n    c\n\ntest result: FAILED. 1 passed";
        assert_eq!(failed_in(said), ["a::b", "c"]);
        assert!(failed_in("test a ... ok\n\ntest result: ok.").is_empty());
    }
}
