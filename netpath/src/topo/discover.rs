//! From interfaces to their paths: which devices are meant, which end of each faces the container, and what
//! [`super::follow`] finds on both sides of it. The paths of several are one topology.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Chosen, Device, Host, Place, TopoError, Topology,
    dump::{self, Dump, Node},
    follow::{
        Path, World, follow_bridge, follow_in, follow_out, follow_sharing, follow_tunnels,
        follow_uplink,
    },
};
use crate::{
    inventory::{self, Census},
    netns::{self, Netns, close_names},
};

/// Names of the interfaces in `netns`.
pub fn interfaces(netns: &Netns) -> Result<Vec<String>, TopoError> {
    Ok(dump::dump(netns, &[])?.devices.into_values().map(|d| d.name).collect())
}

/// An interface that is asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Where it is looked up.
    pub netns: Netns,
    /// Its name; where there is none, the one that packets leave by.
    pub iface: Option<String>,
}

impl Asked {
    pub fn new(iface: &str, netns: &Netns) -> Self {
        Self { netns: netns.clone(), iface: Some(iface.to_owned()) }
    }
}

/// The device by which packets leave a namespace: that of its default route, or else the first that is up.
pub(super) fn main_of(dump: &Dump) -> Option<&Device> {
    let up = |device: &&Device| device.up && device.name != LOOPBACK;
    let default = dump.routes.iter().filter(|(_, default)| **default);
    let mut routed = default.filter_map(|(ifindex, _)| dump.devices.get(ifindex));
    routed.find(up).or_else(|| dump.devices.values().find(up))
}

const LOOPBACK: &str = "lo";

/// Finds the path that packets of `iface`, looked up in `netns`, take on this machine.
pub fn discover(iface: &str, netns: &Netns) -> Result<Topology, TopoError> {
    discover_all(&[Asked::new(iface, netns)]).map(|(topology, _)| topology)
}

/// Finds the paths that packets of these interfaces take on this machine; and of the interfaces, which are chosen
/// therefore: those that are the same as one before are not.
pub fn discover_all(asked: &[Asked]) -> Result<(Topology, Vec<usize>), TopoError> {
    let mut world = World::of(netns::all());
    // All of them before the first is read: what that leads to is among them.
    for one in asked {
        world.add(&one.netns);
    }
    let ends = asked.iter().map(|asked| asked.find(&mut world)).collect::<Result<Vec<_>, _>>()?;
    let (mut paths, mut taken) = (Paths::default(), Vec::new());
    for (nth, end) in ends.into_iter().enumerate() {
        let known = paths.ends.len();
        paths.follow(&mut world, end, false)?;
        taken.extend((paths.ends.len() > known).then_some(nth));
    }
    Ok((paths.build(&world), taken))
}

impl Asked {
    /// The device that is meant.
    pub(super) fn find(&self, world: &mut World) -> Result<Node, TopoError> {
        let home = world.add(&self.netns);
        let found = match (&self.iface, world.dump(home)?) {
            (Some(iface), dump) => find(dump, iface),
            (None, dump) => main_of(dump).map(|device| device.ifindex),
        };
        match (found, &self.iface) {
            (Some(ifindex), _) => Ok((home, ifindex)),
            (None, Some(iface)) => Err(no_interface(iface, home, world)),
            (None, None) => Err(TopoError::OnlyLoopback { netns: self.netns.name.clone() }),
        }
    }

    /// Whether there is such an interface there.
    pub fn is_there(&self) -> bool {
        let dump = dump::dump(&self.netns, &[]);
        dump.is_ok_and(|dump| self.iface.as_ref().is_none_or(|iface| find(&dump, iface).is_some()))
    }
}

/// What was asked for, and the ways that packets take from there.
#[derive(Default)]
pub(super) struct Paths {
    path: Path,
    ends: Vec<Ends>,
}

/// An interface that was asked for, as a [`Chosen`].
#[derive(Clone, Copy, PartialEq, Eq)]
struct Ends {
    focus: Node,
    inside: Option<Node>,
    outside: Option<Node>,
}

impl Paths {
    /// Follows a device, which is `inner` where it is known to be a container's end; what it is part of.
    pub(super) fn follow(
        &mut self,
        world: &mut World,
        focus: Node,
        inner: bool,
    ) -> Result<Chosen, TopoError> {
        let (path, ends) = from(world, focus, inner)?;
        self.path.join(path);
        // Both ends of a pair are one.
        let same = |known: &&Ends| {
            known.focus == focus
                || (ends.inside.is_some()
                    && (known.inside, known.outside) == (ends.inside, ends.outside))
        };
        let known = self.ends.iter().find(same).copied();
        if known.is_none() {
            self.ends.push(ends);
        }
        Ok(chosen(world, known.unwrap_or(ends)))
    }

    pub(super) fn build(self, world: &World) -> Topology {
        let all = self.ends.iter().map(|ends| chosen(world, *ends)).collect();
        build(world, &self.path, all)
    }
}

fn chosen(world: &World, ends: Ends) -> Chosen {
    let place = |node| world.place(node);
    Chosen {
        focus: place(ends.focus),
        inside: ends.inside.map(place),
        outside: ends.outside.map(place),
    }
}

/// The path of a device, which is `inner` where it is known to be a container's end.
fn from(world: &mut World, focus: Node, inner: bool) -> Result<(Path, Ends), TopoError> {
    let peer = world.peer(focus)?.filter(|p| p.0 != focus.0 || is_veth(world, *p));
    if let Some(peer) = peer {
        world.dump(peer.0)?;
    }
    let (mut inside, outside) = match peer {
        Some(peer) if inner => (Some(focus), Some(peer)),
        peer => orient(world, focus, peer),
    };

    let mut path = Path::default();
    if let Some(end) = inside {
        inside = Some(follow_in(world, end, &mut path)?);
    }
    // A guest is as good as a container, though it can't be looked into.
    let guest = world.device(focus).is_some_and(Device::is_tap);
    if world.device(focus).is_some_and(Device::is_bridge) {
        follow_bridge(world, focus, &mut path)?;
    } else if inside.is_none() && !guest {
        follow_uplink(world, focus, &mut path)?;
    } else if let Some(outside) = outside {
        path.push(outside);
        follow_out(world, outside, &mut path)?;
    }
    follow_tunnels(world, &mut path)?;
    follow_sharing(world, &mut path)?;
    Ok((path, Ends { focus, inside, outside }))
}

/// The interface of this name: as `ip link` shows it, `eth0@if7` too, or by another of its names.
fn find(dump: &Dump, iface: &str) -> Option<u32> {
    let named = |name: &str| {
        let own = dump.devices.values().find(|d| d.name == name).map(|d| d.ifindex);
        own.or_else(|| dump.altnames.get(name).copied())
    };
    named(iface).or_else(|| named(iface.rsplit_once('@')?.0))
}

fn is_veth(world: &World, node: Node) -> bool {
    world.device(node).is_some_and(|d| d.kind == "veth")
}

fn no_interface(iface: &str, home: usize, world: &mut World) -> TopoError {
    let names: Vec<String> = world
        .dump(home)
        .map(|dump| dump.devices.values().map(|d| d.name.clone()).collect())
        .unwrap_or_default();
    let census = Census::take();
    let mut elsewhere = Vec::new();
    for ns in 0..world.all.len() {
        if ns != home && world.dump(ns).is_ok_and(|dump| find(dump, iface).is_some()) {
            let netns = &world.all[ns];
            let option = census.option(netns.inode);
            elsewhere.push(option.unwrap_or_else(|| format!("--netns {}", netns.path.display())));
        }
    }
    TopoError::NoInterface {
        iface: iface.to_owned(),
        netns: census.name(&world.all[home]),
        close: close_names(iface, names.iter().map(String::as_str)),
        elsewhere,
        others: inventory::near(&census, iface),
    }
}

/// Which end of a pair faces the container and which the host: a bridge's port, or the end in the
/// namespace with more devices, is the host's. A device with no peer is an uplink: its own host is
/// inside.
fn orient(world: &World, focus: Node, peer: Option<Node>) -> (Option<Node>, Option<Node>) {
    let Some(peer) = peer else { return (None, Some(focus)) };
    if !is_veth(world, focus) {
        return (None, Some(focus));
    }
    let weight = |node: Node| {
        let port = world.device(node).is_some_and(|d| d.master.is_some());
        let dump = world.dumps.get(&node.0);
        let forwards = dump.is_some_and(|d| d.forwards);
        let devices = dump.map_or(0, |d| d.devices.len());
        (port, forwards, devices)
    };
    if weight(peer) > weight(focus) { (Some(focus), Some(peer)) } else { (Some(peer), Some(focus)) }
}

fn build(world: &World, path: &Path, chosen: Vec<Chosen>) -> Topology {
    let census = Census::take();
    let place = |node| world.place(node);
    let on_path: BTreeSet<usize> = path
        .nodes
        .iter()
        .filter(|node| !path.beside.contains_key(node))
        .map(|node| node.0)
        .collect();
    let mut hosts: BTreeMap<u32, Host> = BTreeMap::new();
    for &(ns, ifindex) in &path.nodes {
        let Some(dump) = world.known(ns) else { continue };
        let handle = &world.all[ns];
        let beside = !on_path.contains(&ns);
        let host = hosts.entry(handle.cookie).or_insert_with(|| Host {
            netns: handle.cookie,
            name: census.name(handle),
            owner: census.owner(handle.inode).cloned(),
            devices: BTreeMap::new(),
            forwards: dump.forwards,
            bridge_nf: dump.bridge_nf,
            met: false,
            beside,
            found: beside.then(|| handle.path.clone()),
            handle: (!beside).then(|| handle.clone()),
        });
        let Some(device) = dump.devices.get(&ifindex) else { continue };
        let mut device = device.clone();
        device.addresses.retain(|(ip, _)| !dump::is_link_local(*ip));
        let port = path.beside.get(&(ns, ifindex)).copied();
        device.peer = port.or_else(|| dump.peer((ns, ifindex))).map(|other| {
            let Place { netns, ifindex } = place(other);
            (netns, ifindex)
        });
        host.devices.insert(ifindex, device);
    }
    let chain = path.nodes.iter().map(|n| place(*n)).collect();
    Topology { hosts, chain, chosen, ..Topology::default() }
}
