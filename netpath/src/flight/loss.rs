//! Which flights lack marks, and why: rule 10 of [`super`].
//!
//! In: when each CPU lost events, and when probes were changed. Out: what that means for a flight,
//! asked where a mark is added to it, where it begins in mid-path, and where it ends in silence. A
//! packet is at one place at a time: between two marks of a flight, only losses of the CPUs count on
//! which it can have been.

use std::collections::BTreeMap;

use netpath_common::point::{Body, point};
use serde::{Deserialize, Serialize};

use super::{End, Flight, Mark};

/// Windows that are kept apart, for each CPU; beyond, the oldest two become one.
const WINDOWS_MAX: usize = 64;
/// After a loss, packets whose first marks were lost are met in mid-path for this long, ns.
const RESUMED_NS: u64 = 50_000_000;
/// What GRO does not hand on within this time, ns, it has merged.
const MERGED_NS: u64 = 50_000_000;

/// Why a flight is incomplete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Incomplete {
    /// Events were lost while it was under way, and some may have been its own.
    Lost,
    /// It has more events than a flight can hold.
    TooLong,
    /// Probes were attached or detached while it was under way.
    ProbesChanged,
    /// Events of it came too late to be put in order.
    OutOfOrder,
    /// Too many packets were under way for its end to be waited for.
    Cut,
}

impl Incomplete {
    /// What a reader is told.
    pub fn words(self) -> &'static str {
        match self {
            Self::Lost => "events of it may have been lost",
            Self::TooLong => "it has too many events",
            Self::ProbesChanged => "probes were changed while it was under way",
            Self::OutOfOrder => "events of it came too late to be put in order",
            Self::Cut => "its end was not waited for, too many packets were under way",
        }
    }
}

/// Times, ns, that don't overlap, in order; the last may have no end yet.
#[derive(Clone, Debug, Default)]
struct Windows(Vec<(u64, u64)>);

impl Windows {
    fn open(&mut self, from_ns: u64) {
        match self.0.last_mut() {
            Some((from, to)) if from_ns < *to => {
                *from = from_ns.min(*from);
                *to = u64::MAX;
            }
            _ => self.0.push((from_ns, u64::MAX)),
        }
        if self.0.len() > WINDOWS_MAX {
            self.0[1].0 = self.0[0].0;
            self.0.remove(0);
        }
    }

    fn close(&mut self, to_ns: u64) {
        if let Some((from, to)) = self.0.last_mut()
            && *to == u64::MAX
        {
            *to = to_ns.max(*from);
        }
    }

    /// Whether something of this lies between two times.
    fn between(&self, from_ns: u64, to_ns: u64) -> bool {
        let behind = self.0.partition_point(|(_, to)| *to <= from_ns);
        self.0.get(behind).is_some_and(|(from, _)| *from < to_ns)
    }
}

/// All that is known of losses.
#[derive(Clone, Debug, Default)]
pub(super) struct Losses {
    cpus: BTreeMap<u16, Windows>,
    changed: Windows,
    /// When probes were passed over for packets whose programs had interrupted others.
    missed: Windows,
    /// A loss from this time on, ns, breaks what goes by the order of events.
    breaks_ns: Option<u64>,
}

impl Losses {
    /// From here on a CPU loses events, or has lost some.
    pub(super) fn open(&mut self, cpu: u16, from_ns: u64) {
        self.cpus.entry(cpu).or_default().open(from_ns);
        self.breaks_ns = Some(self.breaks_ns.map_or(from_ns, |ns| ns.min(from_ns)));
    }

    /// From here on it records again.
    pub(super) fn close(&mut self, cpu: u16, to_ns: u64) {
        if let Some(windows) = self.cpus.get_mut(&cpu) {
            windows.close(to_ns);
        }
    }

    /// Between these times probes were changed.
    pub(super) fn changed(&mut self, from_ns: u64, to_ns: u64) {
        self.changed.open(from_ns);
        self.changed.close(to_ns);
        self.breaks_ns = Some(self.breaks_ns.map_or(from_ns, |ns| ns.min(from_ns)));
    }

    /// Between these times probes were passed over.
    pub(super) fn missed(&mut self, from_ns: u64, to_ns: u64) {
        self.missed.open(from_ns);
        self.missed.close(to_ns);
    }

    /// Whether a packet may lack marks whose program had interrupted another one between these times: what
    /// is interrupted while it runs is not run for the packet that interrupts it.
    pub(super) fn passed_over(&self, from_ns: u64, to_ns: u64) -> bool {
        self.missed.between(from_ns, to_ns)
    }

    /// Whether since the last time a loss has begun, before this time.
    pub(super) fn breaks(&mut self, now_ns: u64) -> bool {
        self.breaks_ns.take_if(|ns| *ns <= now_ns).is_some()
    }

    fn is_none(&self) -> bool {
        self.cpus.is_empty() && self.changed.0.is_empty()
    }

    /// What a packet that can have been on these CPUs lacks between two times.
    fn between(
        &self,
        from_ns: u64,
        to_ns: u64,
        can_have_been: impl Fn(u16) -> bool,
    ) -> Option<Incomplete> {
        if self.cpus.iter().any(|(cpu, w)| can_have_been(*cpu) && w.between(from_ns, to_ns)) {
            return Some(Incomplete::Lost);
        }
        self.changed.between(from_ns, to_ns).then_some(Incomplete::ProbesChanged)
    }

    /// What is missing before the mark that is about to be added, at this time, ns, on this CPU: at the
    /// flight's beginning, where it has none yet and `begins` is no packet's beginning, or behind its last one.
    #[inline]
    pub(super) fn before(
        &self,
        last: Option<&Mark>,
        (next_ns, next_cpu): (u64, u16),
        begins: bool,
    ) -> Option<Incomplete> {
        if self.is_none() {
            return None;
        }
        match last {
            Some(last) => self.between(last.at_ns, next_ns, |cpu| leads_over(last, next_cpu, cpu)),
            None if begins => None,
            None => self.between(next_ns.saturating_sub(RESUMED_NS), next_ns, |_| true),
        }
    }

    /// What is missing behind the last mark of a flight that has ended in silence by now.
    pub(super) fn behind(&self, flight: &Flight, now_ns: u64) -> Option<Incomplete> {
        let last = flight.marks.last().filter(|_| !self.is_none())?;
        let until_ns = match flight.end {
            // It is in no figure, or nothing more of it was to come.
            End::UnderWay | End::Transmitted | End::Delivered | End::Dropped { .. } => return None,
            // Nobody reads it.
            End::Reached if flight.headers.is_some_and(|h| h.payload == 0) => return None,
            End::Merged => now_ns.min(last.at_ns.saturating_add(MERGED_NS)),
            End::Reached | End::Vanished => now_ns,
        };
        self.between(last.at_ns, until_ns, |_| true)
    }
}

/// Whether a packet can have passed a CPU between this mark and another one.
fn leads_over(last: &Mark, next: u16, cpu: u16) -> bool {
    if cpu == last.cpu || cpu == next {
        return true;
    }
    match point(last.point).map(|p| p.body) {
        // The CPU is named whose backlog it was put on.
        Some(Body::Backlogged) => last.aux == cpu,
        Some(Body::Enqueued | Body::Ready | Body::Arriving) => true,
        _ => last.cpu != next,
    }
}

#[cfg(test)]
mod tests {
    use netpath_common::point::{GRO_RECEIVE, NET_DEV_QUEUE, NETIF_RX};

    use super::*;

    fn mark(point: u16, at_ns: u64, cpu: u16) -> Mark {
        Mark { at_ns, point, cpu, ..Mark::default() }
    }

    fn here(mark: &Mark) -> (u64, u16) {
        (mark.at_ns, mark.cpu)
    }

    #[test]
    fn no_window_is_ever_forgotten() {
        let mut losses = Losses::default();
        for i in 0..1000 {
            losses.open(3, i * 100);
            losses.close(3, i * 100 + 10);
        }
        assert!(losses.cpus[&3].0.len() <= WINDOWS_MAX);
        for i in 0..1000 {
            let before = mark(NET_DEV_QUEUE, i * 100, 3);
            let after = mark(NET_DEV_QUEUE, i * 100 + 20, 3);
            assert_eq!(
                losses.before(Some(&before), here(&after), false),
                Some(Incomplete::Lost),
                "{i}"
            );
        }
        // The newest are known apart.
        let quiet = (mark(NET_DEV_QUEUE, 99_820, 3), mark(NET_DEV_QUEUE, 99_900, 3));
        assert_eq!(losses.before(Some(&quiet.0), here(&quiet.1), false), None);
    }

    #[test]
    fn a_loss_counts_where_the_packet_can_have_been() {
        let mut losses = Losses::default();
        losses.open(1, 100);
        losses.close(1, 200);
        let lacks = |last: Mark, next: Mark| losses.before(Some(&last), here(&next), false);
        // On its own CPU, unless before the loss or after it.
        let on = |from, to, cpu| (mark(NET_DEV_QUEUE, from, cpu), mark(NET_DEV_QUEUE, to, cpu));
        for ((last, next), wanted) in [
            (on(50, 250, 1), true),
            (on(120, 130, 1), true),
            (on(50, 100, 1), false),
            (on(200, 300, 1), false),
            (on(50, 250, 0), false),
        ] {
            assert_eq!(lacks(last, next).is_some(), wanted, "{last:?} {next:?}");
        }
        // Into or out of it, and where it was queued: to the CPU that is named, or to any.
        assert!(lacks(mark(NET_DEV_QUEUE, 50, 0), mark(NET_DEV_QUEUE, 250, 1)).is_some());
        let queued = |cpu: u16| Mark { aux: cpu, ..mark(NETIF_RX, 50, 0) };
        assert!(lacks(queued(1), mark(NET_DEV_QUEUE, 250, 0)).is_some());
        assert!(lacks(queued(0), mark(NET_DEV_QUEUE, 250, 0)).is_none());
        assert!(lacks(mark(GRO_RECEIVE, 50, 0), mark(NET_DEV_QUEUE, 250, 0)).is_some());
    }

    #[test]
    fn what_is_met_in_mid_path_after_a_loss_has_lost_its_beginning() {
        let mut losses = Losses::default();
        losses.open(1, 100);
        losses.close(1, 200);
        let first = mark(NET_DEV_QUEUE, 5_000, 0);
        assert_eq!(losses.before(None, here(&first), false), Some(Incomplete::Lost));
        assert_eq!(losses.before(None, here(&first), true), None);
        let later = mark(NET_DEV_QUEUE, 5_000 + RESUMED_NS, 0);
        assert_eq!(losses.before(None, here(&later), false), None);
    }

    #[test]
    fn a_loss_that_goes_on_has_no_end_yet() {
        let mut losses = Losses::default();
        losses.open(0, 100);
        let far = (mark(NET_DEV_QUEUE, 1_000, 0), mark(NET_DEV_QUEUE, 1 << 40, 0));
        assert!(losses.before(Some(&far.0), here(&far.1), false).is_some());
        assert!(losses.breaks(100) && !losses.breaks(u64::MAX));
    }
}
