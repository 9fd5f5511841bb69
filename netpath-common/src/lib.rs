//! What the kernel side and the user side of netpath must agree on.
//!
//! - [`hop`]: the hop table, the single source of what can be measured and how.
//! - [`situation`]: where a packet can be, and what may follow what.
//! - [`netfilter`]: hooks and families.
//! - [`point`]: the probe points that the hop table's measures are made of.
//! - [`control`]: what user space asks of running programs.
//! - [`end`]: what it means that a packet was thrown away.
//! - [`filter`]: packet filters as both sides run them.
//! - [`group`]: the cost groups, their labels and colours.
//! - [`softirq`]: who takes packets up from a CPU's backlog.
//! - [`span`]: the functions whose entry and exit are probed, from the hop table.
//! - [`wire`]: the records that travel through the ring buffer.
//! - [`layout`]: the kernel struct fields whose offsets are resolved from BTF at start.
//! - [`place`]: the table of devices whose packets are wanted.
//!
//! Nothing here does I/O, allocates or needs `std`.
#![no_std]

pub mod args;
pub mod control;
pub mod end;
pub mod filter;
pub mod group;
pub mod hop;
pub mod layout;
pub mod netfilter;
pub mod place;
pub mod point;
pub mod situation;
pub mod softirq;
pub mod span;
pub mod wire;
