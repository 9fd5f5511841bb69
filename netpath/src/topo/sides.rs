//! Which way is out: what a packet on its way out of the container does at a device.
//!
//! In: the topology. Out: for the devices at which that can be told, whether a packet that is sent there
//! or one that is received there goes out.

use super::{Device, Place, Topology};

/// What a packet on its way out of the container, or of the machine, does at a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outwards {
    /// It is sent there: the container's own end, or an uplink.
    Sent,
    /// It is received there: the host's end, a guest's tap, a bridge.
    Received,
}

impl Topology {
    /// The devices at which the way out is known.
    pub fn sides(&self) -> Vec<(Place, Outwards)> {
        let ends = [(self.inside, Outwards::Sent), (self.outside, Outwards::Received)];
        let ends = ends.into_iter().filter_map(|(place, way)| Some((place?, way)));
        match self.device(self.focus) {
            Some(device) if device.is_bridge() => self.sides_of_bridge(),
            Some(device) if self.inside.is_some() || device.is_tap() => ends.collect(),
            _ if self.inside.is_some() => ends.collect(),
            _ => vec![(self.focus, Outwards::Sent)],
        }
    }

    /// What comes to a bridge from a container goes out, whether to the host or to another container.
    fn sides_of_bridge(&self) -> Vec<(Place, Outwards)> {
        let Place { netns, ifindex } = self.focus;
        let mut sides = vec![(self.focus, Outwards::Received)];
        let devices = self.host(netns).into_iter().flat_map(|host| host.devices.values());
        for port in devices.filter(|d| d.master == Some(ifindex)) {
            let here = Place { netns, ifindex: port.ifindex };
            match port.peer {
                Some((netns, ifindex)) if netns != self.focus.netns => {
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

    #[test]
    fn the_way_out_of_a_pair_leads_from_the_inner_end() {
        let pair = [(CLIENT_ETH0, Outwards::Sent), (VETH0, Outwards::Received)];
        assert_eq!(topology().sides(), pair);
    }

    #[test]
    fn what_a_bridge_receives_from_a_container_goes_out() {
        let mut of_bridge = topology();
        (of_bridge.focus, of_bridge.inside, of_bridge.outside) = (BR0, None, Some(BR0));
        let host = of_bridge.hosts.get_mut(&HOST).expect("it is there");
        let port = host.devices.get_mut(&VETH0.ifindex).expect("it is there");
        port.peer = Some((CLIENT_ETH0.netns, CLIENT_ETH0.ifindex));
        let sides = of_bridge.sides();
        assert!(sides.contains(&(BR0, Outwards::Received)), "{sides:?}");
        assert!(sides.contains(&(VETH0, Outwards::Received)), "{sides:?}");
        assert!(sides.contains(&(CLIENT_ETH0, Outwards::Sent)), "{sides:?}");
    }

    #[test]
    fn an_uplink_sends_what_goes_out() {
        let mut of_uplink = topology();
        (of_uplink.focus, of_uplink.inside, of_uplink.outside) = (UP0, None, Some(UP0));
        assert_eq!(of_uplink.sides(), [(UP0, Outwards::Sent)]);
    }
}
