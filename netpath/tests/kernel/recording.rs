//! Recordings whose writer comes to an end that it did not choose.

use std::process::Stdio;

use netpath::{
    lab::{
        Lab,
        traffic::{Load, Sizes, Traffic},
    },
    snapshot::Snapshot,
};

use super::support::{bridge_nat, netpath, program, run, wait_for};
use crate::need_kernel;

/// Requests and replies through the lab.
fn traffic(lab: &Lab) -> Traffic {
    Traffic::start(lab, Load::UdpRequests(Sizes::default()), false).expect("it flows")
}

#[test]
fn a_full_disk_is_told_and_what_was_written_can_be_read() {
    need_kernel!();
    let lab = bridge_nat();
    let mut traffic = traffic(&lab);
    let netns = lab.full_name("host");
    let folder = tempfile::tempdir().unwrap();
    // A file system of 1 MiB, which nobody else sees: the session and some of the packets.
    let script = "mount -t tmpfs -o size=1m none \"$1\" || exit 99
        \"$2\" record --iface veth0 --netns \"$3\" --for 60s -o \"$1/full.npz\"
        echo \"status $?\" >&2
        \"$2\" report \"$1/full.npz\" --json";
    let output = std::process::Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh"])
        .args([folder.path().as_os_str(), &program(), netns.as_ref()])
        .output()
        .expect("unshare is in util-linux");
    traffic.stop().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("full.npz: No space left on device"), "{said}");
    assert!(said.contains("status 1"), "{said}");
    let snapshot: Snapshot = serde_json::from_slice(&output.stdout).expect(&said);
    assert!(snapshot.packets.complete > 100, "{:?}", snapshot.packets);
    let notes = &snapshot.notes;
    assert!(notes.iter().any(|n| n.contains("is damaged at byte")), "{notes:?}");
    assert!(notes.iter().any(|n| n.contains("its disk was full")), "{notes:?}");
}

#[test]
fn a_recording_whose_writer_was_killed_can_be_read() {
    need_kernel!();
    let lab = bridge_nat();
    let mut traffic = traffic(&lab);
    let netns = lab.full_name("host");
    let file = tempfile::NamedTempFile::new().unwrap();
    let name = file.path().to_str().unwrap();
    let mut child = netpath(&["record", "--iface", "veth0", "--netns", &netns, "-o", name])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Much more than the session takes.
    wait_for("events in the file", || file.as_file().metadata().unwrap().len() > 1_000_000);
    child.kill().unwrap();
    child.wait().unwrap();
    traffic.stop().unwrap();
    let report = run(&["report", name, "--json"]);
    let said = String::from_utf8_lossy(&report.stderr).into_owned();
    let snapshot: Snapshot = serde_json::from_slice(&report.stdout).expect(&said);
    assert!(snapshot.packets.complete > 100, "{:?}", snapshot.packets);
    let notes = &snapshot.notes;
    assert!(notes.iter().any(|n| n.contains("its writer was killed")), "{notes:?}");
}
