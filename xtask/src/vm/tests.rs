//! netpath's kernel tests on one of the kernels.
//!
//! In: the tests, built to need no library, and a kernel's row. Out: the guest that runs them, and
//! what its output says of how many passed.

use std::{path::Path, time::Duration};

use super::{Guest, Kernel, Outcome, Put};
use crate::test::Tally;

/// The tests in the guest, in root's home.
const TESTS: &str = "kernel-tests";

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

/// A guest that runs tests.
pub(super) fn guest(kernel: &Kernel, tests: &Path, which: Which) -> Guest {
    let mut words = vec![
        "env".to_owned(),
        "NETPATH_REQUIRE_KERNEL=1".to_owned(),
        "NETPATH_EMULATED=1".to_owned(),
        // Too large for an initramfs, and no other there than here.
        "NETPATH_WITHOUT=tshark".to_owned(),
        format!("NETPATH_BACKENDS={}", kernel.backends.join(",")),
        "CARGO_BIN_EXE_netpath=/usr/bin/netpath".to_owned(),
        format!("./{TESTS}"),
        "--test-threads=1".to_owned(),
    ];
    match which {
        Which::Asked => words.extend(ASKED.iter().map(|&module| module.to_owned())),
        Which::Named(part) => words.extend(part),
        Which::Exactly(names) => {
            words.push("--exact".to_owned());
            words.extend(names);
        }
    }
    for (test, _) in SKIPPED {
        words.extend(["--skip".to_owned(), (*test).to_owned()]);
    }
    Guest {
        command: words,
        files: vec![Put { host: tests.to_owned(), guest: Path::new("/root").join(TESTS) }],
        // There, no time between two marks can be negative; and the CPUs of an emulated machine
        // would take turns.
        cpus: 1,
        timeout: Duration::from_mins(45),
        ..Guest::default()
    }
}

/// The tests that failed.
pub(super) fn failed(outcome: &Outcome) -> Vec<String> {
    String::from_utf8_lossy(&outcome.stdout)
        .lines()
        .filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"))
        .map(str::to_owned)
        .collect()
}

/// What the tests' output adds up to; a guest that said nothing of its tests has failed.
pub(super) fn tally(outcome: &Outcome) -> Tally {
    let mut tally = Tally::default();
    for line in String::from_utf8_lossy(&outcome.stdout).lines() {
        tally.add(line);
    }
    if tally.failed == 0 && (tally.passed == 0 || outcome.end.status() != 0) {
        tally.failed = 1;
    }
    tally
}
