//! The pipeline: chunks in, a ledger out. Everything here runs the same live and on a recording.
//!
//! Chunks of several CPUs arrive out of order; pieces are held back until everything that happened
//! before the watermark has arrived, and then go to the assembler in the order of time.

use netpath_common::{point::UDP_READ, wire::CHUNK_ALONE};
use rustc_hash::FxHashMap;

use crate::{
    decode::{self, Batch, DecodeError},
    flight::{Assembler, Flight},
    ledger::Ledger,
    serving::Source,
    session::Session,
};

/// What the last chunk of a CPU said.
#[derive(Clone, Copy, Debug, Default)]
struct CpuState {
    base_ns: u64,
    lost: u32,
}

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
}

impl Pipeline {
    /// A pipeline for a session's events.
    pub fn of(session: &Session) -> Self {
        let mut this = Self::default();
        this.assembler.since(session.since_ns);
        let read = session.serving.points.get(&UDP_READ);
        this.assembler.exact_reads(matches!(read, Some(Source::By(..))));
        this
    }

    /// Takes a chunk.
    pub fn chunk(&mut self, chunk: &[u8]) {
        if let Ok(header) = decode::header(chunk)
            && header.flags & CHUNK_ALONE == 0
        {
            let state = self.cpus.entry(header.cpu).or_default();
            if header.lost > state.lost {
                self.assembler.lost_between(state.base_ns, header.base_ns);
            }
            *state = CpuState { base_ns: header.base_ns, lost: header.lost };
        }
        let before = self.waiting.events.len();
        if let Err(error) = self.waiting.chunk(chunk) {
            self.bad_chunks += 1;
            self.last_error = Some(error);
        }
        self.events += (self.waiting.events.len() - before) as u64;
    }

    /// Says that all that happened before `watermark_ns` has arrived, and books what that ends.
    pub fn advance(&mut self, watermark_ns: u64, ledger: &mut Ledger) {
        self.advance_with(watermark_ns, |flight| ledger.add(flight));
    }

    /// Like [`Self::advance`], with the flights given to `done`.
    pub fn advance_with(&mut self, watermark_ns: u64, mut done: impl FnMut(&Flight)) {
        self.waiting.sort();
        let ready = self.waiting.pieces.partition_point(|p| p.start_ns < watermark_ns);
        if ready == self.waiting.pieces.len() {
            std::mem::swap(&mut self.ready, &mut self.waiting);
        } else {
            split(&mut self.waiting, ready, &mut self.ready);
            std::mem::swap(&mut self.ready, &mut self.waiting);
        }
        self.assembler.batch(&self.ready, &mut done);
        self.ready.clear();
    }

    /// Says that nothing more comes: everything is booked, and open flights are closed.
    pub fn finish(&mut self, ledger: &mut Ledger) {
        self.finish_with(|flight| ledger.add(flight));
        ledger.finish();
    }

    /// Like [`Self::finish`], with the flights given to `done`.
    pub fn finish_with(&mut self, mut done: impl FnMut(&Flight)) {
        self.advance_with(u64::MAX, &mut done);
        self.assembler.finish_all(done);
    }

    /// Says that flights that were under way between these times, ns, may lack marks.
    pub fn unsure(&mut self, (from_ns, until_ns): (u64, u64)) {
        self.assembler.lost_between(from_ns, until_ns);
    }

    /// What a reader of the report should know.
    pub fn notes(&self) -> Option<String> {
        let error = self.last_error.as_ref()?;
        Some(format!("{} chunks of events were bad: {error}", self.bad_chunks))
    }

    pub fn assembler(&self) -> &Assembler {
        &self.assembler
    }
}

/// Copies the pieces from `at` on to `rest` with their events, and leaves the others.
fn split(batch: &mut Batch, at: usize, rest: &mut Batch) {
    rest.clear();
    for piece in &batch.pieces[at..] {
        let first = u32::try_from(rest.events.len()).unwrap_or(u32::MAX);
        let events = batch.events_of(piece);
        rest.events.extend_from_slice(events);
        rest.pieces.push(decode::Piece { first, ..piece.clone() });
    }
    batch.pieces.truncate(at);
}
