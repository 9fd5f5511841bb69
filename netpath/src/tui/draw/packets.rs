//! Single packets as waterfalls: a typical one and a slow one on one scale, so that what differs
//! stands out.

use std::cmp::Ordering;

use netpath_common::hop::Kind;
use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    super::{
        palette::{self, Role},
        state::{Panel, State},
    },
    frame, text,
};
use crate::{
    report::words::what,
    snapshot::{PacketReport, PathReport},
    units::time,
};

/// Columns of the label before a bar.
const LABEL: u16 = 9;

pub(super) fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let Some(path) = state.path() else { return };
    let inner = frame(state, Panel::Packets, None, "width is time", area, buffer);
    let room = inner.width.saturating_sub(LABEL + 2);
    if room < 10 {
        return;
    }
    // The slowest of all is often a hundred times the others: it has a scale of its own.
    let common = path
        .packets_shown
        .iter()
        .filter(|p| p.label != "slowest")
        .map(|p| p.total_ns)
        .max()
        .unwrap_or(1);
    let cursor = state.hop().map(|(i, _)| i);
    let mut y = inner.y;
    for packet in &path.packets_shown {
        if y >= inner.bottom() {
            break;
        }
        let scale_ns = if packet.label == "slowest" { packet.total_ns } else { common }.max(1);
        let scale = f64::from(room) / scale_ns as f64;
        text(buffer, inner.x, y, LABEL, &packet.label, Role::Title.style());
        let x = inner.x + LABEL;
        pieces(packet, path, cursor, scale, Rect { x, y, width: room, height: 1 }, buffer);
        let own = if packet.label == "slowest" { " (own scale)" } else { "" };
        let note = format!("{}{own}{}", time(packet.total_ns as f64), dearest(packet, path));
        if y + 1 < inner.bottom() {
            text(buffer, x, y + 1, room, &note, Role::Dim.style());
        }
        y += if inner.height >= 9 { 3 } else { 2 };
    }
}

/// The bar: each piece in its group's colour, waiting light, the cursor's hop marked.
fn pieces(
    packet: &PacketReport,
    path: &PathReport,
    cursor: Option<usize>,
    scale: f64,
    line: Rect,
    buffer: &mut Buffer,
) {
    for x in 0..line.width {
        let at = (f64::from(x) + 0.5) / scale;
        // The piece that this column's middle falls into.
        let found = packet.pieces.binary_search_by(|p| {
            let (from, to) = (p.at_ns as f64, (p.at_ns + p.ns) as f64);
            if to <= at {
                Ordering::Less
            } else if from > at {
                Ordering::Greater
            } else {
                Ordering::Equal
            }
        });
        let Ok(index) = found else { continue };
        let Some(piece) = packet.pieces.get(index) else { continue };
        let hop = piece.hop.and_then(|h| path.hops.get(h));
        let wait = hop.is_some_and(|h| h.kind == Kind::Wait.key());
        let marked = piece.hop.is_some() && piece.hop == cursor;
        let symbol = match (hop, wait, marked) {
            (None, ..) => "·",
            (_, true, false) => "░",
            (_, true, true) => "▒",
            (_, false, false) => "█",
            (_, false, true) => "▓",
        };
        let style = match hop {
            None => Role::Dim.style(),
            Some(_) if wait => Role::Wait.style(),
            Some(hop) => palette::group(&hop.group),
        };
        buffer[(line.x + x, line.y)].set_symbol(symbol).set_style(style);
    }
}

/// Where most of its time went.
fn dearest(packet: &PacketReport, path: &PathReport) -> String {
    let most = packet.pieces.iter().max_by_key(|p| p.ns);
    let hop = most.and_then(|p| Some((p, path.hops.get(p.hop?)?)));
    hop.map_or_else(String::new, |(piece, hop)| {
        format!(" · {} in {}, {}", time(piece.ns as f64), what(hop), hop.place())
    })
}
