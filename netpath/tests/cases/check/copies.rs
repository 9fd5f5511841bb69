//! Packets that become several, or another one.

use serde_json::Value;

use super::{Claims, Report, only};
use crate::cases::{
    report::{count, has, says},
    said::Said,
};

pub(crate) fn fragments(c: &mut Claims, r: &Report, said: &Said) {
    let done = said.before(" round trips");
    c.equal("round trips", r.trip_count(&[("protocol", "udp")]), done);
    // Its defragmentation is no function that is probed.
    let hook = if r.has_links() { "PREROUTING" } else { "" };
    // Before 6.2 the kernel gives no reason: the function says it.
    let late =
        |d: &Value| says(d, "reason", "FRAG_REASM_TIMEOUT") || says(d, "function", "ip_expire");
    let at = [("netns", "b15-host"), ("whose", "reassembly"), ("hook", hook)];
    let alone = r.drops(&at).filter(|d| late(d)).map(count).sum();
    c.equal("the fragments that stay alone are lost in PREROUTING", alone, 3u64);
    only(c, r, 3);
    // The host puts three together, on both ways.
    c.holds("fragments end in one another", r.packets("merged") >= 4 * done, r.packets("merged"));
    let portless = r.0.to_string().contains(":0 > ") || r.0.to_string().contains(":0\"");
    c.holds("no flow has port 0", !portless, ());
    let out = r.delivered(r.through(&["b15-cli/eth0", "b15-host/up0", "b15-srv/eth0"]));
    c.holds("each datagram is delivered", out >= done, out);
}

pub(crate) fn udp_gso(c: &mut Claims, r: &Report, said: &Said) {
    let reads: Vec<f64> = said.lines("reader: ").map(|n| n[0]).collect();
    assert_eq!(reads, [100.0, 10.0, 100.0], "the readers read");
    let whole: Vec<_> = r
        .through(&["b17-cli/eth0", "b17-host/up0", "b17-srv/eth0"])
        .filter(|p| p["segments_per_packet"].as_f64().is_some_and(|n| n > 1.0))
        .collect();
    let delivered = r.delivered(whole.iter().copied());
    c.equal("1, 2: packets of 10 segments are delivered whole", delivered, 20);
    // One of the ten that a packet is cut into is that packet, the others are its copies.
    let all: u64 = r.packets("complete") + r.packets("copies");
    c.holds("3: those that are cut go on as 100", all >= 20 + 100, all);
    let nameless: Vec<_> = r.paths().filter(|p| has(p, &[("name", "")])).collect();
    c.holds("no path lacks its beginning", nameless.is_empty(), nameless.len());
    only(c, r, 0);
}

pub(crate) fn clones(c: &mut Claims, r: &Report, said: &Said) {
    let done = said.done("udp-rr");
    c.equal("round trips in each phase", r.trip_count(&[("protocol", "udp")]), done);
    let sum = |ends: [&str; 2]| -> u64 {
        let way = [ends[0], "b18-host/v0", ends[1]];
        r.through(&way).filter_map(|p| p["ends"]["delivered"].as_u64()).sum()
    };
    let (cli, srv) = ("b18-cli/eth0", "b18-srv/eth0");
    c.equal("requests are counted once", sum([cli, srv]), done);
    c.equal("replies are counted once", sum([srv, cli]), done);
    only(c, r, 0);
}

pub(crate) fn veth_xdp(c: &mut Claims, r: &Report, said: &Said) {
    let (udp, tcp) = (said.done("udp-rr"), said.done("tcp-rr"));
    let lost = said.lost("udp-rr");
    c.equal("UDP's round trips survive", r.trip_count(&[("protocol", "udp")]), udp);
    c.equal("and TCP's", r.trip_count(&[("protocol", "tcp"), ("kind", "request")]), tcp);
    let back = r.delivered(r.through(&["b19-srv/eth0", "b19-host/v0", "b19-cli/eth0"]));
    c.holds("replies are one flight from srv to its reader", back >= udp + tcp, back);
    let dropped = r.dropped(&[("netns", "b19-cli"), ("dev", "eth0")]);
    // IPv6's solicitations to all routers, which nobody sends for the case, are dropped as well.
    c.between("XDP's drops", dropped, lost, lost + 2);
    // The reason is XDP where the kernel has it; veth frees without one, and the function says it.
    let named = r.drops(&[("netns", "b19-cli")]).all(|d| says(d, "what", "XDP"));
    c.holds("are called that", named && dropped > 0, r.all_drops());
    only(c, r, dropped);
}
