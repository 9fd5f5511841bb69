//! A client's side of a load: what it counts, and how it is told to begin anew and to stop.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

/// Ends a load's threads.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(super) fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// When to stop, and whom to tell how far it is.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) stop: Stop,
    restart: Arc<AtomicBool>,
    /// Told once, of the first.
    flowing: Option<mpsc::Sender<()>>,
    done: Arc<AtomicU64>,
    total: u64,
    pub(super) counted: Counted,
}

impl Client {
    pub(super) fn new(
        stop: Stop,
        restart: Arc<AtomicBool>,
        flowing: mpsc::Sender<()>,
        done: Arc<AtomicU64>,
    ) -> Self {
        let counted = Counted::new();
        Self { stop, restart, flowing: Some(flowing), done, total: 0, counted }
    }

    /// Whether to go on; begins to count anew where that is asked for.
    pub(super) fn goes_on(&mut self) -> bool {
        if self.restart.load(Ordering::Relaxed) {
            self.restart.store(false, Ordering::Relaxed);
            self.counted = Counted::new();
        }
        !self.stop.requested()
    }

    pub(super) fn round_trip(&mut self, since: Instant, bytes: usize) {
        let ns = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        // The histogram grows as needed.
        let _ = self.counted.round_trips.record(ns);
        self.sent(bytes);
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        self.counted.count += 1;
        self.counted.bytes += bytes as u64;
        self.total += 1;
        self.done.store(self.total, Ordering::Relaxed);
        if let Some(flowing) = self.flowing.take() {
            let _ = flowing.send(());
        }
    }
}

/// What a client has counted.
#[derive(Debug)]
pub(in crate::lab) struct Counted {
    pub(in crate::lab) count: u64,
    pub(in crate::lab) bytes: u64,
    pub(in crate::lab) round_trips: Histogram<u64>,
    /// How long it took, where the client has an end of its own.
    pub(in crate::lab) took: Option<Duration>,
}

impl Counted {
    pub(in crate::lab) fn new() -> Self {
        let mut round_trips = Histogram::new(3).expect("3 is a valid number of digits");
        round_trips.auto(true);
        Self { count: 0, bytes: 0, round_trips, took: None }
    }
}
