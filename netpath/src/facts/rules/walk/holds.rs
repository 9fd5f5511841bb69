//! Whether a condition holds for a packet, as far as is known.
//!
//! In: a condition, and what is known of the packet. Out: yes, no, or it may.

use std::net::IpAddr;

use crate::{
    facts::rules::{
        Version,
        rule::{Condition, Field, Value},
    },
    packet::{ICMP, ICMPV6, TCP, Tuple},
};

/// What is known of a packet. A port of 0 is not known.
#[derive(Clone, Debug)]
pub(crate) struct Asked<'a> {
    /// As it was first read.
    pub(crate) tuple: Option<Tuple>,
    /// After NAT, where that was read.
    pub(crate) translated: Option<Tuple>,
    /// Its destination may have been changed since it was read.
    pub(crate) is_redirected: bool,
    pub(crate) v6: bool,
    /// TCP's flags, or ICMP's type.
    pub(crate) flags: Option<u8>,
    /// By which interface it came in; none where that is not known.
    pub(crate) input: Option<&'a str>,
    /// By which it goes out.
    pub(crate) output: Option<&'a str>,
    /// The connection's states, any of which it can have.
    pub(crate) states: &'a [&'a str],
    /// When it was there last.
    pub(crate) last_ns: u64,
}

/// Three-valued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Truth {
    No,
    Maybe,
    Yes,
}

impl Truth {
    pub(super) fn and(self, other: Self) -> Self {
        self.min(other)
    }

    fn of(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }

    fn not(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Maybe => Self::Maybe,
            Self::Yes => Self::No,
        }
    }
}

impl Asked<'_> {
    /// Whether what this version's counters grew by has the packet in it.
    pub(super) fn is_counted(&self, version: &Version) -> bool {
        version.has_counted(self.last_ns)
    }

    pub(super) fn holds_all(&self, conditions: &[Condition]) -> Truth {
        conditions.iter().fold(Truth::Yes, |all, one| match all {
            Truth::No => all,
            _ => all.and(self.holds(one)),
        })
    }

    pub(super) fn holds(&self, condition: &Condition) -> Truth {
        let plain = self.plain(condition);
        if condition.negated { plain.not() } else { plain }
    }

    fn plain(&self, condition: &Condition) -> Truth {
        let values = &condition.values;
        match condition.field {
            Field::IpVersion => number(if self.v6 { 6 } else { 4 }, values),
            Field::Unknown => Truth::Maybe,
            Field::In => interface(self.input, values),
            Field::Out => interface(self.output, values),
            Field::State => {
                let among = |state: &&&str| {
                    values.iter().any(|v| matches!(v, Value::Word(w) if w == **state))
                };
                match self.states.iter().filter(among).count() {
                    _ if self.states.is_empty() => Truth::Maybe,
                    0 => Truth::No,
                    count if count == self.states.len() => Truth::Yes,
                    _ => Truth::Maybe,
                }
            }
            field => {
                let Some(tuple) = self.tuple else { return Truth::Maybe };
                let before = self.of_tuple(field, &tuple, values);
                let changes =
                    matches!(field, Field::Destination | Field::DestinationPort | Field::AnyPort);
                match self.translated {
                    Some(after) if self.of_tuple(field, &after, values) != before => Truth::Maybe,
                    None if changes && self.is_redirected => Truth::Maybe,
                    _ => before,
                }
            }
        }
    }

    fn of_tuple(&self, field: Field, tuple: &Tuple, values: &[Value]) -> Truth {
        let flags = |of: &[u8]| self.flags.filter(|_| of.contains(&tuple.proto));
        match field {
            Field::Proto => number(tuple.proto.into(), values),
            Field::Source => address(tuple.src, values),
            Field::Destination => address(tuple.dst, values),
            Field::SourcePort => port(tuple.sport, values),
            Field::DestinationPort => port(tuple.dport, values),
            Field::AnyPort => port(tuple.sport, values).max(port(tuple.dport, values)),
            Field::IcmpType => {
                flags(&[ICMP, ICMPV6]).map_or(Truth::Maybe, |t| number(t.into(), values))
            }
            Field::TcpFlags => flags(&[TCP]).map_or(Truth::Maybe, |flags| {
                let as_wanted = |value: &Value| match value {
                    Value::Range(mask, wanted) => u16::from(flags) & mask == *wanted,
                    _ => false,
                };
                Truth::of(values.iter().any(as_wanted))
            }),
            _ => Truth::Maybe,
        }
    }
}

fn number(number: u16, values: &[Value]) -> Truth {
    let within = |v: &Value| matches!(v, Value::Range(from, to) if (*from..=*to).contains(&number));
    Truth::of(values.iter().any(within))
}

fn port(known: u16, values: &[Value]) -> Truth {
    if known == 0 { Truth::Maybe } else { number(known, values) }
}

fn address(known: IpAddr, values: &[Value]) -> Truth {
    Truth::of(values.iter().any(|value| match value {
        Value::Net(net, prefix) => within(known, *net, *prefix),
        Value::Addresses(first, last) => {
            known.is_ipv4() == first.is_ipv4() && (*first..=*last).contains(&known)
        }
        _ => false,
    }))
}

fn within(known: IpAddr, net: IpAddr, prefix: u8) -> bool {
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => (u128::from(ip.to_bits()) << 96, 4),
        IpAddr::V6(ip) => (ip.to_bits(), 6),
    };
    let ((a, family), (b, same)) = (bits(known), bits(net));
    family == same && (prefix == 0 || (a ^ b) >> (128 - u32::from(prefix.min(128))) == 0)
}

fn interface(known: Option<&str>, values: &[Value]) -> Truth {
    let Some(known) = known else { return Truth::Maybe };
    let named = |value: &Value| match value {
        Value::Word(name) => match name.strip_suffix('*') {
            Some(begin) => known.starts_with(begin),
            None => known == name,
        },
        _ => false,
    };
    Truth::of(values.iter().any(named))
}
