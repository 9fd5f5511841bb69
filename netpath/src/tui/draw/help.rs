//! Help, over everything else: keys, columns and glyphs, each from its table.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    super::{columns::COLUMNS, keys::KEYS, palette::Role},
    rule, text, width,
};

/// What glyphs mean.
const GLYPHS: &[(&str, &str)] = &[
    ("█ ▌", "work: a CPU worked on the packet; the colour is the cost group"),
    ("░", "waiting: the packet sat in a queue"),
    ("─▶", "on the same CPU, one after the other"),
    ("┄▷", "through a queue"),
    ("‥▶", "past hops that did not fit on the picture"),
    ("▓ ▒", "in a single packet: the hop under the cursor"),
];

/// Columns of keys and titles.
const HEAD: u16 = 11;

pub(super) fn draw(area: Rect, buffer: &mut Buffer) {
    let mut lines: Vec<(&str, &str)> = KEYS.iter().map(|k| (k.keys, k.what)).collect();
    let mut more: Vec<(&str, &str)> = GLYPHS.to_vec();
    more.push(("", ""));
    more.extend(COLUMNS.iter().filter(|c| !c.title.is_empty()).map(|c| (c.title, c.what)));
    let widest = lines.iter().chain(&more).map(|(_, w)| width(w)).max().unwrap_or(0);
    let one = HEAD + widest + 2;
    let two = area.width >= 2 * one + 4;
    if !two {
        lines.push(("", ""));
        lines.append(&mut more);
    }
    let height = u16::try_from(lines.len().max(more.len())).unwrap_or(u16::MAX) + 2;
    let wanted = if two { 2 * one + 2 } else { one + 2 };
    let box_ = Rect { width: wanted.min(area.width), height: height.min(area.height), ..area };
    let x = area.x + (area.width - box_.width) / 2;
    let y = area.y + (area.height - box_.height) / 2;
    let box_ = Rect { x, y, ..box_ };
    for y in box_.y..box_.bottom() {
        for x in box_.x..box_.right() {
            buffer[(x, y)].reset();
        }
    }
    rule(buffer, Rect { height: 1, ..box_ }, "help", "? or Esc closes it", true);
    column(&lines, Rect { x: box_.x + 2, ..box_ }, buffer);
    if two {
        column(&more, Rect { x: box_.x + 2 + one, ..box_ }, buffer);
    }
    let bottom = Rect { y: box_.bottom() - 1, height: 1, ..box_ };
    rule(buffer, bottom, "", "", false);
}

fn column(lines: &[(&str, &str)], area: Rect, buffer: &mut Buffer) {
    for (y, (head, what)) in (area.y + 1..area.bottom() - 1).zip(lines) {
        text(buffer, area.x, y, HEAD - 1, head, Role::Key.style());
        let room = buffer.area.right().saturating_sub(area.x + HEAD);
        text(buffer, area.x + HEAD, y, room, what, Role::Text.style());
    }
}
