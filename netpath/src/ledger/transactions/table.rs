//! What is under way, by what tells it apart, with a bounded number of places.

use std::hash::Hash;

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;

/// Places in a table.
pub(in super::super) const CONNECTIONS_MAX: usize = 1 << 17;
/// What was silent for this long makes room for others, ns.
pub(super) const IDLE_NS: u64 = 1_000_000_000;
/// Places that are looked at to make room for one.
pub(super) const LOOKED_AT: usize = 64;

/// Something that is under way.
pub(super) trait UnderWay: Default {
    /// When something of it last happened, ns.
    fn last_ns(&self) -> u64;
}

/// A table.
#[derive(Clone, Debug)]
pub(super) struct Table<K, V> {
    map: IndexMap<K, V, FxBuildHasher>,
    /// Where to look next for what is silent.
    hand: usize,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { map: IndexMap::default(), hand: 0 }
    }
}

impl<K: Copy + Eq + Hash, V: UnderWay> Table<K, V> {
    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    pub(super) fn find(&self, key: &K) -> Option<usize> {
        self.map.get_index_of(key)
    }

    /// What was found at this place before others came and went.
    pub(super) fn get(&mut self, found: Option<usize>, key: &K) -> Option<&mut V> {
        let there = |at: &usize| self.map.get_index(*at).is_some_and(|(known, _)| known == key);
        let at = found.filter(there).or_else(|| self.map.get_index_of(key))?;
        Some(&mut self.map[at])
    }

    /// A place for this, where there is room or some can be made; `ends` gets what has to go for it.
    pub(super) fn put(&mut self, key: K, now_ns: u64, ends: impl FnMut(K, V)) -> Option<&mut V> {
        if self.map.len() >= CONNECTIONS_MAX && !self.map.contains_key(&key) {
            self.sweep(LOOKED_AT, |v| v.last_ns() + IDLE_NS < now_ns, ends);
            if self.map.len() >= CONNECTIONS_MAX {
                return None;
            }
        }
        Some(self.map.entry(key).or_default())
    }

    /// Looks at some places in turn, and takes out what is over.
    pub(super) fn sweep(
        &mut self,
        many: usize,
        is_over: impl Fn(&V) -> bool,
        mut ends: impl FnMut(K, V),
    ) {
        for _ in 0..many.min(self.map.len()) {
            let Some((_, value)) = self.map.get_index(self.hand) else {
                self.hand = 0;
                continue;
            };
            if !is_over(value) {
                self.hand += 1;
            } else if let Some((key, value)) = self.map.swap_remove_index(self.hand) {
                // The last one comes here.
                ends(key, value);
            }
        }
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        self.map.swap_remove(key)
    }

    pub(super) fn take(&mut self) -> impl Iterator<Item = (K, V)> + use<K, V> {
        std::mem::take(&mut self.map).into_iter()
    }
}
