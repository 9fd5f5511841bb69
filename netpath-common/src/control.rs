//! What user space asks of the programs while they run.

/// The `select` of a [`Control`] that takes every packet of the wanted devices, and asks nothing.
pub const SELECT_ALL: u32 = 0;
/// The one that takes what filter and sampling want.
pub const SELECT_ASK: u32 = 1;
/// The one that takes no packet that begins. Those under way are followed to their end.
pub const SELECT_NONE: u32 = 2;

/// Set in a map of one entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Control {
    /// Whether a packet can be left out: [`SELECT_ALL`], [`SELECT_ASK`] or [`SELECT_NONE`].
    pub select: u32,
    /// Not 0 where the filter is to be asked.
    pub filter: u32,
    /// Packets are taken whose number is below this; [`u32::MAX`] takes all.
    pub rate: u32,
    /// Not 0 where the number is the conversation's, 0 where it is the packet's.
    pub by_flow: u32,
    /// Not 0 where a packet is seen when it leaves its socket; else it is born at its first device.
    pub births: u32,
    /// 1 where all devices are wanted but those of the namespaces in the table; else 0.
    pub everything: u32,
    /// A packet that was not to be recorded is late after so long, ns; 0 where that is not asked.
    pub late_ns: u32,
    /// Late packets that each CPU records at most, of all so far.
    pub late_limit: u32,
}

/// What programs do that record nothing, so that what they cost can be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Inert {
    /// Return.
    Nothing = 1,
    /// Ask for the time, and return.
    Clock = 2,
}
