//! Checks about what the kernel counts itself: losses that it tells by its counters, and counts that
//! netpath's contradict.

use super::super::Hit;
use crate::{
    snapshot::{CounterReport, Snapshot},
    units::{count, percent},
};

/// Share of the segments sent from which sending them again is worth a word.
const MANY_RETRANSMITTED: f64 = 0.01;
/// Counters that are named in one finding.
const NAMED: usize = 4;

/// The counters of these names that grew, of the namespace (or device) that has most of them.
fn grown<'a>(snapshot: &'a Snapshot, names: &[&str]) -> Vec<&'a CounterReport> {
    let wanted = |c: &&CounterReport| c.kernel > 0 && names.contains(&c.name.as_str());
    let place = |c: &&CounterReport| (c.netns.clone(), c.dev.clone());
    let all: Vec<_> = snapshot.counters.iter().filter(wanted).collect();
    let Some(most) = all.iter().max_by_key(|c| c.kernel).map(place) else { return Vec::new() };
    let mut all: Vec<_> = all.into_iter().filter(|c| place(c) == most).collect();
    all.sort_by_key(|c| std::cmp::Reverse(c.kernel));
    all
}

/// What these counters say, in a sentence.
fn hit(snapshot: &Snapshot, counters: &[&CounterReport]) -> Option<Hit> {
    let first = counters.first()?;
    let place = match &first.dev {
        Some(dev) => format!("{}/{dev}", first.netns),
        None if first.netns.is_empty() => "this machine".to_owned(),
        None => first.netns.clone(),
    };
    let named = |c: &&CounterReport| format!("{} {} ({})", count(c.kernel), c.what, c.name);
    let named: Vec<String> = counters.iter().take(NAMED).map(named).collect();
    let mut text = format!("in {place} the kernel counted {}", named.join(", "));
    if let Some(seen) = seen(snapshot, first) {
        text += &format!("; {seen}");
    }
    let mut hit = Hit::new(0.0, text).with("place", place);
    for c in counters {
        hit = hit.with(&c.name, c.kernel);
    }
    Some(match first.netpath {
        Some(own) => hit.with("netpath", own),
        None => hit,
    })
}

/// How many of them netpath has seen, where it would have seen them.
fn seen(snapshot: &Snapshot, c: &CounterReport) -> Option<String> {
    if snapshot.counters_not_compared.is_some() {
        return None;
    }
    Some(match c.netpath.unwrap_or(0) {
        0 => "no packet on this path shows that".to_owned(),
        own if own >= c.kernel => "all of them are packets of this path".to_owned(),
        own => {
            let others = c.kernel - own;
            format!(
                "{} are packets of this path, {} no packet on it shows",
                count(own),
                count(others)
            )
        }
    })
}

fn found(snapshot: &Snapshot, names: &[&str]) -> Option<Hit> {
    hit(snapshot, &grown(snapshot, names))
}

const LISTENER: &[&str] =
    &["TcpExtListenOverflows", "TcpExtTCPReqQFullDrop", "TcpExtTCPReqQFullDoCookies"];
const RECEIVE_BUFFER: &[&str] = &[
    "UdpRcvbufErrors",
    "Udp6RcvbufErrors",
    "UdpMemErrors",
    "Udp6MemErrors",
    "TcpExtTCPRcvQDrop",
    "TcpExtTCPBacklogDrop",
    "TcpExtRcvPruned",
];
const SEND_BUFFER: &[&str] = &["UdpSndbufErrors", "Udp6SndbufErrors"];
const CHECKSUM: &[&str] = &[
    "UdpInCsumErrors",
    "Udp6InCsumErrors",
    "TcpInCsumErrors",
    "IcmpInCsumErrors",
    "IpExtInCsumErrors",
];
const REASSEMBLY: &[&str] = &["IpReasmFails", "Ip6ReasmFails"];
const TOO_LARGE: &[&str] = &["IpFragFails", "Ip6InTooBigErrors", "Ip6FragFails"];
const REVERSE_PATH: &[&str] = &["TcpExtIPReversePathFilter"];
const NO_ROUTE: &[&str] = &["IpOutNoRoutes", "IpExtInNoRoutes", "Ip6InNoRoutes", "Ip6OutNoRoutes"];
const NEIGHBOUR: &[&str] = &["arp_cache.unresolved_discards", "ndisc_cache.unresolved_discards"];
const DEVICE: &[&str] =
    &["tx_dropped", "rx_missed_errors", "rx_fifo_errors", "rx_errors", "tx_errors"];
/// Losses that other findings tell.
const ELSEWHERE: &[&str] =
    &["nf_conntrack.insert_failed", "nf_conntrack.chaintoolong", "qdisc.drops", "softnet.dropped"];

pub(super) fn listener(snapshot: &Snapshot) -> Option<Hit> {
    found(snapshot, LISTENER)
}

pub(super) fn receive_buffer(snapshot: &Snapshot) -> Option<Hit> {
    found(snapshot, RECEIVE_BUFFER)
}

pub(super) fn send_buffer(snapshot: &Snapshot) -> Option<Hit> {
    found(snapshot, SEND_BUFFER)
}

pub(super) fn checksum(snapshot: &Snapshot) -> Option<Hit> {
    found(snapshot, CHECKSUM)
}

pub(super) fn reassembly(snapshot: &Snapshot) -> Option<Hit> {
    found(snapshot, REASSEMBLY)
}

pub(super) fn too_large(snapshot: &Snapshot) -> Option<Hit> {
    found(snapshot, TOO_LARGE)
}

pub(super) fn reverse_path(snapshot: &Snapshot) -> Option<Hit> {
    found(snapshot, REVERSE_PATH)
}

pub(super) fn no_route(snapshot: &Snapshot) -> Option<Hit> {
    found(snapshot, NO_ROUTE)
}

/// The machine's neighbours are anybody's: only with packets of this path among them.
pub(super) fn neighbour(snapshot: &Snapshot) -> Option<Hit> {
    let all: Vec<_> =
        grown(snapshot, NEIGHBOUR).into_iter().filter(|c| c.netpath.unwrap_or(0) > 0).collect();
    hit(snapshot, &all)
}

pub(super) fn device(snapshot: &Snapshot) -> Option<Hit> {
    found(snapshot, DEVICE)
}

/// Of a namespace, how many segments were sent, and how many of them again.
pub(super) fn retransmissions(snapshot: &Snapshot) -> Option<Hit> {
    let of = |netns: &str, name: &str| {
        let mut all = snapshot.counters.iter();
        all.find(|c| c.netns == netns && c.dev.is_none() && c.name == name).map_or(0, |c| c.kernel)
    };
    let again = snapshot.counters.iter().filter(|c| c.name == "TcpRetransSegs");
    let worst = again
        .filter(|c| {
            let sent = of(&c.netns, "TcpOutSegs") + c.kernel;
            c.kernel as f64 >= MANY_RETRANSMITTED * sent as f64
        })
        .max_by_key(|c| c.kernel)
        .filter(|c| c.kernel > 0)?;
    let netns = worst.netns.as_str();
    let share = worst.kernel as f64 / (of(netns, "TcpOutSegs") + worst.kernel) as f64;
    let (syns, timers) = (of(netns, "TcpExtTCPSynRetrans"), of(netns, "TcpExtTCPTimeouts"));
    let text = format!(
        "{netns} sent {} TCP segments again, {} of all that it sent (TcpRetransSegs); {} of them open \
         a connection, and {} timers ran out",
        count(worst.kernel),
        percent(share),
        count(syns),
        count(timers)
    );
    Some(
        Hit::new(0.0, text)
            .with("netns", netns)
            .with("TcpRetransSegs", worst.kernel)
            .with("TcpExtTCPSynRetrans", syns)
            .with("TcpExtTCPTimeouts", timers)
            .with("share", share),
    )
}

/// Losses that no other finding tells, and that no packet shows.
pub(super) fn losses(snapshot: &Snapshot) -> Option<Hit> {
    let told = [
        LISTENER,
        RECEIVE_BUFFER,
        SEND_BUFFER,
        CHECKSUM,
        REASSEMBLY,
        TOO_LARGE,
        REVERSE_PATH,
        NO_ROUTE,
        NEIGHBOUR,
        DEVICE,
        ELSEWHERE,
    ]
    .concat();
    let names: Vec<&str> = snapshot
        .counters
        .iter()
        .filter(|c| c.unseen() > 0 && !told.contains(&c.name.as_str()))
        .map(|c| c.name.as_str())
        .collect();
    found(snapshot, &names)
}

pub(super) fn disagree(snapshot: &Snapshot) -> Option<Hit> {
    let wrong: Vec<&CounterReport> =
        snapshot.counters.iter().filter(|c| c.agrees == Some(false)).collect();
    if wrong.is_empty() {
        return None;
    }
    let each = |c: &&CounterReport| {
        let own = c.netpath.unwrap_or(0);
        format!("{}: {} by the kernel, {} by netpath", c.full_name(), count(c.kernel), count(own))
    };
    let mut named: Vec<String> = wrong.iter().take(NAMED).map(each).collect();
    if wrong.len() > NAMED {
        named.push(format!("{} more", wrong.len() - NAMED));
    }
    let all: Vec<String> = wrong.iter().map(each).collect();
    Some(Hit::new(0.0, named.join("; ")).with("counters", all))
}
