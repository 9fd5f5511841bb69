//! Late packets: of those that were not drawn, some are recorded after all.
//!
//! Whether a packet will be slow can't be known when it begins; whether it already is can, wherever it
//! is met after a wait. The programs remember when a packet was refused, and where a device takes it up
//! they compare. One that has by then taken longer than 99 % of the drawn ones take until their last
//! device has them is recorded from there on. Such packets are no sample: they are listed, and are in no mean.
//!
//! In: the running 99th percentile. Out: what the programs are to hold packets against, and how many
//! late ones they may record: a machine on which everything becomes slow must not become slower.

/// What the programs are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lateness {
    /// Late after so long, ns; 0 where nothing is.
    pub after_ns: u32,
    /// Late packets that each CPU may have recorded so far.
    pub limit: u32,
}

/// Late packets that each CPU may record, for each time that the limit is moved.
const EACH: u32 = 64;
/// Shorter waits are no matter, ns.
const AFTER_MIN_NS: u64 = 10_000;

/// Moves the limits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tail {
    now: Lateness,
}

impl Tail {
    /// What is late at present, ns; 0 where nothing is.
    pub fn after_ns(&self) -> u32 {
        self.now.after_ns
    }

    /// What holds from now on, given the 99th percentile of late, ns, where enough packets were
    /// seen to tell.
    pub fn follow(&mut self, p99_ns: Option<u64>) -> Lateness {
        if let Some(p99_ns) = p99_ns {
            self.now.after_ns = u32::try_from(p99_ns.max(AFTER_MIN_NS)).unwrap_or(u32::MAX);
        }
        if self.now.after_ns != 0 {
            self.now.limit = self.now.limit.saturating_add(EACH);
        }
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_late_before_enough_was_seen() {
        let mut tail = Tail::default();
        assert_eq!(tail.follow(None), Lateness::default());
        assert_eq!(tail.follow(Some(70_000)), Lateness { after_ns: 70_000, limit: EACH });
        assert_eq!(tail.follow(None), Lateness { after_ns: 70_000, limit: 2 * EACH });
        assert_eq!(tail.follow(Some(1)).after_ns, 10_000);
        assert_eq!(tail.follow(Some(u64::MAX)).after_ns, u32::MAX);
    }
}
