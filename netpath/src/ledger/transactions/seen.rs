//! What a packet is to round trips, by its own headers.
//!
//! In: headers, and the addresses before and after NAT. Out: the tables that it may be in, and its keys there: a
//! request and its reply meet by the tuple that the request has once it arrives, since the reply is born with its
//! reverse, whatever NAT did to either on the way.

use crate::packet::{ACK, FIN, Headers, ICMP, ICMPV6, RST, SYN, TCP, Tuple, UDP};

/// The port of name servers.
const DNS: u16 = 53;

/// Bytes of a connection: from the first one to behind the last one, and those of the other side that the packet
/// acknowledges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) ack: u32,
    /// They are the sender's last.
    pub(super) last: bool,
}

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Syn {
        seq: u32,
    },
    SynAck {
        seq: u32,
    },
    /// An acknowledgment that carries nothing.
    Ack {
        ack: u32,
    },
    /// The sender closes, or has given up.
    Close,
    Data(Segment),
    /// One of a kind that says itself what it asks or answers: an echo by its addresses, a DNS message by its
    /// number.
    Once {
        id: u16,
    },
    Datagram,
}

/// Before that in the space of sequence numbers, which begins again at its end.
pub(super) fn before(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() < 0
}

/// A packet's part in round trips, and whether it answers, where it says so itself. `None`: it has none.
pub(super) fn seen(
    headers: &Headers,
    tuple: &Tuple,
    translated: Option<&Tuple>,
) -> Option<(Seen, Option<bool>)> {
    if headers.fragment {
        return None;
    }
    match (tuple.proto, headers.flags) {
        (TCP, flags) => tcp(headers, flags),
        (ICMP, 8) | (ICMPV6, 128) => Some((Seen::Once { id: 0 }, Some(false))),
        (ICMP, 0) | (ICMPV6, 129) => Some((Seen::Once { id: 0 }, Some(true))),
        (UDP, _) => udp(headers, tuple, translated),
        _ => None,
    }
}

fn tcp(headers: &Headers, flags: u8) -> Option<(Seen, Option<bool>)> {
    let Headers { seq, ack, payload, .. } = *headers;
    if flags & SYN != 0 {
        return Some(if flags & ACK == 0 {
            (Seen::Syn { seq }, Some(false))
        } else {
            (Seen::SynAck { seq }, Some(true))
        });
    }
    if payload > 0 {
        let last = flags & FIN != 0;
        let segment = Segment { from: seq, to: seq.wrapping_add(payload), ack, last };
        return Some((Seen::Data(segment), None));
    }
    if flags & (FIN | RST) != 0 {
        return Some((Seen::Close, None));
    }
    (flags & ACK != 0).then_some((Seen::Ack { ack }, None))
}

fn udp(
    headers: &Headers,
    tuple: &Tuple,
    translated: Option<&Tuple>,
) -> Option<(Seen, Option<bool>)> {
    let tuples = || std::iter::once(tuple).chain(translated);
    let asks = tuples().any(|t| t.dport == DNS);
    let answers = tuples().any(|t| t.sport == DNS);
    if asks || answers {
        // The number, then flags; the first of them says that it is a response.
        let (id, response) = ((headers.seq >> 16) as u16, headers.seq & 0x8000 != 0);
        let answers = if asks && answers { response } else { answers };
        let what = if headers.seq == 0 { Seen::Datagram } else { Seen::Once { id } };
        return Some((what, Some(answers)));
    }
    // Both ends of a tunnel, say, have the same port: neither asks.
    (tuple.sport != tuple.dport).then_some((Seen::Datagram, None))
}

/// The tuple of the packets that answer packets of this one.
pub(super) fn answer_to(tuple: Tuple) -> Tuple {
    let Tuple { proto, src, dst, sport, dport } = tuple;
    match proto {
        // Identifier and sequence number come back as they are.
        ICMP | ICMPV6 => Tuple { proto, src: dst, dst: src, sport, dport },
        _ => Tuple { proto, src: dst, dst: src, sport: dport, dport: sport },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn sequence_numbers_begin_again() {
        assert!(before(1, 2) && !before(2, 2) && before(u32::MAX, 3) && !before(3, u32::MAX));
    }

    #[test]
    fn what_a_packet_is() {
        let of = |proto: u8, flags: u8, seq: u32, payload: u32, ports: (u16, u16)| {
            let mut tuple = testing::tuple([10, 0, 0, 1], [10, 0, 0, 2], ports.0, ports.1);
            tuple.proto = proto;
            let headers = Headers { flags, payload, seq, ..Headers::default() };
            seen(&headers, &tuple, None)
        };
        let ports = (4000, 80);
        assert_eq!(of(TCP, 0x02, 7, 0, ports), Some((Seen::Syn { seq: 7 }, Some(false))));
        assert_eq!(of(TCP, 0x12, 7, 0, ports), Some((Seen::SynAck { seq: 7 }, Some(true))));
        assert_eq!(of(TCP, 0x10, 7, 0, ports), Some((Seen::Ack { ack: 0 }, None)));
        assert_eq!(of(TCP, 0x11, 7, 0, ports), Some((Seen::Close, None)));
        // A FIN can carry the last bytes.
        let data = Segment { from: u32::MAX, to: 4, ack: 0, last: true };
        assert_eq!(of(TCP, 0x19, u32::MAX, 5, ports), Some((Seen::Data(data), None)));
        assert_eq!(
            of(UDP, 0, 0x0007_0100, 5, (4000, 53)),
            Some((Seen::Once { id: 7 }, Some(false)))
        );
        assert_eq!(
            of(UDP, 0, 0x0007_8180, 5, (53, 4000)),
            Some((Seen::Once { id: 7 }, Some(true)))
        );
        assert_eq!(of(UDP, 0, 0x0007_8180, 5, (53, 53)), Some((Seen::Once { id: 7 }, Some(true))));
        assert_eq!(of(UDP, 0, 0, 5, (4000, 53)), Some((Seen::Datagram, Some(false))));
        assert_eq!(of(UDP, 0, 9, 5, (4000, 4000)), None);
        assert_eq!(of(ICMP, 3, 9, 5, ports), None);
    }
}
