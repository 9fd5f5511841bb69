//! What is asked of a device while packets are booked. In: the topology. Out: one look a device,
//! whatever the topology's size; names and addresses stay where they are.

use std::{collections::BTreeSet, net::IpAddr};

use rustc_hash::{FxHashMap, FxHashSet};

use super::roles::Roles;
use crate::topo::{Device, Host, Outwards, Place, Topology};

/// What a device is. One that is not known is none of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traits {
    pub(super) bridge: bool,
    pub(super) bridge_port: bool,
    /// It has no queue in which a packet could lie.
    pub(super) noqueue: bool,
    pub(super) master: Option<u32>,
    /// The device that gets what its driver is given, and whose XDP programs have it first.
    pub(super) other_end: Option<Place>,
    /// The device out of which a filter of its ingress sends what arrives.
    pub(super) redirect: Option<u32>,
    /// The device that it shares with others: what it sends to one of those is received there, and that
    /// device's driver does not count it (`macvlan_queue_xmit`).
    pub(super) shares: Option<Place>,
    /// What a packet on its way out does here, where that is known.
    pub(super) outwards: Option<Outwards>,
}

/// All devices of a topology.
#[derive(Debug, Default)]
pub(super) struct Devices {
    all: FxHashMap<Place, Traits>,
    /// The addresses of the containers behind the interfaces.
    inside: FxHashSet<IpAddr>,
    /// Where several were chosen, at each device: those of which it is an end, and what goes out of them there.
    ends: FxHashMap<Place, Vec<(Place, Outwards)>>,
    pub(super) roles: Roles,
}

impl Devices {
    pub(super) fn of(topology: &Topology) -> Self {
        let mut this = Self::default();
        this.follow(topology);
        this
    }

    /// Takes what the topology knows by now. Devices that have left the path keep the side that they
    /// had: packets that passed them may still be under way.
    pub(super) fn follow(&mut self, topology: &Topology) {
        for (place, device) in topology.devices() {
            let outwards = self.get(place).outwards;
            self.all.insert(place, Traits { outwards, ..traits(device) });
        }
        let inside = topology.chosen.iter().filter_map(|chosen| topology.device(chosen.inside?));
        self.inside.extend(inside.flat_map(|d| &d.addresses).map(|(ip, _)| *ip));
        self.roles.follow(topology);
        if topology.everything {
            // As seen from each container.
            for (place, outwards) in topology.sides() {
                if outwards == Outwards::Sent {
                    self.ends.insert(place, vec![(place, outwards)]);
                }
            }
        }
        if topology.chosen.len() > 1 {
            for chosen in &topology.chosen {
                for (place, outwards) in topology.sides_of(chosen) {
                    let ends = self.ends.entry(place).or_default();
                    ends.retain(|(focus, _)| *focus != chosen.focus);
                    ends.push((chosen.focus, outwards));
                }
            }
        }
        for (place, outwards) in topology.sides() {
            self.all.entry(place).or_default().outwards = Some(outwards);
        }
    }

    /// The same for what has come of some hosts, where everything is traced.
    pub(super) fn learn(&mut self, topology: &Topology, hosts: &[Host]) {
        for netns in hosts.iter().map(|host| host.netns) {
            let Some(host) = topology.host(netns) else { continue };
            let come = hosts.iter().filter(|h| h.netns == netns).flat_map(|h| h.devices.keys());
            let hub = host.is_hub();
            for device in come.filter_map(|ifindex| host.devices.get(ifindex)) {
                let place = Place { netns, ifindex: device.ifindex };
                let outwards = topology.side_of_all(host, hub, device);
                self.all.insert(place, Traits { outwards, ..traits(device) });
                if outwards == Some(Outwards::Sent) {
                    self.ends.insert(place, vec![(place, Outwards::Sent)]);
                }
                self.roles.learn(topology, host, hub, device);
            }
        }
    }

    pub(super) fn knows(&self, place: Place) -> bool {
        self.all.contains_key(&place)
    }

    /// Says that nothing will be known of this place.
    pub(super) fn give_up(&mut self, place: Place) {
        self.all.entry(place).or_default();
    }

    /// Forgets the devices of these namespaces, and others.
    pub(super) fn forget(&mut self, netns: &BTreeSet<u32>, others: &[Place]) {
        self.all.retain(|place, _| !netns.contains(&place.netns));
        self.ends.retain(|place, _| !netns.contains(&place.netns));
        for place in others {
            self.all.remove(place);
            self.ends.remove(place);
        }
        self.roles.forget(netns, others);
    }

    pub(super) fn get(&self, place: Place) -> Traits {
        self.all.get(&place).copied().unwrap_or_default()
    }

    /// What was chosen, where it is several, and this device is an end of: and what goes out of it here.
    pub(super) fn ends(&self, place: Place) -> &[(Place, Outwards)] {
        self.ends.get(&place).map_or(&[], Vec::as_slice)
    }

    /// Whether what goes to this address goes to a container behind an interface that was asked for, and there alone.
    pub(super) fn leads_inside(&self, to: IpAddr) -> bool {
        self.inside.contains(&to)
    }
}

fn traits(device: &Device) -> Traits {
    Traits {
        bridge: device.kind == "bridge",
        bridge_port: device.bridge_port,
        noqueue: device.qdisc == "noqueue",
        master: device.master,
        other_end: device.other_end(),
        redirect: device.redirect,
        shares: device.shared(),
        outwards: None,
    }
}
