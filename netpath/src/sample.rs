//! Sampling: which share of the packets is recorded.
//!
//! In: what the command line asks for. Out: a rate for the programs in the kernel, which decide at
//! each packet's birth, and, with a budget, a [`Governor`] that moves it.
//!
//! A packet is recorded whole or not at all. How long it will take is not known when it begins, so
//! slow packets are recorded no more often than others; but one that is late already where a device
//! takes it up ([`Tail`]) is recorded from there on, and listed apart.

mod governor;
mod tail;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use governor::{Governor, Orders, Spent};
pub use tail::{Lateness, Tail};

use crate::units::count;

/// What is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// Each packet for itself.
    #[default]
    Packet,
    /// Conversations, both directions, by protocol and ports.
    Flow,
}

impl By {
    /// In reports.
    pub fn key(self) -> &'static str {
        match self {
            Self::Packet => "packets",
            Self::Flow => "flows",
        }
    }
}

/// How many are recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Share {
    #[default]
    All,
    /// One in this many.
    OneIn(u32),
    /// As many as the budget allows.
    Auto,
}

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SampleError {
    #[error("`{0}` is no share of the packets: try 1/100, or auto")]
    Share(String),
    #[error("`{0}` is no share of the machine: try 2% (more than 0, at most 50)")]
    Budget(String),
}

impl FromStr for Share {
    type Err = SampleError;

    fn from_str(text: &str) -> Result<Self, SampleError> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        match text.strip_prefix("1/").and_then(|n| n.parse().ok()) {
            Some(1) => Ok(Self::All),
            Some(n) if n > 0 => Ok(Self::OneIn(n)),
            _ => Err(SampleError::Share(text.to_owned())),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("1/1"),
            Self::OneIn(n) => write!(f, "1/{n}"),
            Self::Auto => f.write_str("auto"),
        }
    }
}

/// A share of the machine's CPU time, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Budget(pub f64);

impl Default for Budget {
    fn default() -> Self {
        Self(0.02)
    }
}

impl FromStr for Budget {
    type Err = SampleError;

    fn from_str(text: &str) -> Result<Self, SampleError> {
        let percent = text.strip_suffix('%').and_then(|n| n.trim().parse::<f64>().ok());
        match percent {
            Some(p) if p > 0.0 && p <= 50.0 => Ok(Self(p / 100.0)),
            _ => Err(SampleError::Budget(text.to_owned())),
        }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0 * 100.0)
    }
}

/// What the command line asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    pub share: Share,
    pub by: By,
    pub budget: Budget,
}

/// A rate as the programs have it: of 2³² numbers, those below it are taken, and all at the top.
pub const RATE_ALL: u32 = u32::MAX;

impl Sampling {
    /// Whether packets of one conversation are parted: some recorded, others not.
    pub fn parts_packets(&self) -> bool {
        self.share != Share::All && self.by == By::Packet
    }

    /// The rate to begin with.
    pub fn rate(&self) -> u32 {
        match self.share {
            Share::All => RATE_ALL,
            Share::OneIn(n) => {
                u32::try_from((1_u64 << 32) / u64::from(n.max(1))).unwrap_or(RATE_ALL)
            }
            Share::Auto => governor::FIRST,
        }
    }
}

/// Packets that began on the path's devices and were asked for, and those of them that were
/// recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Births {
    /// All that began, matching the filter or not.
    pub begun: u64,
    pub seen: u64,
    pub taken: u64,
    /// Not to be recorded, and found to be late; see [`Tail`].
    pub late: u64,
    /// How often the time was asked for, and a table, of those that were not to be recorded.
    pub checked: u64,
}

impl Births {
    /// Those since there were `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            begun: self.begun.saturating_sub(before.begun),
            seen: self.seen.saturating_sub(before.seen),
            taken: self.taken.saturating_sub(before.taken),
            late: self.late.saturating_sub(before.late),
            checked: self.checked.saturating_sub(before.checked),
        }
    }

    /// How many packets there were, if so many of them were recorded while the probes were attached
    /// for this share of the time.
    pub fn estimate(self, recorded: u64, listened: f64) -> u64 {
        let share = if self.taken < self.seen { self.taken as f64 / self.seen as f64 } else { 1.0 };
        if self.taken == 0 || share * listened >= 1.0 {
            return recorded;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate; what is too large saturates"
        )]
        let all = (recorded as f64 / (share * listened)).round() as u64;
        all
    }
}

/// Events of one packet, where so many were recorded of so many packets.
pub fn events_of_one(events: u64, packets: u64) -> f64 {
    /// On a container's path through NAT, where none was recorded.
    const TYPICAL: f64 = 22.0;
    if packets == 0 { TYPICAL } else { events as f64 / packets as f64 }
}

/// What a reader of the report should know of the packets that are not in it. `listened` is the
/// share of the time in which the probes were attached.
pub fn note(sampling: &Sampling, births: Births, listened: f64) -> Option<String> {
    let Sampling { share, by, budget } = sampling;
    let one = match by {
        By::Packet => "packet",
        By::Flow => "conversation",
    };
    let how = match share {
        Share::All => return None,
        Share::OneIn(n) => format!("one {one} in {n} was recorded"),
        Share::Auto => {
            format!("as many {one}s were recorded as a budget of {budget} of the machine allows")
        }
    };
    let apart = if sampling.parts_packets() {
        ". A request and its reply are seldom both among them, so there are no round trips; \
         --sample-by flow draws conversations"
    } else {
        ""
    };
    let pauses = if listened < 1.0 {
        format!(
            " in the {:.1} % of the time in which netpath was attached (between, it lets go of the \
             kernel to keep to its budget)",
            listened * 100.0
        )
    } else {
        String::new()
    };
    Some(format!(
        "{how}: {} of the {} packets that began on the path{pauses}. How many passed the interface is \
         reckoned from that. How long a packet takes is not known when it is chosen: the slowest are \
         most likely not among the recorded ones{apart}",
        count(births.taken),
        count(births.seen),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_budgets_are_read() {
        assert_eq!("1/100".parse(), Ok(Share::OneIn(100)));
        assert_eq!("auto".parse(), Ok(Share::Auto));
        assert_eq!("1/1".parse(), Ok(Share::All));
        for bad in ["", "1", "2/3", "1/0", "1/x", "10%"] {
            assert!(bad.parse::<Share>().is_err(), "{bad}");
        }
        assert_eq!("2%".parse(), Ok(Budget(0.02)));
        assert_eq!(Budget(0.02).to_string(), "2%");
        for bad in ["2", "0%", "-1%", "51%", "x%"] {
            assert!(bad.parse::<Budget>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_rate_takes_its_share_of_the_numbers() {
        let rate = |share| Sampling { share, ..Sampling::default() }.rate();
        assert_eq!(rate(Share::All), RATE_ALL);
        assert_eq!(rate(Share::OneIn(2)), 1 << 31);
        assert_eq!(rate(Share::OneIn(1 << 16)), 1 << 16);
        // As the recorder numbers packets.
        let taken = (0..100_000_u32)
            .filter(|n| n.wrapping_mul(0x9e37_79b1) < rate(Share::OneIn(100)))
            .count();
        assert_eq!(taken, 1000);
    }

    #[test]
    fn an_estimate_keeps_what_was_counted_in_full() {
        let of = |seen, taken| Births { begun: seen, seen, taken, ..Births::default() };
        assert_eq!(of(0, 0).estimate(7, 1.0), 7);
        assert_eq!(of(10, 10).estimate(7, 1.0), 7);
        assert_eq!(of(1000, 10).estimate(7, 1.0), 700);
        assert_eq!(of(1000, 1000).estimate(7, 0.1), 70);
    }
}
