//! Reading events: the ring buffer, and the CPUs' unfinished chunks.
//!
//! Chunks arrive in the ring when they are full. What a CPU has written since is read in place
//! through a shared mapping, with no system call and without disturbing the CPU: cells below the
//! count are never written again in the same chunk, and the chunk's number says whether it still is
//! the same. When the chunk then arrives in the ring, what was read already is left out ([`stitch`]).
//! Up to when everything has been read, and can be put in order, [`settled`] knows.

mod settled;
mod stitch;

use std::{
    hint::spin_loop,
    num::NonZeroUsize,
    os::fd::AsFd as _,
    ptr::NonNull,
    sync::atomic::{Ordering, fence},
};

use aya::{
    maps::{Map, MapData, RingBuf},
    util::nr_cpus,
};
use netpath_common::wire::{CHUNK_ALONE, CHUNK_CELLS, ChunkHeader, CpuBuffer};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use self::{
    settled::Settled,
    stitch::{CELL, Stitch},
};
use super::{KernelError, object::Object};
use crate::{clock::now_ns, sample::Births};

/// How often it is looked whether a program has finished that was writing: an event takes a fraction of
/// a microsecond.
const LOOKS: usize = 500;
/// How often a chunk is copied anew that was sent meanwhile.
const COPIES: usize = 3;

/// What a poll has brought.
#[derive(Clone, Copy, Debug, Default)]
pub struct Polled {
    /// All that happened before this time has been read, ns.
    pub watermark_ns: u64,
    /// How full the ring was, 0 to 1.
    pub fill: f64,
    pub bytes: usize,
}

pub(super) struct Reader {
    ring: RingBuf<MapData>,
    ring_bytes: usize,
    cpus: Cpus,
    /// By CPU, what was given of its chunks.
    stitches: Vec<Stitch>,
    /// By CPU, up to when everything that it has recorded was given.
    settled: Settled,
}

impl Reader {
    pub(super) fn open(object: &mut Object, ring_bytes: u32) -> Result<Self, KernelError> {
        let cpus = Cpus::map(object.take_map("CPUS")?)?;
        let ring = RingBuf::try_from(object.take_map("RING")?)
            .map_err(|e| KernelError::Object(format!("RING: {e}")))?;
        let stitches = (0..cpus.count).map(|_| Stitch::default()).collect();
        let settled = Settled::new(cpus.count);
        Ok(Self { ring, ring_bytes: ring_bytes as usize, cpus, stitches, settled })
    }

    /// Gives everything that has been recorded to `chunk`, in chunks that stand alone, those of a CPU in
    /// their order.
    pub(super) fn poll(&mut self, mut chunk: impl FnMut(&[u8])) -> Polled {
        let now_ns = now_ns();
        let mut bytes = 0;
        let mut count = |chunk: &mut dyn FnMut(&[u8]), given: &[u8]| {
            bytes += given.len();
            chunk(given);
        };
        let mut chunk = |given: &[u8]| count(&mut chunk, given);
        // In this order nothing is missed: what leaves a CPU's chunk after it was looked at is in
        // the ring by the time that the ring is read.
        for (cpu, stitch) in self.stitches.iter_mut().enumerate() {
            self.settled.looks(cpu, self.cpus.is_quiet(cpu));
            if let Some((header, cells)) = self.cpus.snapshot(cpu, stitch.spare()) {
                stitch.looked(header, cells);
            }
        }
        // As much as the ring can hold was there when this poll began. What has come since is later
        // than the watermark: a reader that is slower than the packets must return all the same.
        let mut left = self.ring_bytes;
        while left > 0
            && let Some(item) = self.ring.next()
        {
            left = left.saturating_sub(item.len());
            let Ok(header) = crate::decode::header(&item) else {
                chunk(&item);
                continue;
            };
            match self.stitches.get_mut(usize::from(header.cpu)) {
                Some(stitch) if header.flags & CHUNK_ALONE == 0 => {
                    stitch.arrived(&header, &item, &mut chunk);
                }
                _ => chunk(&item),
            }
        }
        for (cpu, stitch) in self.stitches.iter_mut().enumerate() {
            self.settled.given(cpu, stitch.give(&mut chunk), now_ns);
        }
        let watermark_ns = self.settled.watermark_ns(now_ns);
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

    /// Whether what this CPU has recorded so far is all written. It need not be where the program that
    /// was at it does not get on: its task, or the virtual machine's CPU, waits for others.
    fn is_quiet(&self, cpu: usize) -> bool {
        debug_assert!(cpu < self.count);
        (0..LOOKS).any(|_| {
            // SAFETY: within the mapping; the kernel writes concurrently, hence a volatile read.
            let busy = unsafe { (&raw const (*self.base.as_ptr().add(cpu)).busy).read_volatile() };
            spin_loop();
            busy == 0
        })
    }

    /// Copies a CPU's unfinished cells to `into`; `None` where the chunk was sent meanwhile, again and
    /// again.
    fn snapshot(&self, cpu: usize, mut into: Vec<u8>) -> Option<(ChunkHeader, Vec<u8>)> {
        (0..COPIES).find_map(|_| self.copy(cpu, &mut into)).map(|header| (header, into))
    }

    fn copy(&self, cpu: usize, into: &mut Vec<u8>) -> Option<ChunkHeader> {
        debug_assert!(cpu < self.count);
        // SAFETY: within the mapping; the kernel writes concurrently, hence volatile reads, and
        // the number that is compared again below.
        unsafe {
            let buffer = self.base.as_ptr().add(cpu);
            fence(Ordering::Acquire);
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
                reserved: (&raw const (*buffer).header.reserved).read_volatile(),
            };
            into.clear();
            #[expect(clippy::cast_ptr_alignment, reason = "cells stand at a multiple of 8")]
            let words = (&raw const (*buffer).cells).cast::<u64>();
            for word in 0..cells * (CELL / size_of::<u64>()) {
                into.extend_from_slice(&words.add(word).read_volatile().to_ne_bytes());
            }
            fence(Ordering::Acquire);
            let again = (&raw const (*buffer).header.seq).read_volatile();
            (seq == again).then_some(header)
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
