//! Primitives: `host`, `net`, `port`, `portrange`, protocols, `less` and `greater`.

use std::net::IpAddr;

use netpath_common::filter::Field;

use super::{
    FilterError,
    address::{ends_at, network_address, service},
    expr::Expr,
    parse::Parser,
    words,
};
use crate::packet::{ICMP, ICMPV6, SCTP, TCP, UDP};

/// Protocols by name: whose IP they run over, and their number.
const PROTOCOLS: &[(&str, Option<Version>, u8)] = &[
    ("tcp", None, TCP),
    ("udp", None, UDP),
    ("sctp", None, SCTP),
    ("icmp", Some(Version::V4), ICMP),
    ("icmp6", Some(Version::V6), ICMPV6),
];

/// Protocols that have ports.
const WITH_PORTS: [u8; 3] = [TCP, UDP, SCTP];

/// Words of the language for what netpath does not know of a packet.
const UNKNOWN: &[&str] = &[
    "arp",
    "rarp",
    "ether",
    "vlan",
    "mpls",
    "pppoed",
    "pppoes",
    "geneve",
    "gateway",
    "broadcast",
    "multicast",
    "inbound",
    "outbound",
    "on",
    "ifname",
    "rulenum",
    "wlan",
    "protochain",
    "ah",
    "esp",
    "igmp",
    "pim",
    "vrrp",
    "decnet",
    "atalk",
    "link",
    "fddi",
    "tr",
    "ppp",
    "slip",
];

const EXPECTED: &str = "a protocol (ip, ip6, tcp, udp, sctp, icmp, icmp6), src, dst, host, net, \
                        port, portrange, proto, less, greater, len, a header's field or an address";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V4,
    V6,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Either,
    Src,
    Dst,
    Both,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Host,
    Net,
    Port,
    PortRange,
    Proto,
}

/// What stands before an address or a number, and is used again for the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Qualifiers {
    version: Option<Version>,
    /// Protocol number.
    transport: Option<u8>,
    direction: Direction,
    kind: Kind,
}

pub(super) fn version(version: Version) -> Expr {
    Expr::equal(Field::Version, if version == Version::V4 { 4 } else { 6 })
}

/// Packets of this protocol, over either IP or over one.
pub(super) fn protocol(over: Option<Version>, number: u8) -> Expr {
    let any = Expr::equal(Field::Version, 0).negated();
    over.map_or(any, version).and(Expr::equal(Field::Proto, number.into()))
}

/// The transport header is in this packet.
pub(super) fn has_transport() -> Expr {
    Expr::equal(Field::Fragment, 0)
}

impl Direction {
    fn of(self, src: Expr, dst: Expr) -> Expr {
        match self {
            Self::Src => src,
            Self::Dst => dst,
            Self::Either => src.or(dst),
            Self::Both => src.and(dst),
        }
    }
}

impl Parser<'_> {
    pub(super) fn primitive(&mut self) -> Result<Expr, FilterError> {
        if self.accept(&["less"]) {
            let value = self.number(u32::MAX, "a length in bytes")?;
            return Ok(Expr::at_least(Field::Len, u32::MAX, value.saturating_add(1)).negated());
        }
        if self.accept(&["greater"]) {
            let value = self.number(u32::MAX, "a length in bytes")?;
            return Ok(Expr::at_least(Field::Len, u32::MAX, value));
        }
        let before = self.mark();
        let (over, transport) = self.protocol_word();
        let direction = self.direction()?;
        let kind = self.kind();
        if self.mark() == before {
            return self.bare();
        }
        match (kind, direction) {
            (Some(kind), _) => self.qualified(over, transport, direction, kind),
            // `src 10.0.0.1`
            (None, Some(_)) => self.qualified(over, transport, direction, Kind::Host),
            // A protocol alone.
            (None, None) => Ok(match (over, transport) {
                (over, Some(number)) => protocol(over, number),
                (Some(over), None) => version(over),
                (None, None) => Expr::Always(true),
            }),
        }
    }

    /// An address or a number with the qualifiers of the last one; an address alone is a host's.
    fn bare(&mut self) -> Result<Expr, FilterError> {
        let Some(word) = self.peek() else { return Err(self.unexpected(EXPECTED)) };
        if UNKNOWN.contains(&word) {
            return Err(self.unexpected(
                "something that netpath knows of a packet (IP addresses, protocol, ports, TCP \
                 flags, ICMP type, length)",
            ));
        }
        let alone = Qualifiers {
            version: None,
            transport: None,
            direction: Direction::Either,
            kind: Kind::Host,
        };
        if self.last.is_none() && word.parse::<IpAddr>().is_err() {
            return Err(self.unexpected(EXPECTED));
        }
        let qualifiers = self.last.unwrap_or(alone);
        self.last = Some(qualifiers);
        self.operand(qualifiers)
    }

    /// `ip`, `tcp`, …: which IP, and which protocol over it.
    fn protocol_word(&mut self) -> (Option<Version>, Option<u8>) {
        if self.accept(&["ip"]) {
            return (Some(Version::V4), None);
        }
        if self.accept(&["ip6"]) {
            return (Some(Version::V6), None);
        }
        for (name, over, number) in PROTOCOLS {
            if self.accept(&[name]) {
                return (*over, Some(*number));
            }
        }
        (None, None)
    }

    fn direction(&mut self) -> Result<Option<Direction>, FilterError> {
        let (first, other) = if self.accept(&["src"]) {
            (Direction::Src, "dst")
        } else if self.accept(&["dst"]) {
            (Direction::Dst, "src")
        } else {
            return Ok(None);
        };
        if self.peek_second() != Some(other) {
            return Ok(Some(first));
        }
        if self.accept(&["or", "||"]) {
            self.expect(other, "`src` or `dst`")?;
            return Ok(Some(Direction::Either));
        }
        if self.accept(&["and", "&&"]) {
            self.expect(other, "`src` or `dst`")?;
            return Ok(Some(Direction::Both));
        }
        Ok(Some(first))
    }

    fn kind(&mut self) -> Option<Kind> {
        const KINDS: [(&str, Kind); 5] = [
            ("host", Kind::Host),
            ("net", Kind::Net),
            ("port", Kind::Port),
            ("portrange", Kind::PortRange),
            ("proto", Kind::Proto),
        ];
        KINDS.into_iter().find(|(word, _)| self.accept(&[word])).map(|(_, kind)| kind)
    }

    fn qualified(
        &mut self,
        version: Option<Version>,
        transport: Option<u8>,
        direction: Option<Direction>,
        kind: Kind,
    ) -> Result<Expr, FilterError> {
        let ports = matches!(kind, Kind::Port | Kind::PortRange);
        let allowed = match transport {
            Some(number) => ports && WITH_PORTS.contains(&number),
            None => !ports || version.is_none(),
        };
        if !allowed {
            return Err(self.bad(if ports {
                "port or portrange after tcp, udp, sctp or nothing"
            } else {
                "`and` (only ports belong to a protocol)"
            }));
        }
        if kind == Kind::Proto && direction.is_some() {
            return Err(self.bad("host, net, port or portrange"));
        }
        let direction = direction.unwrap_or(Direction::Either);
        let qualifiers = Qualifiers { version, transport, direction, kind };
        self.last = Some(qualifiers);
        self.operand(qualifiers)
    }

    fn operand(&mut self, q: Qualifiers) -> Result<Expr, FilterError> {
        match q.kind {
            Kind::Host => {
                let address = self.address("an IP address (names are not looked up)")?;
                self.check_version(q, address)?;
                Ok(host(q.direction, address, None))
            }
            Kind::Net => self.network(q),
            Kind::Port => {
                let port = self.port(q.transport)?;
                Ok(ports(q, port, port))
            }
            Kind::PortRange => {
                let (first, last) = self.port_range()?;
                Ok(ports(q, first, last))
            }
            Kind::Proto => {
                let word = self.word("a protocol's number or name")?;
                let named = PROTOCOLS.iter().find(|(name, ..)| *name == word).map(|p| p.2);
                let number = word.parse().ok().or(named);
                let number = number.ok_or_else(|| self.bad("a protocol's number or name"))?;
                Ok(protocol(q.version, number))
            }
        }
    }

    fn address(&mut self, expected: &str) -> Result<IpAddr, FilterError> {
        self.word(expected)?.parse().map_err(|_| self.bad(expected))
    }

    fn check_version(&mut self, q: Qualifiers, address: IpAddr) -> Result<(), FilterError> {
        match q.version {
            Some(Version::V4) if address.is_ipv6() => Err(self.bad("an IPv4 address after `ip`")),
            Some(Version::V6) if address.is_ipv4() => Err(self.bad("an IPv6 address after `ip6`")),
            _ => Ok(()),
        }
    }

    /// `10.0.0.0/8`, `10.0.0.0 mask 255.0.0.0`, `10`, `fd00::/8`
    fn network(&mut self, q: Qualifiers) -> Result<Expr, FilterError> {
        const EXPECTED: &str = "a network such as 10.0.0.0/8, 192.168 or fd00::/8";
        let word = self.word(EXPECTED)?;
        let (address, whole) = network_address(&word).ok_or_else(|| self.bad(EXPECTED))?;
        self.check_version(q, address)?;
        let width: u32 = if address.is_ipv4() { 32 } else { 128 };
        let len = if self.accept(&["/"]) {
            self.number(width, "a prefix length that fits the address")?
        } else if self.accept(&["mask"]) {
            let IpAddr::V4(mask) = self.address("a mask such as 255.255.0.0")? else {
                return Err(self.bad("an IPv4 mask"));
            };
            let mask = mask.to_bits();
            if mask.leading_ones() + mask.trailing_zeros() < 32 {
                return Err(self.bad("a mask of ones, then zeros"));
            }
            mask.leading_ones()
        } else {
            whole
        };
        if !ends_at(address, len) {
            return Err(self.bad("a network whose address has no bits beyond its prefix"));
        }
        Ok(host(q.direction, address, Some(len)))
    }

    fn port(&mut self, transport: Option<u8>) -> Result<u16, FilterError> {
        const EXPECTED: &str = "a port number, or a service of /etc/services";
        let word = self.word(EXPECTED)?;
        let named = PROTOCOLS.iter().find(|p| Some(p.2) == transport).map(|p| p.0);
        let found = word.parse().ok().or_else(|| service(&word, named));
        found.ok_or_else(|| self.bad(EXPECTED))
    }

    /// `1024-2048`; tcpdump takes `1024:2048` as well.
    fn port_range(&mut self) -> Result<(u16, u16), FilterError> {
        const EXPECTED: &str = "a range of ports such as 1024-2048";
        let word = self.word(EXPECTED)?;
        let (first, last) = word.split_once(['-', ':']).unwrap_or((&word, &word));
        match (first.parse::<u16>(), last.parse::<u16>()) {
            // In either order, as in libpcap.
            (Ok(first), Ok(last)) => Ok((first.min(last), first.max(last))),
            _ => Err(self.bad(EXPECTED)),
        }
    }

    pub(super) fn number(&mut self, most: u32, expected: &str) -> Result<u32, FilterError> {
        let word = self.word(expected)?;
        let number = match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
            Some(hex) => u32::from_str_radix(hex, 16).ok(),
            None => word.parse().ok(),
        };
        number.filter(|n| *n <= most).ok_or_else(|| self.bad(expected))
    }
}

/// Packets from or to an address, or a network of so many bits.
fn host(direction: Direction, address: IpAddr, len: Option<u32>) -> Expr {
    const SRC: [Field; 4] = [Field::Src0, Field::Src1, Field::Src2, Field::Src3];
    const DST: [Field; 4] = [Field::Dst0, Field::Dst1, Field::Dst2, Field::Dst3];
    let (over, words) = match address {
        IpAddr::V4(a) => (Version::V4, vec![a.to_bits()]),
        IpAddr::V6(a) => (Version::V6, words(a.octets()).to_vec()),
    };
    let end = |fields: [Field; 4]| {
        let mut left = len.unwrap_or(128);
        let mut all = Expr::Always(true);
        for (field, word) in fields.into_iter().zip(&words) {
            let bits = left.min(32);
            left -= bits;
            if bits > 0 {
                all = all.and(Expr::masked(field, u32::MAX << (32 - bits), *word));
            }
        }
        all
    };
    version(over).and(direction.of(end(SRC), end(DST)))
}

/// Packets from or to a range of ports.
fn ports(q: Qualifiers, first: u16, last: u16) -> Expr {
    let carried = |number: u8| Expr::equal(Field::Proto, number.into());
    let [tcp, udp, sctp] = WITH_PORTS.map(carried);
    let transport = q.transport.map_or_else(|| tcp.or(udp).or(sctp), carried);
    let end = |field| match (u32::from(first), u32::from(last)) {
        (first, last) if first == last => Expr::equal(field, first),
        (first, last) => Expr::at_least(field, u32::MAX, first)
            .and(Expr::at_least(field, u32::MAX, last + 1).negated()),
    };
    let directed = q.direction.of(end(Field::Sport), end(Field::Dport));
    // Only of IP packets there is a protocol known.
    directed.and(transport).and(has_transport())
}
