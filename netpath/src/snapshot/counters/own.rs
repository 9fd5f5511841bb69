//! netpath's own counts, by the table's selectors.

use super::{
    grown::At,
    table::{Beside, Family, Own, Row, Scope, Selector},
};
use crate::{
    ledger::{Freed, Ledger},
    session::Session,
    topo::Place,
};

/// Kinds of device that count as many packets as pass the probe points: others cut packets up, put them
/// together, or hold them back.
const COUNT_ALIKE: &[&str] = &["veth", "bridge"];

/// Where netpath's counts come from.
#[derive(Clone, Copy)]
pub(super) struct Counts<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) session: &'a Session,
}

impl Counts<'_> {
    /// netpath's own count of what this row counts at this place; none where it has none.
    pub(super) fn of(self, row: &Row, place: Place) -> Option<u64> {
        match row.own {
            Own::None => None,
            Own::Freed(selector) => Some(self.freed(&selector, row.scope, place)),
            Own::Received | Own::Sent if !self.counts_alike(place) => None,
            Own::Received => Some(self.ledger.witness.passed(place).received),
            Own::Sent => Some(self.ledger.witness.passed(place).sent),
        }
    }

    fn freed(self, selector: &Selector, scope: Scope, place: Place) -> u64 {
        let here = |freed: &Freed| match scope {
            // Of this path's packets.
            Scope::Netns => freed.on_path && freed.place.netns == place.netns,
            Scope::Device | Scope::Qdisc => freed.place == place,
            Scope::Machine => true,
        };
        let all = self.ledger.witness.freed();
        all.filter(|(freed, _)| here(freed) && self.selected(selector, freed)).map(|(_, n)| n).sum()
    }

    fn selected(self, wanted: &Selector, freed: &Freed) -> bool {
        let reason = self.session.drop_reasons.get(&freed.reason).map(String::as_str);
        let family = if freed.v6 { Family::V6 } else { Family::V4 };
        let part = match freed.within {
            _ if wanted.hops.is_empty() => true,
            Some((hop, hook)) => {
                wanted.hops.contains(&hop)
                    && (wanted.hooks.is_empty() || hook.is_some_and(|h| wanted.hooks.contains(&h)))
            }
            None => freed.after.is_some_and(|at| wanted.after.contains(&at)),
        };
        reason.is_some_and(|reason| wanted.reasons.contains(&reason))
            && (wanted.protocol.is_none() || wanted.protocol == freed.protocol)
            && wanted.family.is_none_or(|f| f == family && freed.protocol.is_some())
            && part
    }

    fn counts_alike(self, place: Place) -> bool {
        let device = self.ledger.topology.device(place);
        device.is_some_and(|device| COUNT_ALIKE.contains(&device.kind.as_str()))
    }

    /// Whether netpath has to have seen each packet that this row counts there: those of an interface
    /// that was asked for.
    pub(super) fn must_see_all(self, at: At, row: &Row) -> bool {
        matches!(row.own, Own::Received | Own::Sent)
            && row.beside == Beside::Within
            && self.ledger.topology.is_focus(at.place)
    }

    /// The namespace's name; empty for the machine.
    pub(super) fn netns(self, at: At) -> String {
        match at.scope {
            Scope::Machine => String::new(),
            _ => self.ledger.topology.netns_name(at.place.netns),
        }
    }
}
