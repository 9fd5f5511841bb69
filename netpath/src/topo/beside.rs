//! Neighbours at a bridge that the path turns out to lead to.
//!
//! In: namespaces of neighbours that packets were seen in. Out: they are on the path, and open.

use std::collections::BTreeSet;

use super::Topology;
use crate::netns::Netns;

impl Topology {
    /// Puts neighbours on the path; their names. One that is gone, or has become another, stays where it is.
    pub fn take_in(&mut self, cookies: &BTreeSet<u32>) -> Vec<String> {
        let mut taken = Vec::new();
        for host in self.hosts.values_mut().filter(|h| h.beside && cookies.contains(&h.netns)) {
            let Some(path) = host.found.take() else { continue };
            let Ok(netns) = Netns::open(&path, Some(host.name.clone())) else { continue };
            if netns.cookie == host.netns {
                host.beside = false;
                host.handle = Some(netns);
                taken.push(host.name.clone());
            }
        }
        taken
    }
}
