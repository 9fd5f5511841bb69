//! Packet filters in tcpdump's language.
//!
//! In: an expression as pcap-filter(7) describes it. Out: a [`Filter`] that both the programs in the
//! kernel and user space run. What of the language netpath can't tell of a packet is refused, with
//! the position and what could stand there; nothing is ignored.
//!
//! - [`lexer`]: words and signs with their positions;
//! - [`parse`]: the grammar; [`primitive`]: hosts, networks, ports, protocols; [`relation`]:
//!   comparisons such as `tcp[tcpflags] & tcp-syn != 0`;
//! - [`address`]: addresses, networks and services as people write them;
//! - [`expr`]: the tree that it makes, and the program that the tree becomes.
//!
//! # Which packets match
//!
//! A packet matches if tcpdump with the same filter would have shown it somewhere on its way: with
//! the addresses that it was born with, or with those that NAT gave it. So a filter that names a
//! container's address finds its packets also behind MASQUERADE, and the replies before their
//! addresses are changed back.
//!
//! The kernel decides at a packet's birth. Where the addresses at birth match, it is recorded. Where
//! they don't, NAT may still make them match later: then the first packets of the flow are
//! recorded, user space sees both tuples when they have arrived, and names the flows that nobody
//! wants in a table that the kernel asks from then on.

mod address;
mod expr;
mod lexer;
mod parse;
mod primitive;
mod relation;

use std::net::IpAddr;

use netpath_common::filter::{FACTS, FLOW_SLOTS, Facts, Field, LINK_HEADER, Program, flow};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    flight::{End, Flight},
    packet::{Headers, ICMP, ICMPV6, Tuple},
};

/// Why an expression is no filter of netpath's.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FilterError {
    #[error(
        "filter: {found} at column {column}, where {expected} could stand\n  {text}\n  {mark:>column$}",
        mark = '^'
    )]
    Syntax { text: String, column: usize, found: String, expected: String },
    #[error("filter: it takes {steps} tests, and netpath runs {most} at most", most = netpath_common::filter::STEPS)]
    TooLong { steps: usize },
    #[error("filter: it has {bytes} bytes, and netpath reads {TEXT_MAX} at most")]
    TooMuchText { bytes: usize },
}

/// Bytes that an expression can have.
const TEXT_MAX: usize = 8192;

/// A filter. It travels as its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Filter {
    text: String,
    program: Program,
}

/// What user space does not know of a flow: it differs between its packets.
const PER_PACKET: &[Field] = &[Field::Flags, Field::Len, Field::Fragment];

impl From<Filter> for String {
    fn from(filter: Filter) -> Self {
        filter.text
    }
}

impl TryFrom<String> for Filter {
    type Error = FilterError;

    fn try_from(text: String) -> Result<Self, FilterError> {
        Self::compile(&text)
    }
}

impl Filter {
    /// Compiles an expression; one of nothing but blanks matches every packet.
    pub fn compile(text: &str) -> Result<Self, FilterError> {
        if text.len() > TEXT_MAX {
            return Err(FilterError::TooMuchText { bytes: text.len() });
        }
        let program = match parse::parse(text)? {
            Some(tree) => expr::lower(&tree)?,
            None => Program::ALL,
        };
        Ok(Self { text: text.trim().to_owned(), program })
    }

    /// The expression.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// As the kernel runs it.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Whether a packet with these headers matches.
    pub fn matches(&self, headers: &Headers) -> bool {
        self.program.matches(&facts(headers, headers.tuple))
    }

    /// Whether a flight matches, with either of its tuples.
    pub fn wants(&self, flight: &Flight) -> bool {
        let Some(headers) = &flight.headers else { return self.program.len == 0 };
        let with = |tuple| self.program.matches(&facts(headers, tuple));
        with(headers.tuple) || flight.translated.is_some_and(|t| with(Some(t)))
    }

    /// Where the table of unwanted flows has this flight's flow, if none of its packets can match.
    /// Only a flight that has arrived tells: before, NAT may still have changed it.
    pub fn unwanted(&self, flight: &Flight) -> Option<(u32, u32)> {
        let headers = flight.headers.as_ref()?;
        headers.tuple?;
        let may = |tuple| self.program.may_match(&facts(headers, tuple), PER_PACKET);
        let can = may(headers.tuple) || flight.translated.is_some_and(|t| may(Some(t)));
        let arrived = flight.end.is_arrival() && flight.end != End::Merged;
        (arrived && flight.incomplete.is_none() && !can).then(|| {
            let (slot, check) = flow(&facts(headers, headers.tuple));
            (slot & (FLOW_SLOTS - 1), check)
        })
    }
}

/// What is known of a packet with this tuple, as the kernel fills it in.
fn facts(headers: &Headers, tuple: Option<Tuple>) -> Facts {
    let mut facts = [0; FACTS];
    facts[Field::Len as usize] = headers.len + LINK_HEADER;
    let Some(tuple) = tuple else { return facts };
    facts[Field::Proto as usize] = tuple.proto.into();
    facts[Field::Flags as usize] = headers.flags.into();
    facts[Field::Fragment as usize] = headers.fragment.into();
    facts[Field::Sport as usize] = tuple.sport.into();
    // Every echo request has a number of its own, but is of the same flow.
    if !matches!(tuple.proto, ICMP | ICMPV6) {
        facts[Field::Dport as usize] = tuple.dport.into();
    }
    for (first, address) in [(Field::Src0, tuple.src), (Field::Dst0, tuple.dst)] {
        let first = first as usize;
        match address {
            IpAddr::V4(a) => {
                facts[Field::Version as usize] = 4;
                facts[first] = a.to_bits();
            }
            IpAddr::V6(a) => {
                facts[Field::Version as usize] = 6;
                for (i, quarter) in words(a.octets()).into_iter().enumerate() {
                    facts[first + i] = quarter;
                }
            }
        }
    }
    facts
}

/// An IPv6 address in words, as [`Facts`] has it.
fn words(octets: [u8; 16]) -> [u32; 4] {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(octets.chunks_exact(4)) {
        *word = bytes.iter().fold(0, |w, b| (w << 8) | u32::from(*b));
    }
    words
}

#[cfg(test)]
mod differential;
#[cfg(test)]
mod tests;
