//! What the compiler must not know, because the verifier would not understand what it makes of it.

/// Hides from the compiler what is known of a number, so that it makes no branch of what follows.
#[inline(always)]
pub(crate) fn opaque(number: u64) -> u64 {
    let out: u64;
    // SAFETY: a register that stays as it is.
    unsafe {
        core::arch::asm!("{out} = {number}", out = out(reg) out, number = in(reg) number,
            options(pure, nomem, nostack));
    }
    out
}
