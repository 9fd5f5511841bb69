//! The devices of all namespaces, and which leads to which.
//!
//! In: namespaces. Out: a [`Site`] for each that could be read. Each is read once. Which namespace a device's other
//! end is in, the kernel says by an id; whom that id stands for is asked only where the devices themselves leave
//! it open, because asking about each namespace in each takes too long where there are a thousand.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
};

use super::{
    Device,
    discover::main_of,
    dump::{self, Dump, Node},
};
use crate::netns::Netns;

/// Threads that read at a time.
const THREADS: usize = 8;

/// A namespace and its devices, each with its other end or the one below it, where that is found.
#[derive(Debug)]
pub struct Site {
    pub netns: Netns,
    pub devices: BTreeMap<u32, Device>,
    /// The device of its default route, or else the first that is up.
    pub main: Option<u32>,
    /// Whether it has a default route at all.
    pub has_default: bool,
    pub forwards: bool,
    /// Whether bridged packets run through iptables.
    pub bridge_nf: bool,
}

/// Namespaces read, by their number in the list that they were given in.
type Dumps = BTreeMap<usize, Dump>;

/// Reads these namespaces; what can't be read, because it has gone or for want of rights, is left out.
pub fn survey(all: &[Netns]) -> Vec<Site> {
    let dumps = read(all);
    let peers = Peers::of(all, &dumps).found();
    let site = |(ns, mut dump): (usize, Dump)| {
        let main = main_of(&dump).map(|device| device.ifindex);
        for device in dump.devices.values_mut() {
            device.addresses.retain(|(ip, _)| !dump::is_link_local(*ip));
            let peer = peers.get(&(ns, device.ifindex));
            device.peer = peer.map(|&(other, ifindex)| (all[other].cookie, ifindex));
        }
        Site {
            netns: all[ns].clone(),
            main,
            has_default: dump.routes.values().any(|default| *default),
            forwards: dump.forwards,
            bridge_nf: dump.bridge_nf,
            devices: dump.devices,
        }
    };
    dumps.into_iter().map(site).collect()
}

fn read(all: &[Netns]) -> Dumps {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS);
    thread::scope(|scope| {
        let part = |first: usize| {
            scope.spawn(move || {
                let mine: Vec<&Netns> = all.iter().skip(first).step_by(threads).collect();
                let numbers = (first..).step_by(threads);
                let read = numbers.zip(dump::dump_each(&mine));
                read.filter_map(|(ns, dump)| Some((ns, dump?))).collect::<Vec<_>>()
            })
        };
        let parts: Vec<_> = (0..threads).map(part).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap_or_default()).collect()
    })
}

/// Who is whose other end.
struct Peers<'a> {
    all: &'a [Netns],
    dumps: &'a Dumps,
    /// By ifindex: the namespaces that have such a device.
    having: BTreeMap<u32, Vec<usize>>,
}

impl<'a> Peers<'a> {
    fn of(all: &'a [Netns], dumps: &'a Dumps) -> Self {
        let mut having: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (ns, dump) in dumps {
            for ifindex in dump.devices.keys() {
                having.entry(*ifindex).or_default().push(*ns);
            }
        }
        Self { all, dumps, having }
    }

    fn found(&self) -> BTreeMap<Node, Node> {
        let mut found = BTreeMap::new();
        // By namespace: ids that are not known by the devices, with the devices that need them.
        let mut open: BTreeMap<usize, Vec<(u32, i32, u32)>> = BTreeMap::new();
        for (&ns, dump) in self.dumps {
            for (&ifindex, below) in &dump.below {
                let Some(nsid) = below.nsid else {
                    found.insert((ns, ifindex), (ns, below.ifindex));
                    continue;
                };
                match self.only_pair((ns, ifindex)) {
                    Some(peer) => {
                        found.insert((ns, ifindex), peer);
                    }
                    None => open.entry(ns).or_default().push((ifindex, nsid, below.ifindex)),
                }
            }
        }
        for (ns, devices) in open {
            self.ask(ns, &devices, &mut found);
        }
        found
    }

    /// The other end of a veth, where only one device points back to it, and it is the only one that device can
    /// mean.
    fn only_pair(&self, node: Node) -> Option<Node> {
        let mut pairs = self.pairs(node);
        let peer = pairs.next().filter(|_| pairs.next().is_none())?;
        let mut back = self.pairs(peer);
        (back.next() == Some(node) && back.next().is_none()).then_some(peer)
    }

    /// Veths in other namespaces that can be the other end of this one, by what both say.
    fn pairs(&self, (ns, ifindex): Node) -> impl Iterator<Item = Node> {
        let dump = &self.dumps[&ns];
        let veth = dump.devices.get(&ifindex).is_some_and(|device| device.kind == "veth");
        let other = dump.below.get(&ifindex).filter(|_| veth).map(|below| below.ifindex);
        let having = other.and_then(|other| self.having.get(&other));
        having.into_iter().flatten().filter_map(move |&there| {
            let other = other?;
            let dump = &self.dumps[&there];
            let back = dump.below.get(&other)?;
            let is = dump.devices.get(&other)?.kind == "veth" && back.ifindex == ifindex;
            (there != ns && is && back.nsid.is_some()).then_some((there, other))
        })
    }

    /// Asks the kernel whom ids stand for: first about the initial namespace, which most lead to.
    fn ask(&self, ns: usize, devices: &[(u32, i32, u32)], found: &mut BTreeMap<Node, Node>) {
        let mut ids: BTreeMap<i32, usize> = BTreeMap::new();
        let initial = self.dumps.keys().copied().filter(|&there| self.all[there].name == "host");
        let needed = |ids: &BTreeMap<i32, usize>| -> BTreeSet<usize> {
            let open = devices.iter().filter(|(_, nsid, _)| !ids.contains_key(nsid));
            let having = open.filter_map(|(_, _, other)| self.having.get(other)).flatten();
            having.copied().filter(|there| *there != ns).collect()
        };
        let step = |candidates: Vec<usize>, ids: &mut BTreeMap<i32, usize>| {
            let namespaces: Vec<&Netns> = candidates.iter().map(|&c| &self.all[c]).collect();
            let answers = dump::nsids(&self.all[ns], &namespaces).unwrap_or_default();
            ids.extend(answers.into_iter().map(|(nsid, i)| (nsid, candidates[i])));
        };
        step(initial.filter(|there| *there != ns).collect(), &mut ids);
        let others = needed(&ids);
        if !others.is_empty() {
            step(others.into_iter().collect(), &mut ids);
        }
        for &(ifindex, nsid, other) in devices {
            if let Some(&there) = ids.get(&nsid) {
                found.insert((ns, ifindex), (there, other));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::device;

    /// A namespace with veths: own index, and the other end's in another namespace.
    fn dump(veths: &[(u32, u32)]) -> Dump {
        let mut dump = Dump::default();
        for &(ifindex, other) in veths {
            dump.devices.insert(ifindex, device(ifindex, &format!("v{ifindex}"), "veth"));
            dump.below.insert(ifindex, dump::Below { ifindex: other, nsid: Some(0) });
        }
        dump
    }

    fn pairs(dumps: [Dump; 4], nodes: &[Node]) -> Vec<Option<Node>> {
        let own = Netns::current().expect("reading the own namespace needs no rights");
        let all = vec![own; dumps.len()];
        let dumps = dumps.into_iter().enumerate().collect();
        let peers = Peers::of(&all, &dumps);
        nodes.iter().map(|node| peers.only_pair(*node)).collect()
    }

    #[test]
    fn veths_that_point_at_each_other_alone_are_a_pair() {
        // Containers' ends have the same index; the host's differ.
        let dumps = [dump(&[(5, 2), (6, 2), (7, 2)]), dump(&[(2, 5)]), dump(&[(2, 6)]), dump(&[])];
        let found = pairs(dumps, &[(1, 2), (2, 2), (0, 5), (0, 6), (0, 7), (0, 9)]);
        let (web, app) = ((1, 2), (2, 2));
        assert_eq!(found, [Some((0, 5)), Some((0, 6)), Some(web), Some(app), None, None]);
    }

    #[test]
    fn where_several_could_be_meant_nobody_is() {
        let dumps = [dump(&[(5, 2)]), dump(&[(2, 5)]), dump(&[(2, 5)]), dump(&[(5, 2)])];
        assert_eq!(pairs(dumps, &[(0, 5), (1, 2), (3, 5)]), [None, None, None]);
    }
}
