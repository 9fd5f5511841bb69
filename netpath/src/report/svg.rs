//! A flame graph: width is nanoseconds of packet latency, colours are those of the cost groups,
//! waiting has one of its own.
//!
//! Drawn by the `inferno` crate; what it draws can be zoomed and searched in a browser.

use std::io::Write;

use inferno::flamegraph::{
    self, Options,
    color::{BackgroundColor, Color, PaletteMap},
};
use netpath_common::group::GROUPS;

use super::{
    ReportError,
    stack::{self, Line, Paint},
};
use crate::{snapshot::Snapshot, units::time};

/// Of frames in which packets wait.
const WAIT_RGB: [u8; 3] = [0xe3, 0xc9, 0x4a];
/// Of paths and namespaces.
const PLAIN_RGB: [u8; 3] = [0xe4, 0xe4, 0xe4];

/// Draws the snapshot's ledger.
pub(super) fn write(snapshot: &Snapshot, out: &mut dyn Write) -> Result<(), ReportError> {
    let lines = stack::lines(snapshot);
    if lines.is_empty() {
        return Err(ReportError::Empty);
    }
    let mut palette = PaletteMap::default();
    let mut options = options();
    options.title = format!("Where packets' time goes: {}", snapshot.what());
    options.subtitle = Some(format!(
        "{} of packet latency in {}; yellow is waiting",
        time(lines.iter().map(|l| l.ns as f64).sum()),
        time(snapshot.duration_ns as f64)
    ));
    let [r, g, b] = PLAIN_RGB;
    palette.insert("all", Color { r, g, b });
    for line in &lines {
        paint(&mut palette, line);
    }
    options.palette_map = Some(&mut palette);
    draw(&mut options, lines.iter().map(|l| format!("{} {}", l.names.join(";"), l.ns)), out)
}

/// What all of netpath's flame graphs have in common.
pub(super) fn options<'a>() -> Options<'a> {
    let mut options = Options::default();
    "ns".clone_into(&mut options.count_name);
    "Hop:".clone_into(&mut options.name_type);
    "sans-serif".clone_into(&mut options.font_type);
    options.min_width = 0.05;
    options.bgcolors = Some(BackgroundColor::Flat(Color { r: 255, g: 255, b: 255 }));
    // In the order in which packets meet the hops, and not in that of the alphabet.
    options.flame_chart = true;
    options
}

/// Draws folded lines.
pub(super) fn draw(
    options: &mut Options<'_>,
    lines: impl Iterator<Item = String>,
    out: &mut dyn Write,
) -> Result<(), ReportError> {
    let lines: Vec<String> = lines.collect();
    // It takes a chart's lines from the last to the first.
    flamegraph::from_lines(options, lines.iter().rev().map(String::as_str), &mut *out)
        .map_err(ReportError::Flame)?;
    writeln!(out)?;
    Ok(())
}

fn paint(palette: &mut PaletteMap, line: &Line) {
    let last = line.names.len() - 1;
    for (depth, name) in line.names.iter().enumerate() {
        let [r, g, b] = match (depth, line.paint) {
            (0 | 1, _) | (_, Paint::Plain) => PLAIN_RGB,
            (d, Paint::Wait(_)) if d == last => WAIT_RGB,
            (_, Paint::Wait(group) | Paint::Work(group)) => GROUPS[group as usize].rgb,
        };
        palette.insert(name, Color { r, g, b });
    }
}
