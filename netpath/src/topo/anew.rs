//! A path that is discovered once more, because devices have come.
//!
//! In: the path as it was, and as it is. Out: one in which what has gone still has its names, because packets
//! were seen there.

use super::{Host, Place, TopoError, Topology, discover, discover::discover_inside};
use crate::netns::Netns;

/// The path of `iface`; where it is gone, that of the container's end, wherever its other end is now.
pub fn discover_anew(
    iface: &str,
    netns: &Netns,
    inside: Option<Place>,
) -> Result<Topology, TopoError> {
    let gone = match discover(iface, netns) {
        Err(error @ TopoError::NoInterface { .. }) => error,
        found => return found,
    };
    inside.and_then(|place| discover_inside(place).transpose()).unwrap_or(Err(gone))
}

impl Topology {
    /// Becomes `now`, with the devices that are only known from before.
    pub fn become_of(&mut self, now: Self) {
        let before = std::mem::replace(self, now);
        for (netns, host) in before.hosts {
            match self.hosts.get_mut(&netns) {
                Some(known) => {
                    // It has been found to be on the path, and is open.
                    known.beside &= host.beside || host.met;
                    keep(known, host);
                }
                // The path leads there no more.
                None => {
                    self.hosts.insert(netns, Host { met: true, ..host });
                }
            }
        }
    }

    /// Gives a device the name that it has now.
    pub fn rename(&mut self, place: Place, name: &str) {
        let device =
            self.hosts.get_mut(&place.netns).and_then(|host| host.devices.get_mut(&place.ifindex));
        if let Some(device) = device {
            name.clone_into(&mut device.name);
        }
    }
}

fn keep(known: &mut Host, before: Host) {
    for (ifindex, device) in before.devices {
        known.devices.entry(ifindex).or_insert(device);
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{HOST, UP0, VETH0, topology};

    #[test]
    fn what_has_gone_keeps_its_name() {
        let mut path = topology();
        path.rename(UP0, "wan");
        let mut now = topology();
        now.hosts.get_mut(&HOST).expect("it is there").devices.remove(&UP0.ifindex);
        now.chain.retain(|place| *place != UP0);
        path.become_of(now);
        assert_eq!(path.dev_name(UP0), "wan");
        assert!(!path.chain.contains(&UP0) && path.chain.contains(&VETH0));
    }
}
