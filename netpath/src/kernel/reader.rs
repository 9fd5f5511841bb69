//! Reading events: the ring buffer, and the CPUs' unfinished chunks.
//!
//! Chunks arrive in the ring when they are full. What a CPU has written since is read in place
//! through a shared mapping, with no system call and without disturbing the CPU: cells below the
//! count are never written again in the same chunk, and the chunk's number says whether it still is
//! the same. When the chunk then arrives in the ring, what was read already is left out.

use std::{
    num::NonZeroUsize,
    os::fd::AsFd as _,
    ptr::NonNull,
    sync::atomic::{Ordering, fence},
};

use aya::{
    maps::{Map, MapData, RingBuf},
    util::nr_cpus,
};
use netpath_common::wire::{
    CHUNK_ALONE, CHUNK_BYTES, CHUNK_CELLS, Cell, ChunkHeader, CpuBuffer, KIND_SKB, Skb, following,
};
use nix::{
    sys::mman::{MapFlags, ProtFlags, mmap, munmap},
    time::{ClockId, clock_gettime},
};

use super::{KernelError, object::Object};
use crate::{
    decode::{header_bytes, u16_at},
    sample::Births,
};

/// How far back the watermark stays behind the clock, ns: an event can have taken its time and not
/// yet been written.
const LAG_NS: u64 = 2_000_000;

const CELL: usize = size_of::<Cell>();
const HEADER: usize = size_of::<ChunkHeader>();

/// What a poll has brought.
#[derive(Clone, Copy, Debug, Default)]
pub struct Polled {
    /// All that happened before this time has been read, ns.
    pub watermark_ns: u64,
    /// How full the ring was, 0 to 1.
    pub fill: f64,
    pub bytes: usize,
}

/// How much of a CPU's chunk was read in place.
#[derive(Clone, Copy, Debug, Default)]
struct Read {
    seq: u32,
    cells: usize,
    /// The sk_buff cell in force after these cells.
    skb: Option<Cell>,
}

pub(super) struct Reader {
    ring: RingBuf<MapData>,
    ring_bytes: usize,
    cpus: Cpus,
    /// Per CPU, what was read of chunks that have not arrived in the ring: at most the previous
    /// one and the one at hand.
    read: Vec<Vec<Read>>,
    scratch: Vec<u8>,
}

impl Reader {
    pub(super) fn open(object: &mut Object, ring_bytes: u32) -> Result<Self, KernelError> {
        let cpus = Cpus::map(object.take_map("CPUS")?)?;
        let ring = RingBuf::try_from(object.take_map("RING")?)
            .map_err(|e| KernelError::Object(format!("RING: {e}")))?;
        let read = vec![Vec::new(); cpus.count];
        Ok(Self { ring, ring_bytes: ring_bytes as usize, cpus, read, scratch: Vec::new() })
    }

    /// Gives everything that has been recorded to `chunk`, in chunks that stand alone.
    pub(super) fn poll(&mut self, mut chunk: impl FnMut(&[u8])) -> Polled {
        let watermark_ns = now_ns().saturating_sub(LAG_NS);
        let mut bytes = 0;
        // In this order nothing is missed: what leaves a CPU's chunk after it was looked at is in
        // the ring by the time that the ring is read.
        for cpu in 0..self.cpus.count {
            let Some((header, cells)) = self.cpus.snapshot(cpu, &mut self.scratch) else {
                continue;
            };
            let read = &mut self.read[cpu];
            let before = read.iter().find(|r| r.seq == header.seq).copied().unwrap_or_default();
            let now = cells.len() / CELL;
            if now > before.cells {
                let after = emit(&header, &cells[before.cells * CELL..], before.skb, &mut chunk);
                bytes += (now - before.cells) * CELL;
                read.retain(|r| r.seq != header.seq);
                read.push(Read { seq: header.seq, cells: now, skb: after });
            }
        }
        // As much as the ring can hold was there when this poll began. What has come since is later
        // than the watermark: a reader that is slower than the packets must return all the same.
        let mut left = self.ring_bytes;
        while left > 0
            && let Some(item) = self.ring.next()
        {
            left = left.saturating_sub(item.len());
            bytes += item.len();
            let Ok(header) = crate::decode::header(&item) else {
                chunk(&item);
                continue;
            };
            let read = match self.read.get_mut(usize::from(header.cpu)) {
                Some(read) if header.flags & CHUNK_ALONE == 0 => read,
                _ => {
                    chunk(&item);
                    continue;
                }
            };
            let done = read.iter().find(|r| r.seq == header.seq).copied();
            read.retain(|r| r.seq.wrapping_sub(header.seq).cast_signed() > 0);
            match done {
                Some(done) => {
                    let rest = item.get(HEADER + done.cells * CELL..).unwrap_or_default();
                    emit(&header, rest, done.skb, &mut chunk);
                }
                None => chunk(&item),
            }
        }
        Polled { watermark_ns, fill: bytes as f64 / self.ring_bytes as f64, bytes }
    }
}

impl Reader {
    /// Packets that began, and those that were recorded, on all CPUs.
    pub(super) fn births(&self) -> Births {
        (0..self.cpus.count).map(|cpu| self.cpus.births(cpu)).fold(Births::default(), |a, b| {
            Births {
                begun: a.begun + b.begun,
                seen: a.seen + b.seen,
                taken: a.taken + b.taken,
                late: a.late + b.late,
                checked: a.checked + b.checked,
            }
        })
    }
}

/// Gives `cells` as a chunk of their own, led by the sk_buff cell that is in force, and returns the
/// one in force after them.
fn emit(
    header: &ChunkHeader,
    cells: &[u8],
    skb: Option<Cell>,
    chunk: &mut impl FnMut(&[u8]),
) -> Option<Cell> {
    if cells.is_empty() {
        return skb;
    }
    let mut out = Vec::with_capacity(CHUNK_BYTES);
    let lead = skb.filter(|_| u16_at(cells, 0) != KIND_SKB);
    let count = cells.len() / CELL + usize::from(lead.is_some());
    let header = ChunkHeader { cells: u16::try_from(count).unwrap_or(0), ..*header };
    out.extend_from_slice(&header_bytes(&header));
    if let Some(lead) = lead {
        out.extend_from_slice(&lead);
    }
    out.extend_from_slice(cells);
    chunk(&out);
    last_skb(cells).or(skb)
}

/// The last sk_buff cell, without the lengths: those belong to the headers that follow it.
fn last_skb(cells: &[u8]) -> Option<Cell> {
    let mut at = 0;
    let mut last = None;
    while at + CELL <= cells.len() {
        let mut cell: Cell = [0; CELL];
        cell.copy_from_slice(&cells[at..at + CELL]);
        at += (1 + following(&cell)) * CELL;
        if u16_at(&cell, 0) == KIND_SKB {
            cell[2..8].fill(0);
            last = Some(cell);
        }
    }
    last
}

const _: () =
    assert!(std::mem::offset_of!(Skb, gso_segs) == 2 && std::mem::offset_of!(Skb, addr) == 8);

/// `CLOCK_MONOTONIC`, the clock of the events.
pub(super) fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)
        .unwrap_or_else(|_| nix::sys::time::TimeSpec::new(0, 0));
    u64::try_from(now.tv_sec()).unwrap_or(0) * 1_000_000_000
        + u64::try_from(now.tv_nsec()).unwrap_or(0)
}

/// The CPUs' buffers, mapped for reading.
struct Cpus {
    base: NonNull<CpuBuffer>,
    count: usize,
    bytes: NonZeroUsize,
    /// Keeps the map's descriptor open.
    _map: MapData,
}

// SAFETY: the mapping is only read, through volatile reads, from whichever thread owns it.
unsafe impl Send for Cpus {}

impl Cpus {
    fn map(map: Map) -> Result<Self, KernelError> {
        let Map::Array(map) = map else {
            return Err(KernelError::Object("CPUS is not an array".to_owned()));
        };
        let count = nr_cpus().map_err(|(what, e)| KernelError::system(what, e))?;
        let page = 4096;
        let bytes = (count * size_of::<CpuBuffer>()).next_multiple_of(page);
        let bytes = NonZeroUsize::new(bytes)
            .ok_or_else(|| KernelError::Object("no possible CPU".to_owned()))?;
        let fd = map.fd().as_fd();
        // SAFETY: a fresh mapping at an address of the kernel's choice.
        let base = unsafe { mmap(None, bytes, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, fd, 0) }
            .map_err(|e| KernelError::system("map the CPUs' buffers", e.into()))?;
        Ok(Self { base: base.cast(), count, bytes, _map: map })
    }

    fn births(&self, cpu: usize) -> Births {
        debug_assert!(cpu < self.count);
        // SAFETY: within the mapping; the kernel writes concurrently, hence volatile reads.
        unsafe {
            let buffer = self.base.as_ptr().add(cpu);
            Births {
                begun: (&raw const (*buffer).begun).read_volatile(),
                seen: (&raw const (*buffer).seen).read_volatile(),
                taken: (&raw const (*buffer).taken).read_volatile(),
                late: (&raw const (*buffer).late).read_volatile(),
                checked: (&raw const (*buffer).checked).read_volatile(),
            }
        }
    }

    /// Copies a CPU's unfinished cells to `scratch`; `None` where the chunk was sent meanwhile.
    fn snapshot<'s>(
        &self,
        cpu: usize,
        scratch: &'s mut Vec<u8>,
    ) -> Option<(ChunkHeader, &'s [u8])> {
        debug_assert!(cpu < self.count);
        // SAFETY: within the mapping; the kernel writes concurrently, hence volatile reads, and
        // the number that is compared again below.
        unsafe {
            let buffer = self.base.as_ptr().add(cpu);
            let seq = (&raw const (*buffer).header.seq).read_volatile();
            fence(Ordering::Acquire);
            let cells = usize::from((&raw const (*buffer).header.cells).read_volatile());
            let cells = cells.min(CHUNK_CELLS);
            fence(Ordering::Acquire);
            let header = ChunkHeader {
                base_ns: (&raw const (*buffer).header.base_ns).read_volatile(),
                seq,
                lost: (&raw const (*buffer).header.lost).read_volatile(),
                cpu: u16::try_from(cpu).unwrap_or(u16::MAX),
                cells: u16::try_from(cells).unwrap_or(0),
                abi: (&raw const (*buffer).header.abi).read_volatile(),
                flags: 0,
                reserved: 0,
            };
            scratch.resize(cells * CELL, 0);
            std::ptr::copy_nonoverlapping(
                (&raw const (*buffer).cells).cast::<u8>(),
                scratch.as_mut_ptr(),
                cells * CELL,
            );
            fence(Ordering::Acquire);
            let again = (&raw const (*buffer).header.seq).read_volatile();
            (seq == again && cells > 0).then_some((header, scratch.as_slice()))
        }
    }
}

impl Drop for Cpus {
    fn drop(&mut self) {
        // SAFETY: our own mapping, not used after this.
        let unmapped = unsafe { munmap(self.base.cast(), self.bytes.get()) };
        debug_assert!(unmapped.is_ok());
    }
}
