//! Entry and exit of functions.
//!
//! A CPU keeps a stack of the functions that wanted packets have entered and not left. It gives an
//! exit its packet where the exit's own arguments don't (kretprobe), and a function that has no
//! sk_buff among its arguments the packet of the function that called it.

use aya_ebpf::{helpers::generated::bpf_get_smp_processor_id, macros::map, maps::Array};
use netpath_common::{
    args::{SPAN_RULES, SPAN_STATE},
    hop::Note,
    place::DevId,
    point::{ArgPos, HookAux},
    span::{SPANS, entry},
};

use crate::{
    args::{Args, number, pointer, position, skb, span_row},
    chunk::count_lost,
    netfilter::hook_of,
    opaque::opaque,
    recorder::{self, Known, record},
    skb::{Ptr, offset},
};

/// How deep spans can lie in each other; a power of two.
const DEPTH: usize = 16;

/// A function that was entered.
#[derive(Clone, Copy)]
#[repr(C)]
struct Frame {
    /// 0 where its packet is not wanted.
    skb: u64,
    span: u64,
}

/// The functions that a CPU is in. Padded, so that no CPU writes to another's cache line.
#[repr(C)]
pub(crate) struct Stack {
    depth: u32,
    reserved: u32,
    frames: [Frame; DEPTH],
    padding: [u64; 7],
}

const _: () = assert!(size_of::<Stack>() == 320);

/// One entry per possible CPU; user space sets the number.
#[map]
static STACKS: Array<Stack> = Array::with_max_entries(1, 0);

#[inline(always)]
fn stack() -> Option<*mut Stack> {
    // SAFETY: no arguments.
    STACKS.get_ptr_mut(unsafe { bpf_get_smp_processor_id() })
}

/// The frame at a depth. The mask is how the verifier knows the bound, and the compiler, which knows
/// it without, must not leave it out.
#[inline(always)]
fn frame(stack: *mut Stack, depth: u32) -> *mut Frame {
    // SAFETY: within the stack's frames.
    let frames = unsafe { (&raw mut (*stack).frames).cast::<Frame>() };
    let within = opaque(u64::from(depth)) as usize & (DEPTH - 1);
    // SAFETY: as above.
    unsafe { frames.add(within) }
}

#[inline(always)]
pub(crate) fn enter<A: Args, const INDEX: usize>(ctx: *const u64) {
    let Some(stack) = stack() else { return };
    // SAFETY: this CPU's own stack.
    let depth = unsafe { (&raw const (*stack).depth).read_volatile() };
    let own = position(span_row(INDEX), 0) != ArgPos::NONE;
    let packet = if own {
        skb::<A>(ctx, span_row(INDEX))
    } else if depth > 0 && depth <= DEPTH as u32 {
        // SAFETY: a frame of this CPU's stack.
        Ptr::new(unsafe { (*frame(stack, depth - 1)).skb }, false)
    } else {
        return;
    };
    if packet.is_null() {
        return;
    }
    let wanted = match recorder::enter(packet, entry(INDEX)) {
        Some(here) => {
            let rules = rules::<A, INDEX>(ctx);
            let (aux, mut arg) = place::<A, INDEX>(ctx, packet);
            if let Note::Rules(_) = SPANS[INDEX].span.note {
                arg = rules;
            }
            record(here, packet, entry(INDEX), Known::Followed, aux, arg)
        }
        None => false,
    };
    // A kretprobe has no arguments to tell its packet by: there, all must be on the stack.
    if wanted || !A::TYPED {
        // Only where exits were missed is it full: what it holds is of no more use.
        let depth = if depth < DEPTH as u32 {
            depth
        } else {
            count_lost(entry(INDEX) + 1);
            0
        };
        let skb = if wanted { packet.address() } else { 0 };
        // SAFETY: as above.
        unsafe {
            let top = frame(stack, depth);
            (*top).skb = skb;
            (*top).span = INDEX as u64;
            (&raw mut (*stack).depth).write_volatile(depth + 1);
        }
    }
}

#[inline(always)]
pub(crate) fn exit<A: Args, const INDEX: usize>(ctx: *const u64) {
    let Some(stack) = stack() else { return };
    // SAFETY: this CPU's own stack.
    let depth = unsafe { (&raw const (*stack).depth).read_volatile() };
    if depth == 0 || depth > DEPTH as u32 {
        return;
    }
    // The exit's own frame is on top, or just below one whose exit was missed.
    let mut at = depth - 1;
    // SAFETY: frames of this CPU's stack.
    unsafe {
        if (*frame(stack, at)).span != INDEX as u64 {
            if at == 0 || (*frame(stack, at - 1)).span != INDEX as u64 {
                return;
            }
            let missed = &*frame(stack, at);
            if missed.skb != 0 {
                count_lost(entry(missed.span as usize) + 1);
            }
            at -= 1;
        }
        let packet = (*frame(stack, at)).skb;
        if A::TYPED && position(span_row(INDEX), 0) & !ArgPos::MASK == 0 {
            // The same function may have been entered, and not noted, for a packet not wanted.
            if number::<A>(ctx, span_row(INDEX), 0) != packet {
                return;
            }
        }
        (&raw mut (*stack).depth).write_volatile(at);
        if packet == 0 {
            return;
        }
        let packet = Ptr::new(packet, false);
        let Some(here) = recorder::enter(packet, entry(INDEX) + 1) else { return };
        record(here, packet, entry(INDEX) + 1, Known::Followed, 0, 0);
    }
}

/// The hook that the function runs in, as an event's `aux` and `arg`.
#[inline(always)]
fn place<A: Args, const INDEX: usize>(ctx: *const u64, packet: Ptr) -> (u16, u64) {
    if let Note::None = SPANS[INDEX].span.note {
        return (0, 0);
    }
    let row = span_row(INDEX);
    let state = if position(row, SPAN_STATE) != ArgPos::NONE {
        pointer::<A>(ctx, row, SPAN_STATE)
    } else if position(row, 0) & ArgPos::PKTINFO != 0 {
        pointer::<A>(ctx, row, 0).untyped().follow(offset!(pktinfo_state))
    } else {
        return (HookAux::NOWHERE, DevId::NONE.to_arg());
    };
    let (aux, dev) = hook_of(state, packet, HookAux::NO_SLOT);
    (aux, dev.to_arg())
}

/// The rules that are walked; 0 where there are none.
#[inline(always)]
fn rules<A: Args, const INDEX: usize>(ctx: *const u64) -> u64 {
    if let Note::Rules(_) = SPANS[INDEX].span.note {
        number::<A>(ctx, span_row(INDEX), SPAN_RULES)
    } else {
        0
    }
}
