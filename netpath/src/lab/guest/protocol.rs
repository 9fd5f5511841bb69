//! What netpath and the netpath in a guest say to each other: a line of JSON for each question, and
//! one for its answer.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

use super::super::traffic::{Load, client::Counted};

/// Changes whenever [`Ask`], [`Answer`] or what they hold does.
pub(super) const PROTOCOL: u32 = 1;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    Hello,
    Serve { load: Load, v6: bool },
    Request { load: Load, to: SocketAddr },
    Begin { id: u64 },
    Received { id: u64 },
    Count { id: u64 },
    Finished { id: u64 },
    Stop { id: u64 },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Hello {
        protocol: u32,
        version: String,
    },
    Serving {
        id: u64,
        port: u16,
    },
    Requesting {
        id: u64,
    },
    Begun,
    /// By the guest's clock.
    Received {
        bytes: u64,
        at_ns: u64,
    },
    Count(u64),
    Finished(bool),
    /// With what a client has counted.
    Stopped(Option<Counts>),
    Failed(String),
}

/// What a client has counted, by its own clock.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Counts {
    count: u64,
    bytes: u64,
    took_ns: u64,
    /// Round trips: ns, and how many took so long.
    round_trips: Vec<(u64, u64)>,
}

impl Counts {
    pub(super) fn of(counted: &Counted, took: Duration) -> Self {
        let recorded = counted.round_trips.iter_recorded();
        Self {
            count: counted.count,
            bytes: counted.bytes,
            took_ns: u64::try_from(took.as_nanos()).unwrap_or(u64::MAX),
            round_trips: recorded.map(|v| (v.value_iterated_to(), v.count_at_value())).collect(),
        }
    }

    pub(super) fn counted(self) -> Result<Counted, String> {
        let mut counted = Counted::new();
        counted.count = self.count;
        counted.bytes = self.bytes;
        counted.took = Some(Duration::from_nanos(self.took_ns));
        for (ns, times) in self.round_trips {
            counted.round_trips.record_n(ns, times).map_err(|e| e.to_string())?;
        }
        Ok(counted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_come_back_as_they_were_counted() {
        let mut counted = Counted::new();
        for ns in [1_000, 70_000, 70_010, 5_000_000_000] {
            counted.round_trips.record(ns).unwrap();
            counted.count += 1;
        }
        let text = serde_json::to_string(&Counts::of(&counted, Duration::from_secs(2))).unwrap();
        let back = serde_json::from_str::<Counts>(&text).unwrap().counted().unwrap();
        assert_eq!((back.count, back.took), (4, Some(Duration::from_secs(2))));
        assert_eq!(back.round_trips, counted.round_trips);
    }
}
