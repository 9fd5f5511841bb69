//! Beginning and ending: what is attached, what is left.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::UdpSocket,
    process::Stdio,
};

use netpath::{
    lab::{
        Lab,
        traffic::{Load, Sizes, Traffic},
    },
    snapshot::Snapshot,
    units::count,
};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    sys::signal::Signal,
    unistd::Pid,
};

use super::support::{bridge_nat, end_of, loaded, netpath, run, signal, trace, trace_on, wait_for};
use crate::need_kernel;

#[test]
fn nothing_stays_attached_after_the_end_or_a_kill() {
    need_kernel!();
    let lab = bridge_nat();
    let snapshot = trace(&lab, &["--for", "100ms"]);
    assert!(!snapshot.backends.is_empty());
    // The kernel lets go of programs a moment after their last descriptor.
    wait_for("the programs to go", || loaded().is_empty());

    let mut child = trace_on(&lab, &[]);
    assert!(!loaded().is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for("the killed one's programs to go", || loaded().is_empty());
}

#[test]
fn the_first_interrupt_shows_what_was_gathered() {
    need_kernel!();
    let lab = bridge_nat();
    let mut traffic =
        Traffic::start(&lab, Load::UdpRequests(Sizes::default()), false).expect("it flows");
    let mut child = trace_on(&lab, &[]);
    let before = traffic.count();
    wait_for("some traffic", || traffic.count() > before + 500);
    signal(&child, Signal::SIGINT);
    let mut text = String::new();
    child.stdout.as_mut().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    traffic.stop().unwrap();
    let snapshot: Snapshot = serde_json::from_str(&text).unwrap();
    assert!(snapshot.packets.complete > 100, "{:?}", snapshot.packets);
}

#[test]
fn a_count_ends_the_trace() {
    need_kernel!();
    let lab = bridge_nat();
    let mut traffic =
        Traffic::start(&lab, Load::UdpRequests(Sizes::default()), false).expect("it flows");
    let snapshot = trace(&lab, &["--count", "50"]);
    traffic.stop().unwrap();
    assert!(snapshot.packets.seen >= 50);
}

#[test]
fn a_single_packet_is_read_whichever_cpu_sends_it() {
    need_kernel!();
    let lab = bridge_nat();
    let to = lab.topology().server_v4;
    let bound = lab.host("server").unwrap().run(|| UdpSocket::bind((to, 9999)));
    let server = bound.unwrap().expect("the port is free");
    let cpus = std::thread::available_parallelism().unwrap().get();
    let keep_to = |cpu: usize| {
        let mut only = CpuSet::new();
        only.set(cpu).and_then(|()| sched_setaffinity(Pid::from_raw(0), &only)).unwrap();
    };
    for cpu in 0..cpus {
        // Where netpath itself runs, its own datagrams have been recorded.
        keep_to((cpu + 1) % cpus);
        let child = trace_on(&lab, &["udp", "dst", "port", "9999"]);
        let sent = lab.host("client").unwrap().run(|| {
            keep_to(cpu);
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.send_to(b"one", (to, 9999))
        });
        sent.unwrap().unwrap();
        server.recv(&mut [0; 8]).unwrap();
        signal(&child, Signal::SIGINT);
        assert_eq!(end_of(child).packets.complete, 1, "sent by CPU {cpu}");
    }
}

#[test]
fn an_interface_that_goes_away_is_told_and_tracing_goes_on() {
    need_kernel!();
    let lab = bridge_nat();
    let mut child = trace_on(&lab, &["--for", "10s"]);
    lab.command("host", &["ip", "link", "del", "veth0"]).unwrap();
    let mut told = String::new();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    while !told.contains("veth0") {
        assert!(stderr.read_line(&mut told).unwrap() > 0, "it ended without a word: {told}");
    }
    signal(&child, Signal::SIGINT);
    let mut text = String::new();
    child.stdout.as_mut().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let snapshot: Snapshot = serde_json::from_str(&text).unwrap();
    assert!(
        snapshot.notes.iter().any(|n| n.contains("interface veth0 in host went away")),
        "{:?}",
        snapshot.notes
    );
}

#[test]
fn no_packets_is_no_failure_and_says_what_to_check() {
    need_kernel!();
    let lab = bridge_nat();
    lab.command("host", &["ip", "link", "set", "veth0", "down"]).unwrap();
    let snapshot = trace(&lab, &["--for", "300ms"]);
    assert_eq!(snapshot.packets.complete, 0);
    assert!(
        snapshot.notes.iter().any(|n| n.contains("the interface is down")),
        "{:?}",
        snapshot.notes
    );
}

#[test]
fn a_recording_tells_the_same_as_the_trace() {
    need_kernel!();
    let lab = bridge_nat();
    let mut traffic =
        Traffic::start(&lab, Load::TcpRequests(Sizes::default()), false).expect("it flows");
    let file = std::env::temp_dir().join(format!("netpath-test-{}.npz", std::process::id()));
    let name = file.to_str().unwrap();
    let netns = lab.full_name("host");
    let output =
        run(&["record", "--iface", "veth0", "--netns", &netns, "--for", "500ms", "-o", name]);
    traffic.stop().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report = run(&["report", name, "--json"]);
    let size = std::fs::metadata(&file).unwrap().len();
    std::fs::remove_file(&file).unwrap();
    let snapshot: Snapshot = serde_json::from_slice(&report.stdout).unwrap();
    assert!(snapshot.packets.complete > 100, "{:?}", snapshot.packets);
    assert_eq!(snapshot.iface, "veth0");
    // What the trace itself has counted, it says at its end.
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let traced = format!("netpath: {} packets, ", count(snapshot.packets.seen));
    assert!(said.contains(&traced), "{traced}: {said}");
    let events: u64 = snapshot.paths.iter().flat_map(|p| &p.hops).map(|h| h.count).sum();
    assert!(size < events * 15, "{size} bytes for {events} events");
}

#[test]
fn rules_that_come_later_are_measured_from_then_on() {
    need_kernel!();
    let lab = Lab::up(super::matrix::bare()).expect("the lab comes up");
    // Without NAT, the server must know the way to the container.
    let route = ["ip", "route", "add", "172.31.0.0/24", "via", "198.18.0.1"];
    lab.command("server", &route).unwrap();
    // Few packets: attaching must not wait for them.
    let load = Load::UdpFlood { bytes: 64, rate: Some(200) };
    let mut traffic = Traffic::start(&lab, load, false).expect("it flows");
    let mut child = trace_on(&lab, &["--for", "60s"]);
    super::matrix::NFT.apply(&lab);
    let mut told = String::new();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    // Rules come one by one; those at FORWARD, the last ones, may be found a second later.
    let changed = |told: &str, hook| told.contains(&format!("the hooks of IPv4 {hook} in host"));
    while !["POSTROUTING", "FORWARD"].into_iter().all(|hook| changed(&told, hook)) {
        assert!(stderr.read_line(&mut told).unwrap() > 0, "it ended without a word: {told}");
    }
    // Connections that were there before keep their addresses.
    let before = traffic.count();
    traffic.stop().unwrap();
    let mut traffic = Traffic::start(&lab, load, false).expect("it flows");
    wait_for("more traffic than before", || traffic.count() > before + 100);
    signal(&child, Signal::SIGINT);
    let mut text = String::new();
    child.stdout.as_mut().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    traffic.stop().unwrap();
    let snapshot: Snapshot = serde_json::from_str(&text).unwrap();
    let hops: Vec<&str> =
        snapshot.paths.iter().flat_map(|p| &p.hops).map(|h| h.hop.as_str()).collect();
    for hop in ["conntrack", "nat", "rules"] {
        assert!(hops.contains(&hop), "{hop} is not in {hops:?}: {:?} {told}", snapshot.notes);
    }
    assert!(snapshot.packets.incomplete < snapshot.packets.seen / 2, "{:?}", snapshot.packets);
}

/// Namespaces of labs whose id is not among `known`.
fn new_labs(known: &[String]) -> Vec<String> {
    netpath::netns::named()
        .into_iter()
        .map(|(_, name)| name)
        .filter(|name| netpath::lab::short_name(name) != *name && !known.contains(name))
        .collect()
}

#[test]
fn a_lab_that_was_killed_is_cleared_by_the_next_and_a_living_one_is_not() {
    need_kernel!();
    let living = bridge_nat();
    let before: Vec<String> = new_labs(&[]);
    let mut killed = netpath(&["lab", "run", "bridge-nat", "--for", "60s"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the lab's namespaces", || new_labs(&before).len() == 3);
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(new_labs(&before).len(), 3);

    let output = run(&["lab", "run", "bridge-nat", "--for", "100ms", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(new_labs(&before), Vec::<String>::new());
    assert!(living.path("client").exists(), "a living lab was removed");
}
