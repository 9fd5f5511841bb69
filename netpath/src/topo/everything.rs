//! All that this host has, or all that hangs together with some of its namespaces.
//!
//! In: the namespaces that it is restricted to, if any. Out: a topology of everything, in which those that others
//! hang together by are on the path, and the others beside it until a packet has been seen there.

use std::collections::{BTreeMap, BTreeSet};

use super::{Host, Site, Topology, is_hub, survey};
use crate::{
    inventory::Census,
    netns::{self, Netns},
};

/// Of so few, all are on the path from the start.
const FEW: usize = 8;

/// Finds everything, or what hangs together with these namespaces.
pub fn discover_everything(around: &[Netns]) -> Topology {
    let mut all = netns::all();
    for netns in around {
        if !all.iter().any(|known| known.inode == netns.inode) {
            all.push(netns.clone());
        }
    }
    let sites = survey(&all);
    let members = members(&sites, around);
    let census = Census::take();
    let few = members.as_ref().map_or(sites.len(), BTreeSet::len) <= FEW;
    let is_member = |site: &Site| members.as_ref().is_none_or(|m| m.contains(&site.netns.cookie));
    let (ours, others): (Vec<Site>, Vec<Site>) = sites.into_iter().partition(is_member);
    let host = |site: Site| {
        let beside = !few && !is_hub(site.forwards, &site.devices);
        let host = Host {
            netns: site.netns.cookie,
            name: census.name(&site.netns),
            owner: census.owner(site.netns.inode).cloned(),
            devices: site.devices,
            forwards: site.forwards,
            bridge_nf: site.bridge_nf,
            met: false,
            beside,
            found: Some(site.netns.path.clone()),
            handle: (!beside).then_some(site.netns),
        };
        (host.netns, host)
    };
    let hosts: BTreeMap<u32, Host> = ours.into_iter().map(host).collect();
    let mut topology = Topology {
        hosts,
        everything: true,
        left_out: others.iter().map(|site| site.netns.cookie).collect(),
        ..Topology::default()
    };
    topology.chain = topology.devices().map(|(place, _)| place).collect();
    topology
}

/// The namespaces that are joined with these by devices, however far; `None` where it is not restricted.
fn members(sites: &[Site], around: &[Netns]) -> Option<BTreeSet<u32>> {
    if around.is_empty() {
        return None;
    }
    let mut joined: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for site in sites {
        for (other, _) in site.devices.values().filter_map(|device| device.peer) {
            joined.entry(site.netns.cookie).or_default().insert(other);
            joined.entry(other).or_default().insert(site.netns.cookie);
        }
    }
    let mut members: BTreeSet<u32> = around.iter().map(|netns| netns.cookie).collect();
    let mut left: Vec<u32> = members.iter().copied().collect();
    while let Some(cookie) = left.pop() {
        left.extend(joined.remove(&cookie).into_iter().flatten().filter(|c| members.insert(*c)));
    }
    Some(members)
}

impl Topology {
    /// Takes what has come, or is known better by now.
    pub fn arrive(&mut self, host: Host) {
        match self.hosts.get_mut(&host.netns) {
            Some(known) => {
                known.devices.extend(host.devices);
                if !host.name.is_empty() {
                    (known.name, known.owner) = (host.name, host.owner);
                }
            }
            None => {
                self.hosts.insert(host.netns, host);
            }
        }
    }

    /// Notes that a namespace is gone: what packets met there keeps its names.
    pub fn leave(&mut self, netns: u32) {
        if let Some(host) = self.hosts.get_mut(&netns) {
            (host.met, host.beside, host.found, host.handle) = (true, false, None, None);
        }
    }

    /// Forgets namespaces.
    pub fn forget(&mut self, gone: &BTreeSet<u32>) {
        self.hosts.retain(|netns, _| !gone.contains(netns));
        self.left_out.retain(|netns| !gone.contains(netns));
    }
}
