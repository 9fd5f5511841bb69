//! Help, over everything else.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    super::{help::lines, palette::Role},
    rule, text, width,
};

/// Columns of keys and titles.
const HEAD: u16 = 11;

/// Draws it without its first `from` lines, where it does not fit.
pub(super) fn draw(from: usize, area: Rect, buffer: &mut Buffer) {
    let [mut lines, mut more] = lines();
    let widest = lines.iter().chain(&more).map(|(_, w)| width(w)).max().unwrap_or(0);
    let one = HEAD + widest + 2;
    let two = area.width >= 2 * one + 4;
    if !two {
        lines.push(("", ""));
        lines.append(&mut more);
    }
    let all = lines.len().max(more.len());
    let height = u16::try_from(all).unwrap_or(u16::MAX).saturating_add(2);
    // Beside a single column there is nothing of use.
    let wanted = if two { 2 * one + 2 } else { area.width };
    let box_ = Rect { width: wanted.min(area.width), height: height.min(area.height), ..area };
    let x = area.x + (area.width - box_.width) / 2;
    let y = area.y + (area.height - box_.height) / 2;
    let box_ = Rect { x, y, ..box_ };
    for y in box_.y..box_.bottom() {
        for x in box_.x..box_.right() {
            buffer[(x, y)].reset();
        }
    }
    let room = usize::from(box_.height.saturating_sub(2));
    let from = from.min(all.saturating_sub(room));
    let units = if room < all {
        format!("{}–{} of {all}, ↓ for more, Esc closes it", from + 1, from + room)
    } else {
        "? or Esc closes it".to_owned()
    };
    rule(buffer, Rect { height: 1, ..box_ }, "help", &units, true);
    column(lines.get(from..).unwrap_or_default(), Rect { x: box_.x + 2, ..box_ }, buffer);
    if two {
        let more = more.get(from..).unwrap_or_default();
        column(more, Rect { x: box_.x + 2 + one, ..box_ }, buffer);
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
