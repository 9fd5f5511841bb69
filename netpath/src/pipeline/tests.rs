//! Chunks of several CPUs in the order of time, and what losses, gaps and a filter make of them.

use netpath_common::{
    point::{Hook, NET_DEV_QUEUE, NET_DEV_START, NET_DEV_XMIT},
    wire::CHUNK_CELLS,
};

use super::*;
use crate::{
    flight::Incomplete,
    testing::{CLIENT_ETH0, Chunk, UP0, at_dev, at_hook, headers, points},
};

/// Born here.
fn born(cpu: u16, seq: u32, at_ns: u64, skb: u64) -> Chunk {
    Chunk::new(cpu, seq, at_ns)
        .skb(skb, Some(&headers(1)))
        .event(at_hook(CLIENT_ETH0, Hook::Output, 0), 10)
}

/// Transmitted here.
fn sent(cpu: u16, seq: u32, at_ns: u64, skb: u64) -> Chunk {
    Chunk::new(cpu, seq, at_ns)
        .skb(skb, None)
        .event(at_dev(NET_DEV_START, UP0), 10)
        .event(at_dev(NET_DEV_XMIT, UP0), 10)
}

fn add(pipeline: &mut Pipeline, chunks: &[Chunk]) {
    chunks.iter().for_each(|chunk| pipeline.chunk(&chunk.bytes()));
}

fn finish(mut pipeline: Pipeline) -> Vec<Flight> {
    let mut flights = Vec::new();
    pipeline.finish_with(|f| flights.push(f.clone()));
    flights.sort_by_key(|f| f.skb);
    flights
}

#[test]
fn chunks_of_several_cpus_are_put_in_the_order_of_time() {
    let mut pipeline = Pipeline::default();
    // The CPU that sends it is read first.
    add(&mut pipeline, &[sent(1, 0, 3_000, 0xa0), born(0, 0, 1_000, 0xa0)]);
    let queued = Chunk::new(2, 0, 2_000).skb(0xa0, None).event(at_dev(NET_DEV_QUEUE, UP0), 0);
    add(&mut pipeline, &[queued]);
    let flights = finish(pipeline);
    assert_eq!(flights.len(), 1);
    assert_eq!(points(&flights[0])[1..], [NET_DEV_QUEUE, NET_DEV_START, NET_DEV_XMIT]);
    let cpus: Vec<u16> = flights[0].marks.iter().map(|m| m.cpu).collect();
    assert_eq!(cpus, [0, 2, 1, 1]);
}

#[test]
fn what_is_later_than_the_watermark_waits_for_what_comes_before_it() {
    let mut pipeline = Pipeline::default();
    add(&mut pipeline, &[born(0, 0, 1_000, 0xa0), sent(0, 1, 3_000, 0xa0)]);
    pipeline.advance_with(2_000, |f| panic!("{f:?}"));
    assert_eq!(pipeline.assembler().open(), 1);
    let queued = Chunk::new(1, 0, 2_500).skb(0xa0, None).event(at_dev(NET_DEV_QUEUE, UP0), 0);
    add(&mut pipeline, &[queued]);
    assert_eq!(pipeline.accounting().late_pieces, 0);
    let flights = finish(pipeline);
    assert_eq!(points(&flights[0])[1..], [NET_DEV_QUEUE, NET_DEV_START, NET_DEV_XMIT]);
    assert_eq!(flights[0].incomplete, None);
}

#[test]
fn losses_that_go_on_are_known_before_the_chunk_is_full() {
    let mut pipeline = Pipeline::default();
    // Read in place; then without cells, because all that happened since was lost.
    add(&mut pipeline, &[born(0, 0, 1_000, 0xa0), Chunk::new(0, 0, 1_000).lost(7)]);
    let mut flights = Vec::new();
    add(
        &mut pipeline,
        &[born(1, 0, 1_200, 0xb0), sent(1, 1, 1_500, 0xb0), sent(1, 2, 1_600, 0xa0)],
    );
    pipeline.advance_with(2_000, |f| flights.push(f.clone()));
    // Where it is recorded again.
    add(&mut pipeline, &[born(0, 1, 5_000, 0xc0).lost(7), sent(0, 2, 6_000, 0xc0).lost(7)]);
    flights.extend(finish(pipeline));
    flights.sort_by_key(|f| f.skb);
    let whys: Vec<_> = flights.iter().map(|f| (f.skb, f.incomplete)).collect();
    assert_eq!(whys, [(0xa0, Some(Incomplete::Lost)), (0xb0, None), (0xc0, None)]);
}

#[test]
fn what_an_older_recording_says_of_losses_is_taken_widely() {
    let old = |chunk: Chunk| {
        let mut bytes = chunk.bytes();
        bytes[20..22].copy_from_slice(&2_u16.to_ne_bytes());
        bytes
    };
    let mut pipeline = Pipeline::default();
    // It said with the next chunk what was lost at the end of the one before.
    for chunk in [
        born(0, 0, 1_000, 0xa0),
        sent(0, 1, 3_000, 0xa0).lost(2),
        born(0, 2, 5_000, 0xb0).lost(2),
        sent(0, 3, 6_000, 0xb0).lost(2),
    ] {
        pipeline.chunk(&old(chunk));
    }
    let whys: Vec<_> = finish(pipeline).iter().map(|f| (f.skb, f.incomplete)).collect();
    assert_eq!(whys, [(0xa0, Some(Incomplete::Lost)), (0xb0, None)]);
}

#[test]
fn a_bad_chunk_is_counted_and_the_next_one_is_read() {
    let mut pipeline = Pipeline::default();
    let mut bad = born(0, 0, 1_000, 0xa0).bytes();
    bad[18..20].copy_from_slice(&u16::try_from(CHUNK_CELLS + 1).unwrap().to_ne_bytes());
    pipeline.chunk(&bad);
    pipeline.chunk(b"short");
    add(&mut pipeline, &[born(0, 1, 2_000, 0xb0), sent(0, 2, 3_000, 0xb0)]);
    assert_eq!((pipeline.bad_chunks, pipeline.accounting().bad_chunks), (2, 2));
    assert_eq!(pipeline.events, 3);
    assert!(pipeline.notes()[0].contains("2 chunks of events were bad"), "{:?}", pipeline.notes());
    assert_eq!(finish(pipeline).len(), 1);
}

#[test]
fn what_the_filter_does_not_want_comes_to_nobody_and_is_counted() {
    let filter = crate::filter::Filter::compile("port 53").unwrap();
    let mut pipeline = Pipeline { filter: Some(filter), ..Pipeline::default() };
    add(&mut pipeline, &[born(0, 0, 1_000, 0xa0), sent(0, 1, 2_000, 0xa0)]);
    pipeline.finish_with(|f| panic!("{f:?}"));
    assert_eq!(pipeline.accounting().left_out, 1);
    assert_eq!(pipeline.take_unwanted().count(), 1);
}
