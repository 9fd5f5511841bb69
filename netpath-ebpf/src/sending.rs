//! When a process began to send, until the packet that comes of it is born.

use aya_ebpf::{
    helpers::generated::{bpf_get_current_task, bpf_get_smp_processor_id, bpf_ktime_get_ns},
    macros::map,
    maps::Array,
};

/// A packet that is born later than this after its process began to send is not taken for its own:
/// softirqs send packets too, under whatever process they have interrupted.
const SOON_NS: u64 = 200_000;

/// A process that is sending. Padded, so that no CPU writes to another's cache line.
#[repr(C)]
pub(crate) struct Sending {
    task: u64,
    began_ns: u64,
    padding: [u64; 6],
}

/// One entry per possible CPU; user space sets the number.
#[map]
static SENDERS: Array<Sending> = Array::with_max_entries(1, 0);

#[inline(always)]
fn slot() -> Option<*mut Sending> {
    // SAFETY: no arguments.
    SENDERS.get_ptr_mut(unsafe { bpf_get_smp_processor_id() })
}

/// The current process begins to send.
#[inline(always)]
pub(crate) fn begin() {
    let Some(slot) = slot() else { return };
    // SAFETY: this CPU's own slot; no arguments.
    unsafe {
        (*slot).task = bpf_get_current_task();
        (*slot).began_ns = bpf_ktime_get_ns();
    }
}

/// When the current process began to send the packet that is being born, once.
#[inline(always)]
pub(crate) fn take(now: u64) -> Option<u64> {
    let slot = slot()?;
    // SAFETY: this CPU's own slot; no arguments.
    unsafe {
        let began = (*slot).began_ns;
        if began == 0 {
            return None;
        }
        (*slot).began_ns = 0;
        let own = (*slot).task == bpf_get_current_task() && now.wrapping_sub(began) < SOON_NS;
        if own { Some(began) } else { None }
    }
}
