//! Following a packet from device to device: peers, bridges, routes out, redirections, tunnels.
//!
//! In: a device, and namespaces that are read when they are first reached. Out: the devices in the order in
//! which a packet meets them.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
};

use super::{
    Device, Place, TopoError,
    dump::{self, Node},
};
use crate::netns::Netns;

/// How many neighbours at a bridge are on the path from the start. Of more than these most have nothing to do
/// with it: they are beside it until a packet has gone there.
const NEIGHBOURS_MAX: usize = 8;

/// How many devices with a route count as uplinks where there is no default route.
const UPLINKS_MAX: usize = 8;

/// The namespaces seen so far, read when they are first reached.
pub(super) struct World {
    pub(super) all: Vec<Netns>,
    pub(super) dumps: BTreeMap<usize, dump::Dump>,
    /// Neighbours, of which is not known what leads where.
    glances: BTreeMap<usize, dump::Dump>,
}

impl World {
    pub(super) fn of(all: Vec<Netns>) -> Self {
        Self { all, dumps: BTreeMap::new(), glances: BTreeMap::new() }
    }

    /// The number of a namespace, which need not have been found with the others.
    pub(super) fn add(&mut self, netns: &Netns) -> usize {
        if let Some(known) = self.all.iter().position(|n| n.inode == netns.inode) {
            self.all[known] = netns.clone();
            return known;
        }
        self.all.push(netns.clone());
        self.all.len() - 1
    }

    pub(super) fn place(&self, (ns, ifindex): Node) -> Place {
        Place { netns: self.all[ns].cookie, ifindex }
    }

    /// A device that is known by its place, if it is still there.
    pub(super) fn at(&mut self, place: Place) -> Option<Node> {
        let ns = self.all.iter().position(|netns| netns.cookie == place.netns)?;
        let there = self.dump(ns).is_ok_and(|dump| dump.devices.contains_key(&place.ifindex));
        there.then_some((ns, place.ifindex))
    }

    /// A device of a namespace that was read.
    pub(super) fn device(&self, node: Node) -> Option<&Device> {
        self.known(node.0)?.devices.get(&node.1)
    }

    /// A namespace that was read.
    pub(super) fn known(&self, ns: usize) -> Option<&dump::Dump> {
        self.dumps.get(&ns).or_else(|| self.glances.get(&ns))
    }

    /// Reads the devices of neighbours, but not what leads where; one that has gone meanwhile is left out.
    fn glance(&mut self, mut those: Vec<usize>) {
        those.retain(|ns| self.known(*ns).is_none());
        let netns: Vec<&Netns> = those.iter().map(|ns| &self.all[*ns]).collect();
        // The thread that reads them is in the last one then.
        let read = thread::scope(|scope| scope.spawn(|| dump::dump_each(&netns)).join());
        let read = those.into_iter().zip(read.unwrap_or_default());
        self.glances.extend(read.filter_map(|(ns, dump)| Some((ns, dump?))));
    }

    pub(super) fn dump(&mut self, ns: usize) -> Result<&dump::Dump, TopoError> {
        if !self.dumps.contains_key(&ns) {
            let dump = dump::dump(&self.all[ns], &self.all)?;
            self.dumps.insert(ns, dump);
        }
        Ok(&self.dumps[&ns])
    }

    /// The device at the other end of this one, or below it.
    pub(super) fn peer(&mut self, (ns, ifindex): Node) -> Result<Option<Node>, TopoError> {
        Ok(self.dump(ns)?.peer((ns, ifindex)))
    }

    /// The device that what arrives at this one is sent out of.
    fn redirected(&mut self, (ns, ifindex): Node) -> Result<Option<Node>, TopoError> {
        let device = self.dump(ns)?.devices.get(&ifindex);
        Ok(device.and_then(|d| d.redirect).map(|to| (ns, to)))
    }

    /// Those of these devices that are of a sort.
    fn those(&self, nodes: &[Node], is: fn(&Device) -> bool) -> Vec<Node> {
        nodes.iter().copied().filter(|node| self.device(*node).is_some_and(is)).collect()
    }

    /// The devices of a sort in all namespaces that can be read.
    fn everywhere(&mut self, is: fn(&Device) -> bool) -> Vec<Node> {
        let mut found = Vec::new();
        for ns in 0..self.all.len() {
            let Ok(dump) = self.dump(ns) else { continue };
            let devices = dump.devices.values().filter(|device| is(device));
            found.extend(devices.map(|device| (ns, device.ifindex)));
        }
        found
    }

    /// Ports of a bridge or bond.
    fn ports(&mut self, (ns, master): Node) -> Result<Vec<Node>, TopoError> {
        let devices = self.dump(ns)?.devices.values();
        Ok(devices.filter(|d| d.master == Some(master)).map(|d| (ns, d.ifindex)).collect())
    }

    /// Devices that packets leave a namespace by, but for those that are `inner` to it: those of
    /// default routes, or else of any.
    fn uplinks(&mut self, ns: usize, inner: &BTreeSet<u32>) -> Result<Vec<Node>, TopoError> {
        let dump = self.dump(ns)?;
        let out = |default_only: bool| {
            dump.routes
                .iter()
                .filter(|(_, default)| !default_only || **default)
                .map(|(ifindex, _)| *ifindex)
                .filter(|ifindex| !inner.contains(ifindex))
                .filter(|ifindex| dump.devices.get(ifindex).is_some_and(|d| d.name != "lo"))
                .take(UPLINKS_MAX)
                .map(|ifindex| (ns, ifindex))
                .collect::<Vec<_>>()
        };
        let default = out(true);
        Ok(if default.is_empty() { out(false) } else { default })
    }
}

/// Devices in the order in which they are met.
#[derive(Default)]
pub(super) struct Path {
    pub(super) nodes: Vec<Node>,
    seen: BTreeSet<Node>,
    /// Neighbours' devices, each with the port at its other end.
    pub(super) beside: BTreeMap<Node, Node>,
}

impl Path {
    pub(super) fn push(&mut self, node: Node) -> bool {
        let new = self.seen.insert(node);
        if new {
            self.nodes.push(node);
        }
        new
    }

    /// Takes another path. What is beside both is beside.
    pub(super) fn join(&mut self, other: Self) {
        for node in other.nodes {
            match (self.push(node), other.beside.get(&node)) {
                (true, Some(port)) => {
                    self.beside.insert(node, *port);
                }
                (false, None) => {
                    self.beside.remove(&node);
                }
                _ => {}
            }
        }
    }
}

/// From the container's end of the pair inwards: where traffic control joins it with another device,
/// that one and its other end come before it. The innermost device.
pub(super) fn follow_in(
    world: &mut World,
    inside: Node,
    path: &mut Path,
) -> Result<Node, TopoError> {
    let mut way = vec![inside];
    let mut innermost = inside;
    while let Some(joined) = world.redirected(innermost)?
        && !way.contains(&joined)
    {
        way.push(joined);
        innermost = joined;
        let Some(peer) = world.peer(joined)?.filter(|peer| !way.contains(peer)) else { break };
        world.dump(peer.0)?;
        way.push(peer);
        innermost = peer;
    }
    way.into_iter().rev().for_each(|node| {
        path.push(node);
    });
    Ok(innermost)
}

/// From the host's end of the pair: what traffic control joins it with, or its bridge, then the routes
/// out, then what is behind them.
pub(super) fn follow_out(world: &mut World, from: Node, path: &mut Path) -> Result<(), TopoError> {
    if let Some(joined) = world.redirected(from)?
        && path.push(joined)
    {
        if let Some(peer) = world.peer(joined)?
            && path.push(peer)
        {
            follow_out(world, peer, path)?;
        }
        return Ok(());
    }
    let master = world.dump(from.0)?.devices.get(&from.1).and_then(|d| d.master);
    let mut inner = BTreeSet::from([from.1]);
    let mut ports = Vec::new();
    if let Some(master) = master {
        ports = world.ports((from.0, master))?;
        inner.insert(master);
        inner.extend(ports.iter().map(|port| port.1));
        path.push((from.0, master));
    }
    for uplink in world.uplinks(from.0, &inner)? {
        follow_uplink(world, uplink, path)?;
    }
    // Other ports of the bridge: traffic between containers ends at them.
    push_ports(world, &ports, path)
}

/// From a bridge: the containers at its ports, their ports, itself, then the routes out.
pub(super) fn follow_bridge(
    world: &mut World,
    bridge: Node,
    path: &mut Path,
) -> Result<(), TopoError> {
    let ports = world.ports(bridge)?;
    push_ports(world, &ports, path)?;
    path.push(bridge);
    let mut inner: BTreeSet<u32> = ports.into_iter().map(|port| port.1).collect();
    inner.insert(bridge.1);
    for uplink in world.uplinks(bridge.0, &inner)? {
        follow_uplink(world, uplink, path)?;
    }
    Ok(())
}

/// A bridge's ports that are not on the path yet, and the containers at them.
fn push_ports(world: &mut World, ports: &[Node], path: &mut Path) -> Result<(), TopoError> {
    let mut neighbours = Vec::new();
    for &port in ports {
        if !path.push(port) {
            continue;
        }
        if let Some(peer) = world.peer(port)?.filter(|peer| peer.0 != port.0) {
            neighbours.push((port, peer));
        }
    }
    let few = neighbours.len() <= NEIGHBOURS_MAX;
    if !few {
        world.glance(neighbours.iter().map(|(_, peer)| peer.0).collect());
    }
    for (port, peer) in neighbours {
        if few {
            world.dump(peer.0)?;
        } else {
            path.beside.insert(peer, port);
        }
        path.push(peer);
    }
    Ok(())
}

/// An uplink, what it is stacked on, and the other end of a veth.
pub(super) fn follow_uplink(
    world: &mut World,
    uplink: Node,
    path: &mut Path,
) -> Result<(), TopoError> {
    let mut node = uplink;
    while path.push(node) {
        let master = world.dump(node.0)?.devices.get(&node.1).and_then(|d| d.master);
        if let Some(master) = master {
            path.push((node.0, master));
        }
        for port in world.ports(node)? {
            path.push(port);
        }
        let Some(next) = world.peer(node)? else { break };
        world.dump(next.0)?;
        node = next;
    }
    Ok(())
}

/// Where the path has a tunnel: the way of its own packets, also where that is another namespace's, its
/// other end wherever those lead to, and the bridge and the containers behind that.
pub(super) fn follow_tunnels(world: &mut World, path: &mut Path) -> Result<(), TopoError> {
    let near = world.those(&path.nodes, Device::is_tunnel);
    if near.is_empty() {
        return Ok(());
    }
    for tunnel in near {
        if let Some(sender) = sender(world, tunnel)? {
            for uplink in world.uplinks(sender, &BTreeSet::new())? {
                follow_uplink(world, uplink, path)?;
            }
        }
    }
    let reached: BTreeSet<usize> = path.nodes.iter().map(|node| node.0).collect();
    for tunnel in world.everywhere(Device::is_tunnel) {
        let by = sender(world, tunnel)?.unwrap_or(tunnel.0);
        if reached.contains(&by) {
            push_tunnel(world, tunnel, path)?;
        }
    }
    Ok(())
}

/// Where the path has a macvlan or ipvlan: the others above the same device, with which it exchanges
/// packets without leaving the machine.
pub(super) fn follow_sharing(world: &mut World, path: &mut Path) -> Result<(), TopoError> {
    let mut shared = BTreeSet::new();
    for node in world.those(&path.nodes, Device::is_sharing) {
        shared.extend(world.peer(node)?);
    }
    if shared.is_empty() {
        return Ok(());
    }
    for node in world.everywhere(Device::is_sharing) {
        if world.peer(node)?.is_some_and(|below| shared.contains(&below)) {
            path.push(node);
        }
    }
    Ok(())
}

/// The namespace that a tunnel's own packets leave by, where that is not the one that it is in.
fn sender(world: &mut World, tunnel: Node) -> Result<Option<usize>, TopoError> {
    let dump = world.dump(tunnel.0)?;
    Ok(dump.elsewhere.get(&tunnel.1).and_then(|id| dump.nsids.get(id)).copied())
}

/// A tunnel, its bridge, and what is at that one's ports.
fn push_tunnel(world: &mut World, tunnel: Node, path: &mut Path) -> Result<(), TopoError> {
    path.push(tunnel);
    let master = world.device(tunnel).and_then(|d| d.master);
    let Some(bridge) = master.map(|master| (tunnel.0, master)) else { return Ok(()) };
    path.push(bridge);
    let ports = world.ports(bridge)?;
    push_ports(world, &ports, path)
}
