//! The bars: netpath's figures beside the witnesses', and what passes.
//!
//! In: what the client said, netpath's report, what the kernel counted. Out: checks.

use netpath::lab::topologies::Topology;

use super::{
    outcome::Check,
    programs::{Clock, Said, Until},
    report::{Kind, Report, Sort},
    witness::Seen,
};

/// What a call of read() takes from its beginning until it copies data, with what probes add to it, ns.
const READ_NS: f64 = 1_500.0;
/// Of all packets, how many may be vanished or ambiguous in a row.
pub(crate) const UNTOLD_SHARE: f64 = 0.001;
/// Counts of round trips may differ by so much of the count, or by one.
const TRIPS_SHARE: f64 = 0.001;
/// Means of round trips may differ by so much.
const MEAN_SHARE: f64 = 0.05;

/// The checks' names, which are the table's columns.
pub(crate) const PACKETS: &str = "packets";
pub(crate) const LOST: &str = "lost";
pub(crate) const REFUSED: &str = "refused";
pub(crate) const VANISHED: &str = "vanished";
pub(crate) const AMBIGUOUS: &str = "ambiguous";
pub(crate) const INCOMPLETE: &str = "incomplete";
pub(crate) const READ: &str = "read";
pub(crate) const COUNTERS: &str = "counters";

/// The name of the check of a mean.
pub(crate) fn mean_of(kind: Kind) -> String {
    format!("{}, mean", kind.name())
}

/// The checks, and whether all packets are told.
pub(crate) fn judge(
    said: &Said,
    report: &Report,
    seen: &Seen,
    topology: &Topology,
) -> (Vec<Check>, bool) {
    let packets = &report.packets;
    // A device counts ARP and the bridge's own frames as well.
    let others = seen.focus.saturating_sub(packets.seen);
    let note = match others {
        0 => String::new(),
        n if n <= packets.not_ip => format!("{n} of them are not IP"),
        n => format!("{} of them netpath has not seen", n - packets.not_ip),
    };
    let passed = packets.seen <= seen.around && others <= packets.not_ip;
    // A router solicitation can come while netpath has yet to end.
    let counted = packets.seen.clamp(seen.focus, seen.around);
    let mut checks = vec![Check { passed, note, ..count(PACKETS, packets.seen, counted) }];
    checks.push(drops(LOST, Sort::Lost, report, seen));
    checks.push(drops(REFUSED, Sort::Refused, report, seen));
    for (what, n) in [(VANISHED, packets.vanished), (AMBIGUOUS, packets.ambiguous)] {
        let passed = n as f64 <= packets.seen as f64 * UNTOLD_SHARE;
        checks.push(Check { passed, ..count(what, n, 0) });
    }
    let lost = report.lost_events;
    let why = packets.incomplete_why.iter().filter(|(_, n)| **n > 0);
    let why = why.map(|(why, n)| format!("{n} × {why}"));
    let lost_note = (lost > 0).then(|| format!("{lost} events were lost"));
    let passed_over = report.passed_over();
    let passed_note = (passed_over > 0).then(|| format!("{passed_over} probes were passed over"));
    checks.push(Check {
        // Where no event was lost and each probe was run, nothing else takes a packet apart.
        passed: packets.incomplete <= passed_over || lost > 0,
        note: why.chain(lost_note).chain(passed_note).collect::<Vec<_>>().join(", "),
        ..count(INCOMPLETE, packets.incomplete, 0)
    });
    for trips in &said.trips {
        let (n, mean_ns) = report.trips(trips.kind);
        let may =
            (trips.count as f64 * TRIPS_SHARE).max(if trips.count < 1000 { 1.0 } else { 0.0 });
        let passed = n.abs_diff(trips.count) as f64 <= may;
        checks.push(Check { passed, ..count(trips.kind.name(), n, trips.count) });
        if let Some(clock) = trips.clock {
            checks.push(mean(trips.kind, mean_ns, clock, report, topology.client));
        }
    }
    if let Some(port) = said.read_at {
        let read = |name: &str| seen.of(topology.server, name);
        let read = read("Udp.InDatagrams") + read("Udp6InDatagrams");
        checks.push(count(READ, report.datagrams_to(port), read));
    }
    checks.push(counters(report));
    (checks, packets.vanished == 0 && packets.ambiguous == 0)
}

/// Two counts that must be the same.
pub(crate) fn count(what: &str, netpath: u64, witness: u64) -> Check {
    Check {
        what: what.to_owned(),
        netpath: netpath.to_string(),
        witness: witness.to_string(),
        passed: netpath == witness,
        note: String::new(),
    }
}

/// A sort of drops, host by host against the host's counters.
fn drops(what: &str, sort: Sort, report: &Report, seen: &Seen) -> Check {
    let by_host = report.drops(sort);
    let total: u64 = by_host.values().sum();
    let hosts = || by_host.keys().copied().chain(seen.hosts());
    let passed = hosts().all(|h| by_host.get(h).copied().unwrap_or(0) == seen.losses(h, sort));
    let witness: u64 = seen.hosts().map(|host| seen.losses(host, sort)).sum();
    let named = report.drops.iter().filter(|d| d.sort == sort);
    let mut notes: Vec<String> = named.map(ToString::to_string).collect();
    notes.extend(seen.named_losses(sort));
    Check { passed, note: notes.join(", "), ..count(what, total, witness) }
}

/// A mean beside a program's clock.
fn mean(kind: Kind, mean_ns: f64, clock: Clock, report: &Report, client: &str) -> Check {
    // What netpath counts after the clock has stopped.
    let (after_ns, call_ns) = match clock.until {
        Until::Read => (0.0, 0.0),
        Until::Stamp => (report.received_ns(kind, client, |_| true), 0.0),
        Until::Woken => (report.received_ns(kind, client, |hop| hop == "socket.copy"), READ_NS),
    };
    let own_ns = mean_ns - after_ns;
    let off_ns = own_ns - clock.mean_ns;
    let may_ns = clock.mean_ns * MEAN_SHARE;
    let mut notes = vec![format!("{:+.1} %", off_ns / clock.mean_ns.max(1.0) * 100.0)];
    if after_ns > 0.0 {
        notes.push(format!("and {:.1} µs until it is read", after_ns / 1e3));
    }
    if off_ns < -may_ns && clock.ends_ns > 0.0 {
        let ends_us = clock.ends_ns / 1e3;
        notes.push(format!("the client's own system calls are up to {ends_us:.1} µs of it"));
    }
    if off_ns > may_ns && call_ns > 0.0 {
        notes.push(format!("the call that reads it is up to {:.1} µs of it", call_ns / 1e3));
    }
    Check {
        what: mean_of(kind),
        netpath: format!("{:.1} µs", own_ns / 1e3),
        witness: format!("{:.1} µs", clock.mean_ns / 1e3),
        passed: off_ns <= may_ns + call_ns && off_ns >= -may_ns - clock.ends_ns,
        note: notes.join(", "),
    }
}

/// The report's own comparison with the kernel's counters: how many of them agree.
fn counters(report: &Report) -> Check {
    let compared = || report.counters.iter().filter_map(|c| Some((c, c.agrees?)));
    let differing: Vec<String> =
        compared().filter(|(_, agrees)| !agrees).map(|(counter, _)| counter.to_string()).collect();
    let all = compared().count() as u64;
    Check { note: differing.join(", "), ..count(COUNTERS, all - differing.len() as u64, all) }
}
