//! What a reader of the report should know of what is not in it.

use super::{Flows, Ledger, Sorts, Transactions, transactions::CONNECTIONS_MAX};

impl Ledger {
    /// What a reader of the report should know.
    pub fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.nothing_passed().into_iter().collect();
        let Flows { others, most, .. } = self.flows;
        if others > 0 {
            notes.push(format!(
                "{others} packets are of flows that were silent for longest, of more than {most}, and \
                 listed under none"
            ));
        }
        let Transactions { unfollowed, .. } = self.transactions;
        if unfollowed > 0 {
            notes.push(format!(
                "{unfollowed} packets are of connections beyond the {CONNECTIONS_MAX} whose round \
                 trips are followed at once, and in no round trip"
            ));
        }
        let incomplete = self.transactions.incomplete();
        if incomplete > 0 {
            notes.push(format!(
                "{incomplete} round trips are left out: a packet of theirs was not seen in full"
            ));
        }
        notes
    }

    fn nothing_passed(&self) -> Option<String> {
        if !self.paths.is_empty() {
            return None;
        }
        let what =
            if self.coverage.seen == 0 { "no packets passed" } else { "no packet got through" };
        let Sorts { not_for_us, .. } = self.coverage.sorts;
        if not_for_us > 0 && self.coverage.complete == not_for_us && self.coverage.dropped == 0 {
            return Some(format!(
                "nothing is wrong: the {not_for_us} packets that passed in this time were for nobody \
                 here (multicast that nobody listens to, and the like)"
            ));
        }
        let mut devices = self.topology.chosen.iter().map(|c| self.topology.device(c.focus));
        let is_down = devices.all(|device| device.is_some_and(|d| !d.up));
        let why = if is_down && !self.topology.chosen.is_empty() {
            "the interface is down"
        } else {
            "is there traffic, and does it pass this interface? `netpath topo` shows the path that \
             was watched"
        };
        Some(format!("{what} in this time; {why}"))
    }
}
