//! What takes modules that not every kernel has.

use super::{Claims, Report, only};
use crate::cases::{report::says, said::Said};

pub(crate) fn ipvs_reuse(c: &mut Claims, r: &Report, said: &Said) {
    let done = said.lines("connects, ").count() as u64;
    c.holds("its connects are done", done >= 1, &said.0);
    let to_host = r.paths().filter(|p| p["to"]["netns"] == "b37-host").count();
    c.equal("nothing is delivered to the host", to_host, 0);
    let ways: Vec<_> = r.through(&["b37-cli/eth0", "b37-host/up0", "b37-srv/eth0"]).collect();
    let hooks = |hook: &str| ways.iter().any(|p| says(p, "hops", hook));
    // IPVS's own function in INPUT is none that is probed.
    c.holds(
        "IPVS sends on from INPUT to POSTROUTING",
        (hooks("INPUT") || !r.has_links()) && hooks("POSTROUTING"),
        ways.len(),
    );
    c.holds("without FORWARD", !hooks("FORWARD") && !ways.is_empty(), ways.len());
}

pub(crate) fn flowtable(c: &mut Claims, r: &Report, said: &Said) {
    let (udp, tcp) = (said.done("udp-rr"), said.done("tcp-rr"));
    c.equal("UDP's round trips", r.trip_count(&[("protocol", "udp")]), udp);
    c.equal("TCP's round trips", r.trip_count(&[("protocol", "tcp"), ("kind", "request")]), tcp);
    let out = r.delivered(r.through(&["b38-cli/eth0", "b38-host/up0", "b38-srv/eth0"]));
    c.holds("every request is delivered", out >= udp + tcp, out);
    only(c, r, 0);
}

pub(crate) fn ipvlan(c: &mut Claims, r: &Report, said: &Said) {
    let lost: u64 = said.lost("udp-rr");
    let refused = r.dropped(&[("netns", "b40-host"), ("sort", "refused")]);
    c.equal("l3s: the host's rule refuses", refused, lost);
    only(c, r, lost);
    let done = said.done("udp-rr");
    c.equal("round trips", r.trip_count(&[("protocol", "udp")]), done);
}
