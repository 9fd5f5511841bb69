//! Who takes packets up from a CPU's backlog, as the programs know it and say it.

/// What is known of a CPU's softirqs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Softirqs {
    /// Address of its `struct softnet_data`; 0 until it has been found.
    pub softnet: u64,
    /// Process id of its ksoftirqd; 0 where it is not known.
    pub ksoftirqd: u32,
    pub reserved: u32,
}

/// The `aux` of a [`crate::point::NETIF_RECEIVE`] event: who took the packet up. All 0 where it is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TakenUp {
    /// By this CPU's ksoftirqd, and not in line: at the end of an interrupt, or of what a task does with
    /// softirqs disabled.
    pub ksoftirqd: bool,
    /// Packets that are left on the CPU's backlog behind this one (`softnet_data.input_pkt_queue` and
    /// `process_queue`), [`Self::LEFT_MAX`] at most; of one packet in [`LOOKED_AT`], since a look costs
    /// as much as an event.
    pub left: Option<u16>,
}

/// Of so many packets one is looked behind.
pub const LOOKED_AT: u64 = 1 << LOOKED_AT_SHIFT;
const LOOKED_AT_SHIFT: u32 = 3;

/// Whether it is looked behind the packet that is taken up at this time, ns. Multiples of the golden ratio
/// are spread evenly, whatever a clock's ticks are.
#[inline]
pub const fn looks(now_ns: u64) -> bool {
    now_ns.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - LOOKED_AT_SHIFT) == 0
}

impl TakenUp {
    const KNOWN: u16 = 1 << 15;
    const KSOFTIRQD: u16 = 1 << 14;
    const NOT_LOOKED: u16 = Self::KSOFTIRQD - 1;
    pub const LEFT_MAX: u16 = Self::NOT_LOOKED - 1;

    pub const fn pack(self) -> u16 {
        let who = if self.ksoftirqd { Self::KSOFTIRQD } else { 0 };
        let left = match self.left {
            None => Self::NOT_LOOKED,
            Some(left) if left > Self::LEFT_MAX => Self::LEFT_MAX,
            Some(left) => left,
        };
        Self::KNOWN | who | left
    }

    #[inline]
    pub const fn unpack(aux: u16) -> Option<Self> {
        if aux & Self::KNOWN == 0 {
            return None;
        }
        let left = aux & Self::NOT_LOOKED;
        let left = if left == Self::NOT_LOOKED { None } else { Some(left) };
        Some(Self { ksoftirqd: aux & Self::KSOFTIRQD != 0, left })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_packet_in_so_many_is_looked_behind_whatever_the_clocks_ticks() {
        for tick in [1, 4, 8, 10, 20, 40, 52, 64, 100, 1000] {
            let looked =
                (0..100_000_u64).filter(|i| looks(7_123_456_000 + i * tick)).count() as u64;
            let wanted = 100_000 / LOOKED_AT;
            assert!(looked.abs_diff(wanted) < wanted / 10, "{looked} of {wanted} at {tick} ns");
        }
    }

    #[test]
    fn who_took_a_packet_up_fits_into_aux() {
        for ksoftirqd in [false, true] {
            for left in [None, Some(0), Some(1), Some(TakenUp::LEFT_MAX)] {
                let taken = TakenUp { ksoftirqd, left };
                assert_eq!(TakenUp::unpack(taken.pack()), Some(taken));
            }
        }
        let many = TakenUp { ksoftirqd: false, left: Some(u16::MAX) }.pack();
        assert_eq!(TakenUp::unpack(many).and_then(|t| t.left), Some(TakenUp::LEFT_MAX));
        assert_eq!(TakenUp::unpack(0), None);
    }
}
