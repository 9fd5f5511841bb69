//! Flows: packets of one tuple, in a direction.

use std::cmp::Reverse;

use rustc_hash::FxHashMap;

use super::Direction;
use crate::packet::Tuple;

/// Flows that are kept apart; packets of later ones are counted in [`Flows::others`].
pub(super) const FLOWS_MAX: usize = 1 << 17;

/// What a flow has added up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The tuple after NAT, where it differs.
    pub translated: Option<Tuple>,
    pub packets: u64,
    pub sum_ns: i64,
    pub max_ns: i64,
}

/// All flows.
#[derive(Clone, Debug, Default)]
pub struct Flows {
    by_tuple: FxHashMap<(Tuple, Direction), Flow>,
    /// Packets of flows beyond [`FLOWS_MAX`].
    pub others: u64,
}

impl Flows {
    pub(super) fn add(
        &mut self,
        tuple: Tuple,
        translated: Option<Tuple>,
        direction: Direction,
        total_ns: i64,
    ) {
        let full = self.by_tuple.len() >= FLOWS_MAX;
        let key = (tuple, direction);
        if full && !self.by_tuple.contains_key(&key) {
            self.others += 1;
            return;
        }
        let flow = self.by_tuple.entry(key).or_insert(Flow {
            translated,
            packets: 0,
            sum_ns: 0,
            max_ns: i64::MIN,
        });
        flow.packets += 1;
        flow.sum_ns += total_ns;
        flow.max_ns = flow.max_ns.max(total_ns);
        flow.translated = flow.translated.or(translated);
    }

    pub fn len(&self) -> usize {
        self.by_tuple.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_tuple.is_empty()
    }

    /// The `n` flows with the most packets, and of the others the `n` with the slowest packet; most
    /// packets first.
    pub fn top(&self, n: usize) -> Vec<(&Tuple, Direction, &Flow)> {
        let mut all: Vec<_> = self.by_tuple.iter().map(|((t, d), f)| (t, *d, f)).collect();
        let order = |f: &(&Tuple, Direction, &Flow)| (Reverse(f.2.packets), *f.0, f.1);
        if all.len() > n {
            all.select_nth_unstable_by_key(n, order);
            let rest = &mut all[n..];
            if rest.len() > n {
                rest.select_nth_unstable_by_key(n, |f| (Reverse(f.2.max_ns), *f.0, f.1));
            }
            all.truncate(2 * n);
        }
        all.sort_by_key(order);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_and_the_slowest_are_on_top() {
        let mut flows = Flows::default();
        let tuple =
            |port: u16| Tuple::v4(17, [10, 0, 0, 1], [10, 0, 0, 2], port.to_be_bytes(), [0; 2]);
        for port in 0_u16..100 {
            for _ in 0..=port {
                flows.add(tuple(port), None, Direction::Outbound, i64::from(1000 - port));
            }
        }
        let top: Vec<u64> = flows.top(2).iter().map(|(_, _, f)| f.packets).collect();
        assert_eq!(top, [100, 99, 2, 1]);
        assert_eq!(flows.top(1000).len(), 100);
    }
}
