//! Which way is out: what a packet on its way out of the container does at a device.
//!
//! In: the topology. Out: for the devices at which that can be told, whether a packet that is sent there
//! or one that is received there goes out.

use std::collections::BTreeMap;

use super::{Chosen, Device, Host, Place, TAP, Topology};

/// What a packet on its way out of the container, or of the machine, does at a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outwards {
    /// It is sent there: the container's own end, or an uplink.
    Sent,
    /// It is received there: the host's end, a guest's tap, a bridge.
    Received,
}

impl Topology {
    /// The devices at which the way out is known. Where several of what was chosen share one, a container's ends
    /// say it before an uplink, and that before a bridge; of two alike, the one that was named first.
    pub fn sides(&self) -> BTreeMap<Place, Outwards> {
        if self.everything {
            return self.sides_of_everything().collect();
        }
        let mut sides = BTreeMap::new();
        let mut chosen: Vec<&Chosen> = self.chosen.iter().collect();
        chosen.sort_by_key(|chosen| {
            let device = self.device(chosen.focus);
            (device.is_some_and(Device::is_bridge), chosen.inside.is_none())
        });
        for (place, way) in chosen.into_iter().flat_map(|chosen| self.sides_of(chosen)) {
            sides.entry(place).or_insert(way);
        }
        sides
    }

    /// The same for one that was chosen.
    pub fn sides_of(&self, chosen: &Chosen) -> Vec<(Place, Outwards)> {
        let Chosen { focus, inside, outside } = *chosen;
        let ends = [(inside, Outwards::Sent), (outside, Outwards::Received)];
        match self.device(focus) {
            Some(device) if device.is_bridge() => self.sides_of_bridge(focus),
            device if inside.is_some() || device.is_some_and(Device::is_tap) => {
                ends.into_iter().filter_map(|(place, way)| Some((place?, way))).collect()
            }
            _ => vec![(focus, Outwards::Sent)],
        }
    }

    /// Where everything was asked for: containers' own ends, the ends of them that others have, and cards.
    fn sides_of_everything(&self) -> impl Iterator<Item = (Place, Outwards)> {
        self.hosts.values().flat_map(move |host| {
            let hub = host.is_hub();
            host.devices.values().filter_map(move |device| {
                let way = self.side_of_all(host, hub, device)?;
                Some((Place { netns: host.netns, ifindex: device.ifindex }, way))
            })
        })
    }

    /// The same for one device, where it is known whether its host is a hub.
    pub fn side_of_all(&self, host: &Host, hub: bool, device: &Device) -> Option<Outwards> {
        if hub { self.side_at_hub(host, device) } else { Some(Outwards::Sent) }
    }

    fn side_at_hub(&self, host: &Host, device: &Device) -> Option<Outwards> {
        let there = device.peer.map(|(netns, _)| netns);
        match device.kind.as_str() {
            "veth" if there == Some(host.netns) => None,
            "veth" => {
                let leads_to_hub =
                    there.and_then(|netns| self.host(netns)).is_some_and(Host::is_hub);
                Some(if leads_to_hub { Outwards::Sent } else { Outwards::Received })
            }
            TAP => Some(Outwards::Received),
            "" | "tun" | "wireguard" | "dummy" => Some(Outwards::Sent),
            _ if device.is_sharing() => Some(Outwards::Sent),
            _ => None,
        }
    }

    /// What comes to a bridge from a container goes out, whether to the host or to another container.
    fn sides_of_bridge(&self, bridge: Place) -> Vec<(Place, Outwards)> {
        let Place { netns: home, ifindex } = bridge;
        let mut sides = vec![(bridge, Outwards::Received)];
        let devices = self.host(home).into_iter().flat_map(|host| host.devices.values());
        for port in devices.filter(|d| d.master == Some(ifindex)) {
            let here = Place { netns: home, ifindex: port.ifindex };
            match port.peer {
                Some((netns, ifindex)) if netns != home => {
                    sides.push((here, Outwards::Received));
                    sides.push((Place { netns, ifindex }, Outwards::Sent));
                }
                _ if port.is_tap() => sides.push((here, Outwards::Received)),
                // The wire, or another bridge.
                _ => sides.push((here, Outwards::Sent)),
            }
        }
        sides
    }
}

impl Device {
    pub fn is_bridge(&self) -> bool {
        self.kind == "bridge"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{BR0, CLIENT_ETH0, HOST, UP0, VETH0, topology};

    fn chosen(focus: Place) -> Chosen {
        Chosen { focus, inside: None, outside: Some(focus) }
    }

    #[test]
    fn the_way_out_of_a_pair_leads_from_the_inner_end() {
        let pair = [(CLIENT_ETH0, Outwards::Sent), (VETH0, Outwards::Received)];
        assert_eq!(topology().sides(), pair.into());
    }

    /// The test topology, whose bridge knows what is at its port.
    fn bridged() -> Topology {
        let mut topology = topology();
        let host = topology.hosts.get_mut(&HOST).expect("it is there");
        let port = host.devices.get_mut(&VETH0.ifindex).expect("it is there");
        port.peer = Some((CLIENT_ETH0.netns, CLIENT_ETH0.ifindex));
        topology
    }

    #[test]
    fn what_a_bridge_receives_from_a_container_goes_out() {
        let sides = Topology { chosen: vec![chosen(BR0)], ..bridged() }.sides();
        assert_eq!(sides.get(&BR0), Some(&Outwards::Received));
        assert_eq!(sides.get(&VETH0), Some(&Outwards::Received));
        assert_eq!(sides.get(&CLIENT_ETH0), Some(&Outwards::Sent));
    }

    #[test]
    fn an_uplink_sends_what_goes_out() {
        let sides = Topology { chosen: vec![chosen(UP0)], ..topology() }.sides();
        assert_eq!(sides, [(UP0, Outwards::Sent)].into());
    }

    #[test]
    fn of_several_that_share_a_device_a_containers_end_says_the_way() {
        // As a port of the bridge that leads elsewhere, it would send what goes out.
        let pair = topology().chosen[0];
        for all in [vec![chosen(BR0), pair], vec![pair, chosen(BR0)], vec![chosen(VETH0), pair]] {
            let sides = Topology { chosen: all, ..topology() }.sides();
            assert_eq!(sides.get(&VETH0), Some(&Outwards::Received), "{sides:?}");
        }
    }
}
