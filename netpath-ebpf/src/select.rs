//! Which packets are recorded: decided once, where a packet begins.
//!
//! In: the cells that describe the packet. The decision is the filter's, then the sampling's; what
//! user space sets in [`CONTROL`] holds from the next packet on.

use aya_ebpf::{
    macros::map,
    maps::{Array, PerCpuArray},
};
use netpath_common::{
    control::{Control, SELECT_ALL, SELECT_NONE},
    filter::{
        ACCEPT, FACTS, FLOW_SLOTS, Facts, Field, LINK_HEADER, Program, STEPS, Step, conversation,
        flow,
    },
    wire::{Addr, Cell, CpuBuffer, FRAGMENT, KIND_TUPLE4, KIND_TUPLE6, Segment, Tuple4, Tuple6},
};

use crate::{opaque::opaque, skb::constant};

const BPF_F_MMAPABLE: u32 = 1 << 10;

/// What user space asks for.
#[map]
static CONTROL: Array<Control> = Array::with_max_entries(1, 0);

/// The filter.
#[map]
static FILTER: Array<Program> = Array::with_max_entries(1, 0);

/// What is known of the packet at hand.
#[map]
static FACTS_OF_CPU: PerCpuArray<Facts> = PerCpuArray::with_max_entries(1, 0);

/// Flows of which user space has seen that no packet can match the filter; see
/// [`netpath_common::filter::flow`].
#[map]
static FLOWS: Array<u32> = Array::with_max_entries(FLOW_SLOTS, BPF_F_MMAPABLE);

/// Steps of the filter, at most. Set by user space before loading.
#[unsafe(no_mangle)]
static FILTER_STEPS: u32 = STEPS as u32;

/// Steps of the filter, at most: known to the verifier, which goes through no turn that can't be.
#[inline(always)]
fn steps() -> usize {
    constant(&raw const FILTER_STEPS)
}

/// Whether any packet is to be left out.
#[inline(always)]
pub(crate) fn is_on() -> bool {
    // SAFETY: a map value that user space writes; a plain number.
    CONTROL
        .get_ptr(0)
        .is_some_and(|c| unsafe { (&raw const (*c).select).read_volatile() != SELECT_ALL })
}

/// Whether packets are seen when they leave their sockets.
#[inline(always)]
pub(crate) fn sees_births() -> bool {
    // SAFETY: a map value that user space writes; a plain number.
    CONTROL.get_ptr(0).is_some_and(|c| unsafe { (&raw const (*c).births).read_volatile() != 0 })
}

/// 1 where the table of devices names those that are not wanted, by their namespaces; else 0.
#[inline(always)]
pub(crate) fn everything() -> u32 {
    // SAFETY: a map value that user space writes; a plain number.
    CONTROL.get_ptr(0).map_or(0, |c| unsafe { (&raw const (*c).everything).read_volatile() })
}

/// Whether the packet that `cells` describe is recorded: 1 if so. `described` is how many cells
/// there are, 0 where the packet is not IP, and `len` its bytes from the network header on.
#[inline(never)]
pub(crate) fn takes(cpu: *mut CpuBuffer, cells: *const Cell, described: u64, len: u32) -> u64 {
    let Some(control) = CONTROL.get(0) else { return 1 };
    if control.select == SELECT_NONE {
        return 0;
    }
    // In memory of a map, of which the verifier keeps no account; on the stack, it would follow
    // the filter once for every sort of packet.
    let Some(facts) = FACTS_OF_CPU.get_ptr_mut(0) else { return 1 };
    // SAFETY: this CPU's own, while it is busy.
    let facts = unsafe { &mut *facts };
    clear(facts);
    // SAFETY: this CPU's own buffer.
    unsafe { (*cpu).begun = (*cpu).begun.wrapping_add(1) };
    fill(facts, cells, described, len);
    // NAT may make a packet match later: only where it is known that none of its flow will, it is
    // left out.
    if steps() > 0 && control.filter != 0 && !matches(facts) && unwanted(facts) {
        return 0;
    }
    // SAFETY: this CPU's own buffer.
    unsafe {
        let seen = (*cpu).seen.wrapping_add(1);
        (*cpu).seen = seen;
        if control.rate != u32::MAX {
            let number = if control.by_flow != 0 { conversation(facts) } else { number_of(seen) };
            if number >= control.rate {
                return 0;
            }
        }
        (*cpu).taken = (*cpu).taken.wrapping_add(1);
    }
    1
}

/// Word by word: as an array, it would be a call and a turn for every byte.
#[inline(always)]
fn clear(facts: &mut Facts) {
    let words = facts.as_mut_ptr().cast::<u64>();
    let mut i = 0;
    while i < FACTS / 2 {
        // SAFETY: within the facts; a map's values are aligned to 8.
        unsafe { words.add(i).write_volatile(0) };
        i += 1;
    }
}

/// The same for a packet that can't be described now: the filter is left to user space.
#[inline(always)]
pub(crate) fn takes_unseen(cpu: *mut CpuBuffer) -> bool {
    let Some(control) = CONTROL.get(0) else { return true };
    if control.select == SELECT_NONE {
        return false;
    }
    // SAFETY: this CPU's own buffer.
    unsafe {
        (*cpu).begun = (*cpu).begun.wrapping_add(1);
        let seen = (*cpu).seen.wrapping_add(1);
        (*cpu).seen = seen;
        let all = control.rate == u32::MAX;
        let drawn = control.by_flow == 0 && number_of(seen) < control.rate;
        if all || drawn {
            (*cpu).taken = (*cpu).taken.wrapping_add(1);
        }
        all || drawn
    }
}

/// Whether it is asked of packets that were not to be recorded how late they are.
#[inline(always)]
pub(crate) fn asks_late() -> bool {
    // SAFETY: a map value that user space writes; a plain number.
    CONTROL.get_ptr(0).is_some_and(|c| unsafe { (&raw const (*c).late_ns).read_volatile() != 0 })
}

/// How late a packet is that was not to be recorded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lateness {
    InTime,
    Late,
    /// Late, and recorded from now on.
    Taken,
}

/// How late a packet is that was refused so long ago.
#[inline(always)]
pub(crate) fn lateness(cpu: *mut CpuBuffer, age_ns: u64) -> Lateness {
    let Some(control) = CONTROL.get(0) else { return Lateness::InTime };
    let late = control.late_ns != 0 && age_ns >= u64::from(control.late_ns);
    if !late || control.select == SELECT_NONE {
        return Lateness::InTime;
    }
    // SAFETY: this CPU's own buffer.
    unsafe {
        (*cpu).late = (*cpu).late.wrapping_add(1);
        if (*cpu).late_taken >= u64::from(control.late_limit) {
            return Lateness::Late;
        }
        (*cpu).late_taken = (*cpu).late_taken.wrapping_add(1);
    }
    Lateness::Taken
}

/// A packet's number for sampling. Multiples of the golden ratio are spread evenly, and in step
/// with no traffic.
#[inline(always)]
fn number_of(seen: u64) -> u32 {
    (seen as u32).wrapping_mul(0x9e37_79b1)
}

/// What the cells say, as the filter asks for it.
#[inline(always)]
fn fill(facts: &mut Facts, cells: *const Cell, described: u64, len: u32) {
    facts[Field::Len as usize] = len.wrapping_add(LINK_HEADER);
    if described == 0 {
        return;
    }
    // SAFETY: the recorder has just written that many cells.
    unsafe {
        let kind = cells.cast::<u16>().read_volatile();
        let (proto, flags, sport, dport, segment);
        if kind == KIND_TUPLE4 {
            let tuple = cells.cast::<Tuple4>();
            facts[Field::Version as usize] = 4;
            facts[Field::Src0 as usize] = u32::from_be_bytes((*tuple).saddr);
            facts[Field::Dst0 as usize] = u32::from_be_bytes((*tuple).daddr);
            (proto, flags) = ((*tuple).proto, (*tuple).flags);
            (sport, dport) = ((*tuple).sport, (*tuple).dport);
            segment = cells.add(1).cast::<Segment>();
        } else if kind == KIND_TUPLE6 {
            let tuple = cells.cast::<Tuple6>();
            facts[Field::Version as usize] = 6;
            address(facts, Field::Src0 as usize, cells.add(1));
            address(facts, Field::Dst0 as usize, cells.add(2));
            (proto, flags) = ((*tuple).proto, (*tuple).flags);
            (sport, dport) = ((*tuple).sport, (*tuple).dport);
            segment = cells.add(3).cast::<Segment>();
        } else {
            return;
        }
        facts[Field::Proto as usize] = u32::from(proto);
        facts[Field::Flags as usize] = u32::from(flags);
        facts[Field::Fragment as usize] = u32::from((*segment).payload & FRAGMENT != 0);
        facts[Field::Sport as usize] = u32::from(u16::from_be_bytes(sport));
        // An echo request's number is not its flow's.
        if proto != crate::skb::ICMP && proto != crate::skb::ICMPV6 {
            facts[Field::Dport as usize] = u32::from(u16::from_be_bytes(dport));
        }
    }
}

#[inline(always)]
unsafe fn address(facts: &mut Facts, first: usize, cell: *const Addr) {
    let mut i = 0;
    while i < 4 {
        // SAFETY: within the cell.
        facts[first + i] = unsafe { u32::from_be(cell.cast::<u32>().add(i).read_volatile()) };
        i += 1;
    }
}

/// Runs the filter. A step makes no branch but the one that ends the loop: the verifier follows
/// every branch of every turn, and would not come to an end.
#[inline(always)]
fn matches(facts: &Facts) -> bool {
    let Some(program) = FILTER.get_ptr(0) else { return true };
    // SAFETY: a map value, which has an entry for every byte.
    unsafe {
        let mut next = 0_u8;
        let mut turns = 0;
        let most = steps();
        while turns < most {
            turns += 1;
            let step: *const Step =
                (&raw const (*program).steps).cast::<Step>().add(usize::from(next));
            let field = (&raw const (*step).field).read_volatile() as usize & (FACTS - 1);
            let mask = (&raw const (*step).mask).read_volatile();
            let word = opaque(u64::from(facts.as_ptr().add(field).read_volatile() & mask));
            let value = opaque(u64::from((&raw const (*step).value).read_volatile()));
            // Below 2^32 both: the top bit is the borrow.
            let below = opaque(word.wrapping_sub(value)) >> 63;
            let above = opaque(value.wrapping_sub(word)) >> 63;
            let at_least = opaque(u64::from((&raw const (*step).op).read_volatile()));
            // 1 where the test fails: what is above fails only a test for equality.
            let fails = opaque(below | (above & !at_least & 1));
            next = (&raw const (*step).yes).add(fails as usize & 1).read_volatile();
            if next >= ACCEPT {
                return next == ACCEPT;
            }
        }
    }
    false
}

/// Whether user space has said that nobody wants this flow.
#[inline(always)]
fn unwanted(facts: &Facts) -> bool {
    let (slot, check) = flow(facts);
    // SAFETY: a map value that user space writes; a plain number.
    FLOWS.get_ptr(slot & (FLOW_SLOTS - 1)).is_some_and(|c| unsafe { c.read_volatile() == check })
}
