//! The cost groups' colours as style sheet classes, from the group table.

use std::fmt::Write as _;

use netpath_common::group::{GROUPS, Group};

use crate::{report::words, snapshot::HopReport};

/// A class per group: its colour, and one for text that stands on it.
pub(in crate::report) fn css() -> String {
    let mut out = String::new();
    for row in GROUPS {
        let [r, g, b] = row.rgb;
        let text = if luminance(row.rgb) > 0.2 { "#111" } else { "#fff" };
        let _ = writeln!(out, ".{}{{--c:rgb({r} {g} {b});--t:{text}}}", class(row.group));
    }
    out
}

/// The class of a group.
pub(in crate::report) fn class(group: Group) -> String {
    format!("g{}", group as u8)
}

/// The classes of a hop: its group's, and whether it is waiting.
pub(super) fn of_hop(hop: &HopReport) -> String {
    let colour = class(words::group(hop).group);
    if words::is_wait(hop) { format!("wait {colour}") } else { colour }
}

/// Relative luminance of an sRGB colour, 0 to 1, as WCAG defines it.
fn luminance(rgb: [u8; 3]) -> f64 {
    let [r, g, b] = rgb.map(|c| {
        let c = f64::from(c) / 255.0;
        if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * r + 0.7152 * g + 0.0722 * b
}
