//! Single packets' passages in names: what [`super::pcapng`] writes.
//!
//! In: flights, a ledger that knows what their marks mean, the session. Out: headers, times and the
//! names of places and hops.

use std::time::Duration;

use netpath_common::end::Sort;

use super::words;
use crate::{
    flight::{Captured, End, Flight},
    ledger::{Cutting, Ledger, Piece},
    packet::{Headers, Tuple},
    session::Session,
    snapshot::{NamedPlace, named, placed},
};

/// A packet on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Passage {
    /// The flight's number.
    pub seq: u64,
    /// When it began, since the epoch. Differences are exact to a nanosecond; the date is that of
    /// the recording's begin, of which both clocks are known.
    pub start: Duration,
    /// The same on the events' clock, ns.
    pub start_ns: u64,
    pub total_ns: i64,
    pub headers: Headers,
    pub before: Tuple,
    /// The tuple after NAT, where it differs.
    pub after: Option<Tuple>,
    pub direction: &'static str,
    /// How it ended, in words.
    pub end: String,
    /// The headers themselves, where they were captured.
    pub captured: Option<Box<Captured>>,
    pub from: NamedPlace,
    pub to: NamedPlace,
    pub pieces: Vec<Stay>,
}

/// A piece of its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stay {
    /// Since its beginning.
    pub at_ns: i64,
    pub ns: i64,
    pub cpu: u16,
    /// `conntrack track, host PREROUTING`.
    pub what: String,
    pub is_wait: bool,
}

/// The passage of a flight that passed the interface that was asked for.
pub fn of(flight: &Flight, ledger: &mut Ledger, session: &Session) -> Option<Passage> {
    let headers = flight.headers?;
    let before = headers.tuple?;
    let Cutting { direction, places, sort, specimen } = ledger.cut(flight)?;
    let place = |at: Option<&crate::topo::Place>| {
        let at = at.copied().unwrap_or_default();
        NamedPlace {
            netns: ledger.topology.netns_name(at.netns),
            dev: ledger.topology.dev_name(at),
        }
    };
    let since = specimen.start_ns.saturating_sub(session.since_ns);
    Some(Passage {
        seq: flight.seq,
        start: Duration::from_nanos(session.started_unix_ns + since),
        start_ns: specimen.start_ns,
        total_ns: specimen.total_ns,
        headers,
        before,
        after: flight.translated,
        direction: direction.key(),
        end: end(flight, sort, session),
        captured: flight.captured.clone(),
        from: place(places.first()),
        to: place(places.last()),
        pieces: specimen.pieces.iter().map(|piece| stay(piece, ledger)).collect(),
    })
}

fn end(flight: &Flight, sort: Option<Sort>, session: &Session) -> String {
    if let Some(why) = flight.incomplete {
        return format!("incomplete: {}", why.words());
    }
    match flight.end {
        End::Delivered => "delivered".to_owned(),
        End::Reached => "taken by the transport".to_owned(),
        End::Transmitted => "left the machine".to_owned(),
        End::Merged => "merged into another packet (GRO, or its other fragments)".to_owned(),
        End::Dropped { reason } => {
            let sort = sort.map_or("dropped", Sort::label);
            match session.drop_reasons.get(&reason) {
                Some(name) => format!("{sort}: {name}"),
                None => format!("{sort}: reason {reason}"),
            }
        }
        End::UnderWay => "under way".to_owned(),
        End::Vanished => "vanished".to_owned(),
    }
}

fn stay(piece: &Piece, ledger: &Ledger) -> Stay {
    let (what, is_wait) = match piece.key.hop {
        None => ("unattributed".to_owned(), false),
        Some(id) => {
            let info = id.info();
            let names = named(&piece.key, id, ledger);
            let label = names.part.as_deref().unwrap_or(info.label);
            let what = words::labelled(info.group.label(), label);
            let place = placed(&names.netns, names.dev.as_deref(), names.hook.as_deref());
            (format!("{what}, {place}"), info.kind == netpath_common::hop::Kind::Wait)
        }
    };
    Stay { at_ns: piece.at_ns, ns: piece.ns, cpu: piece.cpu, what, is_wait }
}
