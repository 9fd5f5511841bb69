//! Bringing a topology up: its steps over netlink, its commands in the hosts' namespaces.

use std::{
    fs,
    net::IpAddr,
    os::fd::AsRawFd as _,
    process::{Command, Stdio},
};

use futures_util::TryStreamExt as _;
use rtnetlink::{Handle, LinkBridge, LinkUnspec, LinkVeth, RouteMessageBuilder, new_connection};

use super::{
    Lab, LabError,
    topologies::{End, Step},
};
use crate::netns::Netns;

/// Debian's packages of the programs that topologies call.
const PACKAGES: &[(&str, &str)] = &[
    ("iptables", "iptables"),
    ("ip6tables", "iptables"),
    ("nft", "nftables"),
    ("tc", "iproute2"),
    ("ip", "iproute2"),
    ("ethtool", "ethtool"),
    ("conntrack", "conntrack"),
];

pub(super) fn build(lab: &Lab) -> Result<(), LabError> {
    for host in lab.topology.hosts {
        let netns = lab.host(host)?;
        // Duplicate address detection would keep IPv6 addresses from being used at first.
        for conf in ["all", "default"] {
            sysctl(host, netns, &format!("net/ipv6/conf/{conf}/accept_dad"), "0")?;
            sysctl(host, netns, &format!("net/ipv6/conf/{conf}/router_solicitations"), "0")?;
        }
        sysctl(host, netns, "net/ipv4/ping_group_range", "0 2147483647")?;
        netlink(host, netns, "set lo up", async |handle| up(&handle, "lo").await)?;
    }
    for step in lab.topology.steps {
        run(lab, step)?;
    }
    Ok(())
}

fn run(lab: &Lab, step: &Step) -> Result<(), LabError> {
    match *step {
        Step::Veth(a, b) => veth(lab, a, b),
        Step::Bridge(End(host, name), ports) => {
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
        Step::Address(End(host, name), address) => {
            let (ip, prefix) = split(address)?;
            netlink(host, lab.host(host)?, "add an address", async |handle| {
                let index = index(&handle, name).await?;
                handle.address().add(index, ip, prefix).execute().await
            })
        }
        Step::Default(host, gateway) => {
            let route = match ip(gateway)? {
                IpAddr::V4(v4) => {
                    RouteMessageBuilder::<std::net::Ipv4Addr>::new().gateway(v4).build()
                }
                IpAddr::V6(v6) => {
                    RouteMessageBuilder::<std::net::Ipv6Addr>::new().gateway(v6).build()
                }
            };
            netlink(host, lab.host(host)?, "add the default route", async |handle| {
                handle.route().add(route).execute().await
            })
        }
        Step::Sysctl(host, path, value) => sysctl(host, lab.host(host)?, path, value),
        Step::Command(host, words) => command(host, lab.host(host)?, words).map(|_| ()),
    }
}

/// Makes a pair in the first host and moves the second end; both get their names there.
fn veth(lab: &Lab, a: End, b: End) -> Result<(), LabError> {
    const AWAY: &str = "np-peer";
    let there = lab.host(b.0)?.file().as_raw_fd();
    netlink(a.0, lab.host(a.0)?, "make a veth pair", async |handle| {
        handle.link().add(LinkVeth::new(a.1, AWAY).build()).execute().await?;
        let away = index(&handle, AWAY).await?;
        let change = LinkUnspec::new_with_index(away).setns_by_fd(there).build();
        handle.link().set(change).execute().await?;
        up(&handle, a.1).await
    })?;
    netlink(b.0, lab.host(b.0)?, "name the other end of a veth pair", async |handle| {
        let index = index(&handle, AWAY).await?;
        let change = LinkUnspec::new_with_index(index).name(b.1).build();
        handle.link().set(change).execute().await?;
        up(&handle, b.1).await
    })
}

async fn index(handle: &Handle, name: &str) -> Result<u32, rtnetlink::Error> {
    let mut links = handle.link().get().match_name(name.to_owned()).execute();
    let found = links.try_next().await?;
    found
        .map(|link| link.header.index)
        .ok_or_else(|| rtnetlink::Error::NamespaceError(format!("no device {name}")))
}

async fn up(handle: &Handle, name: &str) -> Result<(), rtnetlink::Error> {
    let index = index(handle, name).await?;
    handle.link().set(LinkUnspec::new_with_index(index).up().build()).execute().await
}

/// Runs `f` with a netlink handle inside a namespace.
fn netlink(
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
            f(handle).await.map_err(|e| fail(e.to_string()))
        })
    })?
}

fn sysctl(host: &str, netns: &Netns, path: &str, value: &str) -> Result<(), LabError> {
    let file = format!("/proc/sys/{path}");
    netns
        .run(|| fs::write(&file, value))?
        .map_err(|e| LabError::system(format!("set {path} = {value} in namespace {host}"), e))
}

pub(super) fn command(host: &str, netns: &Netns, words: &[&str]) -> Result<String, LabError> {
    let Some((program, arguments)) = words.split_first() else { return Ok(String::new()) };
    let output =
        netns.run(|| Command::new(program).args(arguments).stdin(Stdio::null()).output())?;
    let output = output.map_err(|e| {
        let package = PACKAGES.iter().find(|(name, _)| name == program);
        match (e.kind(), package) {
            (std::io::ErrorKind::NotFound, Some((_, package))) => {
                LabError::MissingTool { program: (*program).to_owned(), package }
            }
            _ => LabError::system(format!("run {program}"), e),
        }
    })?;
    if !output.status.success() {
        return Err(LabError::Command {
            command: words.join(" "),
            host: host.to_owned(),
            output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn ip(text: &str) -> Result<IpAddr, LabError> {
    text.parse().map_err(|_| {
        LabError::system(
            format!("read address {text}"),
            std::io::Error::from(std::io::ErrorKind::InvalidInput),
        )
    })
}

fn split(address: &str) -> Result<(IpAddr, u8), LabError> {
    let (host, prefix) = address.split_once('/').unwrap_or((address, "32"));
    Ok((ip(host)?, prefix.parse().unwrap_or(32)))
}
