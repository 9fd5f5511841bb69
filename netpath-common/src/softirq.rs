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
    /// `process_queue`), [`Self::LEFT_MAX`] at most.
    pub left: u16,
}

impl TakenUp {
    const KNOWN: u16 = 1 << 15;
    const KSOFTIRQD: u16 = 1 << 14;
    pub const LEFT_MAX: u16 = Self::KSOFTIRQD - 1;

    pub const fn pack(self) -> u16 {
        let who = if self.ksoftirqd { Self::KSOFTIRQD } else { 0 };
        let left = if self.left > Self::LEFT_MAX { Self::LEFT_MAX } else { self.left };
        Self::KNOWN | who | left
    }

    #[inline]
    pub const fn unpack(aux: u16) -> Option<Self> {
        if aux & Self::KNOWN == 0 {
            return None;
        }
        Some(Self { ksoftirqd: aux & Self::KSOFTIRQD != 0, left: aux & Self::LEFT_MAX })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_took_a_packet_up_fits_into_aux() {
        for ksoftirqd in [false, true] {
            for left in [0, 1, TakenUp::LEFT_MAX] {
                let taken = TakenUp { ksoftirqd, left };
                assert_eq!(TakenUp::unpack(taken.pack()), Some(taken));
            }
        }
        let many = TakenUp { ksoftirqd: false, left: u16::MAX }.pack();
        assert_eq!(TakenUp::unpack(many).map(|t| t.left), Some(TakenUp::LEFT_MAX));
        assert_eq!(TakenUp::unpack(0), None);
    }
}
