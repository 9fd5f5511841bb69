//! Namespaces that packets were met in and that the discovered path does not lead to.
//!
//! In: their cookies. Out: their names and devices, so that a report has no numbers for them. They are not
//! watched, and not held open.

use std::collections::{BTreeMap, BTreeSet};

use super::{Host, Topology, dump};
use crate::{inventory::Census, netns};

/// Those of these namespaces that can be found on this machine.
pub fn find(cookies: &BTreeSet<u32>) -> Vec<Host> {
    let met: Vec<_> =
        netns::all().into_iter().filter(|netns| cookies.contains(&netns.cookie)).collect();
    if met.is_empty() {
        return Vec::new();
    }
    let census = Census::take();
    let host = |netns: netns::Netns| {
        let read = dump::dump(&netns, &[]);
        let (devices, forwards, bridge_nf) =
            read.map_or((BTreeMap::new(), false, false), |d| (d.devices, d.forwards, d.bridge_nf));
        Host {
            netns: netns.cookie,
            name: census.name(&netns),
            owner: census.owner(netns.inode).cloned(),
            devices,
            forwards,
            bridge_nf,
            met: true,
            beside: false,
            found: None,
            handle: None,
        }
    };
    met.into_iter().map(host).collect()
}

impl Topology {
    /// Takes namespaces that were met; what is known of the path stays.
    pub fn meet(&mut self, hosts: Vec<Host>) {
        for host in hosts {
            self.hosts.entry(host.netns).or_insert(host);
        }
    }
}
