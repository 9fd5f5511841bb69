//! Late packets with names.

use serde::{Deserialize, Serialize};

use super::{FlowExample, NamedPlace, figures::end_name, named, placed};
use crate::{
    ledger::{LatePacket, Ledger, Piece},
    session::{Ending, Session},
};

/// Packets that had taken longer, where a device took them up, than 99 % of those drawn take to their last
/// device. They are recorded from there on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LateReport {
    /// At the end: late after so long, ns.
    pub after_ns: u64,
    /// How many were found to be late, on all of the path's devices.
    pub found: u64,
    /// Of these, those that were recorded and passed the interface.
    pub recorded: u64,
    /// The slowest of them, slowest first.
    pub slowest: Vec<LatePacketReport>,
}

/// A late packet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LatePacketReport {
    #[serde(flatten)]
    pub flow: FlowExample,
    pub direction: String,
    /// Where it was found to be late.
    pub at: NamedPlace,
    /// `delivered`, `dropped`, and so on.
    pub end: String,
    /// Since recording began.
    pub start_ns: u64,
    pub total_ns: i64,
    /// Of the total, what had passed before it was recorded.
    pub before_ns: i64,
    /// What followed.
    pub pieces: Vec<LatePieceReport>,
}

/// A piece of a late packet's time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LatePieceReport {
    /// Key of the hop table; `None` is unattributed.
    pub hop: Option<String>,
    /// `host/veth0`, `host PREROUTING`.
    pub place: String,
    /// Since the packet's beginning.
    pub at_ns: i64,
    pub ns: i64,
    pub cpu: u16,
}

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
