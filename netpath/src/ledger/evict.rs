//! Room for what is new: what has been silent for longest is added up with others of its kind.

use super::{DropKey, Ledger, OTHERS, Path, PathKey, ends::Ended};
use crate::topo::Place;

impl Ledger {
    /// Makes room for a path.
    pub(super) fn forget_silent(&mut self) {
        let silent = self.paths.iter().enumerate().min_by_key(|(_, path)| path.last_ns);
        let Some(at) = silent.map(|(at, _)| at) else { return };
        let path = self.paths.swap_remove(at);
        self.by_key.remove(&path.key);
        if let Some(moved) = self.paths.get(at) {
            self.by_key.insert(moved.key.clone(), at);
        }
        self.transactions.forget_path(path.id);
        self.coverage.other_paths += path.total.count();
        let direction = path.key.direction;
        let key = PathKey { direction, ..PathKey::default() };
        let others = self.others.entry(direction);
        others.or_insert_with(|| Path::new(key, OTHERS, Vec::new())).absorb(path);
    }

    /// Puts the half of the drops together, wherever they were, that has been silent for longer.
    pub(super) fn forget_silent_drops(&mut self) {
        let mut last: Vec<u64> = self.drops.values().map(|ended| ended.last_ns).collect();
        let middle = last.len() / 2;
        let limit = *last.select_nth_unstable(middle).1;
        let others = Place::default();
        let silent = |key: &DropKey, ended: &Ended| ended.last_ns < limit && key.place != others;
        let keys = self.drops.iter().filter(|(key, ended)| silent(key, ended)).map(|(key, _)| *key);
        for key in keys.collect::<Vec<_>>() {
            let Some(ended) = self.drops.remove(&key) else { continue };
            let known =
                self.drops.entry(DropKey { place: others, within: None, ..key }).or_default();
            known.count += ended.count;
            known.last_ns = known.last_ns.max(ended.last_ns);
            known.example = known.example.or(ended.example);
        }
    }
}
