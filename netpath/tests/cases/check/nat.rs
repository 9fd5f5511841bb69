//! Connections that NAT and conntrack decide about.

use serde_json::Value;

use super::{Claims, Report, SECOND, only};
use crate::{
    cases::{
        report::{MS, count, has, says},
        said::Said,
    },
    support::emulated,
};

pub(crate) fn insert_failed(c: &mut Claims, r: &Report, said: &Said) {
    let line = said.0.lines().find_map(|line| line.split_once("by CPU: ")).expect("the counter");
    let failed: u64 = line.1.split(' ').filter_map(|word| u64::from_str_radix(word, 16).ok()).sum();
    let (mut slow, mut connected) = (0, 0);
    for client in said.lines("client ") {
        let [_, connects, late] = client[..3] else { unreachable!("three numbers") };
        slow += late as u64;
        connected += connects as u64 - *client.last().expect("how many never") as u64;
    }
    if failed == 0 {
        println!("SKIP insert_failed: two CPUs did not meet in conntrack's table");
        return;
    }
    let lost: Vec<_> = r.drops(&[("netns", "b01-host"), ("hook", "POSTROUTING")]).collect();
    let in_postrouting: u64 = lost.iter().copied().map(count).sum();
    c.equal(
        "the lost SYNs end in POSTROUTING, as many as insert_failed says",
        in_postrouting,
        failed,
    );
    let confirm = lost.iter().all(|d| has(d, &[("sort", "lost")]) && is_conntracks(d));
    c.holds("they are lost by conntrack's confirm", confirm && !lost.is_empty(), &lost);
    let new = lost.iter().all(|d| says(d, "example", "new"));
    c.holds("their connection is new", new && !lost.is_empty(), &lost);
    only(c, r, failed);
    let found = r.findings();
    c.holds("the finding is insert_failed", found.contains(&"conntrack-insert-failed"), &found);
    c.holds("the table is not called full", !found.contains(&"conntrack-full"), &found);
    let second = r.hops_over(0.9 * SECOND);
    c.holds("no hop has the second that the timer took", second.is_empty(), second);
    c.between("nor has the server", r.part_max("server"), 0.0, 0.9 * SECOND);
    let connects = [("protocol", "tcp"), ("kind", "connect")];
    c.equal("every connect is a round trip", r.trip_count(&connects), connected);
    c.equal("those that took a second were sent again", r.sent_again(&connects), slow);
    c.equal("once each", r.retransmitted(&connects), slow);
    for (client, port) in [("b01-c1/eth0", "b01-host/v1"), ("b01-c2/eth0", "b01-host/v2")] {
        let way = [client, port, "b01-host/br0", "b01-host/up0", "b01-srv/eth0"];
        let out = r.through(&way).any(|path| has(path, &[("direction", "outbound")]));
        let names = || r.paths().map(|p| format!("{} {}", p["direction"], p["name"]));
        c.holds(&format!("the way out of {client} is followed"), out, names().collect::<Vec<_>>());
    }
}

/// Whether a drop is said to be conntrack's, in whichever words.
fn is_conntracks(drop: &Value) -> bool {
    let text = drop.to_string();
    text.contains("conntrack") || text.contains("connection tracking")
}

pub(crate) fn dns_5s(c: &mut Claims, r: &Report, _: &Said) {
    let out = r.delivered(r.through(&["b02-cli/eth0", "b02-host/v0", "b02-srv/eth0"]));
    let back = r.delivered(r.through(&["b02-srv/eth0", "b02-host/v0", "b02-cli/eth0"]));
    c.equal("7 queries of 8 arrive, and 7 replies", (out, back), (7, 7));
    let refused: Vec<_> =
        r.drops(&[("netns", "b02-host"), ("hook", "POSTROUTING"), ("sort", "refused")]).collect();
    c.equal("one is refused in POSTROUTING", refused.iter().copied().map(count).sum(), 1u64);
    let named = refused
        .iter()
        .all(|d| says(d, "table", "b02") && says(d, "chain", "late") && d["rule"].is_string());
    c.holds("by table, chain and rule", named && !refused.is_empty(), &refused);
    only(c, r, 1);
    c.equal("7 round trips", r.trip_count(&[("protocol", "udp")]), 7);
    let trips = || r.trips(&[]).map(|t| t["total"]["max_ns"].as_f64().unwrap_or(f64::NAN));
    c.holds(
        "none took longer than 200 ms",
        trips().all(|ns| ns < 200.0 * MS),
        trips().collect::<Vec<_>>(),
    );
    let seconds = r.hops_over(SECOND);
    c.holds("no hop has the client's timer", seconds.is_empty(), seconds);
}

pub(crate) fn stale_udp(c: &mut Claims, r: &Report, said: &Said) {
    let (old, new) = (said.count("pod1: udp-sink:"), said.count("pod2: udp-sink:"));
    let sent = said.count("sender: udp-send:");
    let to = |pod: &str| r.delivered(r.through(&["b04-srv/eth0", "b04-host/up0", pod]));
    c.equal("as many reach pod1 as it read", to("b04-pod1/eth0"), old);
    c.equal("none reaches pod2", to("b04-pod2/eth0"), new);
    let lost: Vec<_> =
        r.drops(&[("netns", "b04-host"), ("dev", "br0"), ("sort", "lost")]).collect();
    let at_br0: u64 = lost.iter().copied().map(count).sum();
    // While the rules are loaded the host itself is meant, and while pod1 goes its address is gone before it is: on an
    // emulated machine that takes some of them.
    let others = sent - old - new;
    let [no_rules, no_address] = [("b04-host", "up0"), ("b04-pod1", "eth0")]
        .map(|(netns, dev)| r.dropped(&[("netns", netns), ("dev", dev)]));
    c.equal("the others are lost at br0", at_br0 + no_rules + no_address, others);
    let meanwhile = if emulated() { others / 2 } else { 1 };
    c.holds("few come meanwhile", no_rules + no_address <= meanwhile, (no_rules, no_address));
    let neighbour = lost.iter().all(|d| says(d, "reason", "NEIGH"));
    c.holds("for want of a neighbour", neighbour && !lost.is_empty(), &lost);
    let translated = lost.iter().any(|d| says(d, "example", "10.4.0.2:8125"));
    c.holds("translated as before", translated, &lost);
    only(c, r, sent - old - new);
    let icmp = r.through(&["b04-host/up0", "b04-srv/eth0"]).any(|p| says(p, "example", "icmp"));
    c.holds("the host's messages are packets of their own", icmp, r.notes());
}

pub(crate) fn invalid_rst(c: &mut Claims, r: &Report, _: &Said) {
    let late: Vec<_> = r.drops(&[("netns", "b05-cli"), ("reason", "NO_SOCKET")]).collect();
    c.equal("one segment finds no socket in cli", late.iter().copied().map(count).sum(), 1u64);
    let says_all = |text: &str| late.iter().all(|d| says(d, "example", text)) && !late.is_empty();
    c.holds("conntrack called it invalid", says_all("invalid"), &late);
    let bare = says_all("198.18.5.2:8080 > 10.5.0.2") && !says_all("10.96.5.1");
    c.holds("it was not translated", bare, &late);
    let out: Vec<_> = r.through(&["b05-cli/eth0", "b05-host/v0", "b05-srv/eth0"]).collect();
    let sum = |key: &str| out.iter().filter_map(|p| p[key].as_u64()).sum::<u64>();
    c.equal(
        "one packet goes out without translation, the RST",
        sum("packets") - sum("translated"),
        1,
    );
    // Its connection was open: data that comes too late for it is no drop.
    let more = r.0["packets"]["sorts"]["discarded"].as_u64();
    c.equal("what is sent after it finds no socket in srv, and is discarded", more, Some(1));
    only(c, r, 1);
    let requests = [("protocol", "tcp"), ("kind", "request")];
    c.equal("10 round trips", r.trip_count(&requests), 10);
    c.equal("one connect", r.trip_count(&[("kind", "connect")]), 1);
}
