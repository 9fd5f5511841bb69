//! The pipeline: chunks in, a ledger out. Everything here runs the same live and on a recording.
//!
//! Chunks of several CPUs arrive out of order; pieces are held back until everything that happened
//! before the watermark has arrived, and then go to the assembler in the order of time.

use netpath_common::{
    point::{SOCK_RECV, UDP_READ},
    wire::{CHUNK_ALONE, ChunkHeader},
};
use rustc_hash::FxHashMap;

use crate::{
    decode::{self, Batch, DecodeError, Gap, Missed},
    filter::Filter,
    flight::{Assembler, Flight, OPEN_MAX},
    ledger::{Accounting, Ledger},
    serving::Source,
    session::Session,
};

/// What the chunks of a CPU have said.
#[derive(Clone, Copy, Debug, Default)]
struct CpuState {
    /// The number of the last one.
    seq: u32,
    /// When it began, ns.
    base_ns: u64,
    /// When its last event was recorded, ns.
    last_ns: u64,
    lost: u32,
    /// Lost by programs that interrupted others.
    lost_alone: u64,
    /// Events are missing that came after the last one of this chunk, or of one before it.
    loses: bool,
}

/// Chunks of a CPU come in the order of their numbers from this version on.
const ABI_ORDERED: u16 = 3;

/// Decode to ledger.
#[derive(Debug, Default)]
pub struct Pipeline {
    waiting: Batch,
    ready: Batch,
    pub(crate) assembler: Assembler,
    cpus: FxHashMap<u16, CpuState>,
    /// Chunks that could not be decoded to their end, and why the last one couldn't.
    pub bad_chunks: u64,
    pub last_error: Option<DecodeError>,
    /// Events decoded.
    pub events: u64,
    filter: Option<Filter>,
    /// Flows that the filter wants nothing of, until somebody takes them.
    unwanted: Vec<(u32, u32)>,
    /// Gaps that the ledger does not know of yet.
    gaps: Vec<Gap>,
    /// Flights that the filter has left out.
    pub left_out: u64,
    /// Chunks of programs that had interrupted others.
    pub alone: u64,
}

/// Flows that wait to be taken at most; the others are found again.
const UNWANTED_MAX: usize = 1 << 14;

impl Pipeline {
    /// A pipeline for a session's events.
    pub fn of(session: &Session) -> Self {
        let mut this = Self::default();
        this.assembler.since(session.since_ns);
        this.filter.clone_from(&session.filter);
        let seen = |n| matches!(session.serving.points.get(&n), Some(Source::By(..)));
        this.assembler.drop_reasons(&session.drop_reasons);
        this.assembler.exact_reads(seen(UDP_READ));
        this.assembler.seen_returns(seen(SOCK_RECV));
        this
    }

    /// Takes a chunk.
    pub fn chunk(&mut self, chunk: &[u8]) {
        let header = decode::header(chunk).unwrap_or_default();
        if let Some(gap) = Gap::of(&header) {
            self.assembler.gap(gap);
            self.gaps.push(gap);
            return;
        }
        if let Some(missed) = Missed::of(&header) {
            self.assembler.missed(missed);
            return;
        }
        self.alone += u64::from(header.flags & CHUNK_ALONE != 0);
        let before = self.waiting.events.len();
        if let Err(error) = self.waiting.chunk(chunk) {
            self.bad_chunks += 1;
            self.last_error = Some(error);
        }
        self.events += (self.waiting.events.len() - before) as u64;
        if header.abi != 0 && header.flags & CHUNK_ALONE == 0 {
            self.losses(&header, self.waiting.last_ns);
        }
    }

    /// Learns from a chunk's head when its CPU lost events: after the last one that the chunk holds, until
    /// the next chunk begins. Those of programs that interrupted others can have been lost any time since
    /// the CPU's chunk was read the last time.
    fn losses(&mut self, header: &ChunkHeader, last_ns: Option<u64>) {
        let state = self.cpus.entry(header.cpu).or_default();
        let before = *state;
        let is_next = header.seq.wrapping_sub(before.seq).cast_signed() > 0;
        if is_next && before.loses {
            self.assembler.records_again(header.cpu, header.base_ns);
            state.loses = false;
        }
        if is_next || header.seq == before.seq {
            (state.seq, state.base_ns) = (header.seq, header.base_ns);
        }
        state.last_ns = last_ns.map_or(before.last_ns, |ns| ns.max(before.last_ns));
        let more = header.lost.wrapping_sub(before.lost).cast_signed() > 0;
        let from_ns = if header.reserved > before.lost_alone {
            Some(before.last_ns)
        } else if more && header.abi < ABI_ORDERED {
            // The chunk before may have been read in place and not said so.
            Some(before.base_ns.min(header.base_ns))
        } else {
            more.then_some(state.last_ns)
        };
        if more {
            state.lost = header.lost;
        }
        state.lost_alone = state.lost_alone.max(header.reserved);
        if let Some(from_ns) = from_ns {
            state.loses = true;
            self.assembler.loses(header.cpu, from_ns);
        }
    }

    /// Says that all that happened before `watermark_ns` has arrived, and books what that ends.
    pub fn advance(&mut self, watermark_ns: u64, ledger: &mut Ledger) {
        self.tell(ledger);
        self.advance_with(watermark_ns, |flight| ledger.add(flight));
    }

    /// Tells the ledger what it should know of flights that are to come.
    pub fn tell(&mut self, ledger: &mut Ledger) {
        self.gaps.drain(..).for_each(|gap| ledger.gap(gap));
    }

    /// Like [`Self::advance`], with the flights given to `done`.
    pub fn advance_with(&mut self, watermark_ns: u64, done: impl FnMut(&Flight)) {
        self.waiting.sort();
        self.waiting.split_off(watermark_ns, &mut self.ready);
        std::mem::swap(&mut self.ready, &mut self.waiting);
        let done = gate(self.filter.as_ref(), &mut self.unwanted, &mut self.left_out, done);
        self.assembler.batch(&self.ready, done);
        self.ready.clear();
        self.waiting.watermark_ns = watermark_ns;
    }

    /// Flows that the filter wants nothing of, found since the last time.
    pub fn take_unwanted(&mut self) -> impl Iterator<Item = (u32, u32)> {
        self.unwanted.drain(..)
    }

    /// Says that nothing more comes: everything is booked, and open flights are closed.
    pub fn finish(&mut self, ledger: &mut Ledger) {
        self.tell(ledger);
        self.finish_with(|flight| ledger.add(flight));
        ledger.finish();
    }

    /// Like [`Self::finish`], with the flights given to `done`.
    pub fn finish_with(&mut self, mut done: impl FnMut(&Flight)) {
        self.advance_with(u64::MAX, &mut done);
        let done = gate(self.filter.as_ref(), &mut self.unwanted, &mut self.left_out, done);
        self.assembler.finish_all(done);
    }

    /// Says that flights that were under way between these times, ns, may lack marks.
    pub fn unsure(&mut self, (from_ns, until_ns): (u64, u64)) {
        self.assembler.probes_changed(from_ns, until_ns);
    }

    /// What a reader of the report should know.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some(error) = &self.last_error {
            notes.push(format!("{} chunks of events were bad: {error}", self.bad_chunks));
        }
        let evicted = self.assembler.counters().evicted;
        if evicted > 0 {
            notes.push(format!(
                "{evicted} packets were closed before their end was seen, because more than \
                 {OPEN_MAX} were under way at once"
            ));
        }
        notes
    }

    /// What was recorded and came to no ledger.
    pub fn accounting(&self) -> Accounting {
        Accounting::of(self.assembler.counters(), self.left_out, self.bad_chunks)
    }

    pub fn assembler(&self) -> &Assembler {
        &self.assembler
    }
}

/// Lets those flights through that the filter wants.
fn gate(
    filter: Option<&Filter>,
    unwanted: &mut Vec<(u32, u32)>,
    left_out: &mut u64,
    mut done: impl FnMut(&Flight),
) -> impl FnMut(&Flight) {
    move |flight| match filter {
        Some(filter) if !filter.wants(flight) => {
            *left_out += 1;
            if unwanted.len() < UNWANTED_MAX {
                unwanted.extend(filter.unwanted(flight));
            }
        }
        _ => done(flight),
    }
}

#[cfg(test)]
mod tests;
