//! Packets that were recorded only because they were late: the slowest of them, one by one. They are no
//! sample, so they add up to nothing.

use netpath_common::hop::At;

use super::{Direction, Specimen, Times, classify::Step};
use crate::{flight::End, packet::Tuple, topo::Place};

/// Packets that are kept, the slowest ones.
const KEPT: usize = 16;
/// From so many packets on a 99th percentile says something.
const ENOUGH: u64 = 300;

/// A late packet.
#[derive(Clone, Debug)]
pub struct LatePacket {
    /// As it was where it was found to be late.
    pub tuple: Tuple,
    pub translated: Option<Tuple>,
    pub direction: Direction,
    /// The devices that it passed from there on.
    pub places: Vec<Place>,
    pub end: End,
    /// Its first piece is what had happened before.
    pub specimen: Specimen,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Late {
    /// How many were recorded.
    pub recorded: u64,
    slowest: Vec<LatePacket>,
    /// Of packets that were drawn since it was last looked at: how long until their last device took
    /// them up.
    lately: Times,
}

impl Late {
    pub(super) fn add(&mut self, packet: LatePacket) {
        self.recorded += 1;
        let at = self.slowest.partition_point(|p| p.specimen.total_ns >= packet.specimen.total_ns);
        if at < KEPT {
            self.slowest.insert(at, packet);
            self.slowest.truncate(KEPT);
        }
    }

    /// A packet that was drawn took these steps.
    pub(super) fn drawn(&mut self, steps: &[Step]) {
        let taken_up = |s: &&Step| matches!(s.at(), Some(At::Rx | At::RxPort));
        if let (Some(first), Some(last)) = (steps.first(), steps.iter().rev().find(taken_up)) {
            self.lately.add(last.at_ns.wrapping_sub(first.at_ns).cast_signed());
        }
    }

    /// The 99th percentile of the packets drawn since it was last asked for, of the time until their
    /// last device took them up, where they were enough, ns.
    pub fn p99_lately(&mut self) -> Option<u64> {
        (self.lately.count() >= ENOUGH).then(|| {
            let p99_ns = self.lately.quantile_ns(0.99);
            self.lately.clear();
            p99_ns
        })
    }

    /// Slowest first.
    pub fn slowest(&self) -> &[LatePacket] {
        &self.slowest
    }
}

#[cfg(test)]
mod tests {
    use super::{super::classify::What, *};
    use crate::testing::{VETH0, tuple};

    #[test]
    fn the_slowest_are_kept_in_order() {
        let mut late = Late::default();
        for ns in [5, 90, 7, 30, 60].into_iter().chain(100..200) {
            late.add(LatePacket {
                tuple: tuple([10, 0, 0, 1], [10, 0, 0, 2], 1, 2),
                translated: None,
                direction: Direction::Inbound,
                places: vec![VETH0],
                end: End::Delivered,
                specimen: Specimen { total_ns: ns, ..Specimen::default() },
            });
        }
        let kept: Vec<i64> = late.slowest().iter().map(|p| p.specimen.total_ns).collect();
        assert_eq!(kept, (184..200).rev().collect::<Vec<_>>());
        assert_eq!(late.recorded, 105);
    }

    #[test]
    fn a_percentile_of_few_is_none() {
        let step = |at_ns, at| Step {
            at_ns,
            cpu: 0,
            left_idle: false,
            resumed: false,
            what: What::At(at),
            place: VETH0,
            hook: None,
            taken_up: None,
            arg: 0,
        };
        let steps =
            [step(100, At::Out), step(500, At::Rx), step(1100, At::Rx), step(9000, At::Recv)];
        let mut late = Late::default();
        (0..299).for_each(|_| late.drawn(&steps));
        assert_eq!(late.p99_lately(), None);
        late.drawn(&steps);
        assert!(late.p99_lately().is_some_and(|ns| (990..=1010).contains(&ns)));
        assert_eq!(late.p99_lately(), None);
    }
}
