//! Modules that come and go while a trace goes on. Only where the kernel has any: with all built in, as
//! on many clouds, nothing can come later.

use std::{fs, process::Command};

use netpath::{
    lab::{
        Lab,
        traffic::{Load, Traffic},
    },
    snapshot::Snapshot,
};
use nix::sys::signal::Signal;

use super::support::{end_of, loaded, signal, told, trace_on, wait_for};
use crate::need_kernel;

/// How the names of netfilter's modules begin; those of tunnels begin with ip as well.
const NETFILTER: &[&str] = &[
    "nf_",
    "nft_",
    "xt_",
    "x_tables",
    "ip_tables",
    "ipt",
    "ip6_tables",
    "ip6t",
    "ebt",
    "br_netfilter",
];

/// Names of modules that are loaded, and of those the ones that nothing uses.
fn modules() -> (Vec<String>, Vec<String>) {
    let text = fs::read_to_string("/proc/modules").unwrap_or_default();
    let lines = || text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let name = |words: &Vec<&str>| words.first().map(|name| (*name).to_owned());
    let unused = lines().filter(|words| words.get(2) == Some(&"0"));
    (lines().filter_map(|w| name(&w)).collect(), unused.filter_map(|w| name(&w)).collect())
}

fn is_netfilter(name: &str) -> bool {
    NETFILTER.iter().any(|prefix| name.starts_with(prefix))
}

fn remove(module: &str) -> bool {
    let done = Command::new("modprobe").args(["-r", module]).output();
    done.expect("modprobe can be run").status.success()
}

/// Removes all of netfilter's modules. Namespaces of labs that are gone hold some for a while.
fn without_netfilter() {
    wait_for("netfilter's modules to go", || {
        let (all, unused) = modules();
        for module in unused.iter().filter(|name| is_netfilter(name)) {
            remove(module);
        }
        !all.iter().any(|name| is_netfilter(name))
    });
}

#[test]
fn modules_that_come_later_are_measured_and_those_that_go_do_no_harm() {
    need_kernel!();
    // Where nothing has asked for one yet, as on a machine that was just started, this does.
    let _ = Command::new("modprobe").arg("nf_conntrack").output();
    let modular = !modules().0.is_empty();
    if !modular {
        // Where kernels with modules are expected, there are some.
        assert!(std::env::var_os("NETPATH_BACKENDS").is_none(), "no module is loaded");
        println!("this kernel has everything built in");
        return;
    }
    without_netfilter();
    let lab = Lab::up(super::matrix::bare()).expect("the lab comes up");
    // Without NAT, the server must know the way to the container.
    let route = ["ip", "route", "add", "172.31.0.0/24", "via", "198.18.0.1"];
    lab.command("server", &route).unwrap();
    // Few packets: attaching must not wait for them.
    let load = Load::UdpFlood { bytes: 64, rate: Some(100) };
    let mut traffic = Traffic::start(&lab, load, false).expect("it flows");
    let mut child = trace_on(&lab, &["--for", "120s"]);
    let mut stderr = child.stderr.take().expect("it was piped");

    super::matrix::NFT.apply(&lab);
    told(&mut stderr, "the hooks of IPv4 POSTROUTING in host changed");
    assert!(modules().0.iter().any(|name| name == "nf_nat"), "{:?}", modules().0);
    assert!(Command::new("modprobe").arg("br_netfilter").status().is_ok_and(|s| s.success()));
    told(&mut stderr, "br_netfilter");
    // Connections that were there before keep their addresses.
    let more = |traffic: &Traffic| {
        let before = traffic.count();
        wait_for("more traffic", || traffic.count() > before + 50);
    };
    traffic.stop().unwrap();
    traffic = Traffic::start(&lab, load, false).expect("it flows");
    more(&traffic);

    // A kernel may keep a module for as long as it is probed; packets pass either way.
    println!("br_netfilter removed while probed: {}", remove("br_netfilter"));
    more(&traffic);
    signal(&child, Signal::SIGINT);
    let snapshot: Snapshot = end_of(child);
    traffic.stop().unwrap();

    let mut wanted = vec!["conntrack", "nat", "rules"];
    if snapshot.backends.values().any(|by| by.contains("fentry") || by.contains("kprobe")) {
        wanted.extend(["conntrack.lookup", "conntrack.create", "nat.setup", "nat.rewrite"]);
        wanted.push("bridge.netfilter");
    }
    let seen: Vec<&str> =
        snapshot.paths.iter().flat_map(|p| &p.hops).map(|h| h.hop.as_str()).collect();
    for hop in wanted {
        assert!(seen.contains(&hop), "{hop} is not among {seen:?}: {:?}", snapshot.notes);
    }
    let p = &snapshot.packets;
    // Those that were under way while probes were attached are incomplete: in emulation, a good many.
    assert!(p.complete > 50, "{p:?}");
    assert_eq!((snapshot.lost_events, p.negative), (0, 0), "{:?}", snapshot.lost_by_point);
    wait_for("the programs to go", || loaded().is_empty());
    drop(lab);
    // Nothing of ours holds them any more; and the tests that follow are without br_netfilter.
    without_netfilter();
}
