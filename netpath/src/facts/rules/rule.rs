//! A rule as netpath understands it: what it asks of a packet, and what then becomes of the packet.
//!
//! In: nothing. Out: plain values, filled by [`super::nft`] and [`super::saved`]. What netpath does not
//! understand is there as well, as a condition that may hold or not: a rule is never taken for simpler
//! than it is.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rule {
    /// Its chain's place in [`super::Rules::chains`].
    pub(crate) chain: usize,
    /// As its tool prints it, without counts.
    pub(crate) text: String,
    /// nft's number of it within its table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) handle: Option<u64>,
    /// Packets that it has counted before its verdict; `None` where it doesn't count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) packets: Option<u64>,
    /// All must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) conditions: Vec<Condition>,
    /// The first that applies is the verdict; more than one in a verdict map.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) branches: Vec<Branch>,
}

/// A verdict, and for which packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Branch {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) of: Option<Condition>,
    pub(crate) verdict: Verdict,
}

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Verdict {
    Accept,
    Drop,
    Reject,
    Return,
    Jump(String),
    Goto(String),
    /// To a program; which queue, in words.
    Queue(String),
    /// One of [`super::NAT_KINDS`]: accepted, with other addresses.
    Nat(String),
    /// A copy is sent elsewhere (`dup`, TEE); the packet goes on.
    Copy,
    /// The flow's later packets pass by the rules (`flow add`); this one goes on.
    Offload,
    /// A target that netpath does not know: it may end the packet's way.
    Other(String),
}

/// A field of the packet, and the values of which it has one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Condition {
    pub(crate) field: Field,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) negated: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) values: Vec<Value>,
}

/// What a condition looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Field {
    /// 4 or 6.
    IpVersion,
    Proto,
    Source,
    Destination,
    SourcePort,
    DestinationPort,
    /// Either port.
    AnyPort,
    /// The interface that it came in by.
    In,
    /// The interface that it goes out by.
    Out,
    /// The connection's state.
    State,
    /// ICMP's or ICMPv6's.
    IcmpType,
    /// Those under the first number of a value are as in the second.
    TcpFlags,
    /// Anything else: it may hold or not.
    Unknown,
}

/// One value, or a range of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Value {
    /// From, to.
    Range(u16, u16),
    /// Address and prefix length.
    Net(IpAddr, u8),
    /// First and last address.
    Addresses(IpAddr, IpAddr),
    /// A word, such as a state; an interface, which may end in `*`.
    Word(String),
}

impl Condition {
    pub(crate) fn is(field: Field, values: impl IntoIterator<Item = Value>) -> Self {
        Self { field, negated: false, values: values.into_iter().collect() }
    }

    /// One of which netpath can't tell whether it holds.
    pub(crate) fn unknown() -> Self {
        Self::is(Field::Unknown, [])
    }

    pub(crate) fn proto(number: u8) -> Self {
        Self::is(Field::Proto, [Value::number(number.into())])
    }
}

impl Value {
    pub(crate) fn number(number: u16) -> Self {
        Self::Range(number, number)
    }
}

impl Rule {
    /// What this rule can do with a packet.
    pub(crate) fn verdicts(&self) -> impl Iterator<Item = &Verdict> {
        self.branches.iter().map(|branch| &branch.verdict)
    }

    /// Whether it can end a packet.
    pub(crate) fn drops(&self) -> bool {
        self.verdicts().any(|verdict| matches!(verdict, Verdict::Drop | Verdict::Reject))
    }
}

/// Kinds of NAT, as nft has them; iptables' targets are the same in capitals.
pub(super) const NAT_KINDS: [&str; 4] = ["masquerade", "snat", "dnat", "redirect"];

/// The verdict of a target of iptables, which nft may show as `xt`.
pub(super) fn of_target(name: &str) -> Option<Verdict> {
    Some(match name {
        "ACCEPT" => Verdict::Accept,
        "DROP" => Verdict::Drop,
        "REJECT" => Verdict::Reject,
        "RETURN" => Verdict::Return,
        "QUEUE" | "NFQUEUE" => Verdict::Queue("NFQUEUE".to_owned()),
        "TEE" => Verdict::Copy,
        "FLOWOFFLOAD" => Verdict::Offload,
        // They change the packet or tell of it, and it goes on.
        "LOG" | "NFLOG" | "ULOG" | "AUDIT" | "TRACE" | "MARK" | "CONNMARK" | "CONNSECMARK"
        | "SECMARK" | "CLASSIFY" | "DSCP" | "TOS" | "TTL" | "HL" | "TCPMSS" | "TCPOPTSTRIP"
        | "CHECKSUM" | "ECN" | "SET" | "CT" | "NOTRACK" | "RATEEST" | "IDLETIMER" | "LED"
        | "HMARK" => return None,
        other => match NAT_KINDS.iter().find(|kind| kind.eq_ignore_ascii_case(other)) {
            Some(kind) => Verdict::Nat((*kind).to_owned()),
            None => Verdict::Other(other.to_owned()),
        },
    })
}

/// The number of a protocol by the name that the tools print.
pub(super) fn proto_number(name: &str) -> Option<u8> {
    const NAMES: &[(&str, u8)] = &[
        ("icmp", 1),
        ("igmp", 2),
        ("ipencap", 4),
        ("ipip", 4),
        ("tcp", 6),
        ("udp", 17),
        ("dccp", 33),
        ("ipv6", 41),
        ("gre", 47),
        ("esp", 50),
        ("ah", 51),
        ("icmpv6", 58),
        ("ipv6-icmp", 58),
        ("sctp", 132),
        ("udplite", 136),
    ];
    NAMES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, number)| *number)
        .or_else(|| name.parse().ok())
}

/// The type of ICMP or ICMPv6 by the name that nft and iptables print.
pub(super) fn icmp_type(name: &str) -> Option<u16> {
    const NAMES: &[(&str, u16)] = &[
        ("echo-reply", 0),
        ("destination-unreachable", 3),
        ("source-quench", 4),
        ("redirect", 5),
        ("echo-request", 8),
        ("router-advertisement", 9),
        ("router-solicitation", 10),
        ("time-exceeded", 11),
        ("parameter-problem", 12),
        ("timestamp-request", 13),
        ("timestamp-reply", 14),
    ];
    NAMES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, number)| *number)
        .or_else(|| name.parse().ok())
}

/// As [`icmp_type`], where the same names mean ICMPv6's.
pub(super) fn icmpv6_type(name: &str) -> Option<u16> {
    const NAMES: &[(&str, u16)] = &[
        ("destination-unreachable", 1),
        ("packet-too-big", 2),
        ("time-exceeded", 3),
        ("parameter-problem", 4),
        ("echo-request", 128),
        ("echo-reply", 129),
        ("mld-listener-query", 130),
        ("mld-listener-report", 131),
        ("mld-listener-done", 132),
        ("mld-listener-reduction", 132),
        ("nd-router-solicit", 133),
        ("router-solicitation", 133),
        ("nd-router-advert", 134),
        ("router-advertisement", 134),
        ("nd-neighbor-solicit", 135),
        ("neighbour-solicitation", 135),
        ("neighbor-solicitation", 135),
        ("nd-neighbor-advert", 136),
        ("neighbour-advertisement", 136),
        ("neighbor-advertisement", 136),
        ("nd-redirect", 137),
        ("redirect", 137),
        ("router-renumbering", 138),
        ("ind-neighbor-solicit", 141),
        ("ind-neighbor-advert", 142),
        ("mld2-listener-report", 143),
    ];
    NAMES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, number)| *number)
        .or_else(|| name.parse().ok())
}

/// TCP's flags by name.
pub(super) fn tcp_flag(name: &str) -> Option<u16> {
    const NAMES: &[(&str, u16)] = &[
        ("fin", 1),
        ("syn", 2),
        ("rst", 4),
        ("psh", 8),
        ("ack", 16),
        ("urg", 32),
        ("ecn", 64),
        ("cwr", 128),
        ("all", 63),
        ("none", 0),
    ];
    NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, bit)| *bit)
}

/// An address, or one with a prefix length.
pub(super) fn net(text: &str) -> Option<Value> {
    let (addr, prefix) = match text.split_once('/') {
        Some((addr, prefix)) => (addr, Some(prefix)),
        None => (text, None),
    };
    let addr: IpAddr = addr.parse().ok()?;
    let whole = if addr.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        None => whole,
        Some(number) => number.parse().ok().or_else(|| {
            // iptables-legacy prints masks that are no prefix as they are.
            let mask: std::net::Ipv4Addr = number.parse().ok()?;
            let bits = mask.to_bits();
            (bits.leading_ones() + bits.trailing_zeros() == 32)
                .then(|| u8::try_from(bits.leading_ones()).unwrap_or(32))
        })?,
    };
    (prefix <= whole).then_some(Value::Net(addr, prefix))
}
