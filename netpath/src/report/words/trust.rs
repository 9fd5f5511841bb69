//! What a reader needs to judge the figures, as names and values.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{counted, counters, dropped, set_aside};
use crate::{
    snapshot::{LateReport, Snapshot},
    units::{count, percent, time},
};

/// What a reader needs to judge the figures: name and value, empty ones left out.
#[expect(clippy::too_many_lines, reason = "a list of rows")]
pub(crate) fn trust(s: &Snapshot) -> Vec<(&'static str, String)> {
    let p = &s.packets;
    let mut rows = vec![
        (
            "coverage",
            format!(
                "{} seen, {} recorded: {} complete ({}{}), {}, {} incomplete{}, {} vanished{}",
                count(p.seen),
                count(p.sampled),
                count(p.complete),
                complete(s),
                match p.merged {
                    0 => String::new(),
                    n => format!("; {} of them merged into another (GRO, fragments)", count(n)),
                },
                dropped(p),
                count(p.incomplete),
                incomplete_why(s),
                count(p.vanished),
                match p.ambiguous {
                    0 => String::new(),
                    n => format!(", {} ambiguous", count(n)),
                },
            ),
        ),
        ("lost", lost(s)),
    ];
    let aside: Vec<String> =
        s.accounting.each().map(|(n, what)| format!("{} {what}", count(n))).collect();
    if !aside.is_empty() {
        rows.push(("set aside", format!("{}; in no other figure", aside.join(", "))));
    }
    if p.negative > 0 {
        let words = format!("{} between CPUs, counted as they are", count(p.negative));
        rows.push(("negative times", words));
    }
    if let Some(late) = &s.late {
        rows.push(("late", self::late(late)));
    }
    let cost = s.probe_cost_ns;
    let probe = if cost.mean > 0.0 {
        format!("{:.0} ± {:.0} ns for each recorded event", cost.mean, cost.stddev)
    } else {
        "not measured: times hold what recording costs".to_owned()
    };
    rows.push(("probe cost", probe));
    let own = s.own_cost;
    if own.kernel_cpus + own.user_cpus > 0.0 {
        let words = format!(
            "{} of a CPU in the kernel, {} in the process",
            percent(own.kernel_cpus),
            percent(own.user_cpus)
        );
        rows.push(("netpath's load", words));
    }
    rows.push((
        "backends",
        format!(
            "{} ({} of {} hops)",
            backends(s).join(", "),
            s.backends.len(),
            s.backends.len() + s.absent.len()
        ),
    ));
    rows.extend(
        absent(s)
            .into_iter()
            .map(|(why, hops)| ("not measured", format!("{} ({why})", hops.join(", ")))),
    );
    for drop in &s.drops {
        let mut words =
            format!("{} at {}: {}", counted(drop.count, "packet"), drop.place(), drop.why());
        if let Some(example) = drop.such_as() {
            let _ = write!(words, "; for example {example}");
        }
        rows.push((if drop.sort == "refused" { "refused" } else { "lost packets" }, words));
    }
    let aside = set_aside(p);
    if !aside.is_empty() {
        rows.push(("no loss", format!("thrown away by the kernel, and missed by nobody: {aside}")));
    }
    rows.extend(counters::sentence(s).map(|words| (counters::NAME, words)));
    let h = &s.host;
    rows.push((
        "machine",
        format!(
            "Linux {}, {} × {}, governor {}, clock {}",
            h.kernel, h.cpus, h.cpu, h.governor, h.clocksource
        ),
    ));
    if !h.mitigations.is_empty() {
        let all: Vec<String> = h.mitigations.iter().map(|(k, v)| format!("{k}: {v}")).collect();
        rows.push(("mitigations", all.join("; ")));
    }
    rows.push((
        "figures",
        "means are exact; percentiles have two digits; the rows of a path and what is \
         unattributed sum to its total"
            .to_owned(),
    ));
    rows.extend(s.notes.iter().map(|note| ("note", note.clone())));
    rows.push(("made by", format!("netpath {}, {}", s.version, s.started)));
    rows
}

/// Packets beside the sample.
fn late(late: &LateReport) -> String {
    let mut out = format!(
        "{} had taken longer than {} where a device took them up (by then 99 % of those drawn have come to \
         their last device); {} through this interface recorded from there on, in no figure above",
        counted(late.found, "packet"),
        time(late.after_ns as f64),
        count(late.recorded),
    );
    if let Some(slowest) = late.slowest.first() {
        let _ = write!(
            out,
            ". The slowest took {}, {} of it before it came to {}/{}: {}",
            time(slowest.total_ns as f64),
            time(slowest.before_ns as f64),
            slowest.at.netns,
            slowest.at.dev,
            slowest.flow.before,
        );
    }
    out
}

/// Which share of the packets was followed to the end: 100 % only where none was lost sight of.
pub(crate) fn complete(s: &Snapshot) -> String {
    let share = s.complete_share();
    if share < 0.995 || s.packets.incomplete + s.packets.vanished == 0 {
        return percent(share);
    }
    format!("{:.1} %", (share * 1000.0).floor() / 10.0)
}

/// Why packets are incomplete, in parentheses.
fn incomplete_why(s: &Snapshot) -> String {
    let why = s.packets.incomplete_why.each().into_iter().filter(|(n, _)| *n > 0);
    let why: Vec<String> = why.map(|(n, what)| format!("{}: {what}", count(n))).collect();
    if why.is_empty() { String::new() } else { format!(" ({})", why.join(", ")) }
}

/// Events lost, and where.
fn lost(s: &Snapshot) -> String {
    let mut out = counted(s.lost_events, "event");
    if s.lost_events > 0 {
        let by: Vec<String> =
            s.lost_by_point.iter().map(|(point, n)| format!("{point} {}", count(*n))).collect();
        let _ = write!(out, " ({})", by.join(", "));
    }
    out
}

/// The backends in use.
fn backends(s: &Snapshot) -> Vec<&str> {
    let mut used: Vec<&str> = s.backends.values().flat_map(|b| b.split('+')).collect();
    used.sort_unstable();
    used.dedup();
    used
}

/// Hops that are not measured, by the reason.
fn absent(s: &Snapshot) -> BTreeMap<&str, Vec<&str>> {
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (hop, why) in &s.absent {
        by_reason.entry(why).or_default().push(hop);
    }
    by_reason
}
