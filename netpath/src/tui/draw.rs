//! The screen: which panels stand where, and what they share.
//!
//! In: the state. Out: cells. Panels draw in full colour and Unicode, see [`super::look`].

mod breakdown;
mod chart;
mod flows;
mod header;
mod help;
mod history;
mod hop;
mod lists;
mod map;
mod packets;

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
};

use super::{
    palette::Role,
    state::{PANELS, Panel, State},
};

/// From this many columns on there is a second column of panels.
const WIDE: u16 = 116;
/// Lines of the single packets, three each and a title.
const PACKETS: u16 = 10;
/// Less than this can't be drawn on.
const LEAST: (u16, u16) = (30, 8);

/// Draws everything.
pub(crate) fn screen(state: &State, area: Rect, buffer: &mut Buffer) {
    if area.width < LEAST.0 || area.height < LEAST.1 {
        text(buffer, area.x, area.y, area.width, "too small", Role::Dim.style());
        return;
    }
    let (head, rest) = cut(area, 1);
    header::draw(state, head, buffer);
    let (rest, foot) = cut(rest, rest.height - 1);
    header::footer(state, foot, buffer);
    if state.path().is_none() {
        waiting(state, rest, buffer);
    } else if state.zoom && area.height < 20 {
        panel(state, state.focus, rest, buffer);
    } else {
        let (top, body) = cut(rest, map::HEIGHT.min(rest.height / 2));
        map::draw(state, top, buffer);
        if state.zoom {
            panel(state, state.focus, body, buffer);
        } else if area.width < WIDE {
            narrow(state, body, buffer);
        } else {
            wide(state, body, buffer);
        }
    }
    if state.help {
        help::draw(state.help_from, area, buffer);
    }
}

/// The breakdown, and one panel below it: the focused one.
fn narrow(state: &State, body: Rect, buffer: &mut Buffer) {
    let below = if state.focus == Panel::Breakdown { Panel::Hop } else { state.focus };
    let height = (body.height * 2 / 5).clamp(0, 12);
    let (top, bottom) = cut(body, body.height - if height < 4 { 0 } else { height });
    panel(state, Panel::Breakdown, top, buffer);
    if bottom.height > 0 {
        panel(state, below, bottom, buffer);
    }
}

/// The breakdown at the left with the flows below it, everything else at the right.
fn wide(state: &State, body: Rect, buffer: &mut Buffer) {
    let left_width = (body.width * 3 / 5).max(60);
    let left = Rect { width: left_width, ..body };
    let right = Rect { x: body.x + left_width + 2, width: body.width - left_width - 2, ..body };

    let rows = u16::try_from(state.rows().len()).unwrap_or(u16::MAX);
    let wanted = rows.saturating_add(breakdown::FRAME);
    let spare = left.height.saturating_sub(wanted);
    let packets = if state.len(Panel::Packets) > 0 && spare >= PACKETS + 6 { PACKETS } else { 0 };
    let flows = if state.len(Panel::Flows) > 0 && spare >= 5 { spare - packets } else { 0 };
    let (top, below) = cut(left, left.height - flows - packets);
    panel(state, Panel::Breakdown, top, buffer);
    let (middle, bottom) = cut(below, packets);
    panel(state, Panel::Packets, middle, buffer);
    panel(state, Panel::Flows, bottom, buffer);

    // What the right side has beside the hop: its least height, and how much it can use.
    let lines = |panel| u16::try_from(state.len(panel)).unwrap_or(u16::MAX);
    let mut stack = vec![(Panel::Hop, 9_u16, 20_u16), (Panel::History, 5, 10)];
    for (which, least, most) in [
        (Panel::Findings, 3, lines(Panel::Findings).saturating_mul(2).saturating_add(1)),
        (Panel::Trips, 3, lines(Panel::Trips).saturating_mul(2).saturating_add(1)),
        (Panel::Packets, 8, PACKETS),
        (Panel::Drops, 3, lines(Panel::Drops).saturating_add(1)),
    ] {
        if state.len(which) > 0 && !(which == Panel::Packets && packets > 0) {
            stack.push((which, least, most));
        }
    }
    // What has the keys is always there.
    let at_left = match state.focus {
        Panel::Breakdown => true,
        Panel::Flows => flows > 0,
        Panel::Packets => packets > 0,
        _ => false,
    };
    if !at_left && !stack.iter().any(|s| s.0 == state.focus) {
        stack.insert(1, (state.focus, 6, 30));
    }
    while stack.iter().map(|s| s.1).sum::<u16>() > right.height && stack.len() > 1 {
        let last = stack.iter().rposition(|s| s.0 != state.focus).unwrap_or(0);
        stack.remove(last);
    }
    let mut left_over = right.height.saturating_sub(stack.iter().map(|s| s.1).sum());
    let mut free = right;
    let last = stack.len() - 1;
    for (i, (which, least, most)) in stack.into_iter().enumerate() {
        let wanted = left_over.min(most.saturating_sub(least)).min(left_over / 2 + 1);
        let more = if i == last { left_over } else { wanted };
        left_over -= more;
        let (here, after) = cut(free, (least + more).min(free.height));
        panel(state, which, here, buffer);
        free = after;
    }
}

/// Draws a panel.
fn panel(state: &State, which: Panel, area: Rect, buffer: &mut Buffer) {
    if area.height < 2 {
        return;
    }
    match which {
        Panel::Breakdown => breakdown::draw(state, area, buffer),
        Panel::Hop => hop::draw(state, area, buffer),
        Panel::History => history::draw(state, area, buffer),
        Panel::Packets => packets::draw(state, area, buffer),
        Panel::Flows => flows::draw(state, area, buffer),
        Panel::Trips => lists::trips(state, area, buffer),
        Panel::Findings => lists::findings(state, area, buffer),
        Panel::Drops => lists::drops(state, area, buffer),
    }
}

/// Nothing has been seen yet: says so, and what to check.
fn waiting(state: &State, area: Rect, buffer: &mut Buffer) {
    let middle = area.y + area.height / 3;
    let (title, notes) = match state.snapshot() {
        None => ("attaching".to_owned(), Vec::new()),
        Some(s) if s.packets.seen == 0 => {
            let title = format!("no packets on {} yet", s.what());
            let hint = "is there traffic, and does it pass this interface? `netpath topo` shows \
                        the path that is watched";
            (title, std::iter::once(hint.to_owned()).chain(s.notes.clone()).collect())
        }
        Some(s) => {
            let seen = "packets are seen, but none has got through yet".to_owned();
            (seen, s.notes.clone())
        }
    };
    centred(buffer, area, middle, &title, Role::Title.style());
    let mut y = middle + 2;
    for note in notes {
        for line in wrap(&note, usize::from(area.width.saturating_sub(8))) {
            if y < area.bottom() {
                centred(buffer, area, y, &line, Role::Dim.style());
            }
            y += 1;
        }
    }
}

fn centred(buffer: &mut Buffer, area: Rect, y: u16, line: &str, style: Style) {
    let width = width(line);
    let x = area.x + area.width.saturating_sub(width) / 2;
    text(buffer, x, y, area.width.min(width), line, style);
}

/// A panel's title line; what is left is its inside.
fn frame(
    state: &State,
    which: Panel,
    title: Option<&str>,
    right: &str,
    area: Rect,
    buffer: &mut Buffer,
) -> Rect {
    let focused = state.focus == which;
    let title = title.unwrap_or(PANELS[which as usize].1);
    rule(buffer, area, title, right, focused);
    Rect { x: area.x + 1, y: area.y + 1, width: area.width - 1, height: area.height - 1 }
}

/// A line with a title in it, and something at its right end.
fn rule(buffer: &mut Buffer, area: Rect, title: &str, right: &str, focused: bool) {
    let line = if focused { "━" } else { "─" };
    let style = if focused { Role::Focus.style() } else { Role::Dim.style() };
    let style_line = style.remove_modifier(Modifier::BOLD);
    for x in area.x..area.right() {
        buffer[(x, area.y)].set_symbol(line).set_style(style_line);
    }
    let mark = if focused { "▸" } else { " " };
    let title = if title.is_empty() { String::new() } else { format!("{mark}{title} ") };
    let style = if focused { Role::Focus.style() } else { Role::Title.style() };
    let end = text(buffer, area.x + 1, area.y, area.width.saturating_sub(2), &title, style);
    let right = format!(" {right} ");
    if right.trim().is_empty() {
        return;
    }
    let size = width(&right);
    if end + size + 2 < area.right() {
        text(buffer, area.right() - size - 1, area.y, size, &right, Role::Dim.style());
    }
}

/// Writes at most `width` columns; the column after what was written.
fn text(buffer: &mut Buffer, x: u16, y: u16, width: u16, text: &str, style: Style) -> u16 {
    if y >= buffer.area.bottom() || x >= buffer.area.right() {
        return x;
    }
    let shown = ellipsis(text, usize::from(width));
    buffer.set_stringn(x, y, &shown, usize::from(width), style).0
}

/// Writes at the right end of `width` columns.
fn right(buffer: &mut Buffer, x: u16, y: u16, width: u16, what: &str, style: Style) {
    let size = self::width(what).min(width);
    text(buffer, x + width - size, y, size, what, style);
}

/// Columns that a text takes.
fn width(text: &str) -> u16 {
    u16::try_from(ratatui::text::Span::raw(text).width()).unwrap_or(u16::MAX)
}

/// The text, or its beginning and `…`.
fn ellipsis(text: &str, width: usize) -> String {
    if usize::from(self::width(text)) <= width {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(width.saturating_sub(1)).collect();
    out.push('…');
    out
}

/// Breaks a text between words.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The upper `height` lines, and the rest.
fn cut(area: Rect, height: u16) -> (Rect, Rect) {
    let height = height.min(area.height);
    let upper = Rect { height, ..area };
    (upper, Rect { y: area.y + height, height: area.height - height, ..area })
}

/// Which part of a list to show so that its cursor is in sight.
fn window(len: usize, cursor: usize, height: usize) -> std::ops::Range<usize> {
    let first = (cursor + 1).saturating_sub(height).min(len.saturating_sub(height.min(len)));
    first..(first + height).min(len)
}
