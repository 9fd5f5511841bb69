//! What can be traced on this host.
//!
//! In: all namespaces that can be found, read once. Out: a [`Listing`], an [`Entry`] for each namespace and each
//! container that shares the initial one, with its interfaces and the ways that lead out of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Census, Owner, census::Resident};
use crate::{
    netns,
    topo::{Device, Place, Site, survey},
};

/// The listing's schema; additions keep it, changes don't.
const SCHEMA: &str = "netpath.ls/1";

/// What can be traced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    pub schema: String,
    /// Containers first, the host last.
    pub entries: Vec<Entry>,
}

/// A namespace, or a container that shares the host's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// `container`, `pod`, `unit`, `netns`, `process`, `host`.
    pub kind: String,
    pub name: String,
    /// What chooses it, such as `--container web`; absent for the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub option: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// The namespace is the host's own.
    pub shares_host: bool,
    /// The interface that is traced where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    pub interfaces: Vec<Interface>,
    pub ways: Vec<Way>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    pub name: String,
    /// As in `ip -d link`; empty for hardware.
    pub kind: String,
    pub up: bool,
    /// With their prefix lengths; none that are only link-local.
    pub addresses: Vec<String>,
    /// The bridge or bond that it is a port of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master: Option<String>,
    /// The other end, or the device below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<Stop>,
}

/// A device in a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    pub namespace: String,
    pub interface: String,
}

/// How an interface hangs together with others, from the inside out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// The interface itself, its other end, the bridge or bond of that.
    pub joined: Vec<Stop>,
    /// By which packets leave the last one's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out: Option<Stop>,
    /// Packets are forwarded between the two by IP, without a bridge.
    pub routed: bool,
}

impl Listing {
    /// Reads it.
    pub fn read() -> Self {
        let all = netns::all();
        let census = Census::take();
        Self::of(&survey(&all), &census)
    }

    fn of(sites: &[Site], census: &Census) -> Self {
        let names =
            sites.iter().map(|s| (s.netns.cookie, (census.full_name(&s.netns), s))).collect();
        let map = Map { names };
        let mut entries: Vec<Entry> =
            sites.iter().flat_map(|site| entries(site, census, &map)).collect();
        entries.sort_by(|a, b| (rank(&a.kind), &a.name).cmp(&(rank(&b.kind), &b.name)));
        Self { schema: SCHEMA.to_owned(), entries }
    }

    /// Commands to go on with.
    pub fn next(&self) -> Vec<String> {
        let host = self.entries.iter().find(|entry| entry.kind == HOST);
        let uplink = host.and_then(|host| host.interface.as_ref());
        let first = self.entries.iter().find(|entry| entry.interface.is_some());
        let option = first.and_then(|entry| entry.option.clone());
        let all = [option, uplink.map(|interface| format!("--iface {interface}"))];
        all.into_iter().flatten().map(|option| format!("netpath trace {option}")).collect()
    }
}

const HOST: &str = "host";

/// The order in which kinds are listed.
fn rank(kind: &str) -> usize {
    const ORDER: [&str; 6] = ["container", "pod", "unit", "netns", "process", HOST];
    ORDER.iter().position(|known| *known == kind).unwrap_or(ORDER.len())
}

/// Namespaces by their cookies.
struct Map<'a> {
    names: BTreeMap<u32, (String, &'a Site)>,
}

impl<'a> Map<'a> {
    fn device(&self, place: Place) -> Option<(&'a Site, &'a Device)> {
        let site = self.names.get(&place.netns)?.1;
        Some((site, site.devices.get(&place.ifindex)?))
    }

    fn stop(&self, site: &Site, device: &Device) -> Stop {
        let name = self.names.get(&site.netns.cookie).map_or("", |(name, _)| name);
        Stop { namespace: name.to_owned(), interface: device.name.clone() }
    }

    /// From an interface to its other end, that one's bridge, and out of there.
    fn way(&self, site: &'a Site, device: &'a Device) -> Way {
        let mut joined = vec![self.stop(site, device)];
        let (mut at, mut last) = (site, device);
        let peer = device.peer.map(|(netns, ifindex)| Place { netns, ifindex });
        if let Some((there, other)) = peer.and_then(|place| self.device(place)) {
            joined.push(self.stop(there, other));
            (at, last) = (there, other);
        }
        let master = last.master.and_then(|ifindex| at.devices.get(&ifindex));
        if let Some(master) = master {
            joined.push(self.stop(at, master));
        }
        let elsewhere = at.netns != site.netns;
        let out = at.main.filter(|_| elsewhere && at.has_default);
        let out = out.and_then(|ifindex| at.devices.get(&ifindex));
        let out = out.map(|out| self.stop(at, out)).filter(|out| !joined.contains(out));
        let routed = elsewhere && at.forwards && master.is_none();
        Way { joined, out, routed: routed && device.kind == "veth" }
    }
}

fn entries(site: &Site, census: &Census, map: &Map<'_>) -> Vec<Entry> {
    let inode = site.netns.inode;
    let resident = census.resident(inode);
    let shares_host = resident.is_some_and(Resident::is_initial);
    let main = site.main.and_then(|ifindex| site.devices.get(&ifindex));
    let ways = site.devices.values().filter(|d| shown(d)).map(|d| map.way(site, d)).collect();
    let entry = Entry {
        kind: resident.map_or("netns", Resident::kind).to_owned(),
        name: census.full_name(&site.netns),
        option: census.option(inode).filter(|_| !shares_host),
        owner: census.owner(inode).cloned(),
        shares_host,
        interface: main.map(|device| device.name.clone()),
        interfaces: site.devices.values().map(|d| interface(site, d, map)).collect(),
        ways: if shares_host { Vec::new() } else { ways },
    };
    let mut all = vec![entry];
    if let Some(resident) = resident.filter(|_| shares_host) {
        for container in &resident.owner.containers {
            let called = container.called();
            all.push(Entry {
                kind: "container".to_owned(),
                name: called.to_owned(),
                option: Some(format!("--container {called}")),
                owner: Some(Owner { containers: vec![container.clone()], ..Owner::default() }),
                shares_host: true,
                ..Entry::default()
            });
        }
    }
    all
}

/// Whether an interface's way is worth a word: loopback leads nowhere, and what tunnels' modules make on their own
/// is down.
fn shown(device: &Device) -> bool {
    device.name != "lo" && (device.up || device.peer.is_some()) && device.master.is_none()
}

fn interface(site: &Site, device: &Device, map: &Map<'_>) -> Interface {
    let master = device.master.and_then(|ifindex| site.devices.get(&ifindex));
    let peer = device.peer.map(|(netns, ifindex)| Place { netns, ifindex });
    Interface {
        name: device.name.clone(),
        kind: device.kind.clone(),
        up: device.up,
        addresses: device.addresses.iter().map(|(ip, prefix)| format!("{ip}/{prefix}")).collect(),
        master: master.map(|master| master.name.clone()),
        peer: peer.and_then(|place| map.device(place)).map(|(site, d)| map.stop(site, d)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{inventory::census::tests::census, netns::Netns, testing, view};

    /// A namespace of this inode, and cookie, with these devices; the first that is up is its main one.
    fn site(inode: u64, name: &str, forwards: bool, devices: Vec<Device>) -> Site {
        let mut netns = Netns::current().expect("reading the own namespace needs no rights");
        netns.inode = inode;
        netns.cookie = u32::try_from(inode).unwrap();
        name.clone_into(&mut netns.name);
        let main = devices.iter().find(|d| d.up && d.name != "lo").map(|d| d.ifindex);
        let devices = devices.into_iter().map(|d| (d.ifindex, d)).collect();
        Site { netns, devices, main, has_default: true, forwards, bridge_nf: false }
    }

    fn device(ifindex: u32, name: &str, kind: &str, peer: Option<(u32, u32)>) -> Device {
        Device { peer, ..testing::device(ifindex, name, kind) }
    }

    fn with(address: &str, device: Device) -> Device {
        Device { addresses: vec![(address.parse().unwrap(), 24)], ..device }
    }

    /// A host with a container on a bridge, one that shares its namespace, a namespace that is routed and one
    /// that has nothing.
    fn listing() -> Listing {
        let port = |d: Device| Device { master: Some(4), ..d };
        let sites = [
            site(
                1,
                "host",
                true,
                vec![
                    device(1, "lo", "", None),
                    with("198.18.0.4", device(2, "eth0", "", None)),
                    device(4, "docker0", "bridge", None),
                    port(device(5, "veth3f2a", "veth", Some((2, 2)))),
                    device(6, "v-blue", "veth", Some((3, 2))),
                    port(device(7, "dummy0", "dummy", None)),
                ],
            ),
            site(
                2,
                "",
                false,
                vec![
                    device(1, "lo", "", None),
                    with("172.17.0.2", device(2, "eth0", "veth", Some((1, 5)))),
                ],
            ),
            site(
                3,
                "blue",
                false,
                vec![
                    with("fd00::2", device(2, "eth0", "veth", Some((1, 6)))),
                    device(3, "up0", "veth", Some((9, 9))),
                ],
            ),
            site(4, "", false, vec![device(1, "lo", "", None)]),
        ];
        let processes =
            [(101, 1, "docker:bb", ""), (102, 2, "docker:aa", ""), (103, 4, "", "safe.service")];
        let known = [("docker:aa", "web", ""), ("docker:bb", "exporter", "")];
        Listing::of(&sites, &census(&processes, &[(3, "blue")], &known))
    }

    #[test]
    fn what_can_be_traced_is_a_line_each() {
        let text = view::listing::render(&listing());
        let expected = "\
container  exporter                         the host's own interfaces
container  web                  172.17.0.2  eth0 ⇄ veth3f2a ⇄ docker0 → eth0
unit       safe.service  sleep              no interface but lo
netns      blue                 fd00::2     eth0 ⇄ v-blue → eth0 (routed), up0
host                            198.18.0.4  lo, eth0, docker0, dummy0, 2 that lead to others
try  netpath trace --container web     netpath trace --iface eth0
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_listing_is_read_back() {
        let text = serde_json::to_string(&listing()).unwrap();
        assert_eq!(serde_json::from_str::<Listing>(&text).unwrap(), listing());
        assert!(text.starts_with(r#"{"schema":"netpath.ls/1""#), "{text}");
    }

    #[test]
    fn nothing_to_trace_is_no_line() {
        let empty = Listing { schema: SCHEMA.to_owned(), entries: Vec::new() };
        assert_eq!(view::listing::render(&empty), "");
    }
}
