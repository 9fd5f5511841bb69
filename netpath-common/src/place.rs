//! The table of devices whose packets are wanted, filled by user space, read by the programs.
//!
//! A device is known by its network namespace's cookie (low 32 bits of `net->net_cookie`, never
//! reused while the machine runs) and its ifindex. The table is an array with open addressing, so
//! that the kernel side needs a few loads and no hash-map helper.

/// A network device, as the programs see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C)]
pub struct DevId {
    /// Low half of the network namespace's cookie.
    pub netns: u32,
    /// Interface index within that namespace; 0 means none.
    pub ifindex: u32,
}

impl DevId {
    pub const NONE: Self = Self { netns: 0, ifindex: 0 };

    /// The form in which it travels in an event's argument: namespace high, ifindex low.
    pub const fn to_arg(self) -> u64 {
        ((self.netns as u64) << 32) | self.ifindex as u64
    }

    #[expect(clippy::cast_possible_truncation, reason = "the two halves are cut apart")]
    #[inline]
    pub const fn from_arg(arg: u64) -> Self {
        Self { netns: (arg >> 32) as u32, ifindex: arg as u32 }
    }

    /// The bucket of the wanted table in which this device may stand.
    pub const fn bucket(self) -> u32 {
        (self.netns.wrapping_mul(31).wrapping_add(self.ifindex)) & (WANTED_BUCKETS - 1)
    }
}

/// Buckets of the wanted table: a power of two.
pub const WANTED_BUCKETS: u32 = 256;
/// Devices that share a bucket at most.
pub const WANTED_WAYS: usize = 4;

/// A place in the wanted table for devices with the same [`DevId::bucket`].
pub type Bucket = [DevId; WANTED_WAYS];

/// Puts `dev` into the table. `false` when its bucket is full.
pub fn insert(table: &mut [Bucket; WANTED_BUCKETS as usize], dev: DevId) -> bool {
    for slot in &mut table[dev.bucket() as usize] {
        if *slot == dev || *slot == DevId::NONE {
            *slot = dev;
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_survives_the_trip_through_an_argument() {
        let dev = DevId { netns: 0xdead_beef, ifindex: 7 };
        assert_eq!(DevId::from_arg(dev.to_arg()), dev);
    }

    #[test]
    fn neighbours_in_many_namespaces_find_room() {
        let mut table = [[DevId::NONE; WANTED_WAYS]; WANTED_BUCKETS as usize];
        for netns in 1..40 {
            for ifindex in 1..6 {
                assert!(insert(&mut table, DevId { netns, ifindex }));
            }
        }
    }

    #[test]
    fn a_full_bucket_is_reported() {
        let mut table = [[DevId { netns: 9, ifindex: 9 }; WANTED_WAYS]; WANTED_BUCKETS as usize];
        assert!(!insert(&mut table, DevId { netns: 1, ifindex: 1 }));
    }
}
