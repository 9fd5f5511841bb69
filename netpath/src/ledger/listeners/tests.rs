//! SYNs that a listener had no room for.

use super::*;
use crate::{flight::Mark, testing::headers};

fn packet(seq: u64, at_ns: u64, flags: u8, reply: bool) -> Flight {
    let headers = headers(1);
    let tuple = headers.tuple.map(|t| Tuple { proto: TCP, ..t });
    let tuple = if reply { tuple.map(Tuple::reversed) } else { tuple };
    let (seq_nr, ack) = if reply { (77, 1001) } else { (1000, 0) };
    Flight {
        seq,
        marks: vec![Mark { at_ns, ..Mark::default() }],
        headers: Some(Headers { tuple, flags, seq: seq_nr, ack, payload: 0, ..headers }),
        end: End::Reached,
        ..Flight::default()
    }
}

fn syn(seq: u64, at_ns: u64) -> Flight {
    packet(seq, at_ns, SYN, false)
}

fn syn_ack(seq: u64, at_ns: u64) -> Flight {
    packet(seq, at_ns, SYN | ACK, true)
}

/// What came out, as number and whether it was lost.
fn told(out: &[Verdict]) -> Vec<(u64, bool)> {
    let each = out.iter().map(|verdict| match verdict {
        Verdict::Booked(flight) => (flight.seq, false),
        Verdict::Lost(flight, _) => (flight.seq, true),
    });
    each.collect()
}

#[test]
fn a_syn_that_is_answered_got_there() {
    let (mut listeners, mut out) = (Listeners::default(), Vec::new());
    assert!(listeners.keeps(&syn(1, 0), &mut out));
    assert!(!listeners.keeps(&syn_ack(2, 10), &mut out));
    assert_eq!(told(&out), [(1, false)]);
    // The answer can be seen first, and a SYN that comes again after it was taken.
    assert!(!listeners.keeps(&syn(3, 20), &mut out));
    assert!(listeners.finish().is_empty());
}

#[test]
fn an_ack_that_completes_nothing_is_lost_unless_data_has_passed() {
    let (mut listeners, mut out) = (Listeners::default(), Vec::new());
    let dropped = |seq_nr: u32, ack_nr: u32| {
        let mut flight = packet(3, 20, ACK, false);
        flight.end = End::Dropped { reason: 3 };
        flight.headers = flight.headers.map(|h| Headers { seq: seq_nr, ack: ack_nr, ..h });
        flight
    };
    assert!(!listeners.keeps(&packet(3, 20, ACK, false), &mut out));
    // The answer's passage ends in silence, so that it can come here later.
    assert!(listeners.keeps(&dropped(1001, 78), &mut out));
    assert!(listeners.keeps(&syn(1, 0), &mut out));
    assert!(!listeners.keeps(&syn_ack(2, 10), &mut out));
    assert!(!listeners.keeps(&dropped(1001, 90), &mut out));
    assert!(listeners.keeps(&dropped(1001, 78), &mut out));
    assert_eq!(told(&out), [(1, false), (3, true), (3, true)]);
    // Of one connection, whose listener has answered again before its first answer's passage ended.
    let (mut again, mut both) = (Listeners::default(), Vec::new());
    assert!(
        again.keeps(&dropped(1001, 78), &mut both) && again.keeps(&dropped(1001, 78), &mut both)
    );
    assert!(!again.keeps(&syn_ack(2, 10), &mut both));
    assert_eq!(told(&both), [(3, true), (3, true)]);
    // Of another connection, or later: in a while it is what it was.
    assert!(listeners.keeps(&dropped(1050, 78), &mut out));
    assert_eq!(told(&listeners.finish()), [(3, false)]);
}

#[test]
fn one_that_comes_again_unanswered_was_lost() {
    let (mut listeners, mut out) = (Listeners::default(), Vec::new());
    for n in 1..=3 {
        assert!(listeners.keeps(&syn(n, n * 1_000_000_000), &mut out));
    }
    assert_eq!(told(&out), [(1, true), (2, true)]);
    listeners.keeps(&syn_ack(4, 3_000_001_000), &mut out);
    assert_eq!(told(&out[2..]), [(3, false)]);
}

#[test]
fn one_that_a_proxy_sends_on_was_taken_by_it() {
    let (mut listeners, mut out) = (Listeners::default(), Vec::new());
    listeners.keeps(&Flight { netns: 7, ..syn(1, 0) }, &mut out);
    listeners.keeps(&Flight { netns: 8, ..syn(2, 1_000) }, &mut out);
    assert_eq!(told(&out), [(1, false)]);
    assert_eq!(told(&listeners.finish()), [(2, false)]);
}

#[test]
fn at_the_end_only_what_came_again_is_known_to_be_lost() {
    let (mut listeners, mut out) = (Listeners::default(), Vec::new());
    listeners.keeps(&syn(1, 0), &mut out);
    assert_eq!(told(&listeners.finish()), [(1, false)]);
    listeners.keeps(&syn(2, 0), &mut out);
    listeners.keeps(&syn(3, 1_000_000_000), &mut out);
    assert_eq!(told(&out), [(2, true)]);
    assert_eq!(told(&listeners.finish()), [(3, true)]);
}

#[test]
fn where_answers_are_not_recorded_nothing_is_known() {
    let filter = Some(Filter::compile("dst port 9000").unwrap());
    let mut listeners = Listeners { filter, ..Listeners::default() };
    let mut out = Vec::new();
    assert!(!listeners.keeps(&syn(1, 0), &mut out) && !listeners.keeps(&syn(2, 1), &mut out));
    let mut blind = Listeners { blind: true, ..Listeners::default() };
    assert!(!blind.keeps(&syn(1, 0), &mut out));
    assert!(out.is_empty());
}

#[test]
fn a_syn_that_did_not_reach_its_transport_is_no_listeners() {
    let (mut listeners, mut out) = (Listeners::default(), Vec::new());
    let dropped = Flight { end: End::Dropped { reason: 8 }, ..syn(1, 0) };
    assert!(!listeners.keeps(&dropped, &mut out));
}

#[test]
fn what_follows_an_ack_that_completed_nothing_completes_nothing_either() {
    let (mut listeners, mut out) = (Listeners::default(), Vec::new());
    let dropped = |flags: u8, seq: u32| {
        let mut flight = packet(5, 20, flags, false);
        flight.end = End::Dropped { reason: 3 };
        flight.headers = flight.headers.map(|h| Headers { seq, ack: 78, ..h });
        flight
    };
    listeners.keeps(&syn_ack(2, 10), &mut out);
    // The end of a connection that was complete finds no socket any more: that is no loss.
    assert!(!listeners.keeps(&dropped(FIN | ACK, 1001), &mut out));
    assert!(listeners.keeps(&dropped(ACK, 1001), &mut out));
    assert!(listeners.keeps(&dropped(FIN | ACK, 1001), &mut out));
    assert!(!listeners.keeps(&dropped(FIN | ACK, 1050), &mut out));
    assert_eq!(told(&out), [(5, true), (5, true)]);
}
