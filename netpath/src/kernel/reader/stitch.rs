//! One CPU's chunks, each event once and in order: what was read in place, and the rest out of the ring.
//!
//! In: the CPU's unfinished chunk as it was looked at, and its chunks as they arrive in the ring. Out:
//! chunks that stand alone, in the order of their numbers. A chunk is given once more without cells
//! where all it has to say is that events were lost.

use netpath_common::wire::{CHUNK_BYTES, Cell, ChunkHeader, KIND_SKB, SKB_AT_HAND, Skb, following};

use crate::decode::{header_bytes, u16_at};

pub(super) const CELL: usize = size_of::<Cell>();
pub(super) const HEADER: usize = size_of::<ChunkHeader>();

/// What was given of a CPU's chunks.
#[derive(Debug, Default)]
pub(super) struct Stitch {
    /// The number of the chunk that comes out of the ring next; all before it were given.
    next: u32,
    /// Cells of that chunk that were given already.
    given: usize,
    /// The sk_buff cell in force after these.
    skb: Option<Cell>,
    /// What was said to be lost: of the CPU's own events, and of those that interrupted others.
    lost: (u32, u64),
    /// The unfinished chunk, as it was looked at last.
    looked_at: Option<(ChunkHeader, Vec<u8>)>,
    /// Its memory, to be used again.
    spare: Vec<u8>,
}

impl Stitch {
    /// Where to copy the unfinished chunk's cells.
    pub(super) fn spare(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.spare)
    }

    /// The unfinished chunk was looked at, before the ring is read.
    pub(super) fn looked(&mut self, header: ChunkHeader, cells: Vec<u8>) {
        self.looked_at = Some((header, cells));
    }

    /// A chunk has arrived in the ring.
    pub(super) fn arrived(
        &mut self,
        header: &ChunkHeader,
        item: &[u8],
        chunk: &mut impl FnMut(&[u8]),
    ) {
        if header.seq != self.next {
            // Another chunk was read in place: nothing of this one.
            (self.given, self.skb) = (0, None);
        }
        if self.given == 0 {
            chunk(item);
        } else {
            let rest = item.get(HEADER + self.given * CELL..).unwrap_or_default();
            self.emit(header, rest, chunk);
        }
        self.lost = (header.lost, header.reserved);
        (self.next, self.given, self.skb) = (header.seq.wrapping_add(1), 0, None);
    }

    /// The ring has been read: gives what is new in the unfinished chunk. Says whether everything was
    /// given that the CPU had written when it was looked at: what is still in the ring comes first.
    pub(super) fn give(&mut self, chunk: &mut impl FnMut(&[u8])) -> bool {
        let Some((header, cells)) = self.looked_at.take() else { return false };
        let ahead = header.seq.wrapping_sub(self.next).cast_signed();
        if ahead == 0 && self.given * CELL <= cells.len() {
            self.skb = self.emit(&header, &cells[self.given * CELL..], chunk);
            self.given = cells.len() / CELL;
        }
        self.spare = cells;
        // Where it is behind, it has arrived meanwhile.
        ahead <= 0
    }

    /// Gives `cells` as a chunk of their own, led by the sk_buff cell that is in force, and returns the
    /// one in force after them.
    fn emit(
        &mut self,
        header: &ChunkHeader,
        cells: &[u8],
        chunk: &mut impl FnMut(&[u8]),
    ) -> Option<Cell> {
        let lost = (header.lost, header.reserved);
        if cells.is_empty() && lost == self.lost {
            return self.skb;
        }
        self.lost = lost;
        let mut out = Vec::with_capacity(CHUNK_BYTES);
        let lead = self.skb.filter(|_| !cells.is_empty() && u16_at(cells, 0) != KIND_SKB);
        let count = cells.len() / CELL + usize::from(lead.is_some());
        let header = ChunkHeader { cells: u16::try_from(count).unwrap_or(0), ..*header };
        out.extend_from_slice(&header_bytes(&header));
        out.extend(lead.into_iter().flatten());
        out.extend_from_slice(cells);
        chunk(&out);
        last_skb(cells).or(self.skb)
    }
}

/// The last sk_buff cell, without the lengths: those belong to the headers that follow it. What goes on
/// behind it, the CPU has at hand without a break.
fn last_skb(cells: &[u8]) -> Option<Cell> {
    let mut at = 0;
    let mut last = None;
    while at + CELL <= cells.len() {
        let mut cell: Cell = [0; CELL];
        cell.copy_from_slice(&cells[at..at + CELL]);
        at += (1 + following(&cell)) * CELL;
        if u16_at(&cell, 0) == KIND_SKB {
            cell[2..4].fill(0);
            cell[4..8].copy_from_slice(&SKB_AT_HAND.to_ne_bytes());
            last = Some(cell);
        }
    }
    last
}

const _: () = assert!(std::mem::offset_of!(Skb, len) == 4 && std::mem::offset_of!(Skb, addr) == 8);

#[cfg(test)]
mod tests {
    use netpath_common::point::{NET_DEV_QUEUE, NETIF_RX};
    use proptest::prelude::*;

    use super::*;
    use crate::{
        decode::{self, Batch, Event},
        testing::{Chunk, UP0, VETH0, at_dev, headers},
    };

    /// A chunk's head, and cells that are whole events: packets of one, two, three events.
    fn chunk(seq: u32) -> Vec<u8> {
        let mut chunk = Chunk::new(0, seq, 1_000 * u64::from(seq + 1));
        for (packet, events) in [(1_u16, 1), (2, 2), (3, 3)] {
            let headers = headers(packet);
            let known = (packet != 2).then_some(&headers);
            chunk = chunk.skb(u64::from(packet) << 8 | u64::from(seq) << 16, known);
            for _ in 0..events {
                chunk = chunk.event(at_dev(NET_DEV_QUEUE, VETH0), 10);
            }
        }
        chunk.event(at_dev(NETIF_RX, UP0), 10).bytes()
    }

    /// Lengths at which an event ends, in cells: what a CPU says that its chunk has.
    fn ends(cells: &[u8]) -> Vec<usize> {
        let (mut at, mut ends) = (0, vec![0]);
        while at * CELL < cells.len() {
            let mut cell: Cell = [0; CELL];
            cell.copy_from_slice(&cells[at * CELL..(at + 1) * CELL]);
            at += 1 + following(&cell);
            if u16_at(&cell, 0) < netpath_common::wire::KIND_FIRST {
                ends.push(at);
            }
        }
        ends
    }

    /// The chunk as it is when it has this many cells, and when so many events were lost.
    fn grown(whole: &[u8], cells: usize, lost: u32) -> (ChunkHeader, Vec<u8>) {
        let header = decode::header(whole).unwrap();
        let header = ChunkHeader { cells: u16::try_from(cells).unwrap(), lost, ..header };
        (header, whole[HEADER..HEADER + cells * CELL].to_vec())
    }

    /// The chunk that lost so many by the time that it was sent.
    fn sent(whole: &[u8], lost: u32) -> (ChunkHeader, Vec<u8>) {
        let header = ChunkHeader { lost, ..decode::header(whole).unwrap() };
        (header, [&header_bytes(&header)[..], &whole[HEADER..]].concat())
    }

    /// Events with their sk_buffs, and what was said to be lost.
    fn read(chunks: &[Vec<u8>]) -> (Vec<(u64, Event)>, Vec<u32>) {
        let (mut events, mut lost) = (Vec::new(), Vec::new());
        for bytes in chunks {
            lost.push(decode::header(bytes).unwrap().lost);
            let mut batch = Batch::default();
            batch.chunk(bytes).unwrap();
            for piece in &batch.pieces {
                events.extend(batch.events_of(piece).iter().map(|e| (piece.skb, *e)));
            }
        }
        lost.dedup();
        (events, lost)
    }

    proptest! {
        /// However often a chunk is looked at, and whenever it arrives, each event is given once.
        #[test]
        fn each_event_comes_once_with_its_packet(looks in prop::collection::vec((0..4_u32, 0..20_usize), 0..20)) {
            let whole: Vec<Vec<u8>> = (0..4).map(chunk).collect();
            let mut looks = looks;
            looks.sort_unstable();
            let (mut stitch, mut out) = (Stitch::default(), Vec::new());
            let mut give = |bytes: &[u8]| out.push(bytes.to_vec());
            let mut sent_to = 0;
            for (seq, cut) in looks {
                let this = &whole[seq as usize];
                let ends = ends(&this[HEADER..]);
                let (header, cells) = grown(this, ends[cut.min(ends.len() - 1)], 0);
                stitch.looked(header, cells);
                while sent_to < seq {
                    let (header, item) = sent(&whole[sent_to as usize], 0);
                    stitch.arrived(&header, &item, &mut give);
                    sent_to += 1;
                }
                prop_assert!(stitch.give(&mut give));
            }
            for whole in &whole[sent_to as usize..] {
                let (header, item) = sent(whole, 0);
                stitch.arrived(&header, &item, &mut give);
            }
            prop_assert_eq!(read(&out).0, read(&whole).0);
        }
    }

    #[test]
    fn what_was_read_in_place_is_left_out_and_the_packet_at_hand_goes_on() {
        let whole = chunk(0);
        // In the midst of the third packet.
        let ends = ends(&whole[HEADER..]);
        let (mut stitch, mut out) = (Stitch::default(), Vec::new());
        let (header, cells) = grown(&whole, ends[4], 0);
        stitch.looked(header, cells);
        assert!(stitch.give(&mut |bytes: &[u8]| out.push(bytes.to_vec())));
        assert_eq!(out.len(), 1);
        let (header, item) = sent(&whole, 0);
        stitch.arrived(&header, &item, &mut |bytes: &[u8]| out.push(bytes.to_vec()));
        assert_eq!(out.len(), 2);
        assert_eq!(read(&out).0, read(&[whole]).0);
        // The rest is led by the packet's cell; its lengths, which belong to its headers, are left out.
        assert_eq!(u16_at(&out[1], HEADER), KIND_SKB);
        let mut batch = Batch::default();
        batch.chunk(&out[1]).unwrap();
        assert!(batch.pieces[0].headers.is_none() && batch.pieces[0].at_hand);
    }

    #[test]
    fn what_is_in_the_ring_comes_before_what_was_looked_at() {
        let whole: Vec<Vec<u8>> = (0..3).map(chunk).collect();
        let (mut stitch, mut out) = (Stitch::default(), Vec::new());
        // The CPU is at its third chunk, and the reader has come to the ring's first one only.
        let (header, cells) = grown(&whole[2], ends(&whole[2][HEADER..])[3], 0);
        stitch.looked(header, cells.clone());
        let (first, item) = sent(&whole[0], 0);
        stitch.arrived(&first, &item, &mut |bytes: &[u8]| out.push(bytes.to_vec()));
        assert!(!stitch.give(&mut |bytes: &[u8]| out.push(bytes.to_vec())), "not all was given");
        assert_eq!(out.len(), 1);
        stitch.looked(header, cells);
        let (second, item) = sent(&whole[1], 0);
        stitch.arrived(&second, &item, &mut |bytes: &[u8]| out.push(bytes.to_vec()));
        assert!(stitch.give(&mut |bytes: &[u8]| out.push(bytes.to_vec())));
        let seqs: Vec<u32> = out.iter().map(|c| decode::header(c).unwrap().seq).collect();
        assert_eq!(seqs, [0, 1, 2]);
    }

    #[test]
    fn losses_are_told_as_they_happen_also_without_cells() {
        let whole = chunk(0);
        let full = (whole.len() - HEADER) / CELL;
        let (mut stitch, mut out) = (Stitch::default(), Vec::new());
        for lost in [0, 0, 5, 9, 9] {
            let (header, cells) = grown(&whole, full, lost);
            stitch.looked(header, cells);
            stitch.give(&mut |bytes: &[u8]| out.push(bytes.to_vec()));
        }
        let (header, item) = sent(&whole, 12);
        stitch.arrived(&header, &item, &mut |bytes: &[u8]| out.push(bytes.to_vec()));
        let (events, lost) = read(&out);
        assert_eq!(lost, [0, 5, 9, 12]);
        assert_eq!(events, read(&[whole]).0);
        // Said once, and not again with the chunk that follows.
        assert_eq!(out.len(), 4);
    }
}
