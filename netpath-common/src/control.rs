//! What user space asks of the programs while they run.

/// Set in a map of one entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Control {
    /// Not 0 where a packet can be left out: a filter is set, or not all are sampled.
    pub select: u32,
    /// Not 0 where the filter is to be asked.
    pub filter: u32,
    /// Packets are taken whose number is below this; [`u32::MAX`] takes all.
    pub rate: u32,
    /// Not 0 where the number is the conversation's, 0 where it is the packet's.
    pub by_flow: u32,
}
