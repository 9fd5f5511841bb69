//! Namespaces that packets were met in and that the discovered path does not lead to.
//!
//! In: their cookies. Out: their names and devices, so that a report has no numbers for them. They are not
//! watched, and not held open.

use std::collections::{BTreeMap, BTreeSet};

use super::{Host, Topology, dump};
use crate::netns;

/// Those of these namespaces that can be found on this machine.
pub fn find(cookies: &BTreeSet<u32>) -> Vec<Host> {
    let met = netns::all().into_iter().filter(|netns| cookies.contains(&netns.cookie));
    met.map(|netns| {
        let read = dump::dump(&netns, &[]);
        let (devices, forwards, bridge_nf) =
            read.map_or((BTreeMap::new(), false, false), |d| (d.devices, d.forwards, d.bridge_nf));
        let name = crate::lab::short_name(&netns.name);
        Host {
            netns: netns.cookie,
            name,
            devices,
            forwards,
            bridge_nf,
            met: true,
            beside: false,
            found: None,
            handle: None,
        }
    })
    .collect()
}

impl Topology {
    /// Takes namespaces that were met; what is known of the path stays.
    pub fn meet(&mut self, hosts: Vec<Host>) {
        for host in hosts {
            self.hosts.entry(host.netns).or_insert(host);
        }
    }
}
