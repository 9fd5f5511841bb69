//! Several that are chosen at once: containers that talk to each other, a bridge that has them, and one that goes
//! away meanwhile.

use std::{
    io::BufReader,
    process::{Command, Stdio},
};

use netpath::{
    lab::Lab,
    snapshot::{NamedPlace, PathReport, Snapshot},
};
use nix::sys::signal::Signal;

use super::support::{Neighbour, attached, bridge_nat, end_of, run, signal, told};
use crate::need_kernel;

/// Sends echo requests from a neighbour, each of which is answered.
fn ping(from: &Neighbour, to: &str, count: &str) {
    let ping = || {
        let mut ping = Command::new("ping");
        ping.args(["-q", "-i", "0.02", "-c", count, to]).stdout(Stdio::null()).status()
    };
    assert!(from.netns().run(ping).unwrap().expect("ping can be run").success());
}

fn pings(snapshot: &Snapshot) -> u64 {
    snapshot.transactions.iter().filter(|t| t.kind == "ping").map(|t| t.count).sum()
}

fn name_of(neighbour: &Neighbour) -> String {
    format!("pid:{}(sleep)", neighbour.pid())
}

/// The path between the neighbours, and its direction as seen from each.
fn between<'a>(snapshot: &'a Snapshot, from: &str, to: &str) -> (&'a PathReport, Vec<&'a str>) {
    let mut paths = snapshot.paths.iter();
    let found = paths.find(|p| p.from.netns == from && p.to.netns == to);
    let path = found.unwrap_or_else(|| panic!("no path from {from} to {to}: {snapshot:#?}"));
    let seen = [from, to].map(|end| {
        let seen = path.seen_from.iter().find(|seen| seen.netns == end);
        seen.map_or("", |seen| seen.direction.as_str())
    });
    (path, seen.to_vec())
}

fn with_neighbours() -> (Lab, [Neighbour; 3]) {
    let lab = bridge_nat();
    // Else the bridge has that of a port, and another one once that is gone.
    let address = ["ip", "link", "set", "br0", "address", "02:00:00:00:00:01"];
    lab.command("host", &address).unwrap();
    let neighbours = [1, 2, 3].map(|n| Neighbour::start(&lab, n));
    (lab, neighbours)
}

#[test]
fn two_that_talk_to_each_other_are_seen_from_both_and_counted_once() {
    need_kernel!();
    let (lab, [a, b, other]) = with_neighbours();
    let (client, bridge) = (lab.full_name("client"), format!("{}/br0", lab.full_name("host")));
    let (of_a, of_b) = (a.pid().to_string(), b.pid().to_string());
    // The bridge has the ends of all of them; the container is named twice.
    for more in [&[][..], &["--iface", &bridge], &["--netns", &of_b]] {
        let words = ["trace", "--json", "--netns", &client, "--pid", &of_a, "--pid", &of_b];
        let child = attached(&[&words[..], more].concat());
        ping(&a, &b.address, "10");
        ping(&b, "198.18.0.2", "5");
        ping(&other, "172.31.0.1", "3");
        signal(&child, Signal::SIGINT);
        let snapshot = end_of(child);
        let selected: Vec<&str> = snapshot.selected.iter().map(|p| p.netns.as_str()).collect();
        let (a, b) = (name_of(&a), name_of(&b));
        let of_bridge = more.first() == Some(&"--iface");
        assert_eq!(selected[..3], [a.as_str(), b.as_str(), "client"], "{selected:?}");
        assert_eq!(selected.len(), if of_bridge { 4 } else { 3 });
        assert_eq!(
            pings(&snapshot),
            if of_bridge { 18 } else { 15 },
            "{:#?}",
            snapshot.transactions
        );
        for (from, to) in [(&a, &b), (&b, &a)] {
            let (path, seen) = between(&snapshot, from, to);
            assert_eq!(path.packets, 10);
            assert_eq!((path.direction.as_str(), seen), ("outbound", vec!["outbound", "inbound"]));
        }
        let (_, seen) = between(&snapshot, &b, "server");
        assert_eq!(seen, ["outbound", ""]);
        let (path, seen) = between(&snapshot, "server", &b);
        assert_eq!((path.direction.as_str(), seen), ("inbound", vec!["", "inbound"]));
    }
}

#[test]
fn one_that_goes_away_is_told_and_the_others_are_traced_on() {
    need_kernel!();
    let (_lab, [a, mut b, _]) = with_neighbours();
    let (of_a, of_b) = (a.pid().to_string(), b.pid().to_string());
    let mut child = attached(&["trace", "--json", "--pid", &of_b, "--pid", &of_a]);
    ping(&b, "172.31.0.1", "3");
    let (gone, name) = (format!("network namespace {} went away", name_of(&b)), name_of(&b));
    b.end();
    let mut stderr = BufReader::new(child.stderr.take().expect("it was piped"));
    told(&mut stderr, &gone);
    ping(&a, "172.31.0.1", "4");
    signal(&child, Signal::SIGINT);
    let snapshot = end_of(child);
    assert_eq!(pings(&snapshot), 7, "{:?} {:?}", snapshot.packets, snapshot.notes);
    assert!(snapshot.notes.iter().any(|note| note.contains(&gone)), "{:?}", snapshot.notes);
    let selected = |netns: &str| NamedPlace { netns: netns.to_owned(), dev: "eth0".to_owned() };
    assert_eq!(snapshot.selected, [selected(&name), selected(&name_of(&a))]);
}

#[test]
fn an_interface_is_looked_up_in_each_of_several() {
    need_kernel!();
    let (lab, [a, b, _]) = with_neighbours();
    let client = lab.full_name("client");
    let homes = [a.pid().to_string(), b.pid().to_string()];
    let asked = |words: &[&str]| {
        let homes = ["topo", "--json", "--pid", &homes[0], "--pid", &homes[1]];
        run(&[&homes[..], words].concat())
    };
    let chosen = |words: &[&str]| {
        let output = asked(words);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let found: netpath::topo::Topology =
            serde_json::from_slice(&output.stdout).expect("a topology");
        let of = |focus: netpath::topo::Place| {
            format!("{}/{}", found.netns_name(focus.netns), found.dev_name(focus))
        };
        found.chosen.iter().map(|chosen| of(chosen.focus)).collect::<Vec<_>>()
    };
    let [a, b] = [name_of(&a), name_of(&b)];
    assert_eq!(chosen(&["--iface", "eth0"]), [format!("{a}/eth0"), format!("{b}/eth0")]);
    let more = format!("{client}/lo");
    let all = [format!("{a}/lo"), format!("{b}/lo"), "client/lo".to_owned()];
    assert_eq!(chosen(&["--iface", "lo", "--iface", &more]), all);
    for (words, said) in [
        (["--iface", "eth7"], "no interface eth7 in network namespace"),
        (["--iface", "nobody/eth0"], "no container or network namespace nobody"),
    ] {
        let output = asked(&words);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(said), "{text}");
    }
}
