//! What the help says: keys, columns and glyphs, each from its table.

use super::{columns::COLUMNS, keys::KEYS};

/// What glyphs mean.
const GLYPHS: &[(&str, &str)] = &[
    ("█ ▌", "work: a CPU worked on the packet; the colour is the cost group"),
    ("░", "waiting: the packet sat in a queue"),
    ("+ −", "a group that unfolds, and one that is unfolded"),
    ("─▶", "on the same CPU, one after the other"),
    ("┄▷", "through a queue"),
    ("‥▶", "past hops that did not fit on the picture"),
    ("▓ ▒", "in a single packet: the hop under the cursor"),
];

/// Keys, and what is on the screen; each with its explanation.
pub(crate) fn lines() -> [Vec<(&'static str, &'static str)>; 2] {
    let keys = KEYS.iter().map(|k| (k.keys, k.what)).collect();
    let titled = COLUMNS.iter().filter(|c| !c.title.is_empty()).map(|c| (c.title, c.what));
    [keys, GLYPHS.iter().copied().chain([("", "")]).chain(titled).collect()]
}

/// The last line that can be scrolled to.
pub(crate) fn last() -> usize {
    lines().iter().map(Vec::len).sum()
}
