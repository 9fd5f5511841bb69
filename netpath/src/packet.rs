//! What is known of a packet from its own headers.

use std::{
    fmt,
    hash::{Hash, Hasher},
    net::IpAddr,
};

use serde::{Deserialize, Serialize};

/// Addresses and ports of a packet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tuple {
    /// IP protocol number.
    pub proto: u8,
    pub src: IpAddr,
    pub dst: IpAddr,
    /// Source port, or the ICMP id.
    pub sport: u16,
    /// Destination port, or the ICMP sequence number.
    pub dport: u16,
}

pub const ICMP: u8 = 1;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const ICMPV6: u8 = 58;
pub const SCTP: u8 = 132;

impl Tuple {
    pub fn v4(proto: u8, src: [u8; 4], dst: [u8; 4], sport: [u8; 2], dport: [u8; 2]) -> Self {
        Self::new(proto, src.into(), dst.into(), sport, dport)
    }

    pub fn v6(proto: u8, src: [u8; 16], dst: [u8; 16], sport: [u8; 2], dport: [u8; 2]) -> Self {
        Self::new(proto, src.into(), dst.into(), sport, dport)
    }

    fn new(proto: u8, src: IpAddr, dst: IpAddr, sport: [u8; 2], dport: [u8; 2]) -> Self {
        let (sport, dport) = (u16::from_be_bytes(sport), u16::from_be_bytes(dport));
        Self { proto, src, dst, sport, dport }
    }

    /// Its answer's.
    #[must_use]
    pub fn reversed(self) -> Self {
        let Self { proto, src, dst, sport, dport } = self;
        Self { proto, src: dst, dst: src, sport: dport, dport: sport }
    }

    /// `tcp`, `udp`, …, or the number.
    pub fn proto_name(&self) -> String {
        proto_name(self.proto)
    }
}

/// What an IP protocol number is called: `tcp`, `udp`, …, or the number.
pub fn proto_name(proto: u8) -> String {
    match proto {
        ICMP => "icmp".into(),
        TCP => "tcp".into(),
        UDP => "udp".into(),
        ICMPV6 => "icmp6".into(),
        other => format!("proto {other}"),
    }
}

impl Hash for Tuple {
    /// In fewer words than a derived one: every packet asks for it.
    fn hash<H: Hasher>(&self, state: &mut H) {
        if let (IpAddr::V4(src), IpAddr::V4(dst)) = (self.src, self.dst) {
            state.write_u64(u64::from(src.to_bits()) << 32 | u64::from(dst.to_bits()));
        } else {
            (self.src, self.dst).hash(state);
        }
        let ports = u64::from(self.sport) << 16 | u64::from(self.dport);
        state.write_u64(u64::from(self.proto) << 32 | ports);
    }
}

impl fmt::Display for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proto = self.proto_name();
        if matches!(self.proto, TCP | UDP) {
            let end = |ip: IpAddr, port| std::net::SocketAddr::new(ip, port);
            write!(f, "{proto} {} > {}", end(self.src, self.sport), end(self.dst, self.dport))
        } else {
            write!(f, "{proto} {} > {}", self.src, self.dst)
        }
    }
}

impl fmt::Debug for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A packet's headers as they were at one moment. Fields that were not read are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Headers {
    /// Absent where the packet is not IP.
    pub tuple: Option<Tuple>,
    /// TCP flags, or the ICMP type.
    pub flags: u8,
    /// IPv4 identification.
    pub ip_id: u16,
    /// Bytes after the transport header.
    pub payload: u32,
    /// TCP sequence number; the first four bytes of a UDP datagram's payload, 0 where they are not known: see
    /// [`Self::zeros`].
    pub seq: u32,
    /// A datagram's payload begins with four bytes of 0: `seq` is known.
    #[serde(default)]
    pub zeros: bool,
    /// TCP acknowledgment number.
    pub ack: u32,
    /// Bytes from the network header on; of the whole sk_buff where the packet is not IP.
    pub len: u32,
    /// The transport header is in another fragment.
    #[serde(default)]
    pub fragment: bool,
    /// Of a fragment: where its data begins in the whole packet's, bytes, with
    /// [`netpath_common::wire::MORE_FRAGMENTS`]; else 0.
    #[serde(default)]
    pub fragment_at: u32,
    /// Segments that GSO will make of it; 0 where it is a single one.
    pub gso_segs: u16,
}

/// A packet's headers themselves: link, network and transport header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// When they were read, `CLOCK_MONOTONIC`, ns.
    pub at_ns: u64,
    /// How many bytes of `data` the link header has.
    pub link: u8,
    pub data: Vec<u8>,
}

/// TCP's flags.
pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const ACK: u8 = 0x10;

impl Headers {
    /// Whether both can be of the same packet, judged by all that tells packets apart and that neither
    /// NAT, GRO, segmentation nor reassembly changes.
    pub fn same_packet(&self, other: &Self) -> bool {
        let (Some(a), Some(b)) = (&self.tuple, &other.tuple) else { return true };
        if a.proto != b.proto || a.src.is_ipv4() != b.src.is_ipv4() {
            return false;
        }
        let fragments = self.is_fragment() || other.is_fragment();
        // IPv6 has an identification in fragments only.
        let identified = a.src.is_ipv4() || (self.ip_id != 0 && other.ip_id != 0);
        if identified && self.ip_id != other.ip_id {
            return false;
        }
        if fragments {
            // Ports are in the first fragment alone.
            return identified || shares_an_end(a, b);
        }
        let gso = self.is_gso(other);
        let sized = self.payload == other.payload || gso;
        match a.proto {
            TCP => {
                let told = if gso { SYN | RST } else { SYN | RST | FIN };
                sized
                    && (self.seq, self.ack) == (other.seq, other.ack)
                    && (self.flags ^ other.flags) & told == 0
                    && !answers(a, b)
            }
            UDP => {
                sized
                    && (self.seq == other.seq || !self.begins_known() || !other.begins_known())
                    && !answers(a, b)
            }
            ICMP | ICMPV6 => sized && self.flags == other.flags && a.dport == b.dport,
            _ => sized,
        }
    }

    /// Whether equal headers mean the same packet, as good as certainly.
    pub fn are_telling(&self) -> bool {
        let Some(tuple) = &self.tuple else { return false };
        self.ip_id != 0
            || match tuple.proto {
                TCP => self.payload > 0 || self.flags & (SYN | RST) != 0,
                UDP => self.begins_known(),
                ICMP | ICMPV6 => true,
                _ => false,
            }
    }

    /// Whether a packet with these headers is a copy of this one, a fragment or a segment of it.
    pub fn is_part_or_copy(&self, other: &Self) -> bool {
        let (Some(a), Some(b)) = (&self.tuple, &other.tuple) else { return false };
        if a.proto == b.proto && self.gso_segs > 1 && other.gso_segs <= 1 && a.proto != ICMP {
            let within = match a.proto {
                TCP => other.seq.wrapping_sub(self.seq) < self.payload,
                _ => other.payload <= self.payload,
            };
            return within && (a.sport, a.dport, a.src, a.dst) == (b.sport, b.dport, b.src, b.dst);
        }
        let one = !self.is_fragment() && other.is_fragment();
        let ends = (a.src, a.dst) == (b.src, b.dst);
        (other.are_telling() || (one && ends)) && self.same_packet(other)
    }

    /// Whether these can be the headers of the first of those fragments that an IPv6 packet is cut into
    /// which was put together before of fragments like this one: they have an identification of their own
    /// (`ip6_fragment`).
    pub fn is_cut_again(&self, other: &Self) -> bool {
        let (Some(a), Some(b)) = (&self.tuple, &other.tuple) else { return false };
        a.proto == b.proto
            && a.src.is_ipv6()
            && b.src.is_ipv6()
            && self.is_fragment()
            && other.is_fragment()
            && shares_an_end(a, b)
    }

    /// Whether connection tracking can have made these of them by other sequence numbers, as it does behind
    /// SYNPROXY and where a helper has changed what the packets carry (`nf_ct_seq_adjust`).
    pub fn is_renumbered(&self, other: &Self) -> bool {
        self.tuple.is_some_and(|t| t.proto == TCP)
            && self.same_packet(&Self { seq: self.seq, ack: self.ack, ..*other })
    }

    /// Whether a copy with these headers holds all of the packet, and is no part of it.
    pub fn is_as_long(&self, copy: &Self) -> bool {
        (self.payload, self.is_fragment()) == (copy.payload, copy.is_fragment())
    }

    /// Whether the first bytes of a datagram's payload are known.
    pub fn begins_known(&self) -> bool {
        self.seq != 0 || self.zeros
    }

    /// Whether it is a fragment.
    pub fn is_fragment(&self) -> bool {
        self.fragment || self.fragment_at != 0
    }

    fn is_gso(&self, other: &Self) -> bool {
        self.gso_segs > 1 || other.gso_segs > 1
    }
}

/// Whether NAT, which changes one end at a time, can have made one of them of the other.
fn shares_an_end(a: &Tuple, b: &Tuple) -> bool {
    a.src == b.src || a.dst == b.dst
}

/// Whether one of them goes back the way of the other. (A NAT that turns both addresses round leaves
/// the ports.)
fn answers(a: &Tuple, b: &Tuple) -> bool {
    (a.src, a.sport, a.dst, a.dport) == (b.dst, b.dport, b.src, b.sport)
        && (a.src, a.sport) != (a.dst, a.dport)
}
