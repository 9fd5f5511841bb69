//! Comparisons: `len > 100`, `tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn`,
//! `icmp[icmptype] != icmp-echo`.
//!
//! As in libpcap, a comparison of a header's field is false for packets that don't have the header,
//! and `tcp[…]` is about IPv4.

use netpath_common::filter::Field;

use super::{
    FilterError,
    expr::Expr,
    parse::Parser,
    primitive::{Version, has_transport, protocol},
};
use crate::packet::{ICMP, ICMPV6, TCP};

/// A header's field that netpath knows.
struct Known {
    header: &'static str,
    /// Names for its place in the header, and the place.
    places: &'static [&'static str],
    over: Version,
    proto: u8,
}

const KNOWN: &[Known] = &[
    Known { header: "tcp", places: &["tcpflags", "13", "13:1"], over: Version::V4, proto: TCP },
    Known { header: "icmp", places: &["icmptype", "0", "0:1"], over: Version::V4, proto: ICMP },
    Known { header: "icmp6", places: &["icmp6type", "0", "0:1"], over: Version::V6, proto: ICMPV6 },
];

/// Names of values.
const VALUES: &[(&str, u32)] = &[
    ("tcp-fin", 1),
    ("tcp-syn", 2),
    ("tcp-rst", 4),
    ("tcp-push", 8),
    ("tcp-ack", 16),
    ("tcp-urg", 32),
    ("tcp-ece", 64),
    ("tcp-cwr", 128),
    ("icmp-echoreply", 0),
    ("icmp-unreach", 3),
    ("icmp-sourcequench", 4),
    ("icmp-redirect", 5),
    ("icmp-echo", 8),
    ("icmp-routeradvert", 9),
    ("icmp-routersolicit", 10),
    ("icmp-timxceed", 11),
    ("icmp-paramprob", 12),
    ("icmp-tstamp", 13),
    ("icmp-tstampreply", 14),
    ("icmp6-destinationunreach", 1),
    ("icmp6-packettoobig", 2),
    ("icmp6-timeexceeded", 3),
    ("icmp6-parameterproblem", 4),
    ("icmp6-echo", 128),
    ("icmp6-echoreply", 129),
    ("icmp6-routersolicit", 133),
    ("icmp6-routeradvert", 134),
    ("icmp6-neighborsolicit", 135),
    ("icmp6-neighboradvert", 136),
];

const COMPARISONS: &[&str] = &["=", "==", "!=", "<", ">", "<=", ">="];
const OPERATORS: &[&str] = &["&", "|", "+", "*", "<<", ">>"];

/// One side of a comparison.
#[derive(Clone)]
enum Side {
    Value(u32),
    Len { mask: u32 },
    Header { known: usize, mask: u32 },
}

impl Parser<'_> {
    /// A comparison, if there is one here.
    pub(super) fn relation(&mut self) -> Result<Option<Expr>, FilterError> {
        let begin = self.mark();
        if !self.may_be_relation() {
            return Ok(None);
        }
        let depth = self.depth;
        let left = match self.side() {
            Ok(left) => left,
            // Parentheses around conditions look alike at first; what is wrong inside is said there.
            Err(_) if self.paren_at(begin) => {
                self.depth = depth;
                return Ok(self.not_here(begin));
            }
            Err(error) => return Err(error),
        };
        let Some(comparison) = COMPARISONS.iter().copied().find(|c| self.accept(&[c])) else {
            if self.paren_at(begin) {
                return Ok(self.not_here(begin));
            }
            return Err(self.unexpected("`&`, =, !=, <, >, <= or >="));
        };
        let right = self.side()?;
        self.compare(&left, comparison, &right).map(Some)
    }

    fn not_here(&mut self, begin: usize) -> Option<Expr> {
        self.back_to(begin);
        None
    }

    fn paren_at(&mut self, mark: usize) -> bool {
        let now = self.mark();
        self.back_to(mark);
        let paren = self.peek() == Some("(");
        self.back_to(now);
        paren
    }

    /// Whether a side of a comparison can begin here, behind any parentheses.
    fn may_be_relation(&mut self) -> bool {
        let begin = self.mark();
        while self.accept(&["("]) {}
        let first = self.peek().unwrap_or_default();
        let second = self.peek_second().unwrap_or_default();
        let sign = COMPARISONS.contains(&second) || OPERATORS.contains(&second);
        let number = first.starts_with(|c: char| c.is_ascii_digit()) && sign;
        let is = first == "len" || second == "[" || number;
        self.back_to(begin);
        is
    }

    fn side(&mut self) -> Result<Side, FilterError> {
        let mut side = self.operand_of_side()?;
        while let Some(operator) = OPERATORS.iter().copied().find(|o| self.accept(&[o])) {
            let other = self.operand_of_side()?;
            side = match (side, operator, other) {
                (Side::Value(a), _, Side::Value(b)) => Side::Value(fold(a, operator, b)),
                (Side::Len { mask }, "&", Side::Value(b))
                | (Side::Value(b), "&", Side::Len { mask }) => Side::Len { mask: mask & b },
                (Side::Header { known, mask }, "&", Side::Value(b))
                | (Side::Value(b), "&", Side::Header { known, mask }) => {
                    Side::Header { known, mask: mask & b }
                }
                _ => return Err(self.bad("a constant after `&` (netpath masks fields, no more)")),
            };
        }
        Ok(side)
    }

    fn operand_of_side(&mut self) -> Result<Side, FilterError> {
        const EXPECTED: &str = "a number, len, tcp[tcpflags], icmp[icmptype] or icmp6[icmp6type]";
        if self.accept(&["("]) {
            self.nest()?;
            let inner = self.side()?;
            self.expect(")", "an operator or `)`")?;
            self.depth -= 1;
            return Ok(inner);
        }
        if self.accept(&["len"]) {
            return Ok(Side::Len { mask: u32::MAX });
        }
        if self.peek_second() == Some("[") {
            return self.header_field();
        }
        let named = self.peek().and_then(|word| VALUES.iter().find(|(name, _)| *name == word));
        if let Some((_, value)) = named {
            self.word(EXPECTED)?;
            return Ok(Side::Value(*value));
        }
        self.number(u32::MAX, EXPECTED).map(Side::Value)
    }

    fn header_field(&mut self) -> Result<Side, FilterError> {
        const HEADER: &str = "tcp, icmp or icmp6 (of other headers netpath keeps no bytes)";
        let header = self.word(HEADER)?;
        let known = KNOWN.iter().position(|k| k.header == header);
        let known = known.ok_or_else(|| self.bad(HEADER))?;
        self.expect("[", "`[`")?;
        let place = self.word(KNOWN[known].places[0])?;
        if !KNOWN[known].places.contains(&place.as_str()) {
            let only = format!("{} (netpath keeps no other byte)", KNOWN[known].places[0]);
            return Err(self.bad(&only));
        }
        self.expect("]", "`]`")?;
        Ok(Side::Header { known, mask: u32::MAX })
    }

    fn compare(&mut self, left: &Side, sign: &str, right: &Side) -> Result<Expr, FilterError> {
        let (side, sign, value) = match (left, right) {
            (Side::Value(a), Side::Value(b)) => return Ok(Expr::Always(constant(*a, sign, *b))),
            (side, Side::Value(value)) => (side, sign, *value),
            (Side::Value(value), side) => (side, mirrored(sign), *value),
            _ => return Err(self.bad("a constant (netpath compares a field with a constant)")),
        };
        Ok(match side {
            Side::Len { mask } => comparison(Field::Len, *mask, sign, value),
            Side::Header { known, mask } => {
                let known = &KNOWN[*known];
                let test = comparison(Field::Flags, *mask, sign, value);
                protocol(Some(known.over), known.proto).and(has_transport()).and(test)
            }
            Side::Value(_) => Expr::Always(false),
        })
    }
}

fn fold(a: u32, operator: &str, b: u32) -> u32 {
    match operator {
        "&" => a & b,
        "|" => a | b,
        "+" => a.wrapping_add(b),
        "*" => a.wrapping_mul(b),
        "<<" => a.checked_shl(b).unwrap_or(0),
        _ => a.checked_shr(b).unwrap_or(0),
    }
}

fn constant(a: u32, sign: &str, b: u32) -> bool {
    match sign {
        "!=" => a != b,
        "<" => a < b,
        ">" => a > b,
        "<=" => a <= b,
        ">=" => a >= b,
        _ => a == b,
    }
}

/// The sign that says the same with the sides changed over.
fn mirrored(sign: &str) -> &str {
    match sign {
        "<" => ">",
        ">" => "<",
        "<=" => ">=",
        ">=" => "<=",
        other => other,
    }
}

fn comparison(field: Field, mask: u32, sign: &str, value: u32) -> Expr {
    let at_least = |value: u32| Expr::at_least(field, mask, value);
    let above = |value: u32| value.checked_add(1).map_or(Expr::Always(false), at_least);
    match sign {
        "!=" => Expr::masked(field, mask, value).negated(),
        ">=" => at_least(value),
        "<" => at_least(value).negated(),
        ">" => above(value),
        "<=" => above(value).negated(),
        _ => Expr::masked(field, mask, value),
    }
}
