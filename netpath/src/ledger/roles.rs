//! Devices by what they are for: a container that was started again has another namespace and other devices, and
//! goes on in the same rows.
//!
//! In: the topology, as it comes to be known. Out: for a device, the one whose rows it goes on in: that of the same
//! name in a container of the same name, once that container is gone; and the host's end of it.

use std::collections::BTreeSet;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::topo::{Device, Host, Place, Topology};

/// What a device is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Role {
    /// The container and its device.
    container: String,
    device: String,
    /// Whether it is the other end of that one.
    outer: bool,
}

#[derive(Debug, Default)]
pub(super) struct Roles {
    /// By role: the first device that had it, and the namespace of the container that has it now.
    by_role: FxHashMap<Role, (Place, u32)>,
    /// Devices whose role is known.
    known: FxHashSet<Place>,
    /// Devices that go on in another one's rows.
    first: FxHashMap<Place, Place>,
}

impl Roles {
    pub(super) fn is_used(&self) -> bool {
        !self.first.is_empty()
    }

    /// The device in whose rows what is met here goes on.
    pub(super) fn place(&self, place: Place) -> Place {
        self.first.get(&place).copied().unwrap_or(place)
    }

    /// Of these, the namespaces whose packets go on in another one's rows.
    pub(super) fn again(&self, places: impl Iterator<Item = Place>) -> impl Iterator<Item = u32> {
        let again =
            places.filter(|place| self.first.get(place).is_some_and(|f| f.netns != place.netns));
        again.map(|place| place.netns)
    }

    /// Takes all that is there.
    pub(super) fn follow(&mut self, topology: &Topology) {
        for host in topology.hosts.values() {
            let hub = host.is_hub();
            host.devices.values().for_each(|device| self.learn(topology, host, hub, device));
        }
    }

    /// Takes a device that has come, of a host that is a hub or is not.
    pub(super) fn learn(&mut self, topology: &Topology, host: &Host, hub: bool, device: &Device) {
        let place = Place { netns: host.netns, ifindex: device.ifindex };
        if host.met || self.known.contains(&place) {
            return;
        }
        let role = if hub { role_at_hub(topology, device) } else { role_of(host, device, false) };
        if let Some((role, owner)) = role {
            self.take(place, role, owner, topology);
        }
    }

    fn take(&mut self, place: Place, role: Role, owner: u32, topology: &Topology) {
        let is_gone = |netns: u32| topology.host(netns).is_none_or(|host| host.met);
        match self.by_role.get_mut(&role) {
            None => {
                self.by_role.insert(role, (place, owner));
            }
            Some((first, last)) if *last == owner || is_gone(*last) => {
                *last = owner;
                self.first.insert(place, *first);
            }
            // Two of a name at the same time are two.
            Some(_) => return,
        }
        self.known.insert(place);
    }

    /// Forgets namespaces and devices.
    pub(super) fn forget(&mut self, netns: &BTreeSet<u32>, devices: &[Place]) {
        let gone = |place: &Place| netns.contains(&place.netns) || devices.contains(place);
        self.by_role.retain(|_, (place, _)| !gone(place));
        self.known.retain(|place| !gone(place));
        self.first.retain(|place, first| !gone(place) && !gone(first));
    }
}

fn role_of(host: &Host, device: &Device, outer: bool) -> Option<(Role, u32)> {
    let container = host.name.clone();
    // A process that is started again is another one.
    let is_name = !container.is_empty() && !container.contains([':', '#']);
    let role = Role { container, device: device.name.clone(), outer };
    is_name.then_some((role, host.netns))
}

/// The end of a container's device that another namespace has.
fn role_at_hub(topology: &Topology, device: &Device) -> Option<(Role, u32)> {
    let other = device.other_end()?;
    let host = topology.host(other.netns).filter(|host| !host.is_hub())?;
    role_of(host, host.devices.get(&other.ifindex)?, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{CLIENT, CLIENT_ETH0, HOST, SERVER_ETH0, VETH0, topology};

    /// The test topology, whose container is another one, or of another name.
    fn with(netns: u32, name: &str) -> Topology {
        let mut topology = topology();
        let mut client = topology.hosts.remove(&CLIENT).unwrap();
        (client.netns, client.name) = (netns, name.to_owned());
        topology.hosts.insert(netns, client);
        let host = topology.hosts.get_mut(&HOST).unwrap();
        // Its end has another index each time.
        let mut end = host.devices.remove(&VETH0.ifindex).unwrap();
        (end.ifindex, end.peer) = (100 + netns, Some((netns, CLIENT_ETH0.ifindex)));
        host.devices.insert(end.ifindex, end);
        topology
    }

    fn ends(netns: u32) -> [Place; 2] {
        [Place { netns, ifindex: CLIENT_ETH0.ifindex }, Place { netns: HOST, ifindex: 100 + netns }]
    }

    #[test]
    fn a_container_that_is_started_again_goes_on_in_its_rows() {
        let mut roles = Roles::default();
        for netns in [CLIENT, 50, 51] {
            roles.follow(&with(netns, "web"));
            assert_eq!(ends(netns).map(|place| roles.place(place)), ends(CLIENT), "{netns}");
        }
        assert_eq!(roles.again([ends(51)[0], SERVER_ETH0].into_iter()).collect::<Vec<_>>(), [51]);
        roles.follow(&with(52, "app"));
        assert_eq!(ends(52).map(|place| roles.place(place)), ends(52));
    }

    #[test]
    fn two_of_a_name_and_processes_are_each_for_themselves() {
        let mut both = with(50, "web");
        both.hosts.insert(CLIENT, topology().hosts[&CLIENT].clone());
        both.hosts.get_mut(&CLIENT).unwrap().name = "web".to_owned();
        let mut roles = Roles::default();
        roles.follow(&both);
        assert!(!roles.is_used());
        let mut roles = Roles::default();
        for netns in [CLIENT, 50] {
            roles.follow(&with(netns, "pid:7(sleep)"));
        }
        assert!(!roles.is_used());
        // What is forgotten is nobody's.
        let mut roles = Roles::default();
        roles.follow(&with(CLIENT, "web"));
        roles.forget(&BTreeSet::from([CLIENT]), &[ends(CLIENT)[1]]);
        roles.follow(&with(50, "web"));
        assert!(!roles.is_used());
    }
}
