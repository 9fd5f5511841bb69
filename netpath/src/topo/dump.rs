//! One namespace's links, addresses and routes, over rtnetlink.

use std::{
    collections::BTreeMap,
    fs,
    net::IpAddr,
    os::fd::{AsFd as _, AsRawFd as _},
};

use futures_util::TryStreamExt as _;
use nix::sched::{CloneFlags, setns};
use rtnetlink::{
    Handle, RouteMessageBuilder, new_connection,
    packet_core::{NLM_F_REQUEST, NetlinkMessage, NetlinkPayload},
    packet_route::{
        RouteNetlinkMessage,
        address::AddressAttribute,
        link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage, Prop},
        nsid::{NsidAttribute, NsidMessage},
        route::{RouteAttribute, RouteHeader, RouteMessage, RouteType},
    },
};

use super::{Device, TAP, TopoError, redirects};
use crate::netns::Netns;

/// A device: the index of its namespace, and its ifindex there.
pub(super) type Node = (usize, u32);

/// What a link's `IFLA_LINK` points to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Below {
    pub(super) ifindex: u32,
    /// Id of its namespace as seen from here; `None` where it is the same one.
    pub(super) nsid: Option<i32>,
}

/// One namespace as rtnetlink shows it.
#[derive(Debug, Default)]
pub(super) struct Dump {
    pub(super) devices: BTreeMap<u32, Device>,
    pub(super) below: BTreeMap<u32, Below>,
    /// Devices whose own packets leave by another namespace, by its id as seen from here: a tunnel that
    /// was moved.
    pub(super) elsewhere: BTreeMap<u32, i32>,
    /// Other names of devices.
    pub(super) altnames: BTreeMap<String, u32>,
    /// Devices with a route, and whether one is a default route.
    pub(super) routes: BTreeMap<u32, bool>,
    /// Ids of other namespaces as seen from here.
    pub(super) nsids: BTreeMap<i32, usize>,
    pub(super) forwards: bool,
    pub(super) bridge_nf: bool,
}

impl Dump {
    /// The device at the other end of one of these, which are those of namespace `ns`, or below it.
    pub(super) fn peer(&self, (ns, ifindex): Node) -> Option<Node> {
        let below = self.below.get(&ifindex)?;
        match below.nsid {
            None => Some((ns, below.ifindex)),
            Some(id) => self.nsids.get(&id).map(|&other| (other, below.ifindex)),
        }
    }
}

/// Reads `netns`; `others` are looked up for their ids as seen from there.
pub(super) fn dump(netns: &Netns, others: &[Netns]) -> Result<Dump, TopoError> {
    inside(netns, async || read(others).await)
}

/// Reads these namespaces one after the other on the calling thread, which is in the last one then: a thread for
/// each takes longer than what it reads.
pub(super) fn dump_each(all: &[&Netns]) -> Vec<Option<Dump>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let Ok(runtime) = runtime else { return Vec::new() };
    all.iter()
        .map(|netns| {
            setns(netns.file().as_fd(), CloneFlags::CLONE_NEWNET).ok()?;
            runtime.block_on(read(&[])).ok()
        })
        .collect()
}

/// One device, by its index; the calling thread is in the namespace then.
pub(super) fn link(netns: &Netns, ifindex: u32) -> Option<(Device, Option<Below>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().ok()?;
    setns(netns.file().as_fd(), CloneFlags::CLONE_NEWNET).ok()?;
    let ask = async {
        let (connection, handle, _) = new_connection().ok()?;
        tokio::spawn(connection);
        let mut links = handle.link().get().match_index(ifindex).execute();
        links.try_next().await.ok()?
    };
    let mut dump = Dump::default();
    add_link(&mut dump, &runtime.block_on(ask)?);
    let device = dump.devices.remove(&ifindex)?;
    Some((device, dump.below.remove(&ifindex)))
}

/// The ids that those of `others` have in `netns` which have one there.
pub(super) fn nsids(netns: &Netns, others: &[&Netns]) -> Result<BTreeMap<i32, usize>, TopoError> {
    inside(netns, async || {
        let (connection, handle, _) =
            new_connection().map_err(|e| rtnetlink::Error::NamespaceError(e.to_string()))?;
        tokio::spawn(connection);
        let mut found = BTreeMap::new();
        for (i, other) in others.iter().enumerate() {
            if let Some(id) = nsid(&handle, other).await? {
                found.insert(id, i);
            }
        }
        Ok(found)
    })
}

/// Asks the kernel something in `netns`.
fn inside<T: Send>(
    netns: &Netns,
    ask: impl AsyncFnOnce() -> Result<T, rtnetlink::Error> + Send,
) -> Result<T, TopoError> {
    let fail = |reason: String| TopoError::Netlink { netns: netns.name.clone(), reason };
    netns.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(|e| fail(e.to_string()))?;
        runtime.block_on(ask()).map_err(|e| fail(e.to_string()))
    })?
}

async fn read(others: &[Netns]) -> Result<Dump, rtnetlink::Error> {
    let (connection, handle, _) =
        new_connection().map_err(|e| rtnetlink::Error::NamespaceError(e.to_string()))?;
    tokio::spawn(connection);
    let mut dump = Dump {
        devices: BTreeMap::new(),
        below: BTreeMap::new(),
        elsewhere: BTreeMap::new(),
        altnames: BTreeMap::new(),
        routes: BTreeMap::new(),
        nsids: BTreeMap::new(),
        forwards: sysctl("net/ipv4/ip_forward") || sysctl("net/ipv6/conf/all/forwarding"),
        bridge_nf: sysctl("net/bridge/bridge-nf-call-iptables"),
    };
    let mut links = handle.link().get().execute();
    while let Some(link) = links.try_next().await? {
        add_link(&mut dump, &link);
    }
    let bridges: Vec<u32> =
        dump.devices.values().filter(|d| d.kind == "bridge").map(|d| d.ifindex).collect();
    for device in dump.devices.values_mut() {
        device.bridge_port = device.master.is_some_and(|m| bridges.contains(&m));
    }
    let mut addresses = handle.address().get().execute();
    while let Some(address) = addresses.try_next().await? {
        let prefix = address.header.prefix_len;
        let ip = address.attributes.iter().find_map(|a| match a {
            AddressAttribute::Local(ip) => Some(*ip),
            _ => None,
        });
        let ip = ip.or_else(|| {
            address.attributes.iter().find_map(|a| match a {
                AddressAttribute::Address(ip) => Some(*ip),
                _ => None,
            })
        });
        if let (Some(ip), Some(device)) = (ip, dump.devices.get_mut(&address.header.index)) {
            device.addresses.push((ip, prefix));
        }
    }
    for route in [
        RouteMessageBuilder::<std::net::Ipv4Addr>::new().build(),
        RouteMessageBuilder::<std::net::Ipv6Addr>::new().build(),
    ] {
        let mut routes = handle.route().get(route).execute();
        while let Some(route) = routes.try_next().await? {
            add_route(&mut dump, &route);
        }
    }
    // Kernels without traffic control have none.
    for (from, to) in redirects::read(&handle).await.unwrap_or_default() {
        if let Some(device) = dump.devices.get_mut(&from) {
            device.redirect = Some(to);
        }
    }
    for (i, other) in others.iter().enumerate() {
        if let Some(id) = nsid(&handle, other).await? {
            dump.nsids.insert(id, i);
        }
    }
    Ok(dump)
}

fn sysctl(path: &str) -> bool {
    fs::read_to_string(format!("/proc/sys/{path}")).is_ok_and(|v| v.trim() == "1")
}

fn add_link(dump: &mut Dump, link: &LinkMessage) {
    let ifindex = link.header.index;
    let mut device = Device {
        ifindex,
        name: String::new(),
        kind: String::new(),
        master: None,
        bridge_port: false,
        qdisc: String::new(),
        up: link.header.flags.contains(LinkFlags::Up),
        mtu: 0,
        addresses: Vec::new(),
        peer: None,
        redirect: None,
    };
    let ethernet = link.header.link_layer_type == LinkLayerType::Ether;
    let mut below = Below { ifindex: 0, nsid: None };
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::IfName(name) => device.name.clone_from(name),
            LinkAttribute::PropList(names) => {
                for name in names {
                    if let Prop::AltIfName(name) = name {
                        dump.altnames.insert(name.clone(), ifindex);
                    }
                }
            }
            LinkAttribute::Qdisc(name) => device.qdisc.clone_from(name),
            LinkAttribute::Mtu(mtu) => device.mtu = *mtu,
            LinkAttribute::Controller(index) => device.master = Some(*index),
            LinkAttribute::Link(index) => below.ifindex = *index,
            LinkAttribute::LinkNetNsId(id) => below.nsid = Some(*id),
            LinkAttribute::LinkInfo(infos) => {
                for info in infos {
                    if let LinkInfo::Kind(kind) = info {
                        device.kind = kind_name(kind, ethernet);
                    }
                }
            }
            _ => {}
        }
    }
    match below.nsid {
        // Its index here says nothing there.
        Some(id) if device.is_tunnel() => {
            dump.elsewhere.insert(ifindex, id);
        }
        nsid if below.ifindex != 0 && (nsid.is_some() || below.ifindex != ifindex) => {
            dump.below.insert(ifindex, below);
        }
        _ => {}
    }
    dump.devices.insert(ifindex, device);
}

/// Both modes of the driver tun have its kind; a tap carries frames.
fn kind_name(kind: &InfoKind, ethernet: bool) -> String {
    match kind {
        InfoKind::Tun if ethernet => TAP.to_owned(),
        kind => kind.to_string(),
    }
}

fn add_route(dump: &mut Dump, route: &RouteMessage) {
    if route.header.kind != RouteType::Unicast || route.header.table != RouteHeader::RT_TABLE_MAIN {
        return;
    }
    let default = route.header.destination_prefix_length == 0;
    let mut to = |ifindex: u32| {
        let entry = dump.routes.entry(ifindex).or_default();
        *entry |= default;
    };
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(ifindex) => to(*ifindex),
            RouteAttribute::MultiPath(hops) => {
                for hop in hops {
                    to(hop.interface_index);
                }
            }
            _ => {}
        }
    }
}

/// The id that `other` has in the namespace of `handle`, if it has one.
async fn nsid(handle: &Handle, other: &Netns) -> Result<Option<i32>, rtnetlink::Error> {
    let mut message = NsidMessage::default();
    let fd = u32::try_from(other.file().as_raw_fd()).unwrap_or_default();
    message.attributes.push(NsidAttribute::Fd(fd));
    let mut request = NetlinkMessage::from(RouteNetlinkMessage::GetNsId(message));
    request.header.flags = NLM_F_REQUEST;
    let mut replies = handle.clone().request(request)?;
    while let Some(reply) = futures_util::StreamExt::next(&mut replies).await {
        if let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNsId(found)) = reply.payload {
            return Ok(found.attributes.iter().find_map(|a| match a {
                NsidAttribute::Id(id) if *id >= 0 => Some(*id),
                _ => None,
            }));
        }
    }
    Ok(None)
}

/// Whether an address is one that only means "this link".
pub(super) fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}
