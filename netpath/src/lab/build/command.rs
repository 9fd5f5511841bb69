//! Programs of the system, run in a host's namespace.

use std::{
    io::{self, Write as _},
    process::{Command, Output, Stdio},
};

use super::{super::LabError, missing};
use crate::netns::Netns;

/// Debian's packages of the programs that topologies call.
const PACKAGES: &[(&str, &str)] = &[
    ("iptables", "iptables"),
    ("ip6tables", "iptables"),
    ("iptables-legacy-restore", "iptables"),
    ("iptables-nft-restore", "iptables"),
    ("nft", "nftables"),
    ("tc", "iproute2"),
    ("ip", "iproute2"),
    ("ethtool", "ethtool"),
];

/// Runs a command in a host's namespace with `stdin`, and returns what it printed.
pub(in crate::lab) fn command(
    host: &str,
    netns: &Netns,
    words: &[&str],
    stdin: &str,
) -> Result<String, LabError> {
    let Some((program, arguments)) = words.split_first() else { return Ok(String::new()) };
    let output = netns.run(|| output(program, arguments, stdin))?;
    let output = output.map_err(|e| {
        let package = PACKAGES.iter().find(|(name, _)| name == program);
        match (e.kind(), package) {
            (io::ErrorKind::NotFound, Some((_, package))) => missing(program, package),
            _ => LabError::system(format!("run {program}"), e),
        }
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(lacking(words, &text).unwrap_or_else(|| LabError::Command {
        command: words.join(" "),
        host: host.to_owned(),
        output: text,
    }))
}

fn output(program: &str, arguments: &[&str], stdin: &str) -> io::Result<Output> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut pipe) = child.stdin.take() {
        match pipe.write_all(stdin.as_bytes()) {
            // What it has to say about that is on its stderr.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {}
            other => other?,
        }
    }
    child.wait_with_output()
}

/// The error where the kernel has no such thing.
fn lacking(words: &[&str], output: &str) -> Option<LabError> {
    let after = |word: &str| {
        let at = words.iter().position(|w| *w == word)?;
        words.get(at + 1).copied()
    };
    if output.contains("qdisc kind is unknown") {
        return Some(LabError::Lacks(format!("this kernel has no qdisc {}", after("root")?)));
    }
    let tables = output.contains("can't initialize iptables table")
        || output.contains("unable to initialize table");
    tables.then(|| LabError::Lacks(format!("this kernel has no tables for {}", words[0])))
}
