//! Upright bars, in eighths of a cell.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

/// Heights of a cell.
const EIGHTHS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// Draws a bar per column, 0 to 1 of the area's height. What is more than 0 shows.
pub(super) fn columns(values: &[f64], area: Rect, style: Style, buffer: &mut Buffer) {
    for (x, value) in (area.x..area.right()).zip(values) {
        if *value <= 0.0 {
            continue;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let eighths = (value.clamp(0.0, 1.0) * f64::from(area.height) * 8.0).round() as u16;
        let mut left = eighths.max(1);
        for y in (area.y..area.bottom()).rev() {
            let here = left.min(8);
            buffer[(x, y)].set_symbol(EIGHTHS[usize::from(here)]).set_style(style);
            left -= here;
            if left == 0 {
                break;
            }
        }
    }
}

/// 1, 2, 5, 10, … from `low` to `high`.
pub(super) fn ticks(low: f64, high: f64) -> Vec<f64> {
    let mut ticks = Vec::new();
    let mut decade = 10_f64.powf(low.max(1.0).log10().floor());
    while decade <= high && ticks.len() < 60 {
        ticks.extend(
            [1.0, 2.0, 5.0].map(|m| m * decade).iter().filter(|t| **t >= low && **t <= high),
        );
        decade *= 10.0;
    }
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks(150.0, 12_000.0), [200.0, 500.0, 1e3, 2e3, 5e3, 1e4]);
        assert_eq!(ticks(0.0, 2.0), [1.0, 2.0]);
    }
}
