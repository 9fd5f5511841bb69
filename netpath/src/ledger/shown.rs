//! Single packets that stand for the others: a typical one, one near the 99th percentile, the
//! slowest. Memory does not grow with the number of packets.

use super::{RowKey, Times, attribute::Cut, classify::Step};

/// Packets kept to choose the typical one from, and as many slow ones.
const KEPT: usize = 24;
/// How often the limit of what is slow follows the histogram, packets.
const FOLLOW: u64 = 512;
/// Share of packets that are not slow.
const SLOW: f64 = 0.98;

/// A packet's time, cut up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Specimen {
    /// When it began, on the events' clock, ns.
    pub start_ns: u64,
    pub total_ns: i64,
    pub pieces: Vec<Piece>,
}

/// A piece of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    pub key: RowKey,
    /// Since the packet's beginning.
    pub at_ns: i64,
    pub ns: i64,
    pub cpu: u16,
}

/// The packets of a path that are kept.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    any: Vec<Specimen>,
    slow: Vec<Specimen>,
    slowest: Specimen,
    slow_from_ns: i64,
    seen: u64,
    /// State of a xorshift generator; which packets are kept must not follow their order.
    random: u64,
}

impl Shown {
    /// Counts a packet; whether the limit of what is slow has to follow now.
    pub(super) fn count(&mut self) -> bool {
        self.seen += 1;
        self.seen.is_multiple_of(FOLLOW) || (self.seen < FOLLOW && self.seen.is_power_of_two())
    }

    /// Moves that limit. `total` holds all packets that were counted.
    pub(super) fn follow(&mut self, total: &Times) {
        self.slow_from_ns = i64::try_from(total.quantile_ns(SLOW)).unwrap_or(i64::MAX);
        self.slow.retain(|s| s.total_ns >= self.slow_from_ns);
    }

    /// Keeps the packet that was counted last, or doesn't.
    pub(super) fn add(&mut self, steps: &[Step], cuts: &[Cut], total_ns: i64) {
        let make = || specimen(steps, cuts, total_ns);
        if total_ns > self.slowest.total_ns {
            self.slowest = make();
        }
        if self.any.len() < KEPT {
            self.any.push(make());
        } else if let Some(at) =
            usize::try_from(self.random() % self.seen).ok().filter(|i| *i < KEPT)
        {
            self.any[at] = make();
        }
        if total_ns >= self.slow_from_ns {
            if self.slow.len() < KEPT {
                self.slow.push(make());
            } else {
                let at = self.random() % KEPT as u64;
                self.slow[usize::try_from(at).unwrap_or(0)] = make();
            }
        }
    }

    /// Gives the pieces of a row another key.
    pub(super) fn rename(&mut self, from: &RowKey, to: RowKey) {
        let all = self.any.iter_mut().chain(&mut self.slow).chain([&mut self.slowest]);
        for piece in all.flat_map(|specimen| &mut specimen.pieces).filter(|p| p.key == *from) {
            piece.key = to;
        }
    }

    fn random(&mut self) -> u64 {
        let mut x = self.random | 0x9e37_79b9;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random = x;
        x
    }

    /// The kept packet whose total is nearest to this one, ns.
    pub fn nearest(&self, total_ns: u64) -> Option<&Specimen> {
        let target = i64::try_from(total_ns).unwrap_or(i64::MAX);
        self.any.iter().chain(&self.slow).min_by_key(|s| s.total_ns.abs_diff(target))
    }

    pub fn slowest(&self) -> Option<&Specimen> {
        (!self.slowest.pieces.is_empty()).then_some(&self.slowest)
    }
}

pub(super) fn specimen(steps: &[Step], cuts: &[Cut], total_ns: i64) -> Specimen {
    let start_ns = steps.first().map_or(0, |s| s.at_ns);
    let pieces = steps
        .iter()
        .zip(cuts)
        .map(|(step, cut)| Piece {
            key: cut.key,
            at_ns: step.at_ns.wrapping_sub(start_ns).cast_signed(),
            ns: cut.ns,
            cpu: step.cpu,
        })
        .collect();
    Specimen { start_ns, total_ns, pieces }
}
