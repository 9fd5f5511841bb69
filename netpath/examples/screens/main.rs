//! What the live view costs: CPU time to build a snapshot and to draw it, of a ledger of many flows
//! and paths. `cargo run --release --package netpath --example screens`; it needs no root.
//!
//! The ledger is made of the fixture's real packets: booked again and again, each time with another
//! port, so that every packet belongs to a flow of its own; the snapshot's paths are then copied. Time
//! is the thread's CPU time, so that a busy machine changes little.

use std::{
    io::{self, Write},
    path::Path,
    sync::Arc,
    time::Duration,
};

use netpath::{
    flight::Flight,
    ledger::Ledger,
    recording::Reader,
    replay,
    session::{Ending, Session},
    snapshot::{self, Snapshot},
    tui::{Look, Offscreen},
};
use nix::time::{ClockId, clock_gettime};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/bridge-nat.npz");
/// Columns and rows.
const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 60)];
/// Frames that are drawn of each.
const FRAMES: u32 = 200;
/// Screens a second that the share of a core is said of, and snapshots a second while one looks.
const RATE: f64 = 10.0;
const SNAPSHOTS: f64 = 4.0;

fn main() {
    let (session, flights, ending) = read();
    println!(
        "flows   paths  snapshot      80x24     120x40     200x60   of a core at 10/s, largest"
    );
    for (flows, paths) in [(1_usize, 1_usize), (1_000, 1), (100_000, 1), (100_000, 100)] {
        let mut ledger = Ledger::of(&session);
        book(&mut ledger, &flights, flows);
        let mut snapshots = Vec::new();
        let build = cpu(|| {
            for second in 0..20 {
                let at = Ending { duration_ns: (second + 1) * 250_000_000, ..ending.clone() };
                snapshots.push(snapshot::build(&mut ledger, &session, &at));
            }
        }) / 20;
        let snapshots: Vec<Arc<Snapshot>> =
            snapshots.into_iter().enumerate().map(|(i, s)| Arc::new(many(s, paths, i))).collect();
        let frames = SIZES.map(|(columns, rows)| draw(&snapshots, columns, rows));
        let ms = |d: Duration| d.as_secs_f64() * 1e3;
        let share = frames[2].as_secs_f64() * RATE + build.as_secs_f64() * SNAPSHOTS;
        println!(
            "{flows:<7} {paths:<5} {:>6.2} ms  {:>6.3} ms  {:>6.3} ms  {:>6.3} ms   {:.2} % \
             ({:.2} % drawing)",
            ms(build),
            ms(frames[0]),
            ms(frames[1]),
            ms(frames[2]),
            share * 100.0,
            frames[2].as_secs_f64() * RATE * 100.0,
        );
    }
}

/// The fixture's packets.
fn read() -> (Session, Vec<Flight>, Ending) {
    let mut reader = Reader::open(Path::new(FIXTURE)).expect("the fixture is a recording");
    let session = reader.session.clone();
    let mut flights = Vec::new();
    replay::flights(&mut reader, |flight, _| flights.push(flight.clone()));
    (session, flights, reader.ending.unwrap_or_default())
}

/// Books the packets until there are so many flows.
fn book(ledger: &mut Ledger, flights: &[Flight], flows: usize) {
    for n in 0..flows.max(flights.len()) {
        let mut flight = flights[n % flights.len()].clone();
        if flows > 1
            && let Some(tuple) = flight.headers.as_mut().and_then(|h| h.tuple.as_mut())
        {
            let n = u32::try_from(n).expect("it is not that many").to_be_bytes();
            tuple.sport = u16::from_be_bytes([n[2], n[3]]);
            tuple.dport = u16::from(n[1]) + 1;
        }
        ledger.add(&flight);
    }
    ledger.settle();
    assert!(flows == 1 || ledger.flows.len() * 10 >= flows * 9, "{} flows", ledger.flows.len());
}

/// The same snapshot with more paths, and figures that differ from the last one's, as while tracing.
fn many(mut snapshot: Snapshot, paths: usize, turn: usize) -> Snapshot {
    let own = snapshot.paths.clone();
    for n in 1..paths {
        snapshot.paths.extend(own.iter().map(|path| {
            let mut path = path.clone();
            path.name = format!("{} ({n})", path.name);
            path.packets = path.packets.saturating_sub(n as u64);
            path
        }));
    }
    for path in &mut snapshot.paths {
        path.packets += turn as u64 * 1_000;
        for hop in &mut path.hops {
            hop.times.p50_ns += turn as u64 * 10;
            hop.times.p99_ns += turn as u64 * 100;
            hop.count += turn as u64 * 1_000;
        }
    }
    snapshot
}

/// The mean CPU time of a frame, with a snapshot of its own.
fn draw(snapshots: &[Arc<Snapshot>], columns: u16, rows: u16) -> Duration {
    let mut view = Offscreen::new(Counted(0), columns, rows, Look::default()).expect("a view");
    view.show(Arc::clone(&snapshots[0])).expect("it can be drawn");
    cpu(|| {
        for n in 0..FRAMES as usize {
            view.show(Arc::clone(&snapshots[n % snapshots.len()])).expect("it can be drawn");
        }
    }) / FRAMES
}

/// Takes bytes, as a terminal would.
struct Counted(usize);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The CPU time that this thread takes for it.
fn cpu(what: impl FnOnce()) -> Duration {
    let now =
        || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).expect("a clock");
    let before = now();
    what();
    now().saturating_sub(before)
}
