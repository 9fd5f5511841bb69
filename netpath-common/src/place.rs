//! The table of devices whose packets are wanted, filled by user space, read by the programs.
//!
//! A device is known by its network namespace's cookie (low 32 bits of `net->net_cookie`, never
//! reused while the machine runs) and its ifindex. The table is an array of small buckets, so that the kernel
//! side needs a few loads and no helper; a hash map has what finds no room there.

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
    /// No device: others with the same bucket stand elsewhere.
    pub const MORE: Self = Self { netns: 0, ifindex: u32::MAX };

    /// The form in which it travels in an event's argument: namespace high, ifindex low.
    pub const fn to_arg(self) -> u64 {
        ((self.netns as u64) << 32) | self.ifindex as u64
    }

    #[expect(clippy::cast_possible_truncation, reason = "the two halves are cut apart")]
    #[inline]
    pub const fn from_arg(arg: u64) -> Self {
        Self { netns: (arg >> 32) as u32, ifindex: arg as u32 }
    }

    /// The bucket of the wanted table in which this device may stand. Cookies are given out in batches of
    /// 4,096 to each CPU, and indices are small: all bits count.
    #[expect(clippy::cast_possible_truncation, reason = "an index below WANTED_BUCKETS is left")]
    #[inline]
    pub const fn bucket(self) -> u32 {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        (self.to_arg().wrapping_mul(ODD) >> (u64::BITS - WANTED_BUCKETS.trailing_zeros())) as u32
    }
}

/// Buckets of the wanted table: a power of two.
pub const WANTED_BUCKETS: u32 = 4096;
/// Devices that share a bucket at most.
pub const WANTED_WAYS: usize = 4;
/// Devices that find no room in their buckets, at most.
pub const WANTED_MORE: u32 = 16_384;

/// A place in the wanted table for devices with the same [`DevId::bucket`]. Where there are more of them than
/// it holds, its last is [`DevId::MORE`], and the others stand in a hash map.
pub type Bucket = [DevId; WANTED_WAYS];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_survives_the_trip_through_an_argument() {
        let dev = DevId { netns: 0xdead_beef, ifindex: 7 };
        assert_eq!(DevId::from_arg(dev.to_arg()), dev);
    }

    #[test]
    fn cookies_of_many_cpus_spread() {
        // 10,000 namespaces with a device and what their sockets send, made on 64 CPUs.
        let mut held = [0_u32; WANTED_BUCKETS as usize];
        for cpu in 0..64_u32 {
            for nth in 0..157 {
                for ifindex in [0, 2] {
                    let dev = DevId { netns: cpu * 4096 + nth, ifindex };
                    held[dev.bucket() as usize] += 1;
                }
            }
        }
        // At random, 5 in a bucket are the mean; more than 20 of them would be no chance.
        assert!(held.iter().all(|n| *n < 20), "{:?}", held.iter().max());
        assert!(held.iter().filter(|n| **n == 0).count() < 100);
    }
}
