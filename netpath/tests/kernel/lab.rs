//! The lab: every topology carries traffic and leaves nothing behind, and the experiments' figures
//! stand in the order that the paths' work gives them.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::fs::MetadataExt as _,
    process::Stdio,
    time::Duration,
};

use netpath::lab::{
    Lab, LabError,
    bench::{self, Settings, Watcher},
    experiments::{self, EXPERIMENTS},
    outcome::Report,
    pace::Pace,
    plan::Plan,
    short_name,
    topologies::{self, TOPOLOGIES},
    traffic::{How, Load, Sizes, Tool, Traffic},
};

use netpath::snapshot::Snapshot;

use super::support::{netpath, run, up, wait_for};
use crate::need_kernel;

/// Namespaces of labs that are not among `known`.
fn labs(known: &[String]) -> Vec<String> {
    netpath::netns::named()
        .into_iter()
        .map(|(_, name)| name)
        .filter(|name| short_name(name) != *name && !known.contains(name))
        .collect()
}

#[test]
fn every_topology_carries_traffic_and_leaves_nothing() {
    need_kernel!();
    let before = labs(&[]);
    let mut came_up = 0;
    for topology in TOPOLOGIES {
        let Some(lab) = up(topology.name) else { continue };
        came_up += 1;
        for v6 in [false, true] {
            if v6 && topology.server_v6.is_none() {
                continue;
            }
            let load = Load::TcpRequests(Sizes::IBM);
            let mut traffic = Traffic::start(&lab, load, v6)
                .unwrap_or_else(|e| panic!("{}, IPv6 {v6}: {e}", topology.name));
            wait_for("round trips", || traffic.count() > 20);
            let arrived = traffic.stop().expect("the traffic flowed").received_bytes;
            assert!(arrived >= 20 * 100, "{}: {arrived}", topology.name);
        }
        let focus = topology.focus;
        let found = netpath::topo::discover(focus.1, lab.host(focus.0).unwrap()).unwrap();
        assert!(found.devices().count() > 1, "{}: {found:?}", topology.name);
    }
    // What only needs veth, bridge and vxlan is everywhere.
    assert!(came_up >= 10, "{came_up}");
    assert_eq!(labs(&before), Vec::<String>::new());
}

#[test]
fn every_variant_comes_up_or_says_what_is_lacking() {
    need_kernel!();
    let before = labs(&[]);
    for e in EXPERIMENTS {
        for v in e.variants.iter().filter(|v| !v.also.is_empty()) {
            let _lab = up(&format!("{}/{}", e.name, v.name));
        }
    }
    assert_eq!(labs(&before), Vec::<String>::new());
}

#[test]
fn both_hosts_of_an_overlay_are_on_the_path() {
    need_kernel!();
    let lab = up("overlay").expect("vxlan is everywhere");
    let found = netpath::topo::discover("veth0", lab.host("host").unwrap()).unwrap();
    let devices: Vec<String> = found
        .devices()
        .map(|(place, d)| format!("{}/{}", found.netns_name(place.netns), d.name))
        .collect();
    for device in ["client/eth0", "host/vxlan0", "host/up0", "host2/vxlan0", "server/eth0"] {
        assert!(devices.iter().any(|d| d == device), "{device} is not among {devices:?}");
    }
}

#[test]
fn a_relay_and_a_translated_address_both_reach_the_server() {
    need_kernel!();
    for name in ["published-dnat", "published-relay"] {
        let lab = up(name).expect("iptables and veth are there");
        for load in [Load::TcpRequests(Sizes::IBM), Load::TcpConnects(Sizes::IBM), Load::TcpBulk] {
            let mut traffic = Traffic::start(&lab, load, false).expect("the traffic flows");
            wait_for("it to arrive", || traffic.received() > 5 * 100);
            assert!(traffic.stop().expect("the traffic flowed").count > 0, "{name}");
        }
    }
    let lab = up("published-relay").expect("veth is there");
    let udp = Traffic::start(&lab, Load::UdpRequests(Sizes::IBM), false);
    assert!(udp.is_err_and(|e| e.to_string().contains("relay")));
}

#[test]
fn two_labs_at_once_do_not_collide() {
    need_kernel!();
    let labs: Vec<Lab> = (0..2).map(|_| up("bridge-nat").expect("it comes up")).collect();
    let mut traffic: Vec<Traffic> = labs
        .iter()
        .map(|lab| Traffic::start(lab, Load::UdpRequests(Sizes::IBM), false).expect("it flows"))
        .collect();
    for t in &mut traffic {
        wait_for("both to get on", || t.count() > 100);
    }
    for t in &mut traffic {
        assert!(t.stop().expect("it flowed").count > 100);
    }
    assert_ne!(labs[0].full_name("client"), labs[1].full_name("client"));
}

#[test]
fn an_interrupted_matrix_shows_what_it_has_and_a_killed_one_is_cleared_by_the_next() {
    need_kernel!();
    let before = labs(&[]);
    let start = |arguments: &[&str]| {
        let mut child = netpath(&[&["-v", "lab", "matrix", "container"], arguments].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("netpath can be run");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let begun = lines.find_map(|l| l.ok().filter(|l| l.contains("run 1 of")));
        assert!(begun.is_some(), "it never measured");
        // Read to the end, so that it can go on writing.
        let rest = std::thread::spawn(move || lines.count());
        (child, rest)
    };
    let (mut killed, rest) = start(&[]);
    killed.kill().unwrap();
    killed.wait().unwrap();
    rest.join().unwrap();
    assert!(!labs(&before).is_empty(), "nothing was left to clear");

    let (interrupted, rest) = start(&["--json"]);
    let pid = nix::unistd::Pid::from_raw(i32::try_from(interrupted.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let output = interrupted.wait_with_output().unwrap();
    rest.join().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let report: Report = serde_json::from_slice(&output.stdout).expect("a report");
    assert!(!report.complete && report.experiments.len() == 1);
    assert_eq!(labs(&before), Vec::<String>::new());
}

#[test]
fn a_guest_sends_and_receives_and_is_followed_to_its_tap() {
    need_kernel!();
    let Some(lab) = up("guest") else { return };
    let host = lab.host("host").unwrap();
    let found = netpath::topo::discover("tap0", host).unwrap();
    let devices: Vec<String> = found
        .devices()
        .map(|(place, d)| format!("{}/{} {}", found.netns_name(place.netns), d.name, d.kind))
        .collect();
    for device in ["host/tap0 tap", "host/br0 bridge", "host/up0 veth", "server/eth0 veth"] {
        assert!(devices.iter().any(|d| d == device), "{device} is not among {devices:?}");
    }
    for reverse in [false, true] {
        let how = How { reverse, ..How::default() };
        let mut bulk = Traffic::start_as(&lab, Load::TcpBulk, how).expect("it flows");
        bulk.begin();
        let before = bulk.received();
        wait_for("a megabyte", || bulk.received() > before + (1 << 20));
        assert!(bulk.stop().expect("it flowed").received_bytes > 0, "{reverse}");
    }
    let mut requests = Traffic::start(&lab, Load::TcpRequests(Sizes::IBM), false).expect("flows");
    let netns = lab.full_name("host");
    let traced = run(&["trace", "--iface", "tap0", "--netns", &netns, "--for", "500ms", "--json"]);
    let measured = requests.stop().expect("it flowed");
    assert!(measured.count > 0 && measured.round_trips.len() == measured.count);
    let said = String::from_utf8_lossy(&traced.stderr).into_owned();
    let snapshot: Snapshot = serde_json::from_slice(&traced.stdout).expect(&said);
    assert!(snapshot.complete_share() > 0.9, "{:?}", snapshot.packets);
    let path = |direction: &str| {
        let of = snapshot.paths.iter().filter(|p| p.direction == direction);
        of.max_by_key(|p| p.packets).unwrap_or_else(|| panic!("nothing goes {direction}"))
    };
    // To the guest is in, as to a container; what is read there is read by QEMU.
    let hops = &path("inbound").hops;
    let last = hops.last().expect("it has hops");
    assert_eq!((last.hop.as_str(), last.dev.as_deref()), ("handoff.tap", Some("tap0")), "{hops:?}");
    assert_eq!(path("outbound").end, "delivered");
}

#[test]
fn other_programs_send_in_bulk() {
    need_kernel!();
    let lab = up("bridge-nat").expect("it comes up");
    let arrived = || {
        let text = lab.command("server", &["cat", "/proc/net/dev"]).expect("it can be read");
        let line = text.lines().find_map(|l| l.trim().strip_prefix("eth0:")).expect("it is there");
        line.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).expect("a number")
    };
    for tool in [Tool::Iperf3, Tool::Nuttcp] {
        let before = arrived();
        let mut traffic = match Traffic::start(&lab, Load::Tool(tool), false) {
            Ok(traffic) => traffic,
            Err(why @ LabError::MissingTool { .. }) => {
                println!("SKIP {tool:?}: {why}");
                continue;
            }
            Err(error) => panic!("{tool:?}: {error}"),
        };
        wait_for("a megabyte", || arrived() > before + (1 << 20));
        let measured = traffic.stop().unwrap_or_else(|e| panic!("{tool:?}: {e}"));
        assert!(measured.bytes > 1 << 18 && !measured.elapsed.is_zero(), "{tool:?}: {measured:?}");
    }
}

/// How many processes there are in the namespace with this inode.
fn inhabitants(inode: u64) -> usize {
    let processes = std::fs::read_dir("/proc").expect("there is a /proc").flatten();
    processes.filter(|p| p.path().join("ns/net").metadata().is_ok_and(|m| m.ino() == inode)).count()
}

#[test]
fn daemons_end_with_a_killed_lab_and_the_next_one_clears_the_rest() {
    need_kernel!();
    let before = labs(&[]);
    for name in ["docker", "ovs", "guest"] {
        if up(name).is_none() {
            continue;
        }
        let mut lab = netpath(&["lab", "run", name, "--for", "60s"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("netpath can be run");
        // It says so once the daemons are up.
        let mut said = BufReader::new(lab.stderr.take().expect("piped")).lines();
        assert!(said.next().is_some_and(|l| l.is_ok_and(|l| l.starts_with("lab "))), "{name}");
        let host = labs(&before).into_iter().find(|name| short_name(name) == "host");
        let host = std::path::Path::new("/run/netns").join(host.expect("it has a host"));
        let inode = host.metadata().expect("it is there").ino();
        assert!(inhabitants(inode) > 1, "{name}");
        lab.kill().unwrap();
        lab.wait().unwrap();
        wait_for("the daemons to end", || inhabitants(inode) == 0);
        up("wire").expect("what a killed lab has left is in nobody's way");
        assert_eq!(labs(&before), Vec::<String>::new(), "{name}");
        let locks = std::fs::read_dir("/run/netpath").into_iter().flatten().flatten();
        let names: Vec<_> = locks.map(|e| e.file_name()).collect();
        let id = &host.file_name().unwrap().to_str().unwrap()[2..8];
        assert!(!names.iter().any(|n| n.to_string_lossy().contains(id)), "{names:?}");
    }
}

/// Nobody looks on, and nobody interrupts.
struct Quiet;

impl Watcher for Quiet {
    fn step(&mut self, _: &str) {}
    fn stop(&self) -> bool {
        false
    }
}

/// Whether the median of `more` in a measure's first figure is above that of `less`, clearly.
fn is_clearly_more(less: &str, more: &str, measure: &experiments::Measure) -> bool {
    let mut plan = Plan::compare(less, more).expect("both are in the tables");
    plan.measures = vec![*measure];
    // As many runs as it takes for the interval to leave out those that something else has spoilt.
    let settings = Settings {
        runs: 21,
        run: Duration::from_millis(40),
        warm_up: Duration::from_millis(5),
        traced: None,
        cpus: None,
    };
    let no_trace = |_: &Lab, _| unreachable!("no traced run was asked for");
    let mut pace = Pace::new(None, 0, Duration::ZERO);
    let outcome = bench::run(&plan, &settings, &mut pace, &no_trace, &mut Quiet);
    let figure = &outcome.variant(more).expect("it is in the plan").figures[0];
    let ratio = figure.ratio.expect("both were measured");
    println!("{measure:?}: {more} / {less} = {ratio:?}");
    ratio.low > 1.0
}

#[test]
fn what_does_more_takes_longer() {
    need_kernel!();
    let pairs = [
        ("native", "bridge-nat", &experiments::TCP_RR),
        ("rules/legacy-10", "rules/legacy-5000", &experiments::ONE_WAY),
        ("rules/nft-set-5000", "rules/nft-5000", &experiments::ONE_WAY),
        ("unpublished", "published-relay", &experiments::TCP_RR),
        ("qdisc/uplink-tbf", "qdisc/noqueue", &experiments::BULK),
    ];
    for (less, more, measure) in pairs {
        if [less, more].into_iter().any(|name| up(name).is_none()) {
            continue;
        }
        // Another process can spoil a run, but not many of them three times over.
        assert!(
            (0..3).any(|_| is_clearly_more(less, more, measure)),
            "{more} is never clearly above {less}"
        );
    }
}

#[test]
fn a_comparison_names_the_hops_that_make_the_difference() {
    need_kernel!();
    let arguments = ["--runs", "3", "--run-time", "50ms", "--json"];
    let output = run(&[&["lab", "compare", "bridge", "bridge-nat"][..], &arguments].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let report: Report = serde_json::from_slice(&output.stdout).expect("a report");
    let nat = report.experiments[0].variant("bridge-nat").expect("it was asked for");
    let difference = nat.difference.as_ref().unwrap_or_else(|| panic!("no ledger: {said}"));
    let sum: f64 = difference.rows.iter().map(|r| r.more_ns).sum();
    assert!((sum - difference.traced_ns).abs() < 1.0, "{difference:?}");
    let more = |group: &str| -> f64 {
        difference.rows.iter().filter(|r| r.group == group).map(|r| r.more_times).sum()
    };
    // Conntrack and NAT are met with NAT only: the counts are no matter of speed.
    assert!(more("netfilter/conntrack") > 0.9, "{difference:?}");
    assert!(more("netfilter/nat") > 0.9, "{difference:?}");
}

#[test]
fn names_that_are_wrong_are_told_with_close_ones() {
    need_kernel!();
    for (arguments, close) in [
        (&["lab", "run", "qdisc/uplink-tfb"][..], "qdisc/uplink-tbf"),
        (&["lab", "matrix", "qdsic"][..], "qdisc"),
        (&["lab", "compare", "bridge", "brige-nat"][..], "bridge-nat"),
    ] {
        let output = run(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(close) && output.stdout.is_empty(), "{text}");
    }
    assert!(topologies::find("no-such-topology").is_none());
}
