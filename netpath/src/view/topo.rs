//! The discovered path, for people.

use std::fmt::Write as _;

use crate::topo::{Device, Host, Place, Topology};

/// One block per namespace, in the order in which a packet leaves; the interfaces that were asked
/// for are marked.
pub fn render(topology: &Topology) -> String {
    let mut out = String::new();
    let mut last = None;
    for place in &topology.chain {
        let (Some(host), Some(device)) = (topology.host(place.netns), topology.device(*place))
        else {
            continue;
        };
        if last != Some(place.netns) {
            let _ = writeln!(out, "{}{}", if last.is_some() { "\n" } else { "" }, title(host));
            last = Some(place.netns);
        }
        let _ = writeln!(out, "  {}", line(topology, *place, host, device));
    }
    out
}

fn title(host: &Host) -> String {
    let mut words = vec![host.name.clone()];
    if host.forwards {
        words.push("forwards".to_owned());
    }
    if host.bridge_nf && host.devices.values().any(|d| d.kind == "bridge") {
        words.push("bridge-nf-call-iptables = 1".to_owned());
    }
    words.join(" · ")
}

fn line(topology: &Topology, place: Place, host: &Host, device: &Device) -> String {
    let mark = if topology.is_focus(place) { "▸" } else { " " };
    let kind = if device.kind.is_empty() { "device" } else { &device.kind };
    let mut words = vec![format!("{mark} {:<12} {kind:<8}", device.name)];
    words.push(format!("{:<9}", device.qdisc));
    if let Some((netns, ifindex)) = device.peer {
        let peer = Place { netns, ifindex };
        let name = topology.dev_name(peer);
        let there = if netns == host.netns {
            name
        } else {
            format!("{}/{name}", topology.netns_name(netns))
        };
        words.push(format!("⇄ {there}"));
    }
    if let Some(master) = device.master {
        let name = topology.dev_name(Place { netns: host.netns, ifindex: master });
        words.push(format!("port of {name}"));
    }
    if let Some(ifindex) = device.redirect {
        let name = topology.dev_name(Place { netns: host.netns, ifindex });
        words.push(format!("→ {name}, by traffic control"));
    }
    if device.is_tap() {
        words.push("⇄ the process that holds it: a guest's QEMU, or another".to_owned());
    }
    words.extend(device.addresses.iter().map(|(ip, prefix)| format!("{ip}/{prefix}")));
    if !device.up {
        words.push("down".to_owned());
    }
    words.join(" ").trim_end().to_owned()
}
