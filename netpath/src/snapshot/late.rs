//! Late packets with names.

use super::{
    FlowExample, LatePacketReport, LatePieceReport, LateReport, NamedPlace, build::end_name, named,
    placed,
};
use crate::{
    ledger::{LatePacket, Ledger, Piece},
    session::{Ending, Session},
};

/// `None` where no packet could be late.
pub(super) fn build(ledger: &Ledger, session: &Session, ending: &Ending) -> Option<LateReport> {
    let after_ns = u64::from(ending.late_after_ns);
    (after_ns > 0).then(|| LateReport {
        after_ns,
        found: ending.births.late,
        recorded: ledger.late.recorded,
        slowest: ledger
            .late
            .slowest()
            .iter()
            .map(|p| packet(p, ledger, session.since_ns))
            .collect(),
    })
}

fn packet(packet: &LatePacket, ledger: &Ledger, since_ns: u64) -> LatePacketReport {
    let LatePacket { tuple, translated, direction, places, end, specimen } = packet;
    let at = places.first().copied().unwrap_or_default();
    LatePacketReport {
        flow: FlowExample {
            before: tuple.to_string(),
            after: translated.map(|after| after.to_string()),
        },
        direction: direction.key().to_owned(),
        at: NamedPlace {
            netns: ledger.topology.netns_name(at.netns),
            dev: ledger.topology.dev_name(at),
        },
        end: end_name(*end).to_owned(),
        start_ns: specimen.start_ns.saturating_sub(since_ns),
        total_ns: specimen.total_ns,
        before_ns: specimen.pieces.first().map_or(0, |piece| piece.ns),
        pieces: specimen.pieces.iter().skip(1).map(|p| piece(p, ledger)).collect(),
    }
}

fn piece(piece: &Piece, ledger: &Ledger) -> LatePieceReport {
    let Piece { key, at_ns, ns, cpu } = *piece;
    let place = match key.hop {
        Some(id) => {
            let at = named(&key, id, ledger);
            placed(&at.netns, at.dev.as_deref(), at.hook.as_deref())
        }
        None => ledger.topology.netns_name(key.place.netns),
    };
    let hop = key.hop.map(|id| id.info().key.to_owned());
    LatePieceReport { hop, place, at_ns, ns, cpu }
}
