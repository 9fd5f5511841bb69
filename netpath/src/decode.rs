//! Decode: the bytes of chunks into pieces of packets' passages.
//!
//! In: chunks as the recorder wrote them, any bytes at all. Out: a [`Batch`] of [`Piece`]s, each a
//! run of events of one sk_buff on one CPU. No I/O, no clock, no panic; what can't be read is
//! counted and skipped.
//!
//! A run ends where a packet was put on a backlog, unless this CPU then takes it up from there, and
//! before one is taken up that this CPU did not put there: what comes next with its address may be
//! another packet's, which has it by then. Where packets are steered to other CPUs (RPS), a CPU can
//! see nothing between the two.

use netpath_common::point::{
    GRO_RECEIVE, LEFT_IDLE, NET_DEV_XMIT, NETIF_RECEIVE, NETIF_RX, SPAN_FIRST, is_told_later,
};
use netpath_common::wire::{
    ABI, ABI_OLDEST, CHUNK_ALONE, CHUNK_CELLS, CHUNK_GAP, CHUNK_MISSED, ChunkHeader, FRAGMENT,
    KIND_BYTES, KIND_FIRST, KIND_SEGMENT, KIND_SKB, KIND_TUPLE4, KIND_TUPLE6, SKB_AT_HAND,
    SKB_SWITCHED, ZEROS, following,
};
use rustc_hash::FxHashMap;
use thiserror::Error;

use crate::packet::{Bytes, Headers, TCP, Tuple};

const CELL: usize = 16;
const HEADER: usize = size_of::<ChunkHeader>();
/// Pieces of one CPU before which one is looked for a place that began before them.
const TOLD_WITHIN: usize = 16;

/// A timestamp at a probe point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// `CLOCK_MONOTONIC`, ns.
    pub at_ns: u64,
    pub point: u16,
    pub aux: u16,
    pub arg: u64,
}

/// Events of one sk_buff that followed each other on one CPU, at least one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// The sk_buff's address.
    pub skb: u64,
    pub cpu: u16,
    /// When the first event happened, ns.
    pub start_ns: u64,
    /// `events` of the batch, from here …
    pub first: u32,
    /// … this many.
    pub count: u32,
    /// The packet's headers as they were at the first event, where they were read.
    pub headers: Option<Headers>,
    /// The headers themselves, where they were captured.
    pub bytes: Option<Box<Bytes>>,
    /// When the CPU left idle, where it did so since the piece before, ns.
    pub left_idle_ns: Option<u64>,
    /// The CPU has had the packet at hand without a break.
    pub at_hand: bool,
    /// That CPU has switched tasks meanwhile.
    pub switched: bool,
    /// It was recorded before [`Batch::watermark_ns`], and comes too late to be put in order.
    pub is_late: bool,
    /// Its program had interrupted another one.
    pub is_alone: bool,
}

/// Pieces of several chunks.
#[derive(Debug, Default)]
pub struct Batch {
    /// As they came: those of a chunk together.
    pub pieces: Vec<Piece>,
    /// When each began, ns, and where it is in `pieces`; in the order of time once [`Batch::sort`] has run.
    order: Vec<(u64, u32)>,
    /// The same of each CPU's, while they are sorted.
    runs: FxHashMap<u16, Vec<(u64, u32)>>,
    pub events: Vec<Event>,
    /// What was recorded before this time has all arrived, as far as is known, ns.
    pub watermark_ns: u64,
    /// When the last event was recorded of the chunk that was added last, where it has any, ns.
    pub last_ns: Option<u64>,
}

/// Why a chunk, or what is left of it, was skipped.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    #[error("a chunk of {0} bytes is too short for its header")]
    Short(usize),
    #[error("a chunk has ABI {found}, this netpath reads {ABI_OLDEST} to {ABI}")]
    Abi { found: u16 },
    #[error("a chunk claims {claimed} cells but holds {held}")]
    Cells { claimed: usize, held: usize },
    #[error("an event stands before any sk_buff (cell {cell})")]
    NoSkb { cell: usize },
    #[error("unknown kind of cell {kind:#x} (cell {cell})")]
    Kind { kind: u16, cell: usize },
    #[error("a tuple or a packet's headers are cut off (cell {cell})")]
    Cut { cell: usize },
}

pub(crate) fn u16_at(b: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes(array(b, at))
}

fn u32_at(b: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(array(b, at))
}

pub(crate) fn u64_at(b: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(array(b, at))
}

/// `N` bytes from `at` on; zeros past the end, which callers have ruled out by their length checks.
fn array<const N: usize>(b: &[u8], at: usize) -> [u8; N] {
    b.get(at..at + N).and_then(|s| s.try_into().ok()).unwrap_or([0; N])
}

/// The head of a chunk.
pub fn header(chunk: &[u8]) -> Result<ChunkHeader, DecodeError> {
    if chunk.len() < HEADER {
        return Err(DecodeError::Short(chunk.len()));
    }
    let header = ChunkHeader {
        base_ns: u64_at(chunk, 0),
        seq: u32_at(chunk, 8),
        lost: u32_at(chunk, 12),
        cpu: u16_at(chunk, 16),
        cells: u16_at(chunk, 18),
        abi: u16_at(chunk, 20),
        flags: u16_at(chunk, 22),
        reserved: u64_at(chunk, 24),
    };
    if !(ABI_OLDEST..=ABI).contains(&header.abi) {
        return Err(DecodeError::Abi { found: header.abi });
    }
    Ok(header)
}

/// The bytes of a chunk's head.
pub fn header_bytes(header: &ChunkHeader) -> [u8; HEADER] {
    let mut out = [0; HEADER];
    out[0..8].copy_from_slice(&header.base_ns.to_ne_bytes());
    out[8..12].copy_from_slice(&header.seq.to_ne_bytes());
    out[12..16].copy_from_slice(&header.lost.to_ne_bytes());
    out[16..18].copy_from_slice(&header.cpu.to_ne_bytes());
    out[18..20].copy_from_slice(&header.cells.to_ne_bytes());
    out[20..22].copy_from_slice(&header.abi.to_ne_bytes());
    out[22..24].copy_from_slice(&header.flags.to_ne_bytes());
    out[24..32].copy_from_slice(&header.reserved.to_ne_bytes());
    out
}

/// A time, ns, in which nothing was recorded, or, where it is empty, a moment from which on other
/// packets were drawn than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    pub from_ns: u64,
    pub until_ns: u64,
}

impl Gap {
    /// What a chunk says of it.
    pub fn of(header: &ChunkHeader) -> Option<Self> {
        let gap = Self { from_ns: header.base_ns, until_ns: header.reserved };
        (header.flags & CHUNK_GAP != 0).then_some(gap)
    }

    /// As a chunk, so that recordings keep it.
    pub fn chunk(self) -> [u8; HEADER] {
        between(self.from_ns, self.until_ns, CHUNK_GAP)
    }
}

/// Times, ns, between which probes were passed over because they were running already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed {
    pub from_ns: u64,
    pub until_ns: u64,
}

impl Missed {
    /// What a chunk says of it.
    pub fn of(header: &ChunkHeader) -> Option<Self> {
        let missed = Self { from_ns: header.base_ns, until_ns: header.reserved };
        (header.flags & CHUNK_MISSED != 0).then_some(missed)
    }

    /// As a chunk, so that recordings keep it.
    pub fn chunk(self) -> [u8; HEADER] {
        between(self.from_ns, self.until_ns, CHUNK_MISSED)
    }
}

/// A chunk that only says of a time what its flags mean.
fn between(from_ns: u64, until_ns: u64, flags: u16) -> [u8; HEADER] {
    header_bytes(&ChunkHeader {
        base_ns: from_ns,
        reserved: until_ns,
        abi: ABI,
        flags,
        ..ChunkHeader::default()
    })
}

impl Batch {
    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.pieces.clear();
        self.order.clear();
        self.events.clear();
    }

    /// Looks in which order the pieces happened.
    pub fn sort(&mut self) {
        for (at, piece) in (0..).zip(&self.pieces) {
            let run = self.runs.entry(piece.cpu).or_default();
            run.push((piece.start_ns, at));
            // What is told later began a few pieces before.
            let earlier = run.iter().rev().skip(1).take(TOLD_WITHIN);
            let before = earlier.take_while(|(start_ns, _)| *start_ns > piece.start_ns).count();
            if before > 0 {
                let from = run.len() - 1 - before;
                run[from..].rotate_right(1);
            }
        }
        self.order.clear();
        self.runs.values_mut().for_each(|run| self.order.append(run));
        // Merges what is in order already.
        self.order.sort_by_key(|piece| *piece);
    }

    /// The pieces in the order in which they happened, as of the last [`Self::sort`].
    pub fn in_order(&self) -> impl Iterator<Item = &Piece> {
        self.order.iter().filter_map(|(_, at)| self.pieces.get(*at as usize))
    }

    /// Takes those out of the order that began at this time, ns, or later, and copies them to `rest`.
    pub fn split_off(&mut self, from_ns: u64, rest: &mut Self) {
        rest.clear();
        let at = self.order.partition_point(|(start_ns, _)| *start_ns < from_ns);
        for piece in self.in_order().skip(at) {
            let first = u32::try_from(rest.events.len()).unwrap_or(u32::MAX);
            rest.events.extend_from_slice(self.events_of(piece));
            rest.pieces.push(Piece { first, ..piece.clone() });
        }
        self.order.truncate(at);
    }

    /// The events of `piece`.
    pub fn events_of(&self, piece: &Piece) -> &[Event] {
        let first = piece.first as usize;
        self.events.get(first..first + piece.count as usize).unwrap_or_default()
    }

    /// Adds a chunk. Where it is bad, what precedes the bad cell is kept.
    pub fn chunk(&mut self, chunk: &[u8]) -> Result<(), DecodeError> {
        self.last_ns = None;
        let header = header(chunk)?;
        let body = &chunk[HEADER..];
        let claimed = usize::from(header.cells);
        if claimed > CHUNK_CELLS || claimed * CELL > body.len() {
            return Err(DecodeError::Cells { claimed, held: body.len() / CELL });
        }
        let cells = &body[..claimed * CELL];
        Reader {
            batch: self,
            cells,
            header: &header,
            at: 0,
            skb: 0,
            headers: None,
            bytes: None,
            left_idle_ns: None,
            at_hand: false,
            switched: false,
            open: false,
            backlog: None,
        }
        .read()
    }
}

struct Reader<'a> {
    batch: &'a mut Batch,
    cells: &'a [u8],
    header: &'a ChunkHeader,
    /// The next cell.
    at: usize,
    skb: u64,
    headers: Option<Headers>,
    bytes: Option<Box<Bytes>>,
    left_idle_ns: Option<u64>,
    at_hand: bool,
    switched: bool,
    /// Whether the last piece of the batch takes further events.
    open: bool,
    /// The device on whose backlog, or into whose GRO, the packet was put last.
    backlog: Option<u64>,
}

impl Reader<'_> {
    fn read(&mut self) -> Result<(), DecodeError> {
        while (self.at + 1) * CELL <= self.cells.len() {
            let cell = &self.cells[self.at * CELL..(self.at + 1) * CELL];
            let kind = u16_at(cell, 0);
            if kind < KIND_FIRST {
                self.event(cell)?;
                self.at += 1;
                continue;
            }
            let rest = &self.cells[self.at * CELL..];
            let many = following(&array(cell, 0));
            let Some(rest) = rest.get(CELL..(1 + many) * CELL) else {
                return Err(DecodeError::Cut { cell: self.at });
            };
            match kind {
                KIND_SKB => {
                    self.skb = u64_at(cell, 8);
                    (self.open, self.backlog) = (false, None);
                    (self.headers, self.bytes) = (None, None);
                    let (len, segs) = (u32_at(cell, 4), u16_at(cell, 2));
                    // Older ones did not say, and events that are sent alone can't.
                    let alone = self.header.flags & CHUNK_ALONE != 0;
                    self.at_hand = len & SKB_AT_HAND != 0 || self.header.abi < 3 || alone;
                    self.switched = len & SKB_SWITCHED != 0;
                    let len = len & !(SKB_AT_HAND | SKB_SWITCHED);
                    if len != 0 {
                        self.headers = Some(Headers { len, gso_segs: segs, ..Headers::default() });
                    }
                }
                KIND_TUPLE4 => {
                    let tuple = Tuple::v4(
                        cell[2],
                        array(cell, 4),
                        array(cell, 8),
                        array(cell, 12),
                        array(cell, 14),
                    );
                    self.tuple(tuple, cell[3]);
                }
                KIND_TUPLE6 => {
                    let tuple = Tuple::v6(
                        cell[2],
                        array(rest, 0),
                        array(rest, CELL),
                        array(cell, 4),
                        array(cell, 6),
                    );
                    self.tuple(tuple, cell[3]);
                }
                KIND_SEGMENT => {
                    let headers = self.headers.get_or_insert_default();
                    headers.ip_id = u16_at(cell, 2);
                    let payload = u32_at(cell, 4);
                    headers.payload = payload & !(FRAGMENT | ZEROS);
                    headers.zeros = payload & ZEROS != 0;
                    headers.fragment = payload & FRAGMENT != 0;
                    headers.seq = u32_at(cell, 8);
                    let last = u32_at(cell, 12);
                    let tcp = headers.tuple.is_some_and(|t| t.proto == TCP) && !headers.fragment;
                    (headers.ack, headers.fragment_at) = if tcp { (last, 0) } else { (0, last) };
                }
                KIND_BYTES => {
                    let (link, length) = (cell[2], usize::from(cell[3]));
                    // Its time is its event's.
                    let bytes = Bytes { at_ns: 0, link, data: rest[..length].to_vec() };
                    self.bytes = Some(Box::new(bytes));
                }
                kind => return Err(DecodeError::Kind { kind, cell: self.at }),
            }
            self.at += 1 + many;
        }
        Ok(())
    }

    fn tuple(&mut self, tuple: Tuple, flags: u8) {
        let headers = self.headers.get_or_insert_default();
        headers.tuple = Some(tuple);
        headers.flags = flags;
    }

    fn event(&mut self, cell: &[u8]) -> Result<(), DecodeError> {
        if self.skb == 0 {
            return Err(DecodeError::NoSkb { cell: self.at });
        }
        let mut event = Event {
            at_ns: self.header.base_ns.wrapping_add(u64::from(u32_at(cell, 4))),
            point: u16_at(cell, 0),
            aux: u16_at(cell, 2),
            arg: u64_at(cell, 8),
        };
        let recorded_ns = event.at_ns;
        self.batch.last_ns = self.batch.last_ns.max(Some(recorded_ns));
        if event.point == LEFT_IDLE {
            self.left_idle_ns = Some(event.arg);
            return Ok(());
        }
        if is_told_later(event.point) {
            // It happened before.
            event.at_ns = event.arg.min(event.at_ns);
        }
        if self.went_on(&event) {
            self.open = false;
        }
        if !self.open {
            self.batch.pieces.push(Piece {
                skb: self.skb,
                cpu: self.header.cpu,
                start_ns: event.at_ns,
                first: u32::try_from(self.batch.events.len()).unwrap_or(u32::MAX),
                count: 0,
                headers: self.headers.take(),
                bytes: self.bytes.take(),
                left_idle_ns: self.left_idle_ns.take(),
                at_hand: std::mem::replace(&mut self.at_hand, true),
                switched: std::mem::take(&mut self.switched),
                is_late: recorded_ns < self.batch.watermark_ns,
                is_alone: self.header.flags & CHUNK_ALONE != 0,
            });
            self.open = true;
        }
        if let Some(piece) = self.batch.pieces.last_mut() {
            piece.count += 1;
            if let Some(bytes) = &mut piece.bytes
                && bytes.at_ns == 0
                && !is_told_later(event.point)
            {
                bytes.at_ns = event.at_ns;
            }
        }
        self.batch.events.push(event);
        Ok(())
    }

    /// Whether what was seen before may have been another packet.
    fn went_on(&mut self, event: &Event) -> bool {
        let before = self.backlog;
        match event.point {
            NETIF_RX | GRO_RECEIVE => self.backlog = Some(event.arg),
            // Functions return, and drivers do, after the packet has left them.
            NET_DEV_XMIT | SPAN_FIRST.. => return false,
            _ => self.backlog = None,
        }
        let taken_up = event.point == NETIF_RECEIVE;
        if taken_up { before != Some(event.arg) } else { before.is_some() }
    }
}

#[cfg(test)]
mod tests;
