//! Bridges, and what leads from one device to another in their place.

use serde_json::Value;

use super::{Claims, Report, only};
use crate::cases::{
    report::{count, has, says},
    said::Said,
};

/// SYNs of a connect that is given up after 1.2 to 1.5 s.
const SYNS: u64 = 2;

pub(crate) fn bridge_nf(c: &mut Claims, r: &Report, _: &Said) {
    let up = ["b06-a/eth0", "b06-host/va", "b06-host/br0", "b06-host/vb", "b06-b/eth0"];
    c.holds("0: the SYN goes up to the host's IP and back", r.through(&up).next().is_some(), ());
    let answers: Vec<_> = r.drops(&[("netns", "b06-a"), ("reason", "NO_SOCKET")]).collect();
    let unasked = answers.iter().copied().map(count).sum();
    c.equal("0: each SYN-ACK finds no socket in a", unasked, SYNS);
    let bare = answers.iter().all(|d| says(d, "example", "10.6.0.3:8080 > 10.6.0.2"));
    c.holds("0: it is from b's own address", bare && !answers.is_empty(), &answers);
    c.equal("1: three connects", r.trip_count(&[("kind", "connect")]), 3);
    let refused: Vec<_> =
        r.drops(&[("netns", "b06-host"), ("hook", "FORWARD"), ("sort", "refused")]).collect();
    c.equal("drop: each SYN is refused in FORWARD", refused.iter().copied().map(count).sum(), SYNS);
    let policy = refused.iter().all(|d| d.to_string().contains("policy"));
    c.holds("drop: by the chain's policy", policy && !refused.is_empty(), &refused);
    let bridged = refused.iter().all(|d| d.to_string().contains("bridge"));
    c.holds("drop: inside the bridge", bridged && !refused.is_empty(), &refused);
    only(c, r, 2 * SYNS);
    let moved = r.notes().contains("bridge-nf-call-iptables") || r.notes().contains("bridge_nf");
    c.holds("that bridge_nf changed is said", moved, r.notes());
}

pub(crate) fn hairpin(c: &mut Claims, r: &Report, said: &Said) {
    let bridge = r.dropped(&[("netns", "b07-host"), ("dev", "br0")]);
    c.equal("1: each SYN is lost in the bridge", bridge, SYNS);
    // Where the kernel has no reason for that, the function says that there is no way for it.
    let martian =
        |d: &&Value| says(d, "reason", "IP_LOCAL_SOURCE") || says(d, "function", "ip_rcv_finish");
    let lost = r.drops(&[("netns", "b07-cli"), ("whose", "routing")]).filter(martian);
    c.equal("2: each SYN is lost in the pod as a martian", lost.map(count).sum(), SYNS);
    only(c, r, 2 * SYNS);
    let done = said.done("tcp-rr");
    c.equal("3: round trips", r.trip_count(&[("protocol", "tcp"), ("kind", "request")]), done);
    let own =
        r.trips(&[("kind", "request")]).all(|t| says(t, "name", "b07-cli/eth0 ⇄ b07-cli/eth0"));
    c.holds("3: both ends are the pod", own, r.trips(&[]).collect::<Vec<_>>().len());
    // Between them br0, where the bridge asks for the pod's link address.
    let way = ["b07-cli/eth0", "b07-host/v0", "b07-host/v0", "b07-cli/eth0"];
    c.holds(
        "3: v0 twice in one flight",
        r.delivered(r.through(&way)) >= 2 * done,
        r.delivered(r.paths()),
    );
}

pub(crate) fn tc_redirect(c: &mut Claims, r: &Report, said: &Said) {
    let (udp, tcp) = (said.done("udp-rr"), said.done("tcp-rr"));
    let names = || r.paths().map(|p| p["name"].to_string()).collect::<Vec<_>>();
    let mut way = vec![
        "b20-guest/eth0",
        "b20-pod/tap0",
        "b20-pod/eth0",
        "b20-host/v0",
        "b20-host/br0",
        "b20-host/up0",
        "b20-srv/eth0",
    ];
    let out = r.delivered(r.through(&way));
    c.holds("requests are one flight from guest to srv", out >= udp + tcp, (out, names()));
    way.reverse();
    let back = r.delivered(r.through(&way));
    c.holds("replies are one flight from srv to guest", back >= udp + tcp, (back, names()));
    c.equal("UDP's round trips", r.trip_count(&[("protocol", "udp")]), udp);
    c.equal("TCP's round trips", r.trip_count(&[("protocol", "tcp"), ("kind", "request")]), tcp);
    let stack: Vec<&Value> = r
        .hops(&[("netns", "b20-pod")])
        .filter(|h| h["group"] == "ip" || h["group"] == "routing" || !h["hook"].is_null())
        .collect();
    c.holds("no IP, routing or netfilter in pod", stack.is_empty(), stack);
    only(c, r, 0);
}

pub(crate) fn vxlan_moved(c: &mut Claims, r: &Report, said: &Said) {
    let done = said.done("udp-rr");
    let mut way = vec![
        "b27-pod1/eth0",
        "b27-ovl1/v0",
        "b27-ovl1/vxlan0",
        "b27-n1/wire0",
        "b27-n2/wire0",
        "b27-ovl2/vxlan0",
        "b27-ovl2/v0",
        "b27-pod2/eth0",
    ];
    let names = || r.paths().map(|p| p["name"].to_string()).collect::<Vec<_>>();
    let out = r.delivered(r.through(&way));
    c.holds("requests are one flight over six namespaces", out == done, (out, names()));
    way.reverse();
    let back = r.delivered(r.through(&way));
    c.holds("so are replies", back == done, (back, names()));
    c.equal("round trips", r.trip_count(&[("protocol", "udp")]), done);
    // Where the kernel has no reason for that, the function says that it is the tunnel's.
    let unknown =
        |d: &&Value| says(d, "reason", "VXLAN_VNI_NOT_FOUND") || says(d, "function", "vxlan_rcv");
    let lost = r.drops(&[("netns", "b27-n2")]).filter(unknown);
    c.equal("what nothing takes is lost in n2's tunnel", lost.map(count).sum(), 3u64);
    only(c, r, 3);
    c.holds("no path joins both directions", !r.paths().any(joins_both), names());
}

/// Whether a path comes back to where it began, though nothing here sends back.
fn joins_both(path: &Value) -> bool {
    let pod1 = |end: &Value| has(end, &[("netns", "b27-pod1")]);
    pod1(&path["from"]) && pod1(&path["to"])
}
