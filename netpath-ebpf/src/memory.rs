//! What is remembered of sk_buffs between CPUs: a direct-mapped table by address.
//!
//! A packet that is recorded is remembered as followed, one that was looked at and not taken as
//! refused, so that every later program knows after one look. The table can forget: two live
//! packets can share a place, and there the followed one stays. It never takes one packet for
//! another that is alive at the same time, within 256 GiB of addresses.
//!
//! An address lives on when its packet has ended unseen, and the next packet there may be taken for
//! it; a packet's birth asks nothing of this table, and user space drops what belongs to no flight.

use aya_ebpf::{macros::map, maps::Array};

use crate::skb::tag;

const SLOTS: u32 = 1 << 16;
/// An age is in units of 2^30 ns, about a second.
const AGE_SHIFT: u32 = 30;
const AGE_BITS: u32 = 0x7fff;
/// How long a packet is remembered that no point sees, in units of age.
const AGE_MAX: u32 = 128;
const VALID: u32 = 1 << 31;
const REFUSED: u32 = 1 << 30;

/// Of what was refused, when that was, in units of 2^6 ns: the age's and the count's bits together.
/// That comes round every 68 s.
const REFUSED_SHIFT: u32 = 6;
const REFUSED_BITS: u32 = REFUSED - 1;
/// And for how long it is remembered, in the same units: about 17 s.
const REFUSED_MAX: u32 = 1 << 28;

/// Of a socket, how many receives are still of interest; 0 where all are.
const COUNT_SHIFT: u32 = 16;
const COUNT_MAX: u32 = (1 << 14) - 1;

/// Below, an address's tag ([`tag`]); above, its age with `VALID` and `REFUSED`, and a count or, of what
/// was refused, a finer age.
#[map]
static AGES: Array<u64> = Array::with_max_entries(SLOTS, 0);

/// What is known of an address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    Unknown,
    Followed,
    /// So long ago, ns.
    Refused(u64),
}

#[inline(always)]
fn slot(tag: u32) -> Option<*mut u64> {
    AGES.get_ptr_mut(tag.wrapping_mul(0x9e37_79b9) >> 16)
}

#[inline(always)]
fn age_of(now: u64) -> u32 {
    (now >> AGE_SHIFT) as u32 & AGE_BITS
}

#[inline(always)]
fn refused_at(now: u64) -> u32 {
    (now >> REFUSED_SHIFT) as u32 & REFUSED_BITS
}

/// What an entry says of `tag` at `now`.
#[inline(always)]
fn meaning(entry: u64, now: u64) -> Memory {
    let state = (entry >> 32) as u32;
    if state & VALID == 0 {
        return Memory::Unknown;
    }
    if state & REFUSED != 0 {
        let age = refused_at(now).wrapping_sub(state) & REFUSED_BITS;
        return if age > REFUSED_MAX {
            Memory::Unknown
        } else {
            Memory::Refused(u64::from(age) << REFUSED_SHIFT)
        };
    }
    let age = age_of(now).wrapping_sub(state & AGE_BITS) & AGE_BITS;
    if age > AGE_MAX { Memory::Unknown } else { Memory::Followed }
}

/// Remembers that the packet at this address is followed.
#[inline(always)]
pub(crate) fn follow(address: u64, now: u64) {
    let tag = tag(address);
    if let Some(entry) = slot(tag) {
        let state = VALID | age_of(now);
        // SAFETY: a map value; a race with another CPU leaves one of two true values.
        unsafe { entry.write_volatile(u64::from(state) << 32 | u64::from(tag)) };
    }
}

/// Remembers a socket until it has been received from so often: then the datagram that was put into
/// its queue has been read. With 0, until that is forgotten.
#[inline(always)]
pub(crate) fn follow_socket(address: u64, now: u64, receives: u32) {
    let tag = tag(address);
    let Some(entry) = slot(tag) else { return };
    let receives = if receives > COUNT_MAX { 0 } else { receives };
    let state = VALID | age_of(now) | (receives << COUNT_SHIFT);
    // SAFETY: as in `follow`.
    unsafe { entry.write_volatile(u64::from(state) << 32 | u64::from(tag)) };
}

/// A socket that is remembered was received from.
#[inline(always)]
pub(crate) fn received(address: u64) {
    let tag = tag(address);
    let Some(entry) = slot(tag) else { return };
    // SAFETY: as in `follow`.
    unsafe {
        let found = entry.read_volatile();
        let left = (found >> (32 + COUNT_SHIFT)) as u32 & COUNT_MAX;
        if found as u32 != tag || left == 0 {
            return;
        }
        let next = found - (1 << (32 + COUNT_SHIFT));
        entry.write_volatile(if left == 1 { 0 } else { next });
    }
}

/// Remembers that the packet at this address is not wanted.
#[inline(always)]
pub(crate) fn refuse(address: u64, now: u64) {
    let tag = tag(address);
    let Some(entry) = slot(tag) else { return };
    // SAFETY: as in `follow`.
    unsafe {
        let found = entry.read_volatile();
        if found as u32 != tag && meaning(found, now) == Memory::Followed {
            return;
        }
        let state = VALID | REFUSED | refused_at(now);
        entry.write_volatile(u64::from(state) << 32 | u64::from(tag));
    }
}

/// Forgets an address: its packet is gone, or is none of ours.
#[inline(always)]
pub(crate) fn forget(address: u64) {
    let tag = tag(address);
    let Some(entry) = slot(tag) else { return };
    // SAFETY: as in `follow`.
    unsafe {
        if entry.read_volatile() as u32 == tag {
            entry.write_volatile(0);
        }
    }
}

/// What is known of the packet at this address.
#[inline(always)]
pub(crate) fn recall(address: u64, now: u64) -> Memory {
    let tag = tag(address);
    let Some(entry) = slot(tag) else { return Memory::Unknown };
    // SAFETY: as in `follow`.
    let found = unsafe { entry.read_volatile() };
    if found as u32 == tag { meaning(found, now) } else { Memory::Unknown }
}

/// Whether anything at all is known of it; asks no clock.
#[inline(always)]
pub(crate) fn knows(address: u64) -> bool {
    let tag = tag(address);
    let Some(entry) = slot(tag) else { return false };
    // SAFETY: as in `follow`.
    let found = unsafe { entry.read_volatile() };
    found as u32 == tag && found >> 32 != 0
}
