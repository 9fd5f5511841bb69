//! Following a packet's way from one interface: peers, bridges, routes out, uplinks.

use std::collections::{BTreeMap, BTreeSet};

use super::{Device, Host, Place, TopoError, Topology, dump};
use crate::netns::{self, Netns, close_names};

/// How many devices with a route count as uplinks where there is no default route.
const UPLINKS_MAX: usize = 8;

/// A device: the index of its namespace, and its ifindex there.
type Node = (usize, u32);

/// The namespaces seen so far, read when they are first reached.
struct World {
    all: Vec<Netns>,
    dumps: BTreeMap<usize, dump::Dump>,
}

impl World {
    fn dump(&mut self, ns: usize) -> Result<&dump::Dump, TopoError> {
        if !self.dumps.contains_key(&ns) {
            let dump = dump::dump(&self.all[ns], &self.all)?;
            self.dumps.insert(ns, dump);
        }
        Ok(&self.dumps[&ns])
    }

    /// The device at the other end of `ifindex` in `ns`, or below it.
    fn peer(&mut self, ns: usize, ifindex: u32) -> Result<Option<Node>, TopoError> {
        let dump = self.dump(ns)?;
        let Some(below) = dump.below.get(&ifindex).copied() else { return Ok(None) };
        let Some(id) = below.nsid else { return Ok(Some((ns, below.ifindex))) };
        Ok(dump.nsids.get(&id).map(|&other| (other, below.ifindex)))
    }
}

/// Names of the interfaces in `netns`.
pub fn interfaces(netns: &Netns) -> Result<Vec<String>, TopoError> {
    Ok(dump::dump(netns, &[])?.devices.into_values().map(|d| d.name).collect())
}

/// Finds the path that packets of `iface`, looked up in `netns`, take on this machine.
pub fn discover(iface: &str, netns: &Netns) -> Result<Topology, TopoError> {
    let mut all = netns::all();
    let home = if let Some(i) = all.iter().position(|n| n.inode == netns.inode) {
        all[i] = netns.clone();
        i
    } else {
        all.push(netns.clone());
        all.len() - 1
    };
    let mut world = World { all, dumps: BTreeMap::new() };
    let Some(focus) = find(world.dump(home)?, iface) else {
        return Err(no_interface(iface, home, &mut world));
    };
    let focus = (home, focus);
    let peer = world.peer(focus.0, focus.1)?.filter(|p| p.0 != focus.0 || is_veth(&world, *p));
    if let Some(peer) = peer {
        world.dump(peer.0)?;
    }
    let (inside, outside) = orient(&world, focus, peer);

    let mut path = Path { nodes: Vec::new(), seen: BTreeSet::new() };
    if let Some(inside) = inside {
        path.push(inside);
    }
    // A guest is as good as a container, though it can't be looked into.
    let guest = device(&world, focus).is_some_and(Device::is_tap);
    if inside.is_none() && !guest {
        follow_uplink(&mut world, focus, &mut path)?;
    } else if let Some(outside) = outside {
        path.push(outside);
        follow_out(&mut world, outside, &mut path)?;
    }
    follow_tunnels(&mut world, &mut path)?;
    Ok(build(&world, &path, focus, inside, outside))
}

/// Devices in the order in which they are met.
struct Path {
    nodes: Vec<Node>,
    seen: BTreeSet<Node>,
}

impl Path {
    fn push(&mut self, node: Node) -> bool {
        let new = self.seen.insert(node);
        if new {
            self.nodes.push(node);
        }
        new
    }
}

fn find(dump: &dump::Dump, iface: &str) -> Option<u32> {
    dump.devices.values().find(|d| d.name == iface).map(|d| d.ifindex)
}

fn is_veth(world: &World, node: Node) -> bool {
    device(world, node).is_some_and(|d| d.kind == "veth")
}

fn device(world: &World, node: Node) -> Option<&Device> {
    world.dumps.get(&node.0)?.devices.get(&node.1)
}

fn no_interface(iface: &str, home: usize, world: &mut World) -> TopoError {
    let names: Vec<String> = world
        .dump(home)
        .map(|dump| dump.devices.values().map(|d| d.name.clone()).collect())
        .unwrap_or_default();
    let mut elsewhere = Vec::new();
    for ns in 0..world.all.len() {
        if ns != home && world.dump(ns).is_ok_and(|dump| find(dump, iface).is_some()) {
            elsewhere.push(world.all[ns].name.clone());
        }
    }
    TopoError::NoInterface {
        iface: iface.to_owned(),
        netns: world.all[home].name.clone(),
        close: close_names(iface, names.iter().map(String::as_str)),
        elsewhere,
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
        let port = device(world, node).is_some_and(|d| d.master.is_some());
        let dump = world.dumps.get(&node.0);
        let forwards = dump.is_some_and(|d| d.forwards);
        let devices = dump.map_or(0, |d| d.devices.len());
        (port, forwards, devices)
    };
    if weight(peer) > weight(focus) { (Some(focus), Some(peer)) } else { (Some(peer), Some(focus)) }
}

/// From the host's end of the pair: its bridge, then the routes out, then what is behind them.
fn follow_out(world: &mut World, from: Node, path: &mut Path) -> Result<(), TopoError> {
    let ns = from.0;
    let mut inner = BTreeSet::from([from.1]);
    let dump = world.dump(ns)?;
    if let Some(master) = dump.devices.get(&from.1).and_then(|d| d.master) {
        inner.insert(master);
        inner.extend(dump.devices.values().filter(|d| d.master == Some(master)).map(|d| d.ifindex));
        path.push((ns, master));
    }
    let dump = world.dump(ns)?;
    let out = |default_only: bool| {
        dump.routes
            .iter()
            .filter(|(ifindex, default)| !inner.contains(ifindex) && (!default_only || **default))
            .map(|(ifindex, _)| *ifindex)
            .filter(|ifindex| dump.devices.get(ifindex).is_some_and(|d| d.name != "lo"))
            .take(UPLINKS_MAX)
            .collect::<Vec<_>>()
    };
    let mut uplinks = out(true);
    if uplinks.is_empty() {
        uplinks = out(false);
    }
    for uplink in uplinks {
        follow_uplink(world, (ns, uplink), path)?;
    }
    // Other ports of the bridge: traffic between containers ends at them.
    let ports: Vec<u32> = inner.into_iter().filter(|i| *i != from.1).collect();
    for port in ports {
        if path.push((ns, port))
            && let Some(peer) = world.peer(ns, port)?
            && peer.0 != ns
        {
            world.dump(peer.0)?;
            path.push(peer);
        }
    }
    Ok(())
}

/// An uplink, what it is stacked on, and the other end of a veth.
fn follow_uplink(world: &mut World, uplink: Node, path: &mut Path) -> Result<(), TopoError> {
    let mut node = uplink;
    while path.push(node) {
        let dump = world.dump(node.0)?;
        if let Some(master) = dump.devices.get(&node.1).and_then(|d| d.master) {
            path.push((node.0, master));
        }
        let ports: Vec<_> = dump
            .devices
            .values()
            .filter(|d| d.master == Some(node.1))
            .map(|d| (node.0, d.ifindex))
            .collect();
        for port in ports {
            path.push(port);
        }
        let Some(next) = world.peer(node.0, node.1)? else { break };
        world.dump(next.0)?;
        node = next;
    }
    Ok(())
}

/// Devices that put packets into packets.
const TUNNELS: &[&str] = &["vxlan", "geneve"];

/// Where the path has a tunnel, its other end in whatever namespace was reached, and the bridge and
/// the containers behind that.
fn follow_tunnels(world: &mut World, path: &mut Path) -> Result<(), TopoError> {
    let is_tunnel = |d: &Device| TUNNELS.contains(&d.kind.as_str());
    if !path.nodes.iter().any(|node| device(world, *node).is_some_and(is_tunnel)) {
        return Ok(());
    }
    let reached: BTreeSet<usize> = path.nodes.iter().map(|node| node.0).collect();
    for ns in reached {
        let dump = world.dump(ns)?;
        let tunnels = || dump.devices.values().filter(|d| is_tunnel(d));
        let bridges: BTreeSet<u32> = tunnels().filter_map(|d| d.master).collect();
        let ports: Vec<u32> = dump
            .devices
            .values()
            .filter(|d| d.master.is_some_and(|master| bridges.contains(&master)))
            .map(|d| d.ifindex)
            .collect();
        for ifindex in tunnels().map(|d| d.ifindex).chain(bridges) {
            path.push((ns, ifindex));
        }
        for port in ports {
            path.push((ns, port));
            if let Some(peer) = world.peer(ns, port)? {
                world.dump(peer.0)?;
                path.push(peer);
            }
        }
    }
    Ok(())
}

fn build(
    world: &World,
    path: &Path,
    focus: Node,
    inside: Option<Node>,
    outside: Option<Node>,
) -> Topology {
    let place = |node: Node| Place { netns: world.all[node.0].cookie, ifindex: node.1 };
    let mut hosts: BTreeMap<u32, Host> = BTreeMap::new();
    for &(ns, ifindex) in &path.nodes {
        let Some(dump) = world.dumps.get(&ns) else { continue };
        let handle = &world.all[ns];
        let host = hosts.entry(handle.cookie).or_insert_with(|| Host {
            netns: handle.cookie,
            name: crate::lab::short_name(&handle.name),
            devices: BTreeMap::new(),
            forwards: dump.forwards,
            bridge_nf: dump.bridge_nf,
            handle: Some(handle.clone()),
        });
        let Some(device) = dump.devices.get(&ifindex) else { continue };
        let mut device = device.clone();
        device.addresses.retain(|(ip, _)| !dump::is_link_local(*ip));
        device.peer = dump.below.get(&ifindex).and_then(|below| {
            let other = below.nsid.map_or(Some(ns), |id| dump.nsids.get(&id).copied())?;
            Some((world.all[other].cookie, below.ifindex))
        });
        host.devices.insert(ifindex, device);
    }
    Topology {
        hosts,
        chain: path.nodes.iter().map(|n| place(*n)).collect(),
        focus: place(focus),
        inside: inside.map(place),
        outside: outside.map(place),
    }
}
