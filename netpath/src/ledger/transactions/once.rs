//! Requests that are one packet, as their reply is, and that say which one it is: echoes, and lookups in DNS.
//!
//! Many of one socket can be under way at once. A lookup that is repeated is another request: the time until then
//! is a timer of its sender's.

use super::{
    leg::{Answer, Ask, Leg},
    trip::{Kind, Trip},
};
use crate::packet::{ICMP, ICMPV6};

/// One that is under way. The reply's passage can end first, where the request's sk_buff is freed late.
#[derive(Clone, Debug, Default)]
pub(super) struct Once {
    ask: Option<Ask>,
    answer: Option<Answer>,
}

pub(super) fn kind(proto: u8) -> Kind {
    if matches!(proto, ICMP | ICMPV6) { Kind::Ping } else { Kind::Request }
}

impl Once {
    pub(super) fn asks(&mut self, leg: Leg) {
        self.ask = Some(Ask::anew(leg, self.ask.as_ref()));
    }

    pub(super) fn answers(&mut self, leg: Leg) {
        self.answer.get_or_insert(Answer::anew(leg));
    }

    /// Both are there.
    pub(super) fn is_whole(&self) -> bool {
        self.ask.is_some() && self.answer.is_some()
    }

    pub(super) fn trip(self, proto: u8) -> Option<Trip> {
        let (ask, answer) = (self.ask?, self.answer?);
        Some(Trip { kind: kind(proto), proto, ask, answer, acknowledged_ns: None })
    }

    /// When something last happened, ns.
    pub(super) fn last_ns(&self) -> u64 {
        let asked = self.ask.as_ref().map_or(0, |ask| ask.end_ns);
        asked.max(self.answer.as_ref().map_or(0, |answer| answer.end_ns))
    }

    /// Whether it is a request that nobody had answered until then.
    pub(super) fn is_unanswered(&self, until_ns: u64) -> bool {
        self.ask.as_ref().is_some_and(|ask| !ask.unsure && ask.end_ns <= until_ns)
            && self.answer.is_none()
    }
}
