//! The breakdown: a line per hop or group, and the sums below.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
};

use super::{
    super::{
        columns::{COLUMNS, Width, fit},
        palette::{self, Role},
        rows::Row,
        state::{Panel, State},
    },
    frame, right, text, width, window,
};
use crate::{
    snapshot::PathReport,
    units::{bar, micros, percent},
};

/// Lines beside the rows: title, heads, total, what is unattributed.
pub(super) const FRAME: u16 = 4;

pub(super) fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let Some(path) = state.path() else { return };
    let rows = state.rows();
    let sums = if area.height >= 7 { 2 } else { u16::from(area.height >= 4) };
    let height = usize::from(area.height.saturating_sub(2 + sums));
    let cursor = state.cursor(&rows);
    let shown = window(rows.len(), cursor, height);
    let units = if shown.len() < rows.len() {
        format!("{}–{} of {}, times in µs", shown.start + 1, shown.end, rows.len())
    } else {
        "times in µs".to_owned()
    };
    let inner = frame(state, Panel::Breakdown, Some(&title(state)), &units, area, buffer);
    if inner.height == 0 {
        return;
    }
    let need = |of: fn(&Row) -> u16| rows.iter().map(of).max().unwrap_or(0);
    let columns =
        fit(inner.width, &[need(|r| before(r) + width(&r.what)), need(|r| width(&r.place))]);
    heads(state, &columns, inner, buffer);
    let longest = rows.iter().map(Row::share).fold(0.0, f64::max);
    for (i, row) in rows[shown.clone()].iter().enumerate() {
        let at = shown.start + i == cursor;
        let y = inner.y + 1 + u16::try_from(i).unwrap_or(0);
        line(row, at, longest, &columns, inner, y, buffer);
    }
    let y = inner.y + 1 + u16::try_from(shown.len()).unwrap_or(0);
    if rows.is_empty() {
        text(buffer, inner.x + 2, y, inner.width, "no hop has these letters", Role::Dim.style());
    } else if sums > 0 {
        total(path, &columns, inner, y, buffer);
        if sums > 1 {
            let y = y + 1;
            text(buffer, inner.x + 2, y, inner.width - 2, &remarks(path), Role::Dim.style());
        }
    }
}

fn title(state: &State) -> String {
    let mut title = "breakdown".to_owned();
    if state.folding.grouped {
        title += " by group";
    }
    if let Some(column) = state.sort {
        title += &format!(", by {}", COLUMNS[column].title);
    }
    if !state.folding.filter.is_empty() {
        title += &format!(", with “{}”", state.folding.filter);
    }
    title
}

fn heads(state: &State, columns: &[(usize, u16)], inner: Rect, buffer: &mut Buffer) {
    let mut x = inner.x;
    for (i, w) in columns {
        let column = &COLUMNS[*i];
        let sorted = state.sort == Some(*i);
        let title = if sorted { format!("{}▾", column.title) } else { column.title.to_owned() };
        let mut style = Role::Dim.style();
        if sorted {
            style = style.add_modifier(Modifier::BOLD);
        }
        match column.width {
            Width::Text(..) => {
                let indent = if *i == 0 { 4 } else { 0 };
                text(buffer, x + indent, inner.y, w.saturating_sub(indent), &title, style);
            }
            Width::Figure(_) | Width::Rest(_) => right(buffer, x, inner.y, *w, &title, style),
        }
        x += w + 1;
    }
}

/// A row: cursor, group's colour, waiting or not, name; then its cells.
fn line(
    row: &Row,
    at: bool,
    longest: f64,
    columns: &[(usize, u16)],
    inner: Rect,
    y: u16,
    buffer: &mut Buffer,
) {
    let base = if at { Role::Cursor.style() } else { Role::Text.style() };
    let mut x = inner.x;
    for (i, w) in columns {
        let column = &COLUMNS[*i];
        let cell = (column.cell)(row);
        match column.width {
            Width::Text(..) if *i == 0 => {
                if at {
                    text(buffer, x, y, 1, "▸", Role::Focus.style());
                }
                let indent = if row.inner { 2 } else { 0 };
                let (mark, style) = mark(row);
                text(buffer, x + 2 + indent, y, 1, mark, style);
                let style = if at { base.add_modifier(Modifier::UNDERLINED) } else { base };
                let name = before(row);
                if let Some(fold) = fold(row) {
                    text(buffer, x + name - 2, y, 1, fold, Role::Dim.style());
                }
                text(buffer, x + name, y, w.saturating_sub(name), &cell, style);
            }
            Width::Text(..) => {
                text(buffer, x, y, *w, &cell, if at { base } else { Role::Dim.style() });
            }
            Width::Figure(_) => right(buffer, x, y, *w, &cell, base),
            Width::Rest(_) => bars(row, longest, x, y, *w, buffer),
        }
        x += w + 1;
    }
}

/// Columns before a row's name: cursor, group's colour or waiting, whether it unfolds.
fn before(row: &Row) -> u16 {
    4 + if row.inner || row.unfolded.is_some() { 2 } else { 0 }
}

/// Whether there is more inside a row.
fn fold(row: &Row) -> Option<&'static str> {
    row.unfolded.map(|unfolded| if unfolded { "−" } else { "+" })
}

/// The group's colour; waiting is light.
fn mark(row: &Row) -> (&'static str, Style) {
    let style = palette::group(&row.group);
    if row.is_wait() { ("░", Role::Wait.style()) } else { ("▌", style) }
}

/// The share as a bar, scaled to the longest: work first, then waiting.
fn bars(row: &Row, longest: f64, x: u16, y: u16, w: u16, buffer: &mut Buffer) {
    if longest <= 0.0 {
        return;
    }
    let cells = usize::from(w);
    let work = bar(row.work / longest, cells, false);
    let end = text(buffer, x, y, w, &work, palette::group(&row.group));
    let left = w.saturating_sub(end - x);
    let wait = bar(row.wait / longest, cells, true);
    text(buffer, end, y, left, &wait, Role::Wait.style());
}

fn total(path: &PathReport, columns: &[(usize, u16)], inner: Rect, y: u16, buffer: &mut Buffer) {
    let style = Role::Title.style();
    let mut x = inner.x;
    let as_row = Row {
        id: super::super::rows::RowId::Group(String::new()),
        hop: None,
        what: "total".to_owned(),
        place: String::new(),
        group: String::new(),
        work: 1.0,
        wait: 0.0,
        count: path.packets,
        mean_ns: path.total.mean_ns,
        times: Some(path.total),
        inner: false,
        unfolded: None,
    };
    for (i, w) in columns {
        let column = &COLUMNS[*i];
        let cell = (column.cell)(&as_row);
        match column.width {
            Width::Text(..) => {
                let indent = if *i == 0 { 4 } else { 0 };
                text(buffer, x + indent, y, w.saturating_sub(indent), &cell, style);
            }
            Width::Figure(_) => right(buffer, x, y, *w, &cell, style),
            Width::Rest(_) => {}
        }
        x += w + 1;
    }
}

/// What the total is made of, and what netpath itself adds to it.
fn remarks(path: &PathReport) -> String {
    let wait: f64 =
        path.hops.iter().filter(|h| h.kind == "wait").map(|h| h.share * path.total.mean_ns).sum();
    let total = path.total.mean_ns;
    let work = total - wait - path.unattributed_ns;
    let share = if total > 0.0 { path.unattributed_ns / total } else { 0.0 };
    let mut line =
        format!("mean {} = work {} + waiting {}", micros(total), micros(work), micros(wait));
    if path.unattributed_ns > 0.0 {
        line += &format!(" + unattributed {} ({})", micros(path.unattributed_ns), percent(share));
    }
    if path.compensated.mean_ns > 0.0 {
        let c = &path.compensated;
        line += &format!("; without netpath {} ± {}", micros(c.mean_ns), micros(c.uncertainty_ns));
    }
    line
}
