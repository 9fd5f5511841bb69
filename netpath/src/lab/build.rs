//! Bringing a topology up: its steps over netlink, its commands in the hosts' namespaces.

mod command;
mod links;
mod needs;
mod rules;
mod sysfs;

use std::{fs, io::ErrorKind, net::IpAddr};

use rtnetlink::{LinkUnspec, LinkVxlan, RouteMessageBuilder};

use super::{
    Lab, LabError,
    daemons::{self, Daemons, Makes},
    experiments,
    topologies::{End, Step},
    traffic,
};
use crate::netns::Netns;
pub(super) use command::command;
use links::{index, netlink, up};
pub(super) use needs::programs;

/// Whether this machine has what a step needs, as far as that shows before it is taken.
pub(super) fn check(step: &Step) -> Result<(), LabError> {
    match step {
        Step::Needs(need) => needs::check(*need),
        Step::Daemons(_, what) => {
            needs::programs(what.programs, what.package)?;
            (what.arguments)().map(|_| ())
        }
        _ => Ok(()),
    }
}

/// Brings up the hosts and takes the steps.
pub(super) fn build<'a>(
    lab: &mut Lab,
    steps: impl Iterator<Item = &'a Step>,
) -> Result<(), LabError> {
    for (host, netns) in &lab.hosts {
        // Duplicate address detection would keep IPv6 addresses from being used at first.
        for conf in ["all", "default"] {
            sysctl(host, netns, &format!("net/ipv6/conf/{conf}/accept_dad"), "0")?;
            sysctl(host, netns, &format!("net/ipv6/conf/{conf}/router_solicitations"), "0")?;
        }
        sysctl(host, netns, "net/ipv4/ping_group_range", "0 2147483647")?;
        netlink(host, netns, "set lo up", async |handle| up(&handle, "lo").await)?;
    }
    for step in steps {
        if let Step::Daemons(host, what) = step {
            start(lab, host, what)?;
        } else {
            run(lab, step)?;
        }
    }
    Ok(())
}

/// Starts daemons, and names the host that they make.
fn start(lab: &mut Lab, host: &str, what: &Daemons) -> Result<(), LabError> {
    let running = daemons::start(host, lab.host(host)?, what, lab.run.id())?;
    match (what.makes, &running.made, &running.guest) {
        (Some(Makes::Netns(role)), Some(made), _) => {
            lab.hosts.insert(role, lab.run.adopt(role, made)?);
        }
        (Some(Makes::Guest(role)), _, Some(guest)) => {
            lab.guests.insert(role, guest.clone());
        }
        _ => {}
    }
    lab.daemons.push(running);
    Ok(())
}

fn run(lab: &Lab, step: &Step) -> Result<(), LabError> {
    match *step {
        Step::Veth(a, b) => links::veth(lab, a, b),
        Step::Bridge(end, ports) => links::bridge(lab, end, ports),
        Step::MacVlan(below, end) => links::over(lab, below, end, links::Over::MacVlan),
        Step::IpVlan(below, end) => links::over(lab, below, end, links::Over::IpVlan),
        Step::Vxlan(end, id, local, remote) => vxlan(lab, end, id, local, remote),
        Step::Address(End(host, name), address) => {
            let (ip, prefix) = split(address)?;
            netlink(host, lab.host(host)?, "add an address", async |handle| {
                let index = index(&handle, name).await?;
                handle.address().add(index, ip, prefix).execute().await
            })
        }
        Step::Default(host, gateway) => match ip(gateway)? {
            IpAddr::V4(_) => route(lab, host, "0.0.0.0/0", gateway),
            IpAddr::V6(_) => route(lab, host, "::/0", gateway),
        },
        Step::Route(host, to, gateway) => route(lab, host, to, gateway),
        Step::Sysctl(host, path, value) => sysctl(host, lab.host(host)?, path, value),
        Step::Sysfs(host, path, value) => sysfs::write(host, lab.host(host)?, path, value),
        Step::Command(host, words) => command(host, lab.host(host)?, words, "").map(|_| ()),
        Step::Rules(host, flavour, n) => rules::load(host, lab.host(host)?, flavour, n),
        Step::Connections(host, n) => traffic::connections::fill(lab, host, n),
        // Checked before; started before.
        Step::Needs(_) | Step::Daemons(..) => Ok(()),
    }
}

fn vxlan(
    lab: &Lab,
    End(host, name): End,
    id: u32,
    local: &str,
    remote: &str,
) -> Result<(), LabError> {
    /// IANA's port for VXLAN.
    const PORT: u16 = 4789;
    let (IpAddr::V4(local), IpAddr::V4(remote)) = (ip(local)?, ip(remote)?) else {
        return Err(bad_address(local));
    };
    netlink(host, lab.host(host)?, "make a vxlan", async |handle| {
        let link = LinkVxlan::new(name, id).local(local).remote(remote).port(PORT);
        // Without this, datagrams between namespaces of one machine carry no checksum.
        handle.link().add(link.udp_csum(true).build()).execute().await?;
        let index = index(&handle, name).await?;
        handle.link().set(LinkUnspec::new_with_index(index).up().build()).execute().await
    })
}

fn route(lab: &Lab, host: &str, to: &str, gateway: &str) -> Result<(), LabError> {
    let (to, prefix) = split(to)?;
    let route = match (to, ip(gateway)?) {
        (IpAddr::V4(to), IpAddr::V4(gateway)) => RouteMessageBuilder::<std::net::Ipv4Addr>::new()
            .destination_prefix(to, prefix)
            .gateway(gateway)
            .build(),
        (IpAddr::V6(to), IpAddr::V6(gateway)) => RouteMessageBuilder::<std::net::Ipv6Addr>::new()
            .destination_prefix(to, prefix)
            .gateway(gateway)
            .build(),
        _ => return Err(bad_address(gateway)),
    };
    netlink(host, lab.host(host)?, "add a route", async |handle| {
        handle.route().add(route).execute().await
    })
}

fn sysctl(host: &str, netns: &Netns, path: &str, value: &str) -> Result<(), LabError> {
    let file = format!("/proc/sys/{path}");
    let write = || match fs::write(&file, value) {
        // A switch that comes with a module which isn't loaded is off.
        Err(e) if e.kind() == ErrorKind::NotFound && value == "0" => Ok(()),
        done => done,
    };
    let done = netns.run(write)?;
    if let Err(e) = &done
        && e.kind() == ErrorKind::NotFound
        && path.starts_with("net/bridge/")
    {
        // Not loaded here: it would filter the bridges of every namespace of this machine.
        return Err(LabError::Lacks(
            "the module br_netfilter is not loaded; `modprobe br_netfilter` does, and takes the \
             bridged packets of all namespaces through iptables"
                .to_owned(),
        ));
    }
    done.map_err(|e| LabError::system(format!("set {path} = {value} in namespace {host}"), e))
}

/// The error where a program is not there, with what that costs.
fn missing(program: &str, package: &'static str) -> LabError {
    let costs = experiments::using(program);
    LabError::MissingTool { program: program.to_owned(), package, costs }
}

fn bad_address(text: impl std::fmt::Display) -> LabError {
    LabError::system(
        format!("read address {text}"),
        std::io::Error::from(std::io::ErrorKind::InvalidInput),
    )
}

fn ip(text: &str) -> Result<IpAddr, LabError> {
    text.parse().map_err(|_| bad_address(text))
}

fn split(address: &str) -> Result<(IpAddr, u8), LabError> {
    let (host, prefix) = address.split_once('/').unwrap_or((address, "32"));
    Ok((ip(host)?, prefix.parse().map_err(|_| bad_address(address))?))
}
