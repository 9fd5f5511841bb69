//! The hop under the cursor: its distribution and percentiles; with room, what it is.

use netpath_common::hop::{HopId, Kind};
use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    super::{
        palette::Role,
        state::{Panel, State},
    },
    chart, frame, text, width, wrap,
};
use crate::{
    report::words::{self, what},
    snapshot::{Bucket, HopReport, Snapshot, Summary},
    units::{count, micros, percent, time},
};

pub(super) fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let (Some((_, hop)), Some(snapshot)) = (state.hop(), state.snapshot()) else {
        frame(state, Panel::Hop, None, "", area, buffer);
        return;
    };
    let wait = hop.kind == Kind::Wait.key();
    let kind = if wait { "waiting" } else { "work" };
    let title = format!("{} · {}", what(hop), hop.place());
    let right = format!("{kind}, {}", percent(hop.share));
    let inner = frame(state, Panel::Hop, Some(&title), &right, area, buffer);
    if inner.height < 2 {
        return;
    }
    let facts = if inner.height >= 10 { facts(hop, snapshot, inner.width) } else { Vec::new() };
    let room = inner.height - 2;
    let below = u16::try_from(facts.len()).unwrap_or(u16::MAX);
    // The picture needs a few lines more than the words.
    let below = if facts.is_empty() { 0 } else { (below + 1).min(room.saturating_sub(5)) };
    let chart_height = (room - below).min(16);
    let style = if wait { Role::Wait.style() } else { Role::Work.style() };
    let picture = Rect { height: chart_height + 1, width: inner.width - 1, ..inner };
    histogram(&hop.histogram, &hop.times, picture, style, buffer);
    let mut y = inner.y + chart_height + 1;
    let line = percentiles(&hop.times, inner.width);
    text(buffer, inner.x, y, inner.width, &line, Role::Text.style());
    y += 2;
    for (head, body) in facts {
        if y >= inner.bottom() {
            break;
        }
        let x = text(buffer, inner.x, y, 12, &head, Role::Dim.style()).max(inner.x + 12);
        text(buffer, x, y, inner.right() - x, &body, Role::Text.style());
        y += 1;
    }
}

/// The percentiles that fit: the outer ones go last.
fn percentiles(t: &Summary, width: u16) -> String {
    let all = [
        (0, "p50", t.p50_ns),
        (3, "p90", t.p90_ns),
        (1, "p99", t.p99_ns),
        (4, "p99.9", t.p999_ns),
        (2, "max", t.max_ns),
    ];
    let line = |most: u8| {
        let shown = all.iter().filter(|(rank, ..)| *rank <= most);
        let words: Vec<String> =
            shown.map(|(_, what, ns)| format!("{what} {}", micros(*ns as f64))).collect();
        words.join("  ") + " µs"
    };
    let fits = |line: &String| super::width(line) <= width;
    (0..=4).rev().map(line).find(fits).unwrap_or_else(|| line(0))
}

/// What it is, how it is measured, why it costs: a head and a line each.
fn facts(hop: &HopReport, snapshot: &Snapshot, width: u16) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    let mut add = |head: &str, body: &str| {
        for (i, line) in wrap(body, usize::from(width.saturating_sub(13))).into_iter().enumerate() {
            facts.push((if i == 0 { head.to_owned() } else { String::new() }, line));
        }
    };
    if let Some(info) = HopId::from_key(&hop.hop).map(HopId::info) {
        add("what", info.what);
    }
    if let Some(backend) = snapshot.backends.get(&hop.hop) {
        add("measured by", &backend.replace('+', " + "));
    }
    let t = &hop.times;
    add("packets", &count(hop.count));
    add("mean", &format!("{}, standard deviation {}", time(t.mean_ns), time(t.stddev_ns)));
    for (cause, value) in &hop.causes {
        let (name, value) = words::evidence(cause, value);
        add(&name, &value);
    }
    facts
}

/// The distribution over a logarithmic axis, up to p99.9; what lies beyond is counted at its end.
fn histogram(
    buckets: &[Bucket],
    times: &Summary,
    area: Rect,
    style: ratatui::style::Style,
    buffer: &mut Buffer,
) {
    let (Some(first), true) = (buckets.first(), area.height >= 2 && area.width >= 10) else {
        return;
    };
    let low = first.begin_ns().max(1.0);
    let high = buckets
        .iter()
        .map(|b| b.upto_ns)
        .find(|upto| *upto >= times.p999_ns)
        .unwrap_or(first.upto_ns)
        .max(first.upto_ns + 1) as f64;
    let scale = f64::from(area.width) / (high / low).ln().max(1e-9);
    let at = |ns: f64| (ns.max(low) / low).ln() * scale;
    let mut columns = vec![0.0; usize::from(area.width)];
    for bucket in buckets.iter().filter(|b| b.upto_ns as f64 <= high) {
        spread(&mut columns, at(bucket.begin_ns()), at(bucket.upto_ns as f64), bucket.count as f64);
    }
    let most = columns.iter().copied().fold(0.0, f64::max);
    let heights: Vec<f64> = columns.iter().map(|c| c / most.max(1e-9)).collect();
    let (picture, axis) = super::cut(area, area.height - 1);
    chart::columns(&heights, picture, style, buffer);
    for x in axis.x..axis.right() {
        buffer[(x, axis.y)].set_symbol("─").set_style(Role::Dim.style());
    }
    let mut free = axis.x;
    for tick in chart::ticks(low, high) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in the area")]
        let x = axis.x + (at(tick).max(0.0) as u16).min(axis.width - 1);
        let label = micros(tick);
        let label = label.trim_end_matches('0').trim_end_matches('.');
        let label = if micros(tick).contains('.') { label.to_owned() } else { micros(tick) };
        let size = width(&label);
        if x >= free && x + size < axis.right() {
            text(buffer, x, axis.y, size, &label, Role::Dim.style());
            free = x + size + 2;
        }
    }
    let beyond: u64 = buckets.iter().filter(|b| b.upto_ns as f64 > high).map(|b| b.count).sum();
    if beyond > 0 && area.height > 2 {
        let note = format!("{} beyond ▸", count(beyond));
        super::right(buffer, area.x, area.y, area.width, &note, Role::Dim.style());
    }
}

/// Adds a count to the columns between two positions, in proportion.
fn spread(columns: &mut [f64], from: f64, to: f64, count: f64) {
    let width = (to - from).max(1e-9);
    for (i, column) in columns.iter_mut().enumerate() {
        let (left, right) = (i as f64, i as f64 + 1.0);
        let part = right.min(to) - left.max(from);
        if part > 0.0 {
            *column += count * part / width;
        }
    }
}
