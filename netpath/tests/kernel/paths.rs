//! Packets through the container's NAT path: what is seen of them.

use netpath::lab::traffic::{Load, Sizes, Traffic};

use super::support::{assert_sums, bridge_nat, path, trace, traced};
use crate::need_kernel;

const OUT: &str = "client/eth0 → host/veth0 → br0 → up0 → server/eth0";
const BACK: &str = "server/eth0 → host/up0 → br0 → veth0 → client/eth0";

fn start(lab: &netpath::lab::Lab, load: Load) -> Traffic {
    Traffic::start(lab, load, false).expect("the traffic flows")
}

#[test]
fn requests_and_replies_are_followed_both_ways_through_nat() {
    need_kernel!();
    let lab = bridge_nat();
    let loads = [
        Load::TcpRequests(Sizes::default()),
        Load::UdpRequests(Sizes::default()),
        Load::Ping { bytes: 56 },
    ];
    let snapshot = traced(&lab, &loads, false, 400, &[]);

    let packets = &snapshot.packets;
    assert!(packets.seen > 1_000, "{packets:?}");
    assert!(packets.complete as f64 >= packets.seen as f64 * 0.99, "{packets:?}");
    assert_eq!(snapshot.lost_events, 0, "{:?}", snapshot.lost_by_point);
    assert_eq!(packets.negative, 0);

    let out = path(&snapshot, "outbound");
    assert_eq!(out.name, OUT);
    // One flight from before MASQUERADE to after it, with both tuples.
    assert_eq!(out.translated, out.packets);
    let flow = out.example.as_ref().expect("a flow");
    assert!(flow.before.contains("172.31.0.2"), "{flow:?}");
    assert!(flow.after.as_ref().is_some_and(|a| a.contains("198.18.0.1")), "{flow:?}");
    assert_eq!(out.replies, 0);

    let back = path(&snapshot, "inbound");
    assert_eq!(back.name, BACK);
    assert_eq!(back.replies, back.packets);

    for p in [out, back] {
        assert_sums(p);
        let hops: Vec<&str> = p.hops.iter().map(|h| h.hop.as_str()).collect();
        for hop in ["conntrack", "nat", "rules", "bridge", "device", "handoff", "ip.forward"] {
            assert!(hops.contains(&hop), "{hop} is not in {hops:?}");
        }
    }
}

#[test]
fn twenty_thousand_packets_a_second_lose_nothing() {
    need_kernel!();
    let lab = bridge_nat();
    let mut traffic = start(&lab, Load::UdpFlood { bytes: 64, rate: Some(20_000) });
    let snapshot = trace(&lab, &["--for", "3s"]);
    let sent = traffic.stop().expect("the traffic flowed");
    assert!(sent.per_second() > 15_000.0, "{sent:?}");
    assert_eq!(snapshot.lost_events, 0, "{:?}", snapshot.lost_by_point);
    let p = &snapshot.packets;
    assert!(p.complete as f64 >= p.seen as f64 * 0.99, "{p:?}");
    assert_sums(path(&snapshot, "outbound"));
}

#[test]
fn ipv6_through_nat_as_well() {
    need_kernel!();
    let lab = bridge_nat();
    let requests = Load::UdpRequests(Sizes::default());
    let snapshot = traced(&lab, &[requests], true, 400, &[]);
    let out = path(&snapshot, "outbound");
    assert_eq!(out.name, OUT);
    assert_eq!(out.translated, out.packets);
    assert!(
        out.example.as_ref().is_some_and(|f| f.before.contains("[fd31::2]")),
        "{:?}",
        out.example
    );
    assert_sums(out);
    assert!(out.hops.iter().any(|h| h.hop == "nat"), "{:?}", out.hops);
}

#[test]
fn a_dropped_packet_has_its_reason_and_place() {
    need_kernel!();
    let lab = bridge_nat();
    let mut traffic = start(&lab, Load::UdpFlood { bytes: 64, rate: Some(1_000) });
    lab.command("host", &["iptables", "-I", "FORWARD", "-p", "udp", "-j", "DROP"]).unwrap();
    let snapshot = trace(&lab, &["--for", "1s"]);
    traffic.stop().expect("the traffic flowed");
    assert!(snapshot.packets.dropped > 500, "{:?}", snapshot.packets);
    let drop = &snapshot.drops[0];
    assert_eq!((drop.reason.as_str(), drop.netns.as_str()), ("NETFILTER_DROP", "host"), "{drop:?}");
    // The rule is the only one that drops in the chain that had the packet.
    let has = |of: &Option<String>, what: &str| of.as_ref().is_some_and(|of| of.contains(what));
    assert!(has(&drop.hook, "FORWARD") && has(&drop.hop, "rules"), "{drop:?}");
    assert!(has(&drop.table, "ip filter") && has(&drop.rule, "-p udp -j DROP"), "{drop:?}");
    assert_eq!(drop.chains, ["ip filter FORWARD"], "{drop:?}");
}

#[test]
fn a_shaped_uplink_shows_as_waiting_in_its_qdisc() {
    need_kernel!();
    let lab = bridge_nat();
    let shaper = ["tc", "qdisc", "add", "dev", "up0", "root", "tbf"];
    let limits = ["rate", "4mbit", "burst", "2kb", "limit", "20kb"];
    lab.command("host", &[&shaper[..], &limits[..]].concat()).unwrap();
    let mut traffic = start(&lab, Load::UdpFlood { bytes: 1000, rate: Some(1_000) });
    let snapshot = trace(&lab, &["--for", "2s"]);
    traffic.stop().expect("the traffic flowed");
    let out = path(&snapshot, "outbound");
    let wait = out.hops.iter().find(|h| h.hop == "qdisc.wait").expect("a wait in the qdisc");
    assert_eq!((wait.kind.as_str(), wait.place().as_str()), ("wait", "host/up0"));
    // Twenty kilobytes at four megabits take 40 ms.
    let wait_ms = wait.times.p50_ns as f64 / 1e6;
    assert!((25.0..45.0).contains(&wait_ms), "{wait:?}");
    assert_sums(out);
    // What the shaper had no room for was dropped there.
    assert!(snapshot.drops.iter().any(|d| d.dev == "up0"), "{:?}", snapshot.drops);
}

#[test]
fn a_container_seen_from_inside_is_the_same_path() {
    need_kernel!();
    let lab = bridge_nat();
    let mut traffic = start(&lab, Load::UdpRequests(Sizes::default()));
    let netns = lab.full_name("client");
    let output = super::support::run(&[
        "trace", "--iface", "eth0", "--netns", &netns, "--for", "500ms", "--json",
    ]);
    traffic.stop().expect("the traffic flowed");
    let snapshot: netpath::snapshot::Snapshot = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(path(&snapshot, "outbound").name, OUT);
    assert_eq!(path(&snapshot, "inbound").name, BACK);
}
