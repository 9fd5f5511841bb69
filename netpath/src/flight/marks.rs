//! What a flight takes from an event: a mark, and where the packet is; its headers; its bytes.

use netpath_common::{
    point::{SEND_BEGIN, SOCK_RECV, is_told_later},
    situation::Role,
};

use super::{Captured, EVENTS_MAX, Flight, Incomplete, Mark, identity::Sighting, loss::Losses};
use crate::{
    decode::{Event, Piece},
    packet::{Bytes, Headers},
};

/// The CPU on which an event happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Here {
    pub(super) cpu: u16,
    /// When it left idle, where that was since the piece before, ns.
    pub(super) left_idle_ns: Option<u64>,
    /// When it took the packet up, where it had something else at hand before, or has switched tasks
    /// since, ns.
    pub(super) resumed_ns: Option<u64>,
    /// What happened there comes too late to be put in order.
    pub(super) is_late: bool,
}

impl Here {
    pub(super) fn of(piece: &Piece) -> Self {
        Self {
            cpu: piece.cpu,
            left_idle_ns: piece.left_idle_ns,
            is_late: piece.is_late,
            resumed_ns: (!piece.at_hand || piece.switched).then_some(piece.start_ns),
        }
    }
}

/// Adds an event's mark to its flight, and what it lacks before that.
pub(super) fn push(flight: &mut Flight, seen: &Sighting<'_>, here: &Here, losses: &Losses) {
    if flight.marks.len() >= EVENTS_MAX {
        flight.incomplete.get_or_insert(Incomplete::TooLong);
        return;
    }
    let Event { at_ns, point, aux, arg } = *seen.event;
    if !is_told_later(point) || point == SEND_BEGIN {
        flight.at = seen.at.or(flight.at);
    }
    flight.netns = seen.netns.unwrap_or(flight.netns);
    let before = flight.marks.last().map_or(u64::MAX, |m| m.at_ns);
    let left_idle = here.left_idle_ns.is_some_and(|left| left > before && left <= at_ns);
    // A copy or part has just been made of what was at hand.
    let made = flight.shared > 0 && flight.marks.len() == flight.shared;
    // A call that returns is about its socket, whatever was at hand.
    let taken_up = here.resumed_ns == Some(at_ns) && point != SOCK_RECV;
    let resumed = !made && (left_idle || taken_up);
    let begins = flight.marks.is_empty() && seen.role == Role::Birth;
    let lacks = losses.before(flight.marks.last(), (at_ns, here.cpu), begins);
    if let Some(why) = lacks.or(here.is_late.then_some(Incomplete::OutOfOrder)) {
        flight.incomplete.get_or_insert(why);
    }
    let mark = Mark { at_ns, arg, point, aux, cpu: here.cpu, left_idle, resumed };
    if here.is_late {
        let at = flight.marks.partition_point(|m| m.at_ns <= at_ns);
        flight.marks.insert(at, mark);
    } else {
        flight.marks.push(mark);
    }
}

/// Takes note of the headers that a packet has now.
pub(super) fn learn(flight: &mut Flight, headers: &Headers) {
    // What it is known by from here on; a datagram's first bytes can have been out of reach.
    let (seq, zeros) = match flight.known {
        Some(known) if !headers.begins_known() => (known.seq, known.zeros),
        _ => (headers.seq, headers.zeros),
    };
    flight.known = Some(Headers { seq, zeros, ..*headers });
    match &mut flight.headers {
        None => flight.headers = Some(*headers),
        // Of a fragment ports are known once it has become the whole packet.
        Some(first) if first.fragment && !headers.fragment => flight.headers = Some(*headers),
        Some(_) if headers.fragment => {}
        Some(first) => {
            if headers.tuple.is_some() && headers.tuple != first.tuple {
                flight.translated = headers.tuple;
            }
        }
    }
}

/// Keeps the bytes that were captured with the first event, and those with the last.
pub(super) fn keep(flight: &mut Flight, bytes: &Bytes) {
    match &mut flight.captured {
        None => {
            let captured = Captured { first: bytes.clone(), last: None };
            flight.captured = Some(Box::new(captured));
        }
        Some(known) => {
            // Its socket has just made it; on its first device it is whole.
            if known.first.link == 0 && known.last.is_none() && flight.translated.is_none() {
                known.first = bytes.clone();
            } else {
                known.last = Some(bytes.clone());
            }
        }
    }
}
