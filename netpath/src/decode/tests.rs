//! Decoding: what was written comes out, and nothing panics.

use netpath_common::{
    point::{Hook, NET_DEV_QUEUE, NET_DEV_XMIT, NETIF_RECEIVE, NETIF_RX, SEND_BEGIN},
    wire::{BYTES_MAX, KIND_SKB, KIND_TUPLE6},
};
use proptest::prelude::*;

use super::*;
use crate::testing::{CLIENT_ETH0, Chunk, UP0, VETH0, at_dev, at_hook, headers};

#[test]
fn a_chunk_comes_out_as_it_went_in() {
    let h = headers(7);
    let chunk = Chunk::new(3, 9, 1_000)
        .skb(0xabc0, Some(&h))
        .event(at_dev(NET_DEV_QUEUE, VETH0), 50)
        .event(at_dev(NETIF_RX, VETH0), 10)
        .skb(0xdef0, None)
        .event(at_dev(NETIF_RX, VETH0), 0);
    let mut batch = Batch::default();
    batch.chunk(&chunk.bytes()).unwrap();
    assert_eq!(batch.pieces.len(), 2);
    let first = &batch.pieces[0];
    assert_eq!((first.skb, first.cpu, first.start_ns, first.headers), (0xabc0, 3, 1_000, Some(h)));
    let times: Vec<u64> = batch.events_of(first).iter().map(|e| e.at_ns).collect();
    assert_eq!(times, [1_000, 1_050]);
    let second = &batch.pieces[1];
    assert_eq!((second.skb, second.headers), (0xdef0, None));
    assert_eq!(batch.events_of(second)[0].at_ns, 1_060);
}

#[test]
fn a_packet_that_went_on_elsewhere_and_the_next_with_its_address_are_other_pieces() {
    let events = [
        at_dev(NETIF_RECEIVE, UP0),
        // Another CPU takes it up, and it is freed there.
        at_dev(NETIF_RX, VETH0),
        at_dev(NETIF_RECEIVE, UP0),
        // This one is taken up here, after the driver that put it there has returned.
        at_dev(NETIF_RX, VETH0),
        at_dev(NET_DEV_XMIT, CLIENT_ETH0),
        at_dev(NETIF_RECEIVE, VETH0),
        at_hook(CLIENT_ETH0, Hook::Input, 0),
        // That one was freed without a word, and its memory is a packet from another CPU.
        at_dev(NETIF_RECEIVE, UP0),
    ];
    let chunk = Chunk::new(0, 0, 1_000).skb(0xa0, Some(&headers(7))).events(&events, 10);
    let mut batch = Batch::default();
    batch.chunk(&chunk.bytes()).unwrap();
    let seen: Vec<_> = batch.pieces.iter().map(|p| (p.skb, p.start_ns, p.count)).collect();
    assert_eq!(seen, [(0xa0, 1_000, 2), (0xa0, 1_020, 5), (0xa0, 1_070, 1)]);
}

#[test]
fn captured_headers_come_out_as_they_went_in_with_their_events_time() {
    // Among the bytes are some that would be a cell's kind.
    let all: Vec<u8> = (0..BYTES_MAX).map(|i| if i % 2 == 0 { 0xff } else { i }).collect();
    for length in [0, 1, 15, 16, 17, 42, all.len()] {
        let bytes = &all[..length];
        let chunk = Chunk::new(3, 9, 1_000)
            .skb(0xabc0, Some(&headers(7)))
            .captured(14, bytes)
            .event((SEND_BEGIN, 0, 400), 0)
            .event(at_dev(NET_DEV_QUEUE, VETH0), 50)
            .event(at_dev(NETIF_RX, VETH0), 10)
            .skb(0xdef0, None)
            .event(at_dev(NETIF_RX, VETH0), 0);
        let mut batch = Batch::default();
        batch.chunk(&chunk.bytes()).unwrap();
        let [first, second] = &batch.pieces[..] else { panic!("{:?}", batch.pieces) };
        let captured = first.bytes.as_deref().expect("what was captured");
        assert_eq!((captured.at_ns, captured.link), (1_000, 14));
        assert_eq!(captured.data, bytes);
        assert_eq!((first.count, &second.bytes), (3, &None));
    }
    let mut cut = Chunk::new(0, 0, 5).skb(1, None).captured(0, &all[..20]).bytes();
    cut.truncate(cut.len() - 16);
    cut[18] -= 1;
    assert_eq!(Batch::default().chunk(&cut), Err(DecodeError::Cut { cell: 1 }));
}

#[test]
fn what_an_older_netpath_wrote_is_read() {
    let mut old = Chunk::new(0, 0, 5).skb(1, None).event(at_dev(NETIF_RX, VETH0), 0).bytes();
    old[20..22].copy_from_slice(&ABI_OLDEST.to_ne_bytes());
    assert_eq!(Batch::default().chunk(&old), Ok(()));
    old[20..22].copy_from_slice(&(ABI + 1).to_ne_bytes());
    assert_eq!(Batch::default().chunk(&old), Err(DecodeError::Abi { found: ABI + 1 }));
}

#[test]
fn bad_chunks_say_what_is_wrong_and_keep_what_precedes() {
    let mut batch = Batch::default();
    assert_eq!(batch.chunk(&[0; 5]), Err(DecodeError::Short(5)));
    let good = Chunk::new(0, 0, 5).skb(1, None).event(at_dev(NETIF_RX, VETH0), 0).bytes();
    let mut other = good.clone();
    other[20] ^= 0xff;
    assert!(matches!(batch.chunk(&other), Err(DecodeError::Abi { .. })));
    assert_eq!(
        batch.chunk(&good[..good.len() - 1]),
        Err(DecodeError::Cells { claimed: 2, held: 1 })
    );
    let headless = Chunk::new(0, 0, 5).event(at_dev(NETIF_RX, VETH0), 0).bytes();
    assert_eq!(batch.chunk(&headless), Err(DecodeError::NoSkb { cell: 0 }));
    assert!(batch.pieces.is_empty());

    let mut odd =
        Chunk::new(0, 0, 5).skb(1, None).event(at_dev(NETIF_RX, VETH0), 0).skb(2, None).bytes();
    let last = odd.len() - 16;
    odd[last..last + 2].copy_from_slice(&0xfff0u16.to_ne_bytes());
    assert_eq!(batch.chunk(&odd), Err(DecodeError::Kind { kind: 0xfff0, cell: 2 }));
    assert_eq!(batch.pieces.len(), 1);
    odd[last..last + 2].copy_from_slice(&KIND_TUPLE6.to_ne_bytes());
    assert_eq!(batch.chunk(&odd), Err(DecodeError::Cut { cell: 2 }));
}

proptest! {
    #[test]
    fn any_bytes_at_all(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut batch = Batch::default();
        let _ = batch.chunk(&bytes);
        for piece in &batch.pieces {
            prop_assert_eq!(batch.events_of(piece).len(), piece.count as usize);
        }
    }

    #[test]
    fn any_cells_behind_a_good_header(
        cells in prop::collection::vec((any::<bool>(), any::<[u8; 16]>()), 0..CHUNK_CELLS),
    ) {
        let mut bytes = Chunk::new(1, 2, 3).bytes();
        bytes[18..20].copy_from_slice(&u16::try_from(cells.len()).unwrap().to_ne_bytes());
        for (skb, mut cell) in cells {
            if skb {
                cell[0..2].copy_from_slice(&KIND_SKB.to_ne_bytes());
            }
            bytes.extend_from_slice(&cell);
        }
        let mut batch = Batch::default();
        let _ = batch.chunk(&bytes);
        batch.sort();
        let events: usize = batch.in_order().map(|p| batch.events_of(p).len()).sum();
        prop_assert_eq!(events, batch.events.len());
    }
}
