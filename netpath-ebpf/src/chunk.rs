//! The CPUs' chunks: what is appended to, and how it goes to user space.
//!
//! A CPU has its own chunk, so that writing takes no lock. Nothing here wakes the reader.

use core::mem::offset_of;

use aya_ebpf::{
    bindings::BPF_RB_NO_WAKEUP,
    helpers::generated::{
        bpf_ktime_get_ns, bpf_ringbuf_output, bpf_ringbuf_reserve, bpf_ringbuf_submit,
    },
    macros::map,
    maps::{Array, PerCpuArray, RingBuf},
};
use netpath_common::{
    point::POINTS_MAX,
    wire::{ABI, CHUNK_ALONE, CHUNK_CELLS, Cell, ChunkHeader, CpuBuffer, Event, KIND_SKB, Skb},
};

use crate::{
    order::write_in_order,
    skb::{self, Look, Ptr},
};

const BPF_F_MMAPABLE: u32 = 1 << 10;

/// Chunks on their way to user space. User space sets the size.
#[map]
static RING: RingBuf = RingBuf::with_byte_size(8 << 20, 0);

/// One entry per possible CPU; user space sets the number.
#[map]
pub(crate) static CPUS: Array<CpuBuffer> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Events lost because the ring was full, by point.
#[map]
static LOST: PerCpuArray<u64> = PerCpuArray::with_max_entries(POINTS_MAX as u32, 0);

#[inline(always)]
pub(crate) fn count_lost(point: u16) {
    if let Some(lost) = LOST.get_ptr_mut(u32::from(point)) {
        // SAFETY: this CPU's own counter.
        unsafe { *lost += 1 };
    }
}

/// Sends the CPU's chunk and begins the next one at `now`; one that holds nothing yet begins anew, under the
/// same number: the reader waits for each number that has passed. Where the ring has no room the chunk stays as
/// it is, and `false` comes back.
#[inline(always)]
pub(crate) fn flush(cpu: *mut CpuBuffer, number: u32, n: usize, now: u64) -> bool {
    // SAFETY: `cpu` is this CPU's buffer and `busy` is set.
    unsafe {
        // The chunk is never quite full, so the mask changes nothing; it is how the verifier
        // knows the bound.
        let n = n & (CHUNK_CELLS - 1);
        if n > 0 {
            let rc = bpf_ringbuf_output(
                (&raw const RING).cast_mut().cast(),
                (&raw mut (*cpu).header).cast(),
                (size_of::<ChunkHeader>() + n * size_of::<Cell>()) as u64,
                u64::from(BPF_RB_NO_WAKEUP),
            );
            if rc != 0 {
                aya_log_ebpf::debug!((), "CPU {}: the ring is full", number);
                return false;
            }
            let header = &raw mut (*cpu).header;
            // The reader must see neither the new number with old cells, nor new cells with the old one.
            (&raw mut (*header).cells).write_volatile(0);
            let (seq, lost) = ((*header).seq.wrapping_add(1), (*header).lost);
            write_in_order((&raw mut (*header).seq).cast(), u64::from(seq) | u64::from(lost) << 32);
        }
        (*cpu).header.base_ns = now;
        true
    }
}

/// Says that the CPU's chunk has `n` cells, which are all written.
#[inline(always)]
pub(crate) unsafe fn publish(cpu: *mut CpuBuffer, number: u32, n: usize) {
    // Above them all are the flags, which it has none of.
    let word = u64::from(number as u16) | (n as u64) << 16 | u64::from(ABI) << 32;
    // SAFETY: the caller's: this CPU's buffer.
    unsafe { write_in_order((&raw mut (*cpu).header.cpu).cast(), word) };
}

// The words of a header that are written at once.
const _: () = assert!(
    cfg!(target_endian = "little")
        && offset_of!(CpuBuffer, header) % 8 == 0
        && offset_of!(ChunkHeader, seq) == 8
        && offset_of!(ChunkHeader, lost) == 12
        && offset_of!(ChunkHeader, cpu) == 16
        && offset_of!(ChunkHeader, cells) == 18
        && offset_of!(ChunkHeader, abi) == 20
        && offset_of!(ChunkHeader, flags) == 22
);

/// Cells of a chunk with a single event: what describes its packet takes 4 at most.
const ALONE_CELLS: usize = 8;

/// A chunk with a single event. Its header says how many of the cells are in use.
#[repr(C)]
struct Alone {
    header: ChunkHeader,
    skb: Skb,
    cells: [Cell; ALONE_CELLS],
}

/// Sends one event of a program that interrupted another one on the CPU `number`. Its packet is described where that
/// can be done: a softirq that has interrupted a program may take the packet a long way.
#[inline(always)]
pub(crate) fn send_alone(
    cpu: *mut CpuBuffer,
    number: u32,
    packet: Ptr,
    look: Option<Look>,
    mut event: Event,
) {
    // SAFETY: no arguments.
    let now = unsafe { bpf_ktime_get_ns() };
    event.dt_ns = 0;
    // Written in the ring itself: the stack has no room for it.
    // SAFETY: what is reserved is as large as `Alone`, aligned to 8, and submitted below.
    unsafe {
        let ring = (&raw const RING).cast_mut().cast();
        let alone = bpf_ringbuf_reserve(ring, size_of::<Alone>() as u64, 0).cast::<Alone>();
        if alone.is_null() {
            count_lost(event.point);
            // Whom it has interrupted counts elsewhere, and may be at it.
            let lost = &raw mut (*cpu).header.reserved;
            lost.write_volatile(lost.read_volatile().wrapping_add(1));
            return;
        }
        let cells = (&raw mut (*alone).cells).cast::<Cell>();
        let mut skb_cell = Skb { kind: KIND_SKB, gso_segs: 0, len: 0, addr: packet.address() };
        let mut described = 0;
        if let Some(look) = look {
            let header = skb::header(packet, look.network);
            described = header.describe(cells) as usize & (ALONE_CELLS - 1);
            skb_cell.len = header.len;
            skb_cell.gso_segs = skb::gso_segs(packet, header.len);
        }
        (&raw mut (*alone).skb).write(skb_cell);
        cells.add(described).cast::<Event>().write(event);
        (&raw mut (*alone).header).write(ChunkHeader {
            base_ns: now,
            seq: 0,
            lost: 0,
            cpu: number as u16,
            cells: described as u16 + 2,
            abi: ABI,
            flags: CHUNK_ALONE,
            reserved: 0,
        });
        bpf_ringbuf_submit(alone.cast(), u64::from(BPF_RB_NO_WAKEUP));
    }
}
