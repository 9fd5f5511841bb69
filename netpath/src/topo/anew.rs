//! Paths that are discovered once more, because devices have come.
//!
//! In: the paths as they were. Out: the paths as they are, in which what has gone still has its names, because
//! packets were seen there.

use super::{Asked, Chosen, Host, Place, Topology, discover::Paths, follow::World};
use crate::netns;

/// The paths of what was chosen, each wherever it is now: an interface, else the container's end of it, else what
/// is meant now by the words that it was chosen by, asked for by its number. What is nowhere stays as it was.
pub fn discover_anew(before: &[Chosen], asked: impl Fn(usize) -> Option<Asked>) -> Topology {
    let mut world = World::of(netns::all());
    let mut paths = Paths::default();
    let mut now = Vec::new();
    for (nth, chosen) in before.iter().enumerate() {
        let by_place = world.at(chosen.focus).map(|node| (node, false));
        let inner = || Some((chosen.inside?, true));
        let by_place = by_place.or_else(|| inner().and_then(|(at, is)| Some((world.at(at)?, is))));
        let found = by_place.or_else(|| Some((asked(nth)?.find(&mut world).ok()?, false)));
        // It can have gone since.
        let followed = found.and_then(|(node, is)| paths.follow(&mut world, node, is).ok());
        now.push(followed.unwrap_or(*chosen));
    }
    Topology { chosen: now, ..paths.build(&world) }
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
