//! Arguments of what is probed: BTF-typed ones of tracepoints, fentry and fexit, and registers of
//! kprobes. Which argument stands where is in [`POSITIONS`].

use netpath_common::{
    args::{Positions, SPAN_ROWS},
    point::{ARGS, ArgPos},
};

use crate::skb::{Ptr, offset};

/// Set by user space before loading.
#[unsafe(no_mangle)]
pub(crate) static POSITIONS: Positions = Positions::NONE;

/// A probe's context.
pub(crate) trait Args {
    /// Whether the verifier knows the types of its arguments.
    const TYPED: bool;

    /// The argument at a position below 6, as a number.
    fn nth(ctx: *const u64, position: u8) -> u64;

    /// What the function returned, which has so many arguments, below 6.
    fn returned(ctx: *const u64, arguments: u8) -> u64;
}

/// An array of arguments that the verifier knows by BTF.
pub(crate) struct Typed;

impl Args for Typed {
    const TYPED: bool = true;

    #[inline(always)]
    fn nth(ctx: *const u64, position: u8) -> u64 {
        match position {
            0 => word::<0>(ctx),
            1 => word::<8>(ctx),
            2 => word::<16>(ctx),
            3 => word::<24>(ctx),
            4 => word::<32>(ctx),
            _ => word::<40>(ctx),
        }
    }

    /// It follows the arguments.
    #[inline(always)]
    fn returned(ctx: *const u64, arguments: u8) -> u64 {
        Self::nth(ctx, arguments)
    }
}

/// `struct pt_regs` at a function's entry.
pub(crate) struct Registers;

/// Offsets in `struct pt_regs`: of the first six integer arguments, and of what a function returns.
#[cfg(bpf_target_arch = "x86_64")]
mod register {
    pub(super) const A: i16 = 112;
    pub(super) const B: i16 = 104;
    pub(super) const C: i16 = 96;
    pub(super) const D: i16 = 88;
    pub(super) const E: i16 = 72;
    pub(super) const F: i16 = 64;
    pub(super) const RETURNED: i16 = 80;
}
#[cfg(bpf_target_arch = "aarch64")]
mod register {
    pub(super) const A: i16 = 0;
    pub(super) const B: i16 = 8;
    pub(super) const C: i16 = 16;
    pub(super) const D: i16 = 24;
    pub(super) const E: i16 = 32;
    pub(super) const F: i16 = 40;
    pub(super) const RETURNED: i16 = 0;
}

impl Args for Registers {
    const TYPED: bool = false;

    #[inline(always)]
    fn nth(ctx: *const u64, position: u8) -> u64 {
        match position {
            0 => word::<{ register::A }>(ctx),
            1 => word::<{ register::B }>(ctx),
            2 => word::<{ register::C }>(ctx),
            3 => word::<{ register::D }>(ctx),
            4 => word::<{ register::E }>(ctx),
            _ => word::<{ register::F }>(ctx),
        }
    }

    #[inline(always)]
    fn returned(ctx: *const u64, _arguments: u8) -> u64 {
        word::<{ register::RETURNED }>(ctx)
    }
}

/// A word of the context. The verifier wants the offset in the loading instruction itself, so the
/// compiler must not be free to reckon addresses.
#[inline(always)]
fn word<const OFFSET: i16>(ctx: *const u64) -> u64 {
    let word: u64;
    // SAFETY: a load; the verifier checks that the context is that large.
    unsafe {
        core::arch::asm!("{word} = *(u64 *)({ctx} + {offset})", word = out(reg) word,
            ctx = in(reg) ctx, offset = const OFFSET, options(pure, readonly, nostack));
    }
    word
}

/// Where argument `want` of a row stands.
#[inline(always)]
pub(crate) fn position(row: usize, want: usize) -> u8 {
    // SAFETY: rows and wants are constants within the tables; the volatile read keeps the
    // initializer from being folded into the programs.
    unsafe { (&raw const POSITIONS.rows).cast::<u8>().add(row * ARGS + want).read_volatile() }
}

/// The row of a span.
pub(crate) const fn span_row(index: usize) -> usize {
    SPAN_ROWS + index
}

/// Argument `want` of a row as a number; 0 where there is none.
#[inline(always)]
pub(crate) fn number<A: Args>(ctx: *const u64, row: usize, want: usize) -> u64 {
    match position(row, want) {
        ArgPos::NONE => 0,
        at => A::nth(ctx, at & ArgPos::MASK),
    }
}

/// Argument `want` of a row as a pointer; NULL where there is none.
#[inline(always)]
pub(crate) fn pointer<A: Args>(ctx: *const u64, row: usize, want: usize) -> Ptr {
    Ptr::new(number::<A>(ctx, row, want), A::TYPED)
}

/// What the function of a row returned, as a pointer; NULL where that is none.
#[inline(always)]
pub(crate) fn returned<A: Args>(ctx: *const u64, row: usize, want: usize) -> Ptr {
    match position(row, want) {
        ArgPos::NONE => Ptr::NULL,
        arguments => Ptr::new(A::returned(ctx, arguments), A::TYPED),
    }
}

/// The sk_buff that a row's first argument is or leads to; NULL where it is neither.
#[inline(always)]
pub(crate) fn skb<A: Args>(ctx: *const u64, row: usize) -> Ptr {
    let argument = pointer::<A>(ctx, row, 0);
    let at = position(row, 0);
    if at == ArgPos::NONE {
        Ptr::NULL
    } else if at & ArgPos::INDIRECT != 0 {
        argument.untyped().follow(0)
    } else if at & ArgPos::PKTINFO != 0 {
        argument.untyped().follow(offset!(pktinfo_skb))
    } else {
        argument
    }
}
