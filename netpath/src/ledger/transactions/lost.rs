//! Packets that did not arrive, until they are sent again.
//!
//! A packet that was dropped on the way has the addresses that its sender gave it: NAT may have had no chance, or
//! gives what repeats it another port. So what repeats it is known by those, and by the bytes or the number that
//! it carries.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::{
    leg::Again,
    seen::{Seen, before},
    trip::{Kind, Unanswered},
};
use crate::packet::{ICMP, ICMPV6, Tuple};

/// Packets that are remembered.
const LOST_MAX: usize = 1 << 14;

/// A packet that did not arrive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lost {
    /// What it carries, from and to behind the last.
    from: u32,
    to: u32,
    again: Again,
    /// What it would have begun.
    asks: Option<Kind>,
}

/// All of them, by their sender's tuple.
#[derive(Clone, Debug, Default)]
pub(super) struct LostPackets {
    by_tuple: FxHashMap<Tuple, Vec<Lost>>,
    /// Oldest first.
    order: VecDeque<Tuple>,
}

/// What a packet carries that tells it from others of its tuple, and what it begins.
fn carried(seen: Seen, tuple: &Tuple, answers: bool) -> Option<(u32, u32, Option<Kind>)> {
    let kind = if matches!(tuple.proto, ICMP | ICMPV6) { Kind::Ping } else { Kind::Request };
    Some(match seen {
        Seen::Syn { seq } => (seq, seq.wrapping_add(1), Some(Kind::Connect)),
        Seen::SynAck { seq } => (seq, seq.wrapping_add(1), None),
        Seen::Data(segment) => (segment.from, segment.to, None),
        Seen::Once { id } => (id.into(), u32::from(id) + 1, (!answers).then_some(kind)),
        Seen::Ack { .. } | Seen::Close | Seen::Datagram => return None,
    })
}

impl LostPackets {
    pub(super) fn is_empty(&self) -> bool {
        self.by_tuple.is_empty()
    }

    /// A packet that departed then did not arrive.
    pub(super) fn add(
        &mut self,
        tuple: Tuple,
        seen: Seen,
        answers: bool,
        start_ns: u64,
        place: Option<u32>,
        unanswered: &mut Unanswered,
    ) {
        let Some((from, to, asks)) = carried(seen, &tuple, answers) else { return };
        let before = self.again(&tuple, seen, start_ns);
        let first_ns = if before.count > 0 { before.first_ns.min(start_ns) } else { start_ns };
        let again = Again { count: before.count + 1, first_ns, place };
        if self.order.len() >= LOST_MAX {
            self.forget_oldest(unanswered);
        }
        self.by_tuple.entry(tuple).or_default().push(Lost { from, to, again, asks });
        self.order.push_back(tuple);
    }

    /// What a packet that departed then repeats, which is forgotten. What departed later was a needless copy of it,
    /// and was thrown away by its receiver.
    pub(super) fn again(&mut self, tuple: &Tuple, seen: Seen, start_ns: u64) -> Again {
        let mut sum = Again::default();
        let (Some((from, to, _)), Some(lost)) =
            (carried(seen, tuple, false), self.by_tuple.get_mut(tuple))
        else {
            return sum;
        };
        lost.retain(|lost| {
            let apart = !before(from, lost.to) || !before(lost.from, to);
            if !apart && lost.again.first_ns < start_ns {
                let first = sum.count == 0 || lost.again.first_ns < sum.first_ns;
                sum.first_ns = if first { lost.again.first_ns } else { sum.first_ns };
                sum.count += lost.again.count;
                sum.place = sum.place.or(lost.again.place);
            }
            apart
        });
        if lost.is_empty() {
            self.by_tuple.remove(tuple);
        }
        sum
    }

    /// Forgets the oldest that nothing has repeated.
    fn forget_oldest(&mut self, unanswered: &mut Unanswered) {
        let Some(tuple) = self.order.pop_front() else { return };
        let Some(lost) = self.by_tuple.get_mut(&tuple) else { return };
        if !lost.is_empty() {
            count(&tuple, lost.remove(0), unanswered);
        }
        if lost.is_empty() {
            self.by_tuple.remove(&tuple);
        }
    }

    /// Nothing more comes: requests that nobody has repeated stay unanswered.
    pub(super) fn finish(&mut self, unanswered: &mut Unanswered) {
        self.order.clear();
        for (tuple, all) in self.by_tuple.drain() {
            all.into_iter().for_each(|lost| count(&tuple, lost, unanswered));
        }
    }
}

fn count(tuple: &Tuple, lost: Lost, unanswered: &mut Unanswered) {
    if let Some(kind) = lost.asks {
        *unanswered.entry((kind, tuple.proto)).or_default() += 1;
    }
}
