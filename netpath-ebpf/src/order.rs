//! In which order another CPU sees what this one writes.
//!
//! User space reads a chunk while it is written. It must see cells before the count that includes
//! them, and a new chunk's number before anything of that chunk.

/// Writes a word: who sees it sees all that this CPU wrote before, and nothing that it writes
/// afterwards can be seen by somebody who does not see it.
#[inline(always)]
pub(crate) unsafe fn write_in_order(word: *mut u64, value: u64) {
    // SAFETY: the caller's.
    unsafe {
        if cfg!(bpf_target_arch = "x86_64") {
            // Its stores are seen in their order.
            word.write_volatile(value);
        } else {
            // An exchange is the one instruction of every kernel's BPF that orders both.
            core::arch::asm!("{value} = xchg_64({word} + 0, {value})",
                value = inout(reg) value => _, word = in(reg) word, options(nostack));
        }
    }
}

/// Sets a word to 1, and returns what it was. Nothing can come between the two on this CPU, neither
/// an interrupt nor another task.
#[inline(always)]
pub(crate) unsafe fn set(word: *mut u64) -> u64 {
    let mut value = 1;
    // SAFETY: the caller's.
    unsafe {
        core::arch::asm!("{value} = xchg_64({word} + 0, {value})",
            value = inout(reg) value, word = in(reg) word, options(nostack));
    }
    value
}
