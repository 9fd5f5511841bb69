//! Watching the path while it is traced: devices and namespaces come, go, and change their names.
//!
//! In: what the kernel says of each namespace's devices. Out: changes, in order. A namespace lives as long
//! as somebody holds it, and tracing holds it: so that a container that has ended can end, its namespace is
//! let go once nobody else has it.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    time::{Duration, Instant},
};

use super::{
    Place, Topology,
    events::{Listener, Said},
};
use crate::netns::{self, Netns};

/// How often to look at devices, and at who holds the namespaces.
const EVERY: Duration = Duration::from_millis(100);
const HELD_EVERY: Duration = Duration::from_millis(500);

/// The path's namespaces, and all devices in them by name.
#[derive(Debug)]
pub struct Watch {
    hosts: Vec<Host>,
    looked: Instant,
    held: Instant,
}

#[derive(Debug)]
struct Host {
    cookie: u32,
    name: String,
    netns: Netns,
    /// `None` where the kernel can't be listened to.
    listener: Option<Listener>,
    /// All that are there.
    present: BTreeMap<u32, String>,
    /// What is there has not been held against that yet.
    behind: bool,
}

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// There is a device that was not there before.
    Came {
        place: Place,
        netns: String,
        name: String,
    },
    Renamed {
        place: Place,
        netns: String,
        from: String,
        to: String,
    },
    /// It was removed, or moved to another namespace.
    Gone {
        place: Place,
        netns: String,
        name: String,
        moved: bool,
    },
    NetnsGone {
        cookie: u32,
        name: String,
    },
}

impl Watch {
    /// Takes the namespaces' handles out of the topology: nobody else holds them then.
    pub fn new(topology: &mut Topology) -> Self {
        let mut this = Self { hosts: Vec::new(), looked: Instant::now(), held: Instant::now() };
        this.follow(topology);
        this
    }

    /// Also watches the namespaces that the path has led to since.
    pub fn follow(&mut self, topology: &mut Topology) {
        for host in topology.hosts.values_mut() {
            let Some(netns) = host.handle.take() else { continue };
            if self.hosts.iter().any(|known| known.cookie == host.netns) {
                continue;
            }
            // Before reading, so that what changes in between is heard.
            let listener = Listener::of(&netns).ok();
            // What went away since it was found is told by the first look.
            let mut present: BTreeMap<u32, String> =
                host.devices.values().map(|d| (d.ifindex, d.name.clone())).collect();
            for (ifindex, name) in read(&netns).unwrap_or_default() {
                present.entry(ifindex).or_insert(name);
            }
            let (cookie, name) = (host.netns, host.name.clone());
            self.hosts.push(Host { cookie, name, netns, listener, present, behind: true });
        }
    }

    /// Lets go of a namespace.
    pub fn release(&mut self, cookie: u32) {
        self.hosts.retain(|host| host.cookie != cookie);
    }

    /// The namespaces that are still held, by the low half of their cookies.
    pub fn namespaces(&self) -> impl Iterator<Item = (u32, &Netns)> {
        self.hosts.iter().map(|host| (host.cookie, &host.netns))
    }

    /// Looks; `None` where it was done a moment ago. Each change is told once.
    pub fn look(&mut self) -> Option<Vec<Change>> {
        if self.looked.elapsed() < EVERY {
            return None;
        }
        let mut changes = Vec::new();
        self.looked = Instant::now();
        for host in &mut self.hosts {
            host.look(&mut changes);
        }
        if self.held.elapsed() >= HELD_EVERY {
            self.held = Instant::now();
            self.hosts.retain(|host| {
                let held = is_held(&host.netns);
                if !held {
                    let (cookie, name) = (host.cookie, host.name.clone());
                    changes.push(Change::NetnsGone { cookie, name });
                }
                held
            });
        }
        Some(changes)
    }
}

impl Host {
    fn look(&mut self, changes: &mut Vec<Change>) {
        match self.listener.as_ref().map(Listener::heard) {
            Some(Some(said)) if !std::mem::take(&mut self.behind) => {
                for said in said {
                    self.hear(said, changes);
                }
            }
            // Some of it was missed: what is there now says the rest.
            _ => {
                let Some(now) = read(&self.netns) else { return };
                let gone: Vec<u32> =
                    self.present.keys().copied().filter(|i| !now.contains_key(i)).collect();
                for ifindex in gone {
                    self.hear(Said::Gone { ifindex, moved: false }, changes);
                }
                for (ifindex, name) in now {
                    self.hear(Said::Is { ifindex, name }, changes);
                }
            }
        }
    }

    fn hear(&mut self, said: Said, changes: &mut Vec<Change>) {
        let netns = self.name.clone();
        let place = |ifindex| Place { netns: self.cookie, ifindex };
        match said {
            Said::Is { ifindex, name } => {
                let place = place(ifindex);
                match self.present.insert(ifindex, name.clone()) {
                    None => changes.push(Change::Came { place, netns, name }),
                    Some(from) if from != name => {
                        changes.push(Change::Renamed { place, netns, from, to: name });
                    }
                    Some(_) => {}
                }
            }
            Said::Gone { ifindex, moved } => {
                if let Some(name) = self.present.remove(&ifindex) {
                    changes.push(Change::Gone { place: place(ifindex), netns, name, moved });
                }
            }
        }
    }
}

/// The devices of a namespace.
fn read(netns: &Netns) -> Option<BTreeMap<u32, String>> {
    let devices = || -> nix::Result<BTreeMap<u32, String>> {
        let all = nix::net::if_::if_nameindex()?;
        Ok(all
            .into_iter()
            .map(|device| (device.index(), device.name().to_string_lossy().into_owned()))
            .collect())
    };
    netns.run(devices).ok()?.ok()
}

/// Whether anybody but us keeps the namespace: its name, or a process in it.
fn is_held(netns: &Netns) -> bool {
    let is = |path: &std::path::Path| fs::metadata(path).is_ok_and(|m| m.ino() == netns.inode);
    is(&netns.path) || netns::holders(netns.inode).next().is_some()
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Came { netns, name, .. } => write!(f, "interface {name} in {netns} was added"),
            Self::Renamed { netns, from, to, .. } => {
                write!(f, "interface {from} in {netns} was renamed to {to}")
            }
            Self::Gone { netns, name, moved: true, .. } => {
                write!(f, "interface {name} in {netns} went away, to another network namespace")
            }
            Self::Gone { netns, name, .. } => write!(f, "interface {name} in {netns} went away"),
            Self::NetnsGone { name, .. } => write!(f, "network namespace {name} went away"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Host {
        let netns = Netns::current().expect("reading the own namespace needs no rights");
        let present = BTreeMap::from([(7, "v0".to_owned())]);
        Host { cookie: 1, name: "host".to_owned(), netns, listener: None, present, behind: false }
    }

    fn said(all: &[Said]) -> Vec<String> {
        let (mut host, mut changes) = (host(), Vec::new());
        all.iter().for_each(|said| host.hear(said.clone(), &mut changes));
        changes.iter().map(ToString::to_string).collect()
    }

    fn is(ifindex: u32, name: &str) -> Said {
        Said::Is { ifindex, name: name.to_owned() }
    }

    #[test]
    fn one_that_is_made_again_at_once_has_been_away() {
        let changes = said(&[is(7, "v0"), Said::Gone { ifindex: 7, moved: false }, is(7, "v0")]);
        assert_eq!(changes, ["interface v0 in host went away", "interface v0 in host was added"]);
    }

    #[test]
    fn a_rename_is_no_other_device() {
        let changes = said(&[is(7, "cali1"), is(7, "cali1"), is(8, "v0")]);
        assert_eq!(
            changes,
            ["interface v0 in host was renamed to cali1", "interface v0 in host was added"]
        );
    }

    #[test]
    fn what_was_never_there_does_not_go() {
        assert_eq!(said(&[Said::Gone { ifindex: 9, moved: false }]), Vec::<String>::new());
        let moved = said(&[Said::Gone { ifindex: 7, moved: true }]);
        assert_eq!(moved, ["interface v0 in host went away, to another network namespace"]);
    }
}
