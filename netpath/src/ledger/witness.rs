//! What netpath has counted that the kernel counts too: packets by the device that took or sent them,
//! and packets thrown away by reason and protocol.
//!
//! In: every flight, whether it is on a path or not. Out: two tallies, which the snapshot holds beside
//! the kernel's counters. A kernel's counter is of a namespace or a device, so that what a packet was
//! on counts here, not which way it took.

use netpath_common::{
    hop::HopId,
    point::Hook,
    situation::{At, Side},
};
use rustc_hash::FxHashMap;

use super::{
    classify::Step,
    devices::Devices,
    drops::{self, Where},
};
use crate::{
    flight::{End, Flight},
    hooks::HookPlan,
    topo::Place,
};

/// Packets that were thrown away alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Freed {
    /// The last device that the packet was seen at.
    pub place: Place,
    /// `enum skb_drop_reason`.
    pub reason: u16,
    /// IP protocol number; none of what is not IP.
    pub protocol: Option<u8>,
    pub v6: bool,
    /// The part of a netfilter hook that had it.
    pub within: Option<(HopId, Option<Hook>)>,
    /// The last situation that it was in.
    pub after: Option<At>,
    /// It has passed the interface that was asked for.
    pub on_path: bool,
}

/// Packets that a device has handed up, and that it was given to send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    pub received: u64,
    pub sent: u64,
}

/// netpath's side of the counters.
#[derive(Debug, Default)]
pub struct Witness {
    freed: FxHashMap<Freed, u64>,
    passed: FxHashMap<Place, Passed>,
}

impl Witness {
    pub fn freed(&self) -> impl Iterator<Item = (&Freed, u64)> {
        self.freed.iter().map(|(key, n)| (key, *n))
    }

    pub fn passed(&self, place: Place) -> Passed {
        self.passed.get(&place).copied().unwrap_or_default()
    }

    /// Forgets what was met at devices that are gone.
    pub(super) fn forget(&mut self, gone: impl Fn(&Place) -> bool) {
        self.passed.retain(|place, _| !gone(place));
        self.freed.retain(|freed, _| !gone(&freed.place));
    }

    /// Counts a flight with these steps; of one that was recorded only because it was late, the
    /// beginning is not known.
    pub(super) fn add(
        &mut self,
        flight: &Flight,
        steps: &[Step],
        (devices, hooks): (&Devices, &HookPlan),
        on_path: bool,
    ) {
        if flight.is_late() {
            return;
        }
        self.pass(flight, steps, devices);
        if let End::Dropped { reason } = flight.end {
            self.free(flight, reason, &drops::whereabouts(steps, hooks), on_path);
        }
    }

    /// What a copy has in common with the packet that it is a copy of is that one's.
    fn pass(&mut self, flight: &Flight, steps: &[Step], devices: &Devices) {
        let common_ns = flight.copy_of.and_then(|_| flight.shared_until_ns());
        let mut sender = None;
        for step in steps.iter().filter(|step| Some(step.at_ns) > common_ns) {
            let Some(row) = step.at().map(At::row).filter(|row| row.counted) else { continue };
            let from = sender.take();
            if row.side == Some(Side::Sending) {
                sender = Some(step.place);
            } else if from.is_some_and(|from| devices.get(from).shares == Some(step.place)) {
                continue;
            }
            let passed = self.passed.entry(step.place).or_default();
            match row.side {
                Some(Side::Receiving) => passed.received += 1,
                Some(Side::Sending) => passed.sent += 1,
                None => {}
            }
        }
    }

    fn free(&mut self, flight: &Flight, reason: u16, at: &Where, on_path: bool) {
        let tuple = flight.headers.as_ref().and_then(|h| h.tuple);
        let freed = Freed {
            place: at.place,
            reason,
            protocol: tuple.map(|t| t.proto),
            v6: tuple.is_some_and(|t| t.src.is_ipv6()),
            within: at.within.map(|within| (within.hop, within.hook)),
            after: at.after,
            on_path,
        };
        *self.freed.entry(freed).or_default() += 1;
    }
}
