//! The topology: from one interface to the path that its packets take on this machine.
//!
//! In: an interface's name and a network namespace. Out: a [`Topology`], the devices and
//! namespaces on the path, which tells the programs whose packets are wanted and gives names to
//! what the events say.

mod anew;
mod arrivals;
mod beside;
mod discover;
mod dump;
mod events;
mod everything;
mod follow;
mod redirects;
mod sides;
mod stored;
mod strangers;
mod survey;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::PathBuf,
};

use netpath_common::place::DevId;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use anew::discover_anew;
pub use arrivals::{Arrivals, Arrived};
pub use discover::{Asked, discover, discover_all, interfaces};
pub use everything::discover_everything;
pub use sides::Outwards;
pub use strangers::find as find_strangers;
pub use survey::{Site, survey};
pub use watch::{Change, Watch};

use crate::{
    inventory::Owner,
    netns::{Netns, NetnsError, suggestion},
};

/// A device on the path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    pub ifindex: u32,
    pub name: String,
    /// As in `ip -d link`: `veth`, `bridge`, `vxlan`, …, and `tap` for a tun that carries frames;
    /// empty for hardware.
    pub kind: String,
    /// The bridge or bond that it is a port of.
    pub master: Option<u32>,
    /// For a bridge's port: whether its master is a bridge.
    pub bridge_port: bool,
    /// As in `ip link`: `noqueue`, `fq_codel`, …
    pub qdisc: String,
    pub up: bool,
    pub mtu: u32,
    /// Addresses with their prefix length.
    pub addresses: Vec<(IpAddr, u8)>,
    /// The device at the other end, or below, where it is on the path.
    pub peer: Option<(u32, u32)>,
    /// The one that traffic control sends out of what arrives here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<u32>,
}

/// A network namespace on the path, with its devices there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    pub netns: u32,
    /// What people call it: a container's name, where one lives there.
    pub name: String,
    /// Who lives there, where that is known; in the initial one, nobody in particular.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    pub devices: BTreeMap<u32, Device>,
    /// Whether it forwards packets between its devices (`net.ipv4.ip_forward`).
    pub forwards: bool,
    /// Whether bridged packets run through iptables (`net.bridge.bridge-nf-call-iptables`).
    pub bridge_nf: bool,
    /// The path does not lead there; packets were met there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub met: bool,
    /// A neighbour at the same bridge: the path may lead there. Nothing is attached there until a packet has
    /// gone there or come from there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub beside: bool,
    /// Where a neighbour's namespace is found, which is not held open.
    #[serde(skip)]
    pub found: Option<PathBuf>,
    #[serde(skip)]
    pub handle: Option<Netns>,
}

/// The discovered path, or paths, where several interfaces were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "stored::Stored")]
pub struct Topology {
    /// By the low half of the namespace's cookie.
    pub hosts: BTreeMap<u32, Host>,
    /// The devices in the order in which a packet meets them on its way out.
    pub chain: Vec<Place>,
    /// What was asked for, in that order; none twice.
    pub chosen: Vec<Chosen>,
    /// All that this host has was asked for: which way is out is told at each container's end.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub everything: bool,
    /// Then, namespaces that do not hang together with what it was restricted to.
    #[serde(skip)]
    pub left_out: BTreeSet<u32>,
}

/// An interface that was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// The interface itself.
    pub focus: Place,
    /// The end of the focus that faces the container: transmitting here is going out.
    pub inside: Option<Place>,
    /// The end of the focus that faces the host: receiving here is going out, where there is one
    /// inside, or where the focus is a guest's tap.
    pub outside: Option<Place>,
}

/// A device's identity, in a form that can be kept in files.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Place {
    /// Low half of the network namespace's cookie.
    pub netns: u32,
    pub ifindex: u32,
}

impl From<DevId> for Place {
    fn from(dev: DevId) -> Self {
        Self { netns: dev.netns, ifindex: dev.ifindex }
    }
}

impl From<Place> for DevId {
    fn from(place: Place) -> Self {
        Self { netns: place.netns, ifindex: place.ifindex }
    }
}

#[derive(Debug, Error)]
pub enum TopoError {
    #[error("no interface {iface} in network namespace {netns}{hint}{elsewhere}{others}",
        hint = suggestion(close), elsewhere = elsewhere_text(elsewhere), others = others_text(others))]
    NoInterface {
        iface: String,
        netns: String,
        close: Vec<String>,
        /// Options that choose the namespaces that have one.
        elsewhere: Vec<String>,
        /// What else has such a name.
        others: Vec<String>,
    },
    #[error(
        "no interface but lo in network namespace {netns} is up; to trace that one, add --iface lo"
    )]
    OnlyLoopback { netns: String },
    #[error("cannot read the links of network namespace {netns}: {reason}")]
    Netlink { netns: String, reason: String },
    #[error(transparent)]
    Netns(#[from] NetnsError),
}

fn elsewhere_text(options: &[String]) -> String {
    match options {
        [] => String::new(),
        [one] => format!("; there is one elsewhere: add {one}"),
        many if many.len() > ELSEWHERE => {
            let first = many[..ELSEWHERE].join(", ");
            format!("; there are some elsewhere: add {first}, … ({} in all)", many.len())
        }
        many => format!("; there are some elsewhere: add {}", many.join(" or ")),
    }
}

fn others_text(others: &[String]) -> String {
    if others.is_empty() { String::new() } else { format!("; close: {}", others.join(", ")) }
}

/// Namespaces that are named where many have such an interface.
const ELSEWHERE: usize = 5;

/// The kind of a device whose other end is a process: a guest's QEMU, most often.
const TAP: &str = "tap";

/// Kinds of devices that put packets into packets.
const TUNNELS: &[&str] = &["vxlan", "geneve"];

/// Kinds of devices that are at home in several namespaces above one device, and reach each other there.
const SHARING: &[&str] = &["macvlan", "ipvlan"];

impl Device {
    pub fn is_tap(&self) -> bool {
        self.kind == TAP
    }

    pub fn is_tunnel(&self) -> bool {
        TUNNELS.contains(&self.kind.as_str())
    }

    /// Whether several of its kind share the device below.
    pub fn is_sharing(&self) -> bool {
        SHARING.contains(&self.kind.as_str())
    }

    /// The other end of a veth.
    pub fn other_end(&self) -> Option<Place> {
        let (netns, ifindex) = self.peer.filter(|_| self.kind == "veth")?;
        Some(Place { netns, ifindex })
    }

    /// The device below, where others of its kind share it.
    pub fn shared(&self) -> Option<Place> {
        let (netns, ifindex) = self.peer.filter(|_| self.is_sharing())?;
        Some(Place { netns, ifindex })
    }
}

impl Host {
    /// A namespace of which no more is known than its name.
    pub(crate) fn bare(netns: u32, name: String) -> Self {
        Self {
            netns,
            name,
            owner: None,
            devices: BTreeMap::new(),
            forwards: false,
            bridge_nf: false,
            met: false,
            beside: false,
            found: None,
            handle: None,
        }
    }

    /// Whether other namespaces hang together by way of this one: it forwards or bridges.
    pub fn is_hub(&self) -> bool {
        is_hub(self.forwards, &self.devices)
    }
}

/// What the namespace is called of what is added up wherever it was.
pub(crate) const OTHERS: &str = "others";

/// More ends of other namespaces' devices than a container has.
const ENDS_OF_HUB: usize = 4;

fn is_hub(forwards: bool, devices: &BTreeMap<u32, Device>) -> bool {
    let ends = devices.values().filter(|device| device.kind == "veth").count();
    forwards && ends > 0 || devices.values().any(Device::is_bridge) || ends >= ENDS_OF_HUB
}

impl Topology {
    /// The calling thread's namespace alone, with no device of interest: for trying what attaches.
    pub fn of_current_netns() -> Result<Self, NetnsError> {
        let netns = Netns::current()?;
        let host = Host::bare(netns.cookie, netns.name.clone());
        let host = Host { handle: Some(netns), ..host };
        Ok(Self { hosts: BTreeMap::from([(host.netns, host)]), ..Self::default() })
    }

    /// Whether this device was asked for.
    pub fn is_focus(&self, place: Place) -> bool {
        self.chosen.iter().any(|chosen| chosen.focus == place)
    }

    /// Whether the path leads over this device.
    pub fn is_on_way(&self, place: Place) -> bool {
        self.everything || self.chain.contains(&place) || self.is_focus(place)
    }

    pub fn host(&self, netns: u32) -> Option<&Host> {
        self.hosts.get(&netns)
    }

    pub fn device(&self, place: Place) -> Option<&Device> {
        self.hosts.get(&place.netns)?.devices.get(&place.ifindex)
    }

    /// The namespace's name, or its cookie where the path does not know it.
    pub fn netns_name(&self, netns: u32) -> String {
        if netns == 0 {
            return OTHERS.to_owned();
        }
        self.host(netns).map_or_else(|| format!("netns#{netns}"), |h| h.name.clone())
    }

    /// The device's name, or its index where the path does not know it; empty for a namespace itself.
    pub fn dev_name(&self, place: Place) -> String {
        if place.ifindex == 0 {
            return String::new();
        }
        self.device(place).map_or_else(|| format!("if{}", place.ifindex), |d| d.name.clone())
    }

    /// A device with its namespace, or a namespace alone: `host/up0`, `host`.
    pub fn place_name(&self, place: Place) -> String {
        let netns = self.netns_name(place.netns);
        if place.ifindex == 0 { netns } else { format!("{netns}/{}", self.dev_name(place)) }
    }

    /// The namespaces that the path leads to.
    pub fn on_path(&self) -> impl Iterator<Item = &Host> {
        self.hosts.values().filter(|host| !host.met && !host.beside)
    }

    /// The neighbours that the path may lead to.
    pub fn beside(&self) -> impl Iterator<Item = &Host> {
        self.hosts.values().filter(|host| host.beside)
    }

    /// Namespaces with devices that share the one below them: it gives them what they receive.
    pub fn sharing(&self) -> BTreeSet<u32> {
        let sharing = self.devices().filter(|(_, device)| device.is_sharing());
        sharing.map(|(place, _)| place.netns).collect()
    }

    /// Every device that is known.
    pub fn devices(&self) -> impl Iterator<Item = (Place, &Device)> {
        self.hosts.values().flat_map(|host| {
            host.devices
                .iter()
                .map(|(&ifindex, device)| (Place { netns: host.netns, ifindex }, device))
        })
    }
}
