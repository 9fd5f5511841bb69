//! The last minutes: the total's p99 in each second.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    super::{
        palette::Role,
        state::{Panel, State},
    },
    chart, cut, frame, text, width,
};
use crate::units::time;

/// ns.
const SECOND: u64 = 1_000_000_000;

pub(super) fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let (Some(path), Some(snapshot)) = (state.path(), state.snapshot()) else { return };
    let columns = u64::from(area.width.saturating_sub(2));
    // The second at hand is left out until it is over.
    let now = snapshot.duration_ns / SECOND;
    let first = now.saturating_sub(columns);
    let mut values = vec![0.0; usize::try_from(now - first).unwrap_or(0)];
    for second in &path.history {
        let number = second.start_ns / SECOND;
        if number >= first
            && let Some(value) = values.get_mut(usize::try_from(number - first).unwrap_or(0))
        {
            *value = second.p99_ns as f64;
        }
    }
    let most = values.iter().copied().fold(0.0, f64::max);
    let title = match now - first {
        0 => "p99 in each second".to_owned(),
        n => format!("p99 in each of the last {n} s"),
    };
    let inner = frame(state, Panel::History, Some(&title), "", area, buffer);
    let (picture, foot) = cut(inner, inner.height.saturating_sub(u16::from(inner.height > 3)));
    // The newest is at the right.
    let used = u16::try_from(values.len()).unwrap_or(u16::MAX).min(picture.width);
    let lowest = values.iter().copied().filter(|v| *v > 0.0).fold(most, f64::min);
    let heights: Vec<f64> = values.iter().map(|v| height(*v, lowest, most)).collect();
    let shown = Rect { x: picture.right() - used, width: used, ..picture };
    chart::columns(&heights, shown, Role::Work.style(), buffer);
    if foot.height > 0 {
        let last = values.iter().rev().find(|v| **v > 0.0).copied();
        let line = last.map_or_else(
            || "no second is over yet".to_owned(),
            |last| {
                let (lowest, most) = (time(lowest), time(most));
                let range = format!("last {} · {lowest} to {most}", time(last));
                let whole = format!("{range}, logarithmic");
                if width(&whole) <= foot.width { whole } else { range }
            },
        );
        text(buffer, foot.x, foot.y, foot.width, &line, Role::Dim.style());
    }
}

/// A bar's height, 0 to 1, on a logarithmic scale of a decade at least: one slow second must not
/// flatten the others, nor a steady one look like a mountain.
fn height(value: f64, least: f64, most: f64) -> f64 {
    if value <= 0.0 {
        return 0.0;
    }
    let bottom = (least / 1.5).min(most / 10.0).max(0.5);
    (value / bottom).ln() / (most / bottom).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steady_seconds_are_as_high_as_the_highest_and_a_spike_leaves_the_others_standing() {
        assert!(height(10_000.0, 9_500.0, 10_000.0) > 0.99);
        assert!(height(9_500.0, 9_500.0, 10_000.0) > 0.95);
        assert!(height(10_000.0, 10_000.0, 3_000_000.0) > 0.05);
        assert!(height(0.0, 10.0, 100.0) <= 0.0);
    }
}
