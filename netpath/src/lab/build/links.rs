//! Devices, over netlink inside their namespaces.

use std::os::fd::AsRawFd as _;

use futures_util::TryStreamExt as _;
use rtnetlink::{
    Handle, LinkBridge, LinkIpVlan, LinkMacVlan, LinkUnspec, LinkVeth, new_connection,
    packet_route::link::{IpVlanMode, MacVlanMode},
};

use super::super::{Lab, LabError, topologies::End};
use crate::netns::Netns;

/// A device's name on its way between two namespaces.
const AWAY: &str = "np-peer";

/// Devices that stand on another one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Over {
    MacVlan,
    IpVlan,
}

/// Makes a pair in the first host and moves the second end; both get their names there.
pub(super) fn veth(lab: &Lab, a: End, b: End) -> Result<(), LabError> {
    let there = lab.host(b.0)?.file().as_raw_fd();
    netlink(a.0, lab.host(a.0)?, "make a veth", async |handle| {
        handle.link().add(LinkVeth::new(a.1, AWAY).build()).execute().await?;
        send_away(&handle, there).await?;
        up(&handle, a.1).await
    })?;
    welcome(lab, b)
}

/// Makes a device over another one and moves it to its host.
pub(super) fn over(lab: &Lab, below: End, end: End, kind: Over) -> Result<(), LabError> {
    let there = lab.host(end.0)?.file().as_raw_fd();
    let what = match kind {
        Over::MacVlan => "make a macvlan",
        Over::IpVlan => "make an ipvlan",
    };
    netlink(below.0, lab.host(below.0)?, what, async |handle| {
        let base = index(&handle, below.1).await?;
        let link = match kind {
            Over::MacVlan => LinkMacVlan::new(AWAY, base, MacVlanMode::Bridge).build(),
            Over::IpVlan => LinkIpVlan::new(AWAY, base, IpVlanMode::L2).build(),
        };
        handle.link().add(link).execute().await?;
        send_away(&handle, there).await
    })?;
    welcome(lab, end)
}

pub(super) fn bridge(lab: &Lab, End(host, name): End, ports: &[&str]) -> Result<(), LabError> {
    netlink(host, lab.host(host)?, "make a bridge", async |handle| {
        handle.link().add(LinkBridge::new(name).up().build()).execute().await?;
        let bridge = index(&handle, name).await?;
        for port in ports {
            let port = index(&handle, port).await?;
            let change = LinkUnspec::new_with_index(port).controller(bridge).build();
            handle.link().set(change).execute().await?;
        }
        Ok(())
    })
}

async fn send_away(handle: &Handle, there: i32) -> Result<(), rtnetlink::Error> {
    let away = index(handle, AWAY).await?;
    let change = LinkUnspec::new_with_index(away).setns_by_fd(there).build();
    handle.link().set(change).execute().await
}

fn welcome(lab: &Lab, end: End) -> Result<(), LabError> {
    netlink(end.0, lab.host(end.0)?, "name a device", async |handle| {
        let index = index(&handle, AWAY).await?;
        let change = LinkUnspec::new_with_index(index).name(end.1).build();
        handle.link().set(change).execute().await?;
        up(&handle, end.1).await
    })
}

pub(super) async fn index(handle: &Handle, name: &str) -> Result<u32, rtnetlink::Error> {
    let mut links = handle.link().get().match_name(name.to_owned()).execute();
    let found = links.try_next().await?;
    found
        .map(|link| link.header.index)
        .ok_or_else(|| rtnetlink::Error::NamespaceError(format!("no device {name}")))
}

pub(super) async fn up(handle: &Handle, name: &str) -> Result<(), rtnetlink::Error> {
    let index = index(handle, name).await?;
    handle.link().set(LinkUnspec::new_with_index(index).up().build()).execute().await
}

/// Runs `f` with a netlink handle inside a namespace.
pub(super) fn netlink(
    host: &str,
    netns: &Netns,
    what: &str,
    f: impl AsyncFnOnce(Handle) -> Result<(), rtnetlink::Error> + Send,
) -> Result<(), LabError> {
    let fail =
        |reason: String| LabError::Netlink { what: what.to_owned(), host: host.to_owned(), reason };
    netns.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(|e| fail(e.to_string()))?;
        runtime.block_on(async {
            let (connection, handle, _) = new_connection().map_err(|e| fail(e.to_string()))?;
            tokio::spawn(connection);
            f(handle).await.map_err(|e| lacking(what, &e).unwrap_or_else(|| fail(e.to_string())))
        })
    })?
}

/// The error where the kernel knows no such kind of device.
fn lacking(what: &str, error: &rtnetlink::Error) -> Option<LabError> {
    let rtnetlink::Error::NetlinkError(message) = error else { return None };
    let kind = what.strip_prefix("make a ").or_else(|| what.strip_prefix("make an "))?;
    (message.to_io().raw_os_error() == Some(libc::EOPNOTSUPP))
        .then(|| LabError::Lacks(format!("this kernel has no devices of kind {kind}")))
}
