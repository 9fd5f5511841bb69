//! Watching the path while it is traced: devices and namespaces can go away.
//!
//! A namespace lives as long as somebody holds it, and tracing holds it: so that a container that
//! has ended can end, its namespace is let go once nobody else has it.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    time::{Duration, Instant},
};

use super::Topology;
use crate::netns::{self, Netns};

/// How often to look.
const EVERY: Duration = Duration::from_millis(500);

/// The path's namespaces and devices as they were when tracing began.
#[derive(Debug)]
pub struct Watch {
    hosts: Vec<Host>,
    looked: Instant,
}

#[derive(Debug)]
struct Host {
    cookie: u32,
    name: String,
    netns: Netns,
    devices: BTreeMap<u32, String>,
}

/// What has gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gone {
    Device { netns: String, device: String },
    Netns { cookie: u32, name: String },
}

impl Watch {
    /// Takes the namespaces' handles out of the topology: nobody else holds them then.
    pub fn new(topology: &mut Topology) -> Self {
        let hosts = topology
            .hosts
            .values_mut()
            .filter_map(|host| {
                Some(Host {
                    cookie: host.netns,
                    name: host.name.clone(),
                    netns: host.handle.take()?,
                    devices: host.devices.values().map(|d| (d.ifindex, d.name.clone())).collect(),
                })
            })
            .collect();
        Self { hosts, looked: Instant::now() }
    }

    /// The namespaces that are still held, by the low half of their cookies.
    pub fn namespaces(&self) -> impl Iterator<Item = (u32, &Netns)> {
        self.hosts.iter().map(|host| (host.cookie, &host.netns))
    }

    /// Looks, unless it was done a moment ago. Each loss is told once.
    pub fn look(&mut self) -> Vec<Gone> {
        let mut gone = Vec::new();
        if self.looked.elapsed() < EVERY {
            return gone;
        }
        self.looked = Instant::now();
        self.hosts.retain_mut(|host| {
            if !is_held(&host.netns) {
                gone.push(Gone::Netns { cookie: host.cookie, name: host.name.clone() });
                return false;
            }
            let Ok(Ok(present)) = host.netns.run(indices) else { return true };
            host.devices.retain(|index, name| {
                let there = present.contains(index);
                if !there {
                    let (netns, device) = (host.name.clone(), name.clone());
                    gone.push(Gone::Device { netns, device });
                }
                there
            });
            true
        });
        gone
    }
}

/// Indices of the interfaces in the calling thread's namespace.
fn indices() -> nix::Result<Vec<u32>> {
    Ok(nix::net::if_::if_nameindex()?.into_iter().map(nix::net::if_::Interface::index).collect())
}

/// Whether anybody but us keeps the namespace: its name, or a process in it.
fn is_held(netns: &Netns) -> bool {
    let is = |path: &std::path::Path| fs::metadata(path).is_ok_and(|m| m.ino() == netns.inode);
    is(&netns.path) || netns::holders(netns.inode).next().is_some()
}

impl std::fmt::Display for Gone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Device { netns, device } => write!(f, "interface {device} in {netns} went away"),
            Self::Netns { name, .. } => write!(f, "network namespace {name} went away"),
        }
    }
}
