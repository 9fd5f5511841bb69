//! Findings, round trips and drops: a line or two each, and the whole of it with the panel zoomed.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    super::{
        palette::{self, Role},
        state::{Panel, State},
    },
    frame, right, text, window, wrap,
};
use crate::{
    report::words,
    snapshot::TransactionPart,
    units::{count, micros, percent},
};

pub(super) fn findings(state: &State, area: Rect, buffer: &mut Buffer) {
    let Some(snapshot) = state.snapshot() else { return };
    let inner = frame(state, Panel::Findings, None, "", area, buffer);
    let all = words::findings(snapshot);
    let cursor = state.line(Panel::Findings, all.len());
    let focused = state.focus == Panel::Findings;
    let whole = focused && state.zoom;
    let mut y = inner.y;
    for (i, finding) in all.iter().enumerate().skip(if whole { cursor } else { 0 }) {
        if y >= inner.bottom() {
            return;
        }
        let at = focused && i == cursor;
        if at {
            text(buffer, inner.x, y, 1, "▸", Role::Focus.style());
        }
        let style = if at { Role::Cursor.style() } else { Role::Text.style() };
        let cost = finding.price();
        right(buffer, inner.x + 2, y, 8, &cost, style);
        text(buffer, inner.x + 11, y, 1, "▌", palette::group(&finding.group));
        let room = inner.width.saturating_sub(14);
        text(buffer, inner.x + 13, y, room, &finding.title, style);
        y += 1;
        let advice = if whole {
            wrap(&finding.advice, usize::from(room))
        } else {
            vec![finding.advice.clone()]
        };
        for line in &advice {
            if y >= inner.bottom() {
                return;
            }
            text(buffer, inner.x + 13, y, room, line, Role::Dim.style());
            y += 1;
        }
        if whole && at {
            y += 1;
            for (what, value) in &finding.evidence {
                let (what, value) = words::evidence(what, value);
                text(
                    buffer,
                    inner.x + 13,
                    y,
                    room,
                    &format!("{what}: {value}"),
                    Role::Text.style(),
                );
                y += 1;
            }
            let share =
                format!("{} of the mean packet on {}", percent(finding.share), finding.path);
            text(buffer, inner.x + 13, y, room, &share, Role::Text.style());
            text(buffer, inner.x + 13, y + 1, room, &finding.link, Role::Dim.style());
            y += 3;
        }
    }
}

pub(super) fn trips(state: &State, area: Rect, buffer: &mut Buffer) {
    let Some(snapshot) = state.snapshot() else { return };
    let inner = frame(state, Panel::Trips, None, "times in µs", area, buffer);
    let all = &snapshot.transactions;
    let cursor = state.line(Panel::Trips, all.len());
    let focused = state.focus == Panel::Trips;
    let each =
        if focused && state.zoom { usize::MAX } else { usize::from(inner.height / 2).max(1) };
    let shown = window(all.len(), cursor, each.min(all.len().max(1)));
    let mut y = inner.y;
    for (i, trip) in all[shown.clone()].iter().enumerate() {
        let at = focused && shown.start + i == cursor;
        if at && y < inner.bottom() {
            text(buffer, inner.x, y, 1, "▸", Role::Focus.style());
        }
        let p = |ns: u64| micros(ns as f64);
        let t = &trip.total;
        let figures = format!("{}  p50 {}  p99 {}", count(trip.count), p(t.p50_ns), p(t.p99_ns));
        let style = if at { Role::Cursor.style() } else { Role::Text.style() };
        let size = super::width(&figures);
        let room = inner.width.saturating_sub(size + 4);
        // The protocol first: it is what tells two round trips between the same ends apart.
        let ends = trip.name.strip_suffix(&trip.protocol).unwrap_or(&trip.name).trim_end();
        let what = format!("{} {} {ends}", trip.protocol, trip.kind);
        text(buffer, inner.x + 2, y, room, &what, style);
        right(buffer, inner.x + 2, y, inner.width.saturating_sub(3), &figures, style);
        let parts = |shares: bool| {
            let part = |p: &TransactionPart| {
                let share = if shares { format!(" ({})", percent(p.share)) } else { String::new() };
                format!("{} {}{share}", p.part, micros(p.times.mean_ns))
            };
            let parts: Vec<String> = trip.parts.iter().map(part).collect();
            let mut line = format!("mean {} = {}", micros(t.mean_ns), parts.join(" + "));
            for (n, what) in [(trip.retransmitted, "sent again"), (trip.unanswered, "unanswered")] {
                if n > 0 {
                    line += &format!(" · {} {what}", count(n));
                }
            }
            line
        };
        let room = inner.width.saturating_sub(3);
        let line = Some(parts(true)).filter(|l| super::width(l) <= room);
        let line = line.unwrap_or_else(|| parts(false));
        text(buffer, inner.x + 2, y + 1, room, &line, Role::Dim.style());
        y += 2;
    }
}

pub(super) fn drops(state: &State, area: Rect, buffer: &mut Buffer) {
    let Some(snapshot) = state.snapshot() else { return };
    let total: u64 = snapshot.drops.iter().map(|d| d.count).sum();
    let right_side = words::counted(total, "packet");
    let inner = frame(state, Panel::Drops, None, &right_side, area, buffer);
    let all = &snapshot.drops;
    let cursor = state.line(Panel::Drops, all.len());
    let focused = state.focus == Panel::Drops;
    let shown = window(all.len(), cursor, usize::from(inner.height));
    for (i, drop) in all[shown.clone()].iter().enumerate() {
        let y = inner.y + u16::try_from(i).unwrap_or(0);
        let at = focused && shown.start + i == cursor;
        if at {
            text(buffer, inner.x, y, 1, "▸", Role::Focus.style());
        }
        let style = if at { Role::Cursor.style() } else { Role::Text.style() };
        right(buffer, inner.x + 2, y, 9, &count(drop.count), Role::Bad.style());
        let line = format!("{} at {}: {}", drop.sort_words(), drop.place(), drop.why());
        text(buffer, inner.x + 12, y, inner.width.saturating_sub(12), &line, style);
    }
}
