//! Tables of the part `scale`: each ends with how far the cost is linear, or even.

use std::fmt::Write as _;

use super::{Report, table};
use crate::scale::{Line, Row, Scale, Series, Soak, unevenness};

impl Report {
    pub(crate) fn scale_table(&self) -> String {
        let mut out = String::new();
        let Some(scale) = &self.scale else { return out };
        for series in &scale.user_side {
            user_side(&mut out, series);
        }
        if !scale.hops.is_empty() {
            live(&mut out, "hops", &scale.hops, |row| row.hops.to_string());
            line(&mut out, scale.hops.iter().map(|r| (r.hops as f64, r.user_ns_per_packet)));
        }
        if !scale.flows.is_empty() {
            live(&mut out, "flows", &scale.flows, |row| row.flows.to_string());
            even(&mut out, scale.flows.iter().map(|r| r.user_ns_per_packet));
        }
        if !scale.rates.is_empty() {
            live(&mut out, "packets a second", &scale.rates, |row| {
                format!("{:.0}", row.packets_per_second)
            });
        }
        if let Some(soak) = &scale.soak {
            self::soak(&mut out, soak);
        }
        start(&mut out, scale);
        out
    }
}

fn user_side(out: &mut String, series: &Series) {
    let _ = writeln!(out, "### User side, against {}\n", series.against);
    table(
        out,
        &["hops", "flows", "paths", "events a packet", "ns a packet", "spread", "heap, MiB"],
    );
    for row in &series.rows {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {:.1} | {:.0} | {:.0}–{:.0} | {:.1} |",
            row.hops,
            row.flows,
            row.paths,
            row.events_per_packet,
            row.ns_per_packet.median,
            row.ns_per_packet.low,
            row.ns_per_packet.high,
            mib(row.heap_bytes as u64),
        );
    }
    let cost = series.rows.iter().map(|r| r.ns_per_packet.median);
    if series.against == "hops" {
        line(out, series.rows.iter().map(|r| r.hops as f64).zip(cost));
    } else {
        even(out, cost);
    }
}

fn live(out: &mut String, against: &str, rows: &[Row], value: impl Fn(&Row) -> String) {
    let _ = writeln!(out, "### Live, against {against}\n");
    let heads =
        [against, "packets", "user ns a packet", "kernel ns a packet", "peak memory, MiB", "lost"];
    table(out, &heads);
    for row in rows {
        let _ = writeln!(
            out,
            "| {} | {} | {:.0} | {:.0} | {:.1} | {} |",
            value(row),
            row.packets,
            row.user_ns_per_packet,
            row.kernel_ns_per_packet,
            mib(row.peak_bytes),
            row.lost,
        );
    }
    out.push('\n');
}

fn line(out: &mut String, points: impl Iterator<Item = (f64, f64)>) {
    let line = Line::of(&points.collect::<Vec<_>>());
    let _ = writeln!(
        out,
        "the best line: {:.0} ns and {:.1} ns a hop (R² {:.3}); no point lies further from it than \
         {:.0} %\n",
        line.base,
        line.each,
        line.r_squared,
        line.farthest * 100.0
    );
}

fn even(out: &mut String, costs: impl Iterator<Item = f64> + Clone) {
    let above = unevenness(costs) * 100.0;
    let _ = writeln!(out, "the dearest is {above:.0} % above the cheapest\n");
}

fn soak(out: &mut String, soak: &Soak) {
    let _ = writeln!(
        out,
        "### Memory over time: {:.0} packets a second of {} flows, {} events lost\n",
        soak.row.packets_per_second, soak.row.flows, soak.row.lost
    );
    table(out, &["seconds", "packets", "resident, MiB"]);
    for sample in &soak.samples {
        let _ = writeln!(
            out,
            "| {:.0} | {} | {:.1} |",
            sample.seconds,
            sample.packets,
            mib(sample.resident_bytes)
        );
    }
    // Once every flow has been met.
    let half = &soak.samples[soak.samples.len() / 2..];
    if let (Some(first), Some(last)) = (half.first(), half.last()) {
        let grown = mib(last.resident_bytes) - mib(first.resident_bytes);
        let _ = writeln!(out, "\ngrown in the second half: {grown:.2} MiB\n");
    }
}

fn start(out: &mut String, scale: &Scale) {
    let _ = writeln!(
        out,
        "start to first packet and end: {:.0} ms; binary: {:.1} MiB",
        scale.start_ms,
        mib(scale.binary_bytes)
    );
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
