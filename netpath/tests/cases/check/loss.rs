//! What is lost, refused, or only looks like it.

use serde_json::Value;

use super::{Claims, Report, SECOND, only};
use crate::cases::{
    report::{count, has, says},
    said::Said,
};

pub(crate) fn routing_loop(c: &mut Claims, r: &Report, said: &Said) {
    let looped: Vec<_> = r.drops(&[]).filter(|d| says(d, "example", "10.9.70.9")).collect();
    c.equal(
        "each ping to nobody is one packet, and lost",
        looped.iter().copied().map(count).sum(),
        5u64,
    );
    let routers = looped.iter().all(|d| says(d, "netns", "b09-r"));
    c.holds("its way ends in one of the routers", routers && !looped.is_empty(), &looped);
    only(c, r, 5);
    let echoes = said.done("ping");
    c.equal("the others are round trips", r.trip_count(&[("kind", "ping")]), echoes);
    let back: u64 =
        r.through(&["b09-r1/v0", "b09-cli/eth0"]).filter_map(|p| p["packets"].as_u64()).sum();
    c.equal("each is answered: by an echo or a time-exceeded", back, echoes + 5);
    let longest = r.paths().filter_map(|p| Some(p["places"].as_array()?.len())).max();
    c.holds("no path is a loop", longest.is_some_and(|n| n <= 6), longest);
}

pub(crate) fn nd_firewalled(c: &mut Claims, r: &Report, said: &Said) {
    // IPv6's error_report, unlike ARP's, gives no reason: the function says that the neighbour failed.
    let failed = |d: &Value| says(d, "reason", "NEIGH_FAILED") || says(d, "function", "neigh");
    let waited = r.drops(&[("netns", "b11-cli"), ("sort", "lost"), ("whose", "neighbour")]);
    let waited = waited.filter(|d| failed(d)).map(count).sum();
    c.equal("both datagrams are lost in cli for want of a neighbour", waited, 2u64);
    let refused: Vec<_> =
        r.drops(&[("netns", "b11-host"), ("hook", "INPUT"), ("sort", "refused")]).collect();
    let solicitations = said.count("dropped by the rule: packets");
    let seen = refused.iter().copied().map(count).sum();
    c.equal(
        "solicitations are refused in host INPUT, as many as the rule counts",
        seen,
        solicitations,
    );
    let named = refused.iter().all(|d| says(d, "table", "b11") && says(d, "chain", "in"));
    c.holds("by table and chain", named && !refused.is_empty(), &refused);
    only(c, r, 2 + solicitations);
    let allowed = said.done("udp-rr");
    c.equal("without the rule: round trips", r.trip_count(&[("protocol", "udp")]), allowed);
    let late = r.hops_over(SECOND);
    c.holds("no hop on a path has the three seconds", late.is_empty(), late);
}

pub(crate) fn accept_overflow(c: &mut Claims, r: &Report, said: &Said) {
    let overflowed = said.count("TcpExtListenDrops");
    let lost: Vec<_> = r.drops(&[("netns", "b13-srv"), ("sort", "lost")]).collect();
    let seen = lost.iter().copied().map(count).sum();
    c.equal("SYNs are lost by srv's listener, as many as the kernel counts", seen, overflowed);
    let listener = lost.iter().all(|d| d.to_string().to_lowercase().contains("listen"));
    c.holds("the listener is named", listener && !lost.is_empty(), &lost);
    only(c, r, overflowed);
    let connects = [("protocol", "tcp"), ("kind", "connect")];
    let took: Vec<f64> = said.lines("connect: ").map(|n| n[0]).collect();
    c.equal("each connect is one round trip", r.trip_count(&connects), took.len() as u64);
    let slow = took.iter().filter(|ms| **ms > 500.0).count() as u64;
    c.equal("the slow ones were sent again", r.sent_again(&connects), slow);
    c.holds("some more than once", r.retransmitted(&connects) >= slow, r.retransmitted(&connects));
    let seconds = r.hops_over(0.4 * SECOND);
    c.holds("no hop has the timer's seconds", seconds.is_empty(), seconds);
    c.between("nor has the server", r.part_max("server"), 0.0, 0.4 * SECOND);
}

pub(crate) fn no_drops(c: &mut Claims, r: &Report, said: &Said) {
    only(c, r, 0);
    // Of the 20 connections 5 close with the answer unread: it came, so it may count.
    c.between(
        "requests of connections",
        r.trip_count(&[("protocol", "tcp"), ("kind", "request")]),
        15,
        20,
    );
    let connects = r.trip_count(&[("protocol", "tcp"), ("kind", "connect")]);
    c.equal("connects", connects, 20);
    let (udp, pings) = (said.done("udp-rr"), said.done("ping"));
    c.equal("UDP's round trips", r.trip_count(&[("protocol", "udp")]), udp);
    c.equal("pings", r.trip_count(&[("kind", "ping")]), pings);
    let found = r.findings();
    c.holds("no finding of drops", !found.contains(&"drops"), found);
}

pub(crate) fn no_drops_udp(c: &mut Claims, r: &Report, said: &Said) {
    let udp = said.done("udp-rr");
    c.equal("every datagram and no other packet is seen", r.packets("seen"), 2 * udp);
    c.equal("round trips", r.trip_count(&[]), udp);
    c.equal("of UDP", r.trip_count(&[("protocol", "udp")]), udp);
    only(c, r, 0);
}

pub(crate) fn user_chain(c: &mut Claims, r: &Report, said: &Said) {
    // A SYN that is dropped comes again after a second; one that is rejected does not.
    let tries = said.lines("tcp-connect: none").count() as u64;
    let rejected = said.lines("ConnectionRefusedError").count() as u64;
    let refused: Vec<_> =
        r.drops(&[("netns", "b35-host"), ("hook", "FORWARD"), ("sort", "refused")]).collect();
    let right = 2 * (tries - rejected) + rejected;
    c.equal("each SYN is refused in FORWARD", refused.iter().copied().map(count).sum(), right);
    only(c, r, right);
    let by = |chain: &str| {
        refused.iter().copied().filter(|d| says(d, "chain", chain)).map(count).sum::<u64>()
    };
    // Rules are flushed some ms after their last drop, and others loaded some ms before their first: that can be
    // too soon to know whose it was, and then there are two that it can have been.
    let one_of_two = |d: &&Value| d["candidates"].as_array().is_some_and(|all| all.len() == 2);
    let perhaps = refused.iter().copied().filter(one_of_two).map(count).sum::<u64>();
    let xtables = said.lines("iptables-").count() as u64;
    c.holds("at most one in each change of rules is uncertain", perhaps <= xtables, perhaps);
    let mut named = |what: &'static str, chain: &str, right: u64| {
        c.between(what, by(chain), right.saturating_sub(perhaps), right);
        by(chain)
    };
    let all = named("iptables: the chain three jumps below is named", "KUBE-NWPLCY-X", 3 * xtables)
        + named("nft: the chain that a map leads to is named", "policy_x", 2)
        + named("nft: the chain whose map drops is named", "pod_abc", 2);
    c.equal("what is not named is uncertain", all + perhaps, right);
    let wrong = refused.iter().filter(|d| has(d, &[("chain", "FORWARD")])).count();
    c.equal("no chain of the way there is blamed", wrong, 0);
    let ruled = refused.iter().filter(|d| says(d, "chain", "KUBE-NWPLCY-X"));
    let ruled: Vec<_> = ruled.map(|d| &d["rule"]).collect();
    let text = |word: &str| ruled.iter().any(|rule| rule.to_string().contains(word));
    c.holds("the rule is named", text("8081") && text("8082"), &ruled);
    let connects = r.trip_count(&[("kind", "connect")]);
    c.equal("8080 is let through", connects, said.lines("tcp-connect: 1 connects").count() as u64);
}
