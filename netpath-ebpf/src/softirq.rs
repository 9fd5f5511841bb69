//! Who takes packets up from this CPU's backlog, and what is left there.

use aya_ebpf::{
    helpers::generated::{bpf_get_current_pid_tgid, bpf_get_smp_processor_id},
    macros::map,
    maps::Array,
};
use netpath_common::softirq::{Softirqs, TakenUp, looks};

use crate::skb::{Ptr, offset, peek};

/// One entry per possible CPU; user space sets the number.
#[map]
static SOFTIRQS: Array<Softirqs> = Array::with_max_entries(1, 0);

/// The `aux` of a packet that is being taken up on this CPU now. Whether it is looked at what is left
/// behind it, the time decides.
#[inline(always)]
pub(crate) fn taken_up(cpu: u32, now_ns: u64) -> u16 {
    let Some(known) = SOFTIRQS.get(cpu) else { return 0 };
    if known.softnet == 0 || known.ksoftirqd == 0 {
        return 0;
    }
    let mut left = None;
    if looks(now_ns) {
        let softnet = Ptr::new(known.softnet, false);
        let length = softnet.load::<u32>(offset!(softnet_input))
            + softnet.load::<u32>(offset!(softnet_process));
        left = Some(length.min(u32::from(TakenUp::LEFT_MAX)) as u16);
    }
    // SAFETY: no arguments.
    let ksoftirqd = unsafe { bpf_get_current_pid_tgid() } as u32 == known.ksoftirqd;
    TakenUp { ksoftirqd, left }.pack()
}

/// Finds this CPU's `struct softnet_data` when its backlog is polled. A raw tracepoint of `napi_poll`
/// while netpath starts; no symbol and no register leads there on every kernel.
#[unsafe(no_mangle)]
#[unsafe(link_section = "raw_tp")]
pub(crate) extern "C" fn find_backlog(ctx: *const u64) -> i32 {
    // SAFETY: the tracepoint's first argument is a `struct napi_struct *`.
    let napi = unsafe { ctx.read() };
    // A backlog's belongs to no device.
    if peek::<8>(napi + offset!(napi_dev) as u64) != Some([0; 8]) {
        return 0;
    }
    // SAFETY: no arguments; this CPU's own entry.
    unsafe {
        if let Some(known) = SOFTIRQS.get_ptr_mut(bpf_get_smp_processor_id()) {
            (*known).softnet = napi - offset!(softnet_backlog) as u64;
        }
    }
    0
}
