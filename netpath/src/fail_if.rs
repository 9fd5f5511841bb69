//! Thresholds: `--fail-if 'conntrack.p99 > 2us'`, for CI.
//!
//! In: conditions as text, a snapshot. Out: which were passed, where, by which value; and which
//! could not be judged, because what they ask about was not measured: that is never a pass.
//!
//! ```text
//! CONDITION := SUBJECT [ '.' FIGURE ] OPERATOR VALUE
//! SUBJECT   := a hop's key | a group | group:NAME | total | unattributed
//!            | lost | drops | incomplete | vanished | negative
//! FIGURE    := mean | p50 | p90 | p99 | p999 | max | count | share
//! OPERATOR  := > | >= | < | <=
//! VALUE     := a number, with ns, us, µs, ms or s for a time, and % for a share
//! ```
//!
//! A name that a hop and a group share is the hop's, judged at each of its places:
//! `conntrack.p99` is that of conntrack in PREROUTING, and that of it in OUTPUT. What a packet
//! spends in all of a group's hops together is `group:conntrack.p99`. `lost` counts events, `drops`
//! packets that were lost or refused.

mod judge;
mod parse;

pub use judge::{Verdict, judge};

use netpath_common::{group::Group, hop::HopId};

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// As it was given.
    pub text: String,
    subject: Subject,
    /// Of a subject that is counted, always [`Figure::Count`].
    figure: Figure,
    operator: Operator,
    /// ns for a time, 0 to 1 for a share.
    value: f64,
}

/// What is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Hop(HopId),
    Group(Group),
    Total,
    Unattributed,
    Counter(Counter),
}

/// Declares [`Counter`] from one list.
macro_rules! counters {
    ($($name:ident: $key:literal,)*) => {
        /// Something that is counted for the whole run.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Counter { $($name,)* }

        const COUNTERS: &[(Counter, &str)] = &[$((Counter::$name, $key),)*];
    };
}

counters! {
    Lost: "lost",
    Drops: "drops",
    Incomplete: "incomplete",
    Vanished: "vanished",
    Negative: "negative",
}

/// Declares [`Figure`] from one list.
macro_rules! figures {
    ($($name:ident: $key:literal,)*) => {
        /// Which figure of it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Figure { $($name,)* }

        const FIGURES: &[(Figure, &str)] = &[$((Figure::$name, $key),)*];
    };
}

figures! {
    Mean: "mean",
    P50: "p50",
    P90: "p90",
    P99: "p99",
    P999: "p999",
    Max: "max",
    Count: "count",
    Share: "share",
}

impl Figure {
    fn key(self) -> &'static str {
        FIGURES[self as usize].1
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Over,
    AtLeast,
    Under,
    AtMost,
}

/// Longer ones first: `>=` begins like `>`.
const OPERATORS: &[(Operator, &str)] = &[
    (Operator::AtLeast, ">="),
    (Operator::AtMost, "<="),
    (Operator::Over, ">"),
    (Operator::Under, "<"),
];

impl Operator {
    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Over => left > right,
            Self::AtLeast => left >= right,
            Self::Under => left < right,
            Self::AtMost => left <= right,
        }
    }
}

#[cfg(test)]
mod tests;
