//! Time that packets wait: for a reader, a verdict, a queue, a thread.

use serde_json::Value;

use super::{Claims, Report, SECOND, only};
use crate::{
    cases::{
        report::{MS, count, max_ns},
        said::Said,
    },
    support::emulated,
};

pub(crate) fn paused_reader(c: &mut Claims, r: &Report, said: &Said) {
    let read = said.lines("reader: ").map(|n| n[0] as u64).sum::<u64>();
    let full = said.count("UdpRcvbufErrors");
    let socket = || r.hops(&[("hop", "socket.wait"), ("netns", "b14-srv")]);
    let longest = socket().map(max_ns).fold(0.0, f64::max);
    c.between(
        "datagrams wait for the stopped reader up to 4 s",
        longest,
        3.5 * SECOND,
        5.0 * SECOND,
    );
    let all: u64 = socket().map(count).sum();
    // Ten more by TCP, which may join what waits.
    c.between("each that was read is among the waits", all, read + 1, read + 11);
    let lost = r.dropped(&[("netns", "b14-srv"), ("reason", "SOCKET_RCVBUFF"), ("sort", "lost")]);
    c.equal("those without room are lost at the socket, as many as the kernel counts", lost, full);
    only(c, r, full);
    let counted = r.counter(&[("netns", "b14-srv"), ("name", "UdpRcvbufErrors")]);
    c.equal("the kernel's counter stands beside", counted, Some((full, full)));
    let tcp = r.trips(&[("protocol", "tcp"), ("kind", "request")]).map(max_ns);
    let tcp = tcp.fold(0.0, f64::max);
    c.between("TCP's slow reads are in the figures", tcp, 2.5 * SECOND, 4.5 * SECOND);
    c.equal("UDP has no round trips", r.trip_count(&[("protocol", "udp")]), 0);
}

pub(crate) fn nfqueue(c: &mut Claims, r: &Report, said: &Said) {
    let (done, lost) = (said.done("udp-rr"), said.lost("udp-rr"));
    c.equal("round trips", r.trip_count(&[("protocol", "udp")]), done);
    let queued = || r.hops(&[("netns", "b22-host"), ("hook", "FORWARD"), ("kind", "wait")]);
    let longest = queued().map(max_ns).fold(0.0, f64::max);
    let most = if emulated() { 390.0 * MS } else { 150.0 * MS };
    c.between("the verdict is a wait in FORWARD", longest, 49.0 * MS, most);
    let waits: u64 = queued().map(count).sum();
    // One that was there while functions of nfnetlink_queue, just loaded, were attached to has no sure times.
    let unsure = r.0["packets"]["incomplete_why"]["probes_changed"].as_u64().unwrap_or(0);
    c.holds("of every packet that passed", waits + unsure >= done, (waits, unsure));
    let spans = r.spans_over(25.0 * MS);
    c.holds("nobody works for so long", spans.is_empty(), spans);
    let dead: Vec<_> = r.drops(&[("netns", "b22-host"), ("hook", "FORWARD")]).collect();
    let in_queue: u64 = dead.iter().copied().map(count).sum();
    c.equal("those whose queue was flushed are lost in FORWARD", in_queue, lost);
    let blamed = dead.iter().any(|d| !d["chain"].is_null() || !d["rule"].is_null());
    c.holds("by no rule", !blamed && (lost == 0 || !dead.is_empty()), &dead);
    only(c, r, lost);
}

pub(crate) fn nagle(c: &mut Claims, r: &Report, _: &Said) {
    c.equal("80 round trips", r.trip_count(&[("protocol", "tcp"), ("kind", "request")]), 80);
    c.equal("2 connects", r.trip_count(&[("kind", "connect")]), 2);
    let spans = r.spans_over(20.0 * MS);
    c.holds("nobody works for 40 ms", spans.is_empty(), spans);
    let waits = r.hops(&[("kind", "wait")]).filter(|h| max_ns(h) > 30.0 * MS);
    let elsewhere: Vec<_> = waits.filter(|h| h["netns"] != "b23-cli").collect();
    c.holds("nor waits outside of the sender", elsewhere.is_empty(), elsewhere);
    c.between("nor is it the server's time", r.part_max("server"), 0.0, 30.0 * MS);
    let slow = r.trips(&[("kind", "request")]).map(max_ns).fold(0.0, f64::max);
    c.between("a round trip has the 40 ms", slow, 35.0 * MS, 400.0 * MS);
    only(c, r, 0);
}

pub(crate) fn cpu_quota(c: &mut Claims, r: &Report, said: &Said) {
    let done = said.done("udp-rr");
    c.equal("round trips", r.trip_count(&[("protocol", "udp")]), done);
    // An emulated machine stands still for longer than that, now and then.
    let long = |h: &Value| {
        let is_one = h["count"].as_u64() < Some(10);
        match emulated() {
            true if is_one => 0.0,
            true => h["p90_ns"].as_f64().unwrap_or(0.0),
            false => max_ns(h),
        }
    };
    let network = r.hops(&[]).filter(|h| h["hop"] != "socket.wait" && long(h) > 8.0 * MS);
    let network: Vec<_> = network.collect();
    c.holds("the network takes no milliseconds", network.is_empty(), network);
    let stopped = r.part_max("server").max(
        r.hops(&[("hop", "socket.wait"), ("netns", "b24-srv")]).map(max_ns).fold(0.0, f64::max),
    );
    let most = if emulated() { SECOND } else { 250.0 * MS };
    c.between("the server is stopped at work or before it", stopped, 30.0 * MS, most);
    let found = r.findings();
    c.holds("its quota is named", found.iter().any(|id| id.contains("quota")), &found);
    let misled = found.iter().any(|id| ["idle-cpu", "softirq-late"].contains(id));
    c.holds("and nothing else blamed", !misled, &found);
    only(c, r, 0);
}

pub(crate) fn long_wait(c: &mut Claims, r: &Report, said: &Said) {
    let arrived = said.before(" arrived");
    let way = r.through(&["b29-cli/eth0", "b29-host/up0", "b29-srv/eth0"]);
    c.equal("as many are delivered as arrive", r.delivered(way), arrived);
    let queue = r.hops(&[("hop", "qdisc.wait"), ("dev", "up0")]).max_by_key(|h| count(h));
    let of = |key: &str| queue.and_then(|h| h[key].as_f64()).unwrap_or(0.0);
    c.between("the longest wait in the queue", of("max_ns"), 12.0 * SECOND, 16.0 * SECOND);
    c.between("half of them wait up to 7 s", of("p50_ns"), 5.0 * SECOND, 9.0 * SECOND);
    let ahead = queue.map_or(0, |h| h["causes"]["ahead_max"].as_u64().unwrap_or(0));
    c.between("packets ahead", ahead, 11, 14);
    only(c, r, 0);
}

pub(crate) fn tun_vpn(c: &mut Claims, r: &Report, said: &Said) {
    // The other five go beside the tunnel.
    let pings = said.done("ping") - 5;
    c.equal("pings through the tunnel", r.trip_count(&[("kind", "ping")]), pings);
    let tun = || r.hops(&[("netns", "b31-cli"), ("dev", "tun0"), ("kind", "wait")]);
    let all: u64 = tun().map(count).max().unwrap_or(0);
    // So do the router solicitations that IPv6 sends there by itself, which the kernel counts as well.
    let sent = r.kernel(&[("netns", "b31-cli"), ("dev", "tun0"), ("name", "tx_packets")]);
    c.between(
        "each packet waits at tun0 for the process behind it",
        all,
        pings + 30,
        sent.unwrap_or(0),
    );
    let longest = tun().map(max_ns).fold(0.0, f64::max);
    c.between("the burst waits up to half a second", longest, 300.0 * MS, 900.0 * MS);
    let spans = r.spans_over(10.0 * MS);
    c.holds("nobody works for so long", spans.is_empty(), spans);
    only(c, r, 0);
}

pub(crate) fn tun_vpn_outside(c: &mut Claims, r: &Report, _: &Said) {
    let inner: Vec<_> =
        r.paths().filter(|p| p["example"].to_string().contains("10.31.1.")).collect();
    c.holds("no inner address is seen outside", inner.is_empty(), inner);
    c.equal("pings beside the tunnel", r.trip_count(&[("kind", "ping")]), 5);
    let late = r.hops_over(100.0 * MS);
    c.holds("what the process keeps is no hop's", late.is_empty(), late);
    only(c, r, 0);
}

pub(crate) fn napi_thread(c: &mut Claims, r: &Report, said: &Said) {
    let done = said.done("udp-rr");
    c.equal("round trips", r.trip_count(&[("protocol", "udp")]), done);
    let slowest = said.lines("max ").map(|n| n[0] * MS).fold(0.0, f64::max);
    let spans = r.spans_over(3.0 * MS);
    c.holds("nobody works for so long", spans.is_empty(), spans);
    let ring =
        r.hops(&[("netns", "b32-srv"), ("dev", "eth0"), ("kind", "wait"), ("group", "handoff")]);
    let longest = ring.map(max_ns).fold(0.0, f64::max);
    // The server's process may share that CPU: what it waits for is no packet's wait in the ring.
    let server = r.hops(&[("netns", "b32-srv"), ("hop", "socket.wait")]);
    let server = server.map(max_ns).fold(0.0, f64::max);
    let least = 0.5 * (slowest - server);
    c.between("the slowest waits for the NAPI thread", longest, least, slowest);
    only(c, r, 0);
}
