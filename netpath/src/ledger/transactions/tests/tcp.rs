//! TCP: handshakes, and requests by sequence numbers.

use super::*;

const SYN: u8 = 2;
const ACK: u8 = 0x10;
const FIN: u8 = 0x11;

/// The two sides of a connection between 10.0.0.2:4000 and 10.0.0.3:80.
struct Sides {
    all: Transactions,
    /// The next byte of each.
    next: [u32; 2],
}

impl Sides {
    fn new() -> Self {
        // Numbers that begin again soon.
        Self { all: Transactions::default(), next: [u32::MAX - 5, 1000] }
    }

    /// A packet of the client's (0) or the server's (1) that acknowledges all there is.
    fn packet(&mut self, side: usize, flags: u8, bytes: u32, start_ns: u64, end_ns: u64) -> Flight {
        let ends = [(2, 4000), (3, 80)];
        let mut f = flight(TCP, ends[side], ends[1 - side], start_ns, end_ns);
        let headers = f.headers.as_mut().unwrap();
        headers.flags = flags;
        (headers.payload, headers.seq, headers.ack) = (bytes, self.next[side], self.next[1 - side]);
        let closes = u32::from(flags & (SYN | 1) != 0);
        self.next[side] = self.next[side].wrapping_add(bytes + closes);
        f
    }

    fn add(&mut self, side: usize, bytes: u32, start_ns: u64, end_ns: u64) {
        let packet = self.packet(side, ACK, bytes, start_ns, end_ns);
        self.all.add(&packet, side, None);
    }
}

#[test]
fn a_close_ends_nothing_that_was_done() {
    let mut s = Sides::new();
    for _ in 0..200 {
        let syn = s.packet(0, SYN, 0, 0, 100);
        let syn_ack = s.packet(1, SYN | ACK, 0, 110, 200);
        let ack = s.packet(0, ACK, 0, 205, 300);
        let ask = s.packet(0, ACK, 80, 400, 500);
        let answer = s.packet(1, ACK, 500, 900, 1000);
        let fins = [s.packet(0, FIN, 0, 1100, 1200), s.packet(1, FIN, 0, 1150, 1250)];
        // As passages end: those of SYN-ACK and ACK silently, a second later.
        s.all.add(&syn, 0, None);
        s.all.add(&ask, 0, None);
        s.all.add(&answer, 1, None);
        s.all.add_lost(&fins[0], &drop_key());
        s.all.add(&syn_ack, 1, None);
        s.all.add(&ack, 0, None);
        s.all.add(&fins[1], 1, None);
        // The next one has the same ports.
        let later = |n: &mut u32| *n = n.wrapping_add(100_000);
        s.next.iter_mut().for_each(later);
    }
    s.all.finish();
    assert_eq!(only(&s.all, Kind::Request), (200, 200 * 600));
    assert_eq!(only(&s.all, Kind::Connect), (200, 200 * 205));
    let connect = s.all.done().iter().find(|t| t.kind == Kind::Connect).unwrap();
    let parts = [Part::Request, Part::Server, Part::Reply, Part::Acknowledging];
    assert_eq!(sums(connect, &parts), [20_000, 2_000, 18_000, 1_000]);
    assert!(s.all.unanswered().is_empty(), "{:?}", s.all.unanswered());
}

#[test]
fn a_closed_connection_is_booked_soon() {
    let mut s = Sides::new();
    s.add(0, 80, 0, 100);
    s.add(1, 80, 200, 300);
    let fin = s.packet(0, FIN, 0, 400, 500);
    s.all.add(&fin, 0, None);
    s.all.book();
    assert!(s.all.done().is_empty());
    s.all.add(&echo(2, 3, 1, 8, 0, 5_000 * MS), 0, None);
    s.all.book();
    assert_eq!(only(&s.all, Kind::Request), (1, 300));
    assert_eq!(s.all.streams.len(), 0);
}

#[test]
fn a_client_that_closes_when_it_has_asked_gets_its_reply() {
    let mut s = Sides::new();
    let ask = s.packet(0, FIN | 8, 80, 0, 100);
    s.all.add(&ask, 0, None);
    s.all.add(&echo(2, 3, 1, 8, 0, 5_000 * MS), 0, None);
    s.all.book();
    s.add(1, 80, 6_000 * MS, 6_000 * MS + 100);
    s.all.finish();
    assert_eq!(only(&s.all, Kind::Request), (1, i128::from(6_000 * MS + 100)));
}

#[test]
fn a_kept_connection_has_as_many_as_were_asked() {
    let mut s = Sides::new();
    for at in (0..50).map(|n| n * 1000) {
        s.add(0, 10, at, at + 100);
        s.add(1, 20, at + 200, at + 400);
    }
    s.all.book();
    assert_eq!(only(&s.all, Kind::Request), (49, 49 * 400));
    s.all.finish();
    assert_eq!(only(&s.all, Kind::Request), (50, 50 * 400));
}

#[test]
fn a_lost_syn_is_a_timer_and_nobodys_time() {
    let mut s = Sides::new();
    let syn = s.packet(0, SYN, 0, 0, 50);
    s.all.add_lost(&syn, &drop_key());
    let mut again = syn.clone();
    again.marks[0].at_ns = 1_000 * MS;
    again.marks[1].at_ns = 1_000 * MS + 100;
    // NAT gives it another port than the first one would have got.
    let mut arrived = again.headers.unwrap().tuple.unwrap();
    arrived.sport = 61_000;
    again.translated = Some(arrived);
    s.all.add(&again, 0, None);
    let mut syn_ack = s.packet(1, SYN | ACK, 0, 1_000 * MS + 110, 1_000 * MS + 200);
    syn_ack.headers.as_mut().unwrap().tuple.as_mut().unwrap().dport = 61_000;
    s.all.add(&syn_ack, 1, None);
    s.all.finish();
    assert_eq!(only(&s.all, Kind::Connect), (1, i128::from(1_000 * MS + 200)));
    let trips = &s.all.done()[0];
    let parts = [Part::Timeout, Part::Request, Part::Server, Part::Reply];
    assert_eq!(sums(trips, &parts), [i128::from(1_000 * MS), 100, 10, 90]);
    assert_eq!((trips.retransmitted, trips.sent_again_after.count()), (1, 1));
    assert_eq!(trips.sent_again_after.sum_ns(), i128::from(1_000 * MS));
    let (place, count) = trips.lost_at.first_key_value().expect("a place");
    assert_eq!((s.all.place(*place), *count), (Some(&drop_key()), 1));
}

#[test]
fn a_syn_that_its_listener_ignored_is_a_timer_too() {
    let mut s = Sides::new();
    for at in [0, 1_000 * MS, 3_000 * MS] {
        s.next[0] = 7;
        let mut syn = s.packet(0, SYN, 0, at, at + 100);
        syn.end = End::Reached;
        s.all.add(&syn, 0, None);
    }
    let syn_ack = s.packet(1, SYN | ACK, 0, 3_000 * MS + 110, 3_000 * MS + 200);
    s.all.add(&syn_ack, 1, None);
    s.all.finish();
    let trips = &s.all.done()[0];
    let parts = [Part::Timeout, Part::Request, Part::Server, Part::Reply];
    assert_eq!(sums(trips, &parts), [i128::from(3_000 * MS), 100, 10, 90]);
    assert_eq!((trips.retransmitted, trips.total.sum_ns()), (2, i128::from(3_000 * MS + 200)));
}

#[test]
fn a_syn_that_nobody_answers_is_counted() {
    let mut s = Sides::new();
    let syn = s.packet(0, SYN, 0, 0, 100);
    s.all.add(&syn, 0, None);
    let mut refused = s.packet(0, SYN, 0, 0, 100);
    refused.headers.as_mut().unwrap().tuple.as_mut().unwrap().sport = 4001;
    s.all.add(&refused, 0, None);
    let reset = flight(TCP, (3, 80), (2, 4001), 110, 120);
    let headers = Headers { flags: 0x14, payload: 0, ..reset.headers.unwrap() };
    s.all.add(&Flight { headers: Some(headers), ..reset }, 1, None);
    s.all.add(&echo(2, 3, 1, 0, 0, 5_000 * MS), 1, None);
    s.all.finish();
    assert!(s.all.done().is_empty());
    assert_eq!(s.all.unanswered().iter().collect::<Vec<_>>(), [(&(Kind::Connect, TCP), &1)]);
}

#[test]
fn what_nagle_holds_back_is_neither_the_servers_nor_the_ways() {
    let mut s = Sides::new();
    s.add(0, 20, 0, 100);
    // Until the ACK of the first piece has come.
    s.add(0, 40, 40 * MS, 40 * MS + 100);
    s.add(1, 2, 40 * MS + 150, 40 * MS + 250);
    s.all.finish();
    assert_eq!(only(&s.all, Kind::Request), (1, i128::from(40 * MS + 250)));
    let parts = [Part::Sending, Part::Request, Part::Server, Part::Reply];
    assert_eq!(sums(&s.all.done()[0], &parts), [i128::from(40 * MS), 100, 50, 100]);
    assert_eq!(s.all.done()[0].retransmitted, 0);
}

#[test]
fn a_piece_that_tcp_has_merged_ends_late_and_begins_nothing() {
    let mut s = Sides::new();
    let (first, second) = (s.packet(0, ACK, 20, 0, 200), s.packet(0, ACK, 40, 10, 110));
    let (reply, rest) = (s.packet(1, ACK, 20, 300, 400), s.packet(1, ACK, 30, 310, 390));
    s.all.add(&first, 0, None);
    s.all.add(&reply, 1, None);
    s.add(0, 60, 1000, 1100);
    s.add(1, 50, 1200, 1300);
    s.all.add(&second, 0, None);
    s.all.add(&rest, 1, None);
    s.add(0, 60, 2000, 2100);
    s.add(1, 50, 2200, 2300);
    s.all.finish();
    assert_eq!(only(&s.all, Kind::Request), (3, 400 + 300 + 300));
    let trips = &s.all.done()[0];
    assert_eq!((trips.retransmitted, trips.overlapped), (0, 0));
}

#[test]
fn time_to_first_and_to_last_byte() {
    let mut s = Sides::new();
    s.add(0, 20, 0, 100);
    for at in (0..10).map(|n| 500 + n * 50) {
        s.add(1, 1448, at, at + 40);
    }
    s.all.finish();
    let trips = &s.all.done()[0];
    assert_eq!((trips.total.sum_ns(), trips.first_byte.sum_ns()), (990, 540));
    let parts = [Part::Request, Part::Server, Part::Reply, Part::Receiving];
    assert_eq!(sums(trips, &parts), [100, 400, 40, 450]);
}

#[test]
fn pipelined_requests_are_paired_by_what_replies_acknowledge() {
    let mut s = Sides::new();
    let first = s.packet(0, ACK, 20, 0, 100);
    let reply = s.packet(1, ACK, 50, 150, 250);
    // Sent before the reply is there: it acknowledges nothing of it.
    s.next[1] -= 50;
    let second = s.packet(0, ACK, 20, 200, 300);
    s.next[1] += 50;
    let other = s.packet(1, ACK, 50, 350, 450);
    s.all.add(&first, 0, None);
    s.all.add(&reply, 1, None);
    s.all.add(&second, 0, None);
    s.all.add(&other, 1, None);
    s.all.finish();
    assert_eq!(only(&s.all, Kind::Request), (2, 250 + 250));
    assert_eq!(s.all.done()[0].overlapped, 0);
}

#[test]
fn a_reply_before_all_of_the_request_is_counted_and_told() {
    let mut s = Sides::new();
    s.add(0, 20, 0, 500);
    s.add(1, 20, 400, 900);
    s.all.finish();
    assert_eq!(only(&s.all, Kind::Request), (1, 900));
    let trips = &s.all.done()[0];
    assert_eq!(sums(trips, &[Part::Request, Part::Server, Part::Reply]), [400, 0, 500]);
    assert_eq!(trips.overlapped, 1);
}

#[test]
fn requests_and_replies_that_were_lost_are_sent_again() {
    let mut s = Sides::new();
    // Dropped on the way: the request, and then its reply.
    let request = s.packet(0, ACK, 20, 0, 50);
    s.all.add_lost(&request, &drop_key());
    s.next[0] = s.next[0].wrapping_sub(20);
    s.add(0, 20, 200 * MS, 200 * MS + 100);
    let reply = s.packet(1, ACK, 20, 200 * MS + 150, 200 * MS + 170);
    s.all.add_lost(&reply, &drop_key());
    s.next[1] -= 20;
    s.add(1, 20, 400 * MS + 150, 400 * MS + 250);
    // Lost on the wire: it had left the machine.
    let mut left = s.packet(0, ACK, 20, 500 * MS, 500 * MS + 50);
    left.end = End::Transmitted;
    s.all.add(&left, 0, None);
    s.next[0] = s.next[0].wrapping_sub(20);
    s.add(0, 20, 700 * MS, 700 * MS + 100);
    s.add(1, 20, 700 * MS + 150, 700 * MS + 250);
    s.all.finish();
    let first = i128::from(400 * MS + 250);
    assert_eq!(only(&s.all, Kind::Request), (2, first + i128::from(200 * MS + 250)));
    let trips = &s.all.done()[0];
    assert_eq!(sums(trips, &[Part::Timeout]), [i128::from(600 * MS)]);
    assert_eq!(sums(trips, &[Part::Request, Part::Server, Part::Reply]), [200, 100, 200]);
    assert_eq!((trips.retransmitted, trips.sent_again_after.count()), (3, 2));
}

#[test]
fn a_needless_copy_is_counted_and_changes_no_time() {
    let mut s = Sides::new();
    s.add(0, 20, 0, 100);
    s.next[0] = s.next[0].wrapping_sub(20);
    s.add(0, 20, 300, 400);
    s.add(1, 20, 1000, 1100);
    s.all.finish();
    let trips = &s.all.done()[0];
    assert_eq!((trips.total.sum_ns(), trips.retransmitted), (1100, 1));
    assert_eq!(sums(trips, &[Part::Timeout, Part::Request, Part::Server]), [0, 100, 900]);
}

#[test]
fn a_copy_that_was_thrown_away_before_the_first_one_was_read_is_none_that_was_lost() {
    let mut s = Sides::new();
    for at in [0, 10_000] {
        s.add(0, 20, at, at + 100);
        let reply = s.packet(1, ACK, 20, at + 200, at + 1000);
        let mut copy = reply.clone();
        copy.marks[0].at_ns = at + 500;
        copy.marks[1].at_ns = at + 600;
        if at == 0 {
            s.all.add_lost(&copy, &drop_key());
        } else {
            s.all.add(&copy, 1, None);
        }
        s.all.add(&reply, 1, None);
    }
    s.all.finish();
    assert_eq!(only(&s.all, Kind::Request), (2, 2000));
    let trips = &s.all.done()[0];
    assert_eq!((trips.retransmitted, trips.lost_at.len()), (1, 0));
    assert_eq!(sums(trips, &[Part::Timeout, Part::Server, Part::Reply]), [0, 200, 1600]);
}

#[test]
fn what_nobody_asked_for_is_no_round_trip() {
    let mut s = Sides::new();
    // A stream that is read by nobody's question, then one that nobody answers.
    for at in (0..20).map(|n| n * 100) {
        s.add(1, 1448, at, at + 50);
    }
    for at in (30..50).map(|n| n * 100) {
        s.add(0, 1448, at, at + 50);
    }
    s.all.finish();
    assert!(s.all.done().is_empty(), "{:?}", s.all.done());
}

#[test]
fn the_sender_of_the_syn_asks_whatever_the_ports_say() {
    let mut s = Sides::new();
    // Towards the lower port is the reply.
    let ends = [(2, 80), (3, 40_000)];
    let turn = |mut f: Flight, side: usize| {
        let tuple = f.headers.as_mut().unwrap().tuple.as_mut().unwrap();
        (tuple.sport, tuple.dport) = (ends[side].1, ends[1 - side].1);
        f
    };
    for at in [0, 1000] {
        if at == 0 {
            let syn = s.packet(0, SYN, 0, 0, 10);
            s.all.add(&turn(syn, 0), 0, None);
        }
        let ask = s.packet(0, ACK, 20, at + 100, at + 200);
        s.all.add(&turn(ask, 0), 0, None);
        let answer = s.packet(1, ACK, 20, at + 300, at + 350);
        s.all.add(&turn(answer, 1), 1, None);
    }
    s.all.finish();
    assert_eq!(only(&s.all, Kind::Request), (2, 500));
}

#[test]
fn an_incomplete_packet_spoils_its_own_round_trip() {
    let mut s = Sides::new();
    for at in [0, 1000, 2000] {
        let ask = s.packet(0, ACK, 20, at, at + 100);
        if at == 1000 {
            s.all.add_unsure(&ask);
        } else {
            s.all.add(&ask, 0, None);
        }
        s.add(1, 20, at + 200, at + 300);
    }
    s.all.finish();
    assert_eq!(only(&s.all, Kind::Request), (2, 600));
    assert_eq!(s.all.incomplete(), 1);
}

#[test]
fn replies_wait_for_requests_that_are_over_later() {
    let mut s = Sides::new();
    let syn = s.packet(0, SYN, 0, 0, 100);
    s.all.add(&syn, 0, None);
    let packets = |i: u64| {
        let ask = s.packet(0, ACK, 80, i * 1000, i * 1000 + 100);
        (ask, s.packet(1, ACK, 500, i * 1000 + 300, i * 1000 + 400))
    };
    let trips: Vec<_> = (1..11).map(packets).collect();
    // A packet socket holds copies of the requests. Replies can end out of order, too.
    let order = [1, 0, 2, 3, 5, 4, 6, 7, 9, 8];
    order.iter().for_each(|i| s.all.add(&trips[*i].1, 1, None));
    trips.iter().for_each(|(ask, _)| s.all.add(ask, 0, None));

    s.all.finish();
    assert_eq!(only(&s.all, Kind::Request), (10, 10 * 400));
}
