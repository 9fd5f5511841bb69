//! Flows: those with the most packets, and the slowest.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    super::{
        palette::Role,
        state::{FLOW_ORDERS, Panel, State},
    },
    frame, right, text, window,
};
use crate::{
    ledger::Direction,
    snapshot::FlowReport,
    units::{count, micros},
};

/// Columns of the figures at the right.
const PACKETS: u16 = 11;
const TIME: u16 = 7;

pub(super) fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let Some(snapshot) = state.snapshot() else { return };
    let (title, figure) = FLOW_ORDERS[state.flow_order];
    let filter = state.folding.filter.to_lowercase();
    let line = |f: &FlowReport| {
        let after = f.flow.after.as_ref().map_or_else(String::new, |a| format!("  ⇒  {a}"));
        format!("{}{after}", f.flow.before)
    };
    let mut flows: Vec<(&FlowReport, String)> =
        snapshot.flows.iter().map(|f| (f, line(f))).collect();
    let all = flows.len();
    flows.retain(|(_, line)| filter.is_empty() || line.to_lowercase().contains(&filter));
    flows.sort_by(|a, b| figure(b.0).total_cmp(&figure(a.0)).then_with(|| a.1.cmp(&b.1)));
    let head = if filter.is_empty() {
        format!("flows by {title}")
    } else {
        format!("flows by {title}, {} of {all}", flows.len())
    };
    let inner = frame(state, Panel::Flows, Some(&head), "mean and max in µs", area, buffer);
    let figures = PACKETS + 2 * TIME + 3;
    let room = inner.width.saturating_sub(figures + 6);
    let heads = ["packets", "mean", "max"];
    cells(&heads.map(str::to_owned), inner, inner.y, Role::Dim.style(), buffer);
    let height = usize::from(inner.height.saturating_sub(1));
    let cursor = state.line(Panel::Flows, flows.len());
    let focused = state.focus == Panel::Flows;
    let shown = window(flows.len(), cursor, height);
    for (i, (flow, line)) in flows[shown.clone()].iter().enumerate() {
        let y = inner.y + 1 + u16::try_from(i).unwrap_or(0);
        let at = focused && shown.start + i == cursor;
        let style = if at { Role::Cursor.style() } else { Role::Text.style() };
        if at {
            text(buffer, inner.x, y, 1, "▸", Role::Focus.style());
        }
        let out = flow.direction == Direction::Outbound.key();
        text(buffer, inner.x + 2, y, 3, if out { "out" } else { "in" }, Role::Dim.style());
        text(buffer, inner.x + 6, y, room, line, style);
        let figures = [count(flow.packets), micros(flow.mean_ns), micros(flow.max_ns as f64)];
        cells(&figures, inner, y, style, buffer);
    }
}

fn cells(
    figures: &[String; 3],
    inner: Rect,
    y: u16,
    style: ratatui::style::Style,
    buffer: &mut Buffer,
) {
    let mut x = inner.right().saturating_sub(PACKETS + 2 * TIME + 3);
    for (figure, width) in figures.iter().zip([PACKETS, TIME, TIME]) {
        right(buffer, x, y, width, figure, style);
        x += width + 1;
    }
}
