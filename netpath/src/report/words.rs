//! What a report says in words: names of hops, and the sentences that open and close it.

pub(crate) mod counters;
mod trips;
mod trust;

use std::{collections::BTreeMap, fmt::Write as _};

use netpath_common::{
    group::{GROUPS, Group, GroupInfo},
    hop::{HopId, Kind},
};
use serde_json::Value;

pub(crate) use crate::explain::trips::sent_again;
pub(crate) use crate::snapshot::{dropped, no_path, set_aside};
pub(crate) use trips::{round_trip, round_trips, trips_counted};
pub(crate) use trust::{complete, trust};

use crate::{
    snapshot::{Finding, HopReport, NamedPlace, PathReport, Snapshot},
    units::{count, percent, time},
};

/// Paths with a smaller share of the packets than this are counted, not shown.
pub(crate) const MINOR_SHARE: f64 = 0.005;

/// `1 packet`, `2 packets`.
pub(crate) fn counted(n: u64, what: &str) -> String {
    format!("{} {what}{}", count(n), if n == 1 { "" } else { "s" })
}

/// `conntrack track`, `rules filter`: the group's word, and what of it.
pub(crate) fn what(hop: &HopReport) -> String {
    let Some(info) = HopId::from_key(&hop.hop).map(HopId::info) else { return hop.hop.clone() };
    let label = hop.part.as_deref().unwrap_or(info.label);
    labelled(info.group.label(), label)
}

/// A group's word, and what of it; once where they are the same.
pub(crate) fn labelled(group: &str, label: &str) -> String {
    if label == group { group.to_owned() } else { format!("{group} {label}") }
}

/// What of its group a hop is: `track`, `filter`.
pub(crate) fn part(hop: &HopReport) -> String {
    let label = HopId::from_key(&hop.hop).map(|id| id.info().label);
    hop.part.clone().unwrap_or_else(|| label.unwrap_or(&hop.hop).to_owned())
}

/// What a hop's time is made of, in a sentence.
pub(crate) fn made_of(hop: &HopReport) -> Option<&'static str> {
    HopId::from_key(&hop.hop).map(|id| id.info().what)
}

/// How a hop's group is named and drawn. Of a group that this netpath doesn't know (in a newer
/// one's report), as what is unattributed.
pub(crate) fn group(hop: &HopReport) -> &'static GroupInfo {
    group_of(&hop.group)
}

pub(crate) fn group_of(key: &str) -> &'static GroupInfo {
    GROUPS.iter().find(|g| g.key == key).unwrap_or(Group::Unattributed.info())
}

pub(crate) fn is_wait(hop: &HopReport) -> bool {
    hop.kind == Kind::Wait.key()
}

/// How a path's packets end.
pub(crate) fn end(path: &PathReport) -> &str {
    let last = path.hops.last().map(|hop| hop.hop.as_str());
    if path.end == "delivered" && last == Some(HopId::TapWait.info().key) {
        return "read by the process behind the tap";
    }
    end_words(&path.end)
}

/// The same, for its name.
pub(crate) fn end_words(end: &str) -> &str {
    match end {
        "delivered" => "read by a process",
        "reached" => "taken by the transport",
        "transmitted" => "left the machine",
        "merged" => "merged into another packet (GRO, or its other fragments)",
        other => other,
    }
}

/// The time of a hop that a mean packet of the path spends there, ns: of packets that don't meet
/// it, nothing.
pub(crate) fn of_packet(hop: &HopReport, path: &PathReport) -> f64 {
    if path.packets == 0 {
        return 0.0;
    }
    hop.times.mean_ns * hop.count as f64 / path.packets as f64
}

/// A part of a path's mean total, 0 to 1.
pub(crate) fn share(path: &PathReport, ns: f64) -> f64 {
    if path.total.mean_ns > 0.0 { ns / path.total.mean_ns } else { 0.0 }
}

/// Of a mean packet: the time that CPUs worked on it, and the time that it waited, ns.
pub(crate) fn work_and_waiting(path: &PathReport) -> (f64, f64) {
    path.hops.iter().fold((0.0, 0.0), |(work, waiting), hop| {
        let ns = of_packet(hop, path);
        if is_wait(hop) { (work, waiting + ns) } else { (work + ns, waiting) }
    })
}

/// The paths that are shown, and how many packets took how many others.
pub(crate) fn major(snapshot: &Snapshot) -> (Vec<&PathReport>, Minor) {
    let all: u64 = snapshot.paths.iter().map(|p| p.packets).sum();
    let limit = all as f64 * MINOR_SHARE;
    let (major, minor): (Vec<_>, Vec<_>) =
        snapshot.paths.iter().partition(|p| p.packets as f64 >= limit);
    let minor = Minor { paths: minor.len() as u64, packets: minor.iter().map(|p| p.packets).sum() };
    (major, minor)
}

/// Paths that few packets took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Minor {
    pub(crate) paths: u64,
    pub(crate) packets: u64,
}

impl Minor {
    /// `2 packets on 2 other paths`; `None` where there are none.
    pub(crate) fn words(self) -> Option<String> {
        (self.paths > 0).then(|| {
            format!("{} on {}", counted(self.packets, "packet"), counted(self.paths, "other path"))
        })
    }
}

/// `probes took 0.9 µs of it (10 events × 82 ± 6 ns): about 5.2 ± 0.1 µs without them`; `None`
/// where their cost is not known.
pub(crate) fn compensated(path: &PathReport, snapshot: &Snapshot) -> Option<String> {
    let cost = snapshot.probe_cost_ns;
    if cost.mean <= 0.0 || path.compensated.mean_ns <= 0.0 {
        return None;
    }
    let own = path.total.mean_ns - path.compensated.mean_ns;
    Some(format!(
        "{} ({:.0} events × {:.0} ± {:.0} ns): about {} ± {} without it",
        time(own),
        own / cost.mean,
        cost.mean,
        cost.stddev,
        time(path.compensated.mean_ns),
        time(path.compensated.uncertainty_ns),
    ))
}

/// How many packets were followed, and what was lost.
pub(crate) fn coverage(s: &Snapshot) -> String {
    let p = &s.packets;
    if p.seen == 0 {
        return format!("In {} no packet passed {}.", time(s.duration_ns as f64), s.what());
    }
    let mut out = format!(
        "In {} netpath followed {} of the {} that passed {} from end to end",
        time(s.duration_ns as f64),
        if p.complete == p.sampled { "all".to_owned() } else { count(p.complete) },
        counted(p.seen, "packet"),
        s.what(),
    );
    if p.dropped > 0 {
        let _ = write!(out, ", {}", dropped(p));
    }
    for (n, what) in
        [(p.incomplete, "incomplete"), (p.vanished, "vanished"), (p.ambiguous, "ambiguous")]
    {
        if n > 0 {
            let _ = write!(out, ", {} {what}", count(n));
        }
    }
    let _ = match s.lost_events {
        0 => write!(out, "; no event was lost."),
        n => write!(
            out,
            "; {} lost.",
            if n == 1 { "1 event was".into() } else { format!("{} events were", count(n)) }
        ),
    };
    out
}

/// How long the packets of these paths take: the busiest of each direction.
pub(crate) fn latency(paths: &[&PathReport]) -> Option<String> {
    let first = paths.first()?;
    let (work, waiting) = work_and_waiting(first);
    let mut out = format!(
        "An {} packet from {} to {} takes {} at the median and {} at the 99th percentile; on \
         average {}: {} of work and {} of waiting",
        first.direction,
        place(&first.from),
        place(&first.to),
        time(first.total.p50_ns as f64),
        time(first.total.p99_ns as f64),
        time(first.total.mean_ns),
        time(work),
        time(waiting),
    );
    if let Some(back) = paths.iter().find(|p| p.direction != first.direction) {
        let _ = write!(
            out,
            " ({}: {} and {}, on average {})",
            back.direction,
            time(back.total.p50_ns as f64),
            time(back.total.p99_ns as f64),
            time(back.total.mean_ns),
        );
    }
    out.push('.');
    Some(out)
}

/// `client/eth0`.
pub(crate) fn place(place: &NamedPlace) -> String {
    format!("{}/{}", place.netns, place.dev)
}

/// What costs most of a path's packet.
pub(crate) fn most(path: &PathReport) -> Option<String> {
    let hop = path.hops.iter().max_by(|a, b| a.share.total_cmp(&b.share))?;
    Some(format!(
        "Most of an {} packet's {} goes to {} at {}: {} of {} on average ({}).",
        path.direction,
        time(path.total.mean_ns),
        what(hop),
        hop.place(),
        time(of_packet(hop, path)),
        if is_wait(hop) { "waiting" } else { "work" },
        percent(hop.share),
    ))
}

/// What each group costs a mean packet, ns, dearest first.
pub(crate) fn by_group(path: &PathReport) -> Vec<(&'static GroupInfo, f64)> {
    let mut groups: Vec<(&'static GroupInfo, f64)> = Vec::new();
    for hop in &path.hops {
        let (info, ns) = (group(hop), of_packet(hop, path));
        match groups.iter_mut().find(|(g, _)| g.group == info.group) {
            Some((_, sum)) => *sum += ns,
            None => groups.push((info, ns)),
        }
    }
    groups.sort_by(|a, b| b.1.total_cmp(&a.1));
    groups
}

/// The three sentences that open a report.
pub(crate) fn opening(snapshot: &Snapshot) -> Vec<String> {
    let (paths, _) = major(snapshot);
    let mut sentences = vec![coverage(snapshot)];
    sentences.extend(round_trip(snapshot));
    sentences.extend(latency(&paths));
    let finding = snapshot.findings.first().map(|f| match f.lost {
        0 => format!("What costs most: {} ({}).", f.title, f.summary),
        _ => format!("{}: {}.", capital(&f.title), f.summary),
    });
    sentences.extend(finding.or_else(|| paths.first().and_then(|p| most(p))));
    sentences
}

/// With a capital first letter.
fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// What is known of why a hop takes its time: `established 75 358 × 340 ns · same cpu …`.
pub(crate) fn causes(causes: &BTreeMap<String, Value>) -> String {
    let all: Vec<String> =
        causes.iter().map(|(k, v)| format!("{} {}", k.replace('_', " "), cause(v))).collect();
    all.join(" · ")
}

/// A finding's evidence as name and value; times, whose names end in `_ns`, with their units.
pub(crate) fn evidence(key: &str, value: &Value) -> (String, String) {
    match (key.strip_suffix("_ns"), value.as_f64()) {
        (Some(name), Some(ns)) => (name.replace('_', " "), time(ns)),
        _ => (key.replace('_', " "), cause(value)),
    }
}

/// A cause's or an evidence's value: how many and their mean, or as it is.
fn cause(value: &Value) -> String {
    let field = |name: &str| value.get(name);
    match (field("count").and_then(Value::as_u64), field("mean_ns").and_then(Value::as_f64)) {
        (Some(n), Some(ns)) => format!("{} × {}", count(n), time(ns)),
        _ => match value {
            Value::String(text) => text.clone(),
            Value::Number(n) => match (n.as_u64(), n.as_f64()) {
                (Some(n), _) => count(n),
                (None, Some(x)) if x.fract() == 0.0 => format!("{x:.0}"),
                (None, Some(x)) => format!("{x:.1}"),
                (None, None) => n.to_string(),
            },
            Value::Array(all) => all.iter().map(cause).collect::<Vec<_>>().join(", "),
            other => other.to_string(),
        },
    }
}

/// The findings, each title once: the dearest of those that say the same of several paths.
pub(crate) fn findings(snapshot: &Snapshot) -> Vec<&Finding> {
    let mut findings: Vec<&Finding> = Vec::new();
    for finding in &snapshot.findings {
        if !findings.iter().any(|f| f.title == finding.title) {
            findings.push(finding);
        }
    }
    findings
}
