//! The kernel's own selftests, of which each makes namespaces, sends packets, and judges what it saw.
//! Each runs alone, and once more with netpath beside it.
//!
//! In: where the kernel's source is, in `NETPATH_SELFTESTS`. Out: an [`Outcome`] a test: it must come
//! to the same both times, and nothing may be reported as lost that the test did not lose on purpose.

use std::{
    collections::HashSet,
    env, fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use netpath::netns::{self, Netns};

use super::{
    bars::{AMBIGUOUS, LOST, REFUSED, VANISHED, count},
    outcome::{self, Check, Outcome, Verdict},
    process::{Process, command, wait_for},
    report::{Report, Sort},
    stage::StageError,
    trace::Trace,
};

/// In the table's column of programs.
pub(crate) const PROGRAM: &str = "selftest";
/// The check of what the test came to.
pub(crate) const STATUS: &str = "status";
/// Where the kernel's source is.
const SOURCE: &str = "NETPATH_SELFTESTS";
/// How long a test may take to make its first devices.
const PATIENCE: Duration = Duration::from_secs(20);
/// Its namespaces are there once it has made no more for so long.
const STILL: Duration = Duration::from_millis(200);

/// A selftest, and what it loses on purpose: drop reasons, as the kernel names them.
pub(crate) struct Selftest {
    pub(crate) name: &'static str,
    loses: &'static [&'static str],
}

/// Without namespaces of their own, or without an interface to trace, they would say nothing.
pub(crate) const SELFTESTS: &[Selftest] = &[
    Selftest { name: "nft_nat", loses: &[] },
    Selftest { name: "nft_nat_zones", loses: &[] },
    Selftest { name: "conntrack_icmp_related", loses: &["PKT_TOO_BIG"] },
    // SYNs to an address that nobody has come back to a host that does not forward; the router says so, and
    // NAT takes no redirect of a connection that it changes.
    Selftest { name: "conntrack_tcp_unreplied", loses: &["IP_INADDRERRORS", "NETFILTER_DROP"] },
    // It gives its hosts other addresses, while neighbours still ask for those that they had.
    Selftest { name: "nft_fib", loses: &["IP_INADDRERRORS"] },
    Selftest { name: "nft_synproxy", loses: &[] },
    Selftest { name: "nf_nat_edemux", loses: &[] },
];

/// What they call.
pub(crate) const NEEDS: &[(&str, &str)] = &[
    ("nft", "nftables"),
    ("conntrack", "conntrack"),
    ("iperf3", "iperf3"),
    ("socat", "socat"),
    ("nc", "netcat-openbsd"),
    ("ping", "iputils-ping"),
    ("bash", "bash"),
    ("ip", "iproute2"),
];

impl Selftest {
    pub(crate) fn row(&self) -> String {
        format!("{PROGRAM}::{}", self.name)
    }

    /// Runs it both ways.
    pub(crate) fn run(&self) -> Result<(), String> {
        Outcome::came(PROGRAM, self.name, self.carry_out()).told(false)
    }

    fn carry_out(&self) -> Result<Outcome, StageError> {
        let source = env::var_os(SOURCE).map(PathBuf::from).ok_or_else(|| {
            StageError::Lacks(format!("{SOURCE} does not say where the kernel's source is"))
        })?;
        let alone = self.start(&source)?.wait().map_err(|e| StageError::failed(self.name, e))?;
        let known: HashSet<_> = netns::named().into_iter().collect();
        let mut beside = self.start(&source)?;
        let (netns, iface) = first_device(&known, &mut beside)
            .ok_or_else(|| StageError::failed(self.name, "it made no device to trace"))?;
        let report = outcome::report_file(&self.row());
        let report = report.map_err(|e| StageError::failed("target/conformance", e))?;
        let trace = Trace::start(&netns, &iface, &report)?;
        let status = beside.wait().map_err(|e| StageError::failed(self.name, e))?;
        let report = trace.end()?;
        let status = Check {
            passed: status.code() == alone.code(),
            note: last_line(&beside),
            ..count(STATUS, code(status), code(alone))
        };
        let ran = Outcome::new(PROGRAM, self.name, Verdict::Passed);
        let untold = report.packets.vanished + report.packets.ambiguous;
        Ok(ran.with([vec![status], self.judge(&report)].concat(), untold == 0))
    }

    fn start(&self, source: &std::path::Path) -> Result<Process, StageError> {
        let fail = |e: std::io::Error| StageError::failed(self.name, e);
        let script = source.join("tools/testing/selftests/netfilter").join(self.name);
        let mut command = command(&["bash".as_ref(), script.with_extension("sh").as_os_str()]);
        command.current_dir(script.parent().unwrap_or(source));
        let out = outcome::report_file(&self.row()).map_err(fail)?.with_extension("out");
        let here = Netns::current().map_err(|e| StageError::failed(self.name, e))?;
        Process::start(&here, command, out).map_err(fail)
    }

    fn judge(&self, report: &Report) -> Vec<Check> {
        let lost = report.drops.iter().filter(|drop| drop.sort == Sort::Lost);
        let unprovoked = lost.filter(|drop| !self.loses.contains(&drop.reason.as_str()));
        let named: Vec<_> = unprovoked.clone().map(ToString::to_string).collect();
        let lost: u64 = unprovoked.map(|drop| drop.count).sum();
        let refused: u64 = report.drops(Sort::Refused).values().sum();
        let may = report.packets.seen as f64 * super::bars::UNTOLD_SHARE;
        let untold = |what: &str, n: u64| Check { passed: n as f64 <= may, ..count(what, n, 0) };
        vec![
            count(super::bars::PACKETS, report.packets.seen, report.packets.seen),
            Check { note: named.join(", "), ..count(LOST, lost, 0) },
            count(REFUSED, refused, refused),
            untold(VANISHED, report.packets.vanished),
            untold(AMBIGUOUS, report.packets.ambiguous),
        ]
    }
}

/// A status as a number; 255 where a signal has ended it.
fn code(status: std::process::ExitStatus) -> u64 {
    status.code().and_then(|code| u64::try_from(code).ok()).unwrap_or(255)
}

fn last_line(process: &Process) -> String {
    process.printed().lines().last().unwrap_or_default().to_owned()
}

/// Of the namespaces that a test has made, the one with most devices, and its first device.
fn first_device(
    known: &HashSet<(PathBuf, String)>,
    test: &mut Process,
) -> Option<(String, String)> {
    let look = || {
        let made = netns::named().into_iter().filter(|named| !known.contains(named));
        let found = made.filter_map(|(path, name)| Some((devices(&path)?, name)));
        found.filter(|(devices, _)| !devices.is_empty()).collect::<Vec<_>>()
    };
    let mut last = Vec::new();
    let mut since = Instant::now();
    wait_for(PATIENCE, || {
        let now = look();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        let still = !last.is_empty() && since.elapsed() >= STILL;
        (still || test.has_ended()).then_some(())
    })?;
    let (devices, netns) = last.into_iter().max_by_key(|(devices, _)| devices.len())?;
    Some((netns, devices.into_iter().next()?))
}

/// The devices of a namespace but for its loopback.
fn devices(path: &std::path::Path) -> Option<Vec<String>> {
    let text = Netns::open(path, None)
        .ok()?
        .run(|| fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default())
        .ok()?;
    let names = text.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()));
    Some(names.filter(|name| name != "lo").collect())
}
