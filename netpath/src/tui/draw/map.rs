//! The path as a picture, left to right: where a packet passes, and the p50 of each hop on it.
//!
//! Hops that don't fit are left out, cheapest first, and a dotted arrow stands for them: figures of
//! several hops are never merged here.

use netpath_common::hop::{HopId, Where};
use ratatui::{buffer::Buffer, layout::Rect, style::Modifier};

use super::{
    super::{
        palette::{self, Role},
        state::State,
    },
    right, rule, text, width,
};
use crate::{
    report::words,
    snapshot::{HopReport, PathReport},
    units::micros,
};

/// Lines of the picture with its title.
pub(super) const HEIGHT: u16 = 5;

/// A hop on the picture.
struct Station<'a> {
    index: usize,
    name: String,
    figure: String,
    hop: &'a HopReport,
    wait: bool,
}

impl Station<'_> {
    fn width(&self) -> u16 {
        width(&self.name).max(width(&self.figure))
    }
}

/// Columns between two stations.
const ARROW: u16 = 4;

pub(super) fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let Some(path) = state.path() else { return };
    title(state, path, area, buffer);
    if area.height < HEIGHT {
        return;
    }
    let inner = Rect { x: area.x + 2, width: area.width.saturating_sub(3), ..area };
    let cursor = state.hop().map(|(i, _)| i);
    let all: Vec<Station> = path.hops.iter().enumerate().map(|(i, h)| station(i, h)).collect();
    let shown = choose(&all, inner.width);
    let (names, figures, spaces) = (inner.y + 2, inner.y + 3, inner.y + 1);
    let mut x = inner.x;
    let mut netns = "";
    for (n, at) in shown.iter().enumerate() {
        let station = &all[*at];
        if n > 0 {
            let skipped = shown[n - 1] + 1 != *at;
            let (line, head) = match (skipped, station.wait) {
                (true, _) => ("‥", "▶"),
                (false, true) => ("┄", "▷"),
                (false, false) => ("─", "▶"),
            };
            let from = x - all[shown[n - 1]].width() + width(&all[shown[n - 1]].name) + 1;
            for dash in from..x + ARROW - 2 {
                text(buffer, dash, names, 1, line, Role::Dim.style());
            }
            text(buffer, x + ARROW - 2, names, 1, head, Role::Dim.style());
            x += ARROW;
        }
        if station.hop.netns != netns {
            netns = &station.hop.netns;
            let room = inner.right().saturating_sub(x);
            let style = Role::Dim.style().add_modifier(Modifier::ITALIC);
            text(buffer, x, spaces, room, netns, style);
        }
        let mut style = palette::group_text(&station.hop.group);
        let mut figure = if station.wait { Role::Wait.style() } else { Role::Text.style() };
        if Some(station.index) == cursor {
            style = style.add_modifier(Modifier::BOLD | Modifier::REVERSED);
            figure = figure.add_modifier(Modifier::BOLD);
        }
        text(buffer, x, names, station.width(), &station.name, style);
        text(buffer, x, figures, station.width(), &station.figure, figure);
        x += station.width();
    }
}

fn title(state: &State, path: &PathReport, area: Rect, buffer: &mut Buffer) {
    let paths = state.snapshot().map_or(1, |s| s.paths.len());
    let which = state.path_index().map_or(0, |i| i + 1);
    let total = &path.total;
    let p = |ns: u64| micros(ns as f64);
    let times = format!("p50 {}  p99 {} µs", p(total.p50_ns), p(total.p99_ns));
    let all = format!("{}  {times}", words::counted(path.packets, "packet"));
    let ends = format!("{}/{} → {}/{}", path.from.netns, path.from.dev, path.to.netns, path.to.dev);
    let titled = |name: &str| format!("{} {which}/{paths}   {name}", path.direction);
    let room = |figures: &str| area.width.saturating_sub(width(figures) + 9);
    // Where not all of it fits, the devices between the ends go first, then the count.
    let forms = [(titled(&path.name), &all), (titled(&ends), &all), (titled(&ends), &times)];
    let fits = forms.iter().find(|(title, figures)| width(title) <= room(figures));
    let (title, figures) = fits.unwrap_or(&forms[2]);
    let title = super::ellipsis(title, room(figures).into());
    let size = width(figures) + 4;
    let line = Rect { height: 1, ..area };
    rule(buffer, line, &title, "", false);
    let x = area.right().saturating_sub(size - 1);
    right(buffer, x, area.y, size - 2, &format!(" {figures} "), Role::Title.style());
}

fn station(index: usize, hop: &HopReport) -> Station<'_> {
    let wait = hop.kind == netpath_common::hop::Kind::Wait.key();
    let figure = micros(hop.times.p50_ns as f64);
    Station {
        index,
        name: name(hop),
        figure: if wait { format!("░{figure}") } else { figure },
        hop,
        wait,
    }
}

/// The shortest name that says what it is, given its neighbours.
fn name(hop: &HopReport) -> String {
    let Some(info) = HopId::from_key(&hop.hop).map(HopId::info) else { return hop.hop.clone() };
    let label = hop.part.as_deref();
    match (info.place, &hop.dev) {
        (Where::Hook, _) => label.unwrap_or(info.group.label()).to_owned(),
        (Where::Device, Some(dev)) if matches!(info.key, "device" | "handoff" | "bridge") => {
            dev.clone()
        }
        (Where::Device, _) => info.group.label().to_owned(),
        (Where::Netns, _) => label.unwrap_or(info.label).to_owned(),
    }
}

/// The stations that fit: first and last, then the dearest. It depends on whole percents alone, so
/// that the picture stays the same while figures change a little.
fn choose(all: &[Station], room: u16) -> Vec<usize> {
    let mut order: Vec<usize> = (0..all.len()).collect();
    let is_end = |i: usize| i == 0 || i + 1 == all.len();
    let percents = |i: usize| (all[i].hop.share * 100.0).round();
    order.sort_by(|a, b| is_end(*b).cmp(&is_end(*a)).then(percents(*b).total_cmp(&percents(*a))));
    let mut left = room + ARROW;
    let mut shown: Vec<usize> = Vec::new();
    for i in order {
        let size = all[i].width() + ARROW;
        if size <= left {
            left -= size;
            shown.push(i);
        }
    }
    shown.sort_unstable();
    shown
}
