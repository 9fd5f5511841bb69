//! The first line and the last: how the trace goes, and which keys there are.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
};

use super::{
    super::{keys, palette::Role, state::State},
    text, width,
};
use crate::{
    report::words,
    snapshot::{SamplingReport, Snapshot},
    units::{count, percent},
};

/// A piece of the first line. The narrower it is, the fewer: higher numbers go first.
type Piece = (u8, String, Style);

pub(super) fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let mut pieces = vec![(4, "netpath".to_owned(), Role::Title.style())];
    match state.snapshot() {
        Some(snapshot) => pieces.extend(facts(state, snapshot)),
        None => pieces.push((0, "attaching".to_owned(), Role::Dim.style())),
    }
    let total = |p: &[Piece]| p.iter().map(|(_, t, _)| width(t) + 3).sum::<u16>();
    while total(&pieces) > area.width + 1 && pieces.len() > 1 {
        let worst = pieces.iter().enumerate().max_by_key(|(_, p)| p.0).map_or(0, |(i, _)| i);
        pieces.remove(worst);
    }
    let mut x = area.x + 1;
    for (i, (_, what, style)) in pieces.iter().enumerate() {
        if i > 0 {
            x = text(buffer, x, area.y, 3, " · ", Role::Dim.style());
        }
        x = text(buffer, x, area.y, area.right().saturating_sub(x), what, *style);
    }
}

fn facts(state: &State, s: &Snapshot) -> Vec<Piece> {
    let plain = Role::Text.style();
    let bad_if = |bad: bool| if bad { Role::Bad.style() } else { plain };
    let (status, style) = match (state.live, state.paused) {
        (true, true) => ("paused", Role::Bad.style().add_modifier(Modifier::REVERSED)),
        (true, false) => ("live", Role::Good.style()),
        (false, _) => ("recording", Role::Dim.style()),
    };
    let seconds = s.duration_ns / 1_000_000_000;
    let mut pieces = vec![
        (0, s.what(), Role::Title.style()),
        (2, format!("{status} {}:{:02}", seconds / 60, seconds % 60), style),
    ];
    if let Some(rate) = state.rate() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative"
        )]
        pieces.push((1, format!("{} packets/s", count(rate.round() as u64)), plain));
    }
    if let Some(sampling) = &s.sampling {
        pieces.push((0, sampled(sampling), plain));
    }
    let coverage = format!("{} complete", words::complete(s));
    // A dropped packet was followed to its end.
    let p = &s.packets;
    let unknown = (p.incomplete + p.vanished + p.ambiguous) as f64 / p.sampled.max(1) as f64;
    pieces.push((1, coverage, bad_if(unknown > 0.01)));
    if p.dropped > 0 {
        pieces.push((2, words::dropped(p), bad_if(true)));
    }
    pieces.push((0, format!("{} events lost", count(s.lost_events)), bad_if(s.lost_events > 0)));
    let own = s.own_cost.kernel_cpus + s.own_cost.user_cpus;
    if own > 0.0 {
        pieces.push((3, format!("netpath takes {} of a CPU", percent(own)), plain));
    }
    let mut backends: Vec<&str> = s.backends.values().flat_map(|b| b.split('+')).collect();
    backends.sort_unstable();
    backends.dedup();
    pieces.push((5, backends.join(" + "), Role::Dim.style()));
    pieces
}

/// `1/8 of flows`; what a budget has allowed so far, `auto 1/37 of packets, 4 % of the time`.
fn sampled(sampling: &SamplingReport) -> String {
    let SamplingReport { share, by, begun, recorded, listened } = sampling;
    if share != "auto" || *recorded == 0 {
        return format!("{share} of {by}");
    }
    let one_in = *begun as f64 / *recorded as f64;
    let digits = usize::from(one_in < 9.95);
    let time = if *listened < 1.0 {
        format!(", {} of the time", percent(*listened))
    } else {
        String::new()
    };
    format!("{share} 1/{one_in:.digits$} of {by}{time}")
}

/// What was last said, what is being typed, or the keys.
pub(super) fn footer(state: &State, area: Rect, buffer: &mut Buffer) {
    let (x, y, room) = (area.x + 1, area.y, area.width.saturating_sub(2));
    if state.typing {
        let line = format!("/{}▏", state.folding.filter);
        let end = text(buffer, x, y, room, &line, Role::Title.style());
        text(buffer, end + 2, y, room, "Enter keeps it, Esc drops it", Role::Dim.style());
        return;
    }
    if let Some(message) = &state.message {
        text(buffer, x, y, room, message, Role::Title.style());
        return;
    }
    let mut x = x;
    for (key, word) in keys::footer(usize::from(room)) {
        x = text(buffer, x, y, room, key, Role::Key.style());
        x = text(buffer, x + 1, y, room, word, Role::Dim.style()) + 2;
    }
}
