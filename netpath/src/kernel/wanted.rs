//! Where each wanted device stands in the table that the programs look at, and what changes from one set of
//! devices to the next. Pure.

use std::collections::{BTreeMap, BTreeSet};

use netpath_common::place::{Bucket, DevId, WANTED_WAYS};

/// A table: the buckets that are not empty, and what has found no room in them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    buckets: BTreeMap<u32, Bucket>,
    more: BTreeSet<DevId>,
}

/// What makes one table of another.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// What comes to the hash map, and what leaves it.
    pub(super) more: Vec<DevId>,
    pub(super) less: Vec<DevId>,
    /// Buckets that change, by their index.
    pub(super) buckets: Vec<(u32, Bucket)>,
}

impl Wanted {
    pub(super) fn of(devices: impl Iterator<Item = DevId>) -> Self {
        let mut sharing: BTreeMap<u32, BTreeSet<DevId>> = BTreeMap::new();
        for dev in devices {
            sharing.entry(dev.bucket()).or_default().insert(dev);
        }
        let mut this = Self::default();
        for (at, devices) in sharing {
            let mut bucket = [DevId::NONE; WANTED_WAYS];
            let fits = devices.len() <= WANTED_WAYS;
            let room = if fits { WANTED_WAYS } else { WANTED_WAYS - 1 };
            for (i, dev) in devices.into_iter().enumerate() {
                if i < room {
                    bucket[i] = dev;
                } else {
                    this.more.insert(dev);
                }
            }
            if !fits {
                bucket[room] = DevId::MORE;
            }
            this.buckets.insert(at, bucket);
        }
        this
    }

    pub(super) fn until(&self, next: &Self) -> Change {
        let changed = |(at, bucket): &(&u32, &Bucket)| self.buckets.get(at) != Some(bucket);
        let changed = next.buckets.iter().filter(changed).map(|(at, bucket)| (*at, *bucket));
        let emptied = self.buckets.keys().filter(|at| !next.buckets.contains_key(at));
        Change {
            more: next.more.difference(&self.more).copied().collect(),
            less: self.more.difference(&next.more).copied().collect(),
            buckets: changed.chain(emptied.map(|at| (*at, [DevId::NONE; WANTED_WAYS]))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As the programs look it up.
    fn holds(table: &Wanted, dev: DevId) -> bool {
        let Some(bucket) = table.buckets.get(&dev.bucket()) else { return false };
        bucket.contains(&dev)
            || (bucket[WANTED_WAYS - 1] == DevId::MORE && table.more.contains(&dev))
    }

    fn apply(mut table: Wanted, change: Change) -> Wanted {
        table.more.extend(change.more);
        table.buckets.extend(change.buckets);
        change.less.iter().for_each(|dev| {
            table.more.remove(dev);
        });
        table.buckets.retain(|_, bucket| *bucket != [DevId::NONE; WANTED_WAYS]);
        table
    }

    fn device(nth: u32) -> DevId {
        DevId { netns: 1 + nth / 8, ifindex: nth % 8 }
    }

    proptest! {
        #[test]
        fn what_is_wanted_is_found_and_nothing_else(
            first in proptest::collection::btree_set(0_u32..100_000, 0..600),
            second in proptest::collection::btree_set(0_u32..100_000, 0..600),
        ) {
            let table = |set: &BTreeSet<u32>| Wanted::of(set.iter().map(|nth| device(*nth)));
            let (before, after) = (table(&first), table(&second));
            prop_assert!(second.iter().all(|nth| holds(&after, device(*nth))));
            prop_assert!(first.difference(&second).all(|nth| !holds(&after, device(*nth))));
            let change = before.until(&after);
            prop_assert_eq!(apply(before, change), after);
        }
    }

    #[test]
    fn what_finds_no_room_in_its_bucket_is_found_all_the_same() {
        let bucket = device(1).bucket();
        let devices: Vec<DevId> =
            (1..100_000).map(device).filter(|dev| dev.bucket() == bucket).take(9).collect();
        let table = Wanted::of(devices.iter().copied());
        assert!(devices.iter().all(|dev| holds(&table, *dev)));
        assert_eq!((devices.len(), table.more.len()), (9, 9 - (WANTED_WAYS - 1)));
    }

    #[test]
    fn few_of_ten_thousand_devices_find_no_room() {
        let devices = (0..10_000).map(|nth| DevId { netns: 1 + nth, ifindex: 2 });
        assert!(Wanted::of(devices).more.len() < 2_000);
    }
}
