//! Waiting for a qdisc's lock.
//!
//! Contention is seen of every spinlock there is, and the waiter may hold any other, the ring's own
//! among them: so nothing is written here, nothing sent, and nothing called that could take a lock. A
//! CPU keeps what it waited for since its packet at hand reached a device's transmit side; the program
//! at the enqueue, which knows the qdisc, takes what was waited for its locks ([`Locks`]).

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use netpath_common::wire::{CpuBuffer, LOCK_WAITS, LockWait, Locks};

use crate::skb::{Ptr, low_half, offset};

/// Waits for a qdisc's locks, as one.
#[derive(Clone, Copy)]
pub(crate) struct Waited {
    /// When the first of them began.
    pub(crate) began_ns: u64,
    /// As much later as all of them took.
    pub(crate) until_ns: u64,
}

/// A packet has reached a device's transmit side.
#[inline(always)]
pub(crate) unsafe fn forget(cpu: *mut CpuBuffer, skb: u64) {
    // SAFETY: as the caller's: this CPU's own buffer.
    unsafe {
        let locks = &raw mut (*cpu).locks;
        (*locks).skb = skb;
        (*locks).count = 0;
        (*locks).depth = 0;
    }
}

/// The place of a wait. Which it is, the verifier knows by the mask.
#[inline(always)]
unsafe fn wait(locks: *mut Locks, number: u32) -> *mut LockWait {
    // SAFETY: within the array.
    unsafe { (&raw mut (*locks).waits).cast::<LockWait>().add(number as usize & (LOCK_WAITS - 1)) }
}

/// This CPU, whose packet at hand has just reached a device's transmit side, begins to wait.
#[inline(always)]
pub(crate) fn begin(cpu: *mut CpuBuffer, lock: u32) {
    // SAFETY: this CPU's own buffer; no arguments.
    unsafe {
        let locks = &raw mut (*cpu).locks;
        let depth = (*locks).depth;
        (*locks).depth = depth.wrapping_add(1);
        if depth == 0 && (*locks).count < LOCK_WAITS as u32 {
            let wait = wait(locks, (*locks).count);
            (*wait).lock = lock;
            (*wait).began_ns = bpf_ktime_get_ns();
        }
    }
}

/// It has the lock.
#[inline(always)]
pub(crate) fn end(cpu: *mut CpuBuffer) {
    // SAFETY: this CPU's own buffer; no arguments.
    unsafe {
        let locks = &raw mut (*cpu).locks;
        let (depth, count) = ((*locks).depth, (*locks).count);
        if depth == 0 {
            return;
        }
        (*locks).depth = depth - 1;
        if depth == 1 && count < LOCK_WAITS as u32 {
            let wait = wait(locks, count);
            (*wait).waited_ns = bpf_ktime_get_ns().wrapping_sub((*wait).began_ns) as u32;
            (*locks).count = count + 1;
        }
    }
}

/// What was waited for this qdisc's locks before the packet entered it; once.
#[inline(always)]
pub(crate) fn take(cpu: *mut CpuBuffer, packet: Ptr, qdisc: Ptr) -> Option<Waited> {
    // SAFETY: this CPU's own buffer.
    unsafe {
        let locks = &raw mut (*cpu).locks;
        let count = (*locks).count;
        if count == 0 || (*locks).skb != packet.address() {
            return None;
        }
        (*locks).count = 0;
        let base = low_half(qdisc.address());
        let root = base.wrapping_add(offset!(qdisc_lock) as u32);
        // Where there is none its offset makes an address that no lock can have.
        let busy = base.wrapping_add(offset!(qdisc_busylock) as u32);
        let (mut began_ns, mut waited_ns, mut i) = (0, 0, 0);
        while i < LOCK_WAITS as u32 {
            let wait = wait(locks, i);
            if i < count && ((*wait).lock == root || (*wait).lock == busy) {
                if began_ns == 0 {
                    began_ns = (*wait).began_ns;
                }
                waited_ns += u64::from((*wait).waited_ns);
            }
            i += 1;
        }
        if began_ns == 0 { None } else { Some(Waited { began_ns, until_ns: began_ns + waited_ns }) }
    }
}
