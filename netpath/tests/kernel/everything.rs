//! Everything is traced: what is there, and containers that come and go meanwhile.

use std::{
    collections::BTreeSet,
    process::{Child, Command, Stdio},
};

use netpath::{lab::Lab, snapshot::Snapshot};
use nix::sys::signal::Signal;

use super::support::{Neighbour, attached, bridge_nat, emulated, end_of, loaded, signal, wait_for};
use crate::need_kernel;

/// A container with a name, at the lab's bridge.
struct Named {
    name: String,
    /// The host's end of it.
    end: String,
    address: String,
}

fn ip(words: &[&str]) {
    let output = Command::new("ip").args(words).output().expect("ip can be run");
    assert!(output.status.success(), "{words:?}: {output:?}");
}

impl Named {
    fn start(lab: &Lab, n: u8, name: &str) -> Self {
        let name = format!("npt{}-{name}", std::process::id());
        ip(&["netns", "add", &name]);
        let this = Self { name, end: format!("e{n}"), address: format!("172.31.0.{}", 100 + n) };
        let host = lab.full_name("host");
        let pair = ["link", "add", &this.end, "type", "veth", "peer", "eth0", "netns", &this.name];
        ip(&[&["-n", &host][..], &pair].concat());
        ip(&["-n", &host, "link", "set", &this.end, "up", "master", "br0"]);
        ip(&["-n", &this.name, "address", "add", &format!("{}/24", this.address), "dev", "eth0"]);
        ip(&["-n", &this.name, "link", "set", "eth0", "up"]);
        this
    }

    fn ping(&self, to: &str, count: &str) {
        let words = ["netns", "exec", &self.name, "ping", "-q", "-i", "0.02", "-c", count, to];
        let ping = Command::new("ip").args(words).stdout(Stdio::null()).status();
        assert!(ping.expect("ip can be run").success());
    }

    /// Deletes it, and waits until the kernel has: its device at the host goes with it.
    fn end(self, lab: &Lab) {
        let there = ["ip", "link", "show", &self.end];
        ip(&["netns", "del", &self.name]);
        wait_for("the namespace to go", || lab.command("host", &there).is_err());
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

/// Everything around a lab is traced.
fn all_around(lab: &Lab) -> Child {
    // Else the bridge has that of a port, and another one once that is gone.
    let address = ["ip", "link", "set", "br0", "address", "02:00:00:00:00:01"];
    lab.command("host", &address).unwrap();
    attached(&["trace", "--json", "--all", "--netns", &lab.full_name("host")])
}

fn pings(snapshot: &Snapshot) -> u64 {
    snapshot.transactions.iter().filter(|t| t.kind == "ping").map(|t| t.count).sum()
}

fn names(snapshot: &Snapshot) -> BTreeSet<&str> {
    let places = snapshot.paths.iter().flat_map(|path| &path.places);
    places.map(|place| place.netns.as_str()).collect()
}

#[test]
fn what_is_there_and_what_comes_is_traced_and_nothing_else_is() {
    need_kernel!();
    let (lab, other) = (bridge_nat(), bridge_nat());
    let there = Neighbour::start(&lab, 1);
    let child = all_around(&lab);
    let ping = ["ping", "-q", "-i", "0.02", "-c", "5"];
    lab.command("client", &[&ping[..], &[&there.address]].concat()).unwrap();
    lab.command("client", &[&ping[..], &["198.18.0.2"]].concat()).unwrap();
    // It has nothing to do with what was asked for.
    other.command("client", &[&ping[..], &["198.18.0.2"]].concat()).unwrap();
    let late = Named::start(&lab, 7, "late");
    late.ping("172.31.0.1", "4");
    let name = late.name.clone();
    late.end(&lab);
    // It comes again, and is the same to whoever looks at it.
    let late = Named::start(&lab, 8, "late");
    late.ping("172.31.0.1", "3");
    signal(&child, Signal::SIGINT);
    let snapshot = end_of(child);
    late.end(&lab);
    assert!(snapshot.all && snapshot.selected.is_empty());
    // What is under way while a namespace is attached to is in no figure.
    assert!((14..=17).contains(&pings(&snapshot)), "{:#?}", snapshot.transactions);
    let neighbour = format!("pid:{}(sleep)", there.pid());
    for netns in ["client", "host", "server", &neighbour, &name] {
        assert!(names(&snapshot).contains(netns), "{netns}: {:?}", names(&snapshot));
    }
    assert!(names(&snapshot).iter().all(|name| !name.contains('#')), "{:?}", names(&snapshot));
    let of_late = snapshot.paths.iter().filter(|path| path.from.netns == name);
    let of_late: Vec<_> = of_late.filter(|path| path.end == "reached").collect();
    assert_eq!(of_late.len(), 1, "{of_late:#?}");
    let seen = &of_late[0].seen_from[0];
    assert_eq!((seen.netns.as_str(), seen.direction.as_str()), (name.as_str(), "outbound"));
    assert_eq!(of_late[0].direction, "outbound");
}

#[test]
fn containers_that_come_and_go_are_named_and_none_is_kept() {
    need_kernel!();
    let lab = bridge_nat();
    let child = all_around(&lab);
    let many = if emulated() { 8 } else { 60 };
    let mut all = Vec::new();
    for n in 0..many {
        let container = Named::start(&lab, n, &format!("c{n}"));
        container.ping("172.31.0.1", "2");
        all.push(container.name.clone());
        container.end(&lab);
    }
    signal(&child, Signal::SIGINT);
    let snapshot = end_of(child);
    let named = names(&snapshot);
    for name in &all {
        assert!(named.contains(name.as_str()), "{name} is not among {named:?}");
    }
    assert!(named.iter().all(|name| !name.contains('#')), "{named:?}");
    assert_eq!(loaded(), Vec::<String>::new());
}
