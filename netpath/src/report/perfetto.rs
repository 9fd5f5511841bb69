//! Packets on a time line: Chrome's trace JSON, which Perfetto and chrome://tracing read.
//!
//! In: a snapshot's single packets. Out: a process per network namespace, a thread per CPU in it,
//! a slice per piece of a packet's time, and an arrow where a packet goes on elsewhere. Packets that
//! were under way at the same time have threads of their own, as slices of one thread must not
//! overlap. Times are µs since recording began.

use std::ops::Range;

use serde::Serialize;
use serde_json::{Value, json};

use super::words;
use crate::snapshot::{PacketReport, PathReport, Snapshot};

/// The file.
#[derive(Debug, Serialize)]
pub(super) struct Trace {
    #[serde(rename = "traceEvents")]
    events: Vec<Value>,
    #[serde(rename = "displayTimeUnit")]
    unit: &'static str,
    #[serde(rename = "otherData")]
    other: Value,
}

/// The tracks, in the order in which they are met.
#[derive(Debug, Default)]
struct Tracks {
    namespaces: Vec<String>,
    threads: Vec<Track>,
    /// When the packets in each lane were under way.
    lanes: Vec<Vec<Range<i128>>>,
}

/// A namespace's process, and in it the thread of a CPU, in the lane of those packets that were not
/// under way at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Track {
    process: usize,
    cpu: u16,
    lane: usize,
}

/// Lanes of a CPU's threads have numbers of their own.
const CPUS: usize = 1 << 16;

impl Track {
    /// Numbers begin with 1: 0 is the idle task's.
    fn thread(self) -> usize {
        self.lane * CPUS + usize::from(self.cpu) + 1
    }

    fn name(self) -> String {
        let beside = match self.lane {
            0 => String::new(),
            n => format!(", at the same time ({})", n + 1),
        };
        format!("CPU {}{beside}", self.cpu)
    }
}

impl Tracks {
    /// The first lane that is free while a packet is under way; it is then taken.
    fn lane(&mut self, packet: &PacketReport) -> usize {
        let begin = i128::from(packet.start_ns);
        let when = begin..begin + i128::from(packet.total_ns.max(0));
        let free = |lane: &Vec<Range<i128>>| {
            lane.iter().all(|other| other.end <= when.start || when.end <= other.start)
        };
        let at = self.lanes.iter().position(free).unwrap_or(self.lanes.len());
        if at == self.lanes.len() {
            self.lanes.push(Vec::new());
        }
        self.lanes[at].push(when);
        at
    }

    fn of(&mut self, netns: &str, cpu: u16, lane: usize) -> Track {
        let at = self.namespaces.iter().position(|n| n == netns).unwrap_or_else(|| {
            self.namespaces.push(netns.to_owned());
            self.namespaces.len() - 1
        });
        let track = Track { process: at + 1, cpu, lane };
        if !self.threads.contains(&track) {
            self.threads.push(track);
        }
        track
    }

    fn names(&self) -> Vec<Value> {
        let processes = self.namespaces.iter().enumerate().map(|(i, name)| {
            json!({"ph": "M", "name": "process_name", "pid": i + 1, "tid": 0, "args": {"name": name}})
        });
        let threads = self.threads.iter().map(|track| {
            json!({
                "ph": "M", "name": "thread_name", "pid": track.process, "tid": track.thread(),
                "args": {"name": track.name()},
            })
        });
        processes.chain(threads).collect()
    }
}

/// All single packets of all paths.
pub(super) fn trace(snapshot: &Snapshot) -> Trace {
    let mut tracks = Tracks::default();
    let mut events = Vec::new();
    let packets =
        snapshot.paths.iter().flat_map(|path| path.packets_shown.iter().map(move |p| (path, p)));
    for (id, (path, packet)) in packets.enumerate() {
        slices(id, path, packet, &mut tracks, &mut events);
    }
    let mut all = tracks.names();
    all.extend(events);
    Trace {
        events: all,
        unit: "ns",
        other: json!({
            "netpath": snapshot.version,
            "started": snapshot.started,
            "iface": snapshot.iface,
            "netns": snapshot.netns,
            "kernel": snapshot.host.kernel,
        }),
    }
}

fn slices(
    id: usize,
    path: &PathReport,
    packet: &PacketReport,
    tracks: &mut Tracks,
    events: &mut Vec<Value>,
) {
    let lane = tracks.lane(packet);
    let mut netns = path.from.netns.as_str();
    let mut last: Option<(Track, f64)> = None;
    for (i, piece) in packet.pieces.iter().enumerate() {
        let hop = piece.hop.and_then(|h| path.hops.get(h));
        netns = hop.map_or(netns, |h| h.netns.as_str());
        let track = tracks.of(netns, piece.cpu, lane);
        let ts = us(packet.start_ns) + piece.at_ns as f64 / 1000.0;
        let (name, category) = hop.map_or_else(
            || ("unattributed".to_owned(), "unattributed".to_owned()),
            |h| (words::what(h), h.group.clone()),
        );
        let mut slice = json!({
            "ph": "X", "name": name, "cat": category, "pid": track.process, "tid": track.thread(),
            "ts": ts, "dur": piece.ns as f64 / 1000.0,
            "args": {
                "packet": format!("{} {}", path.direction, packet.label),
                "where": hop.map(crate::snapshot::HopReport::place),
                "kind": hop.map(|h| h.kind.clone()),
                "path": path.name,
                "total_us": packet.total_ns as f64 / 1000.0,
            },
        });
        if piece.ns < 0 {
            // Between two CPUs' clocks; a slice can't show that.
            slice["ph"] = "i".into();
            slice["s"] = "t".into();
        }
        events.push(slice);
        if let Some((from, at)) = last.filter(|(from, _)| *from != track) {
            let flow = format!("{id}.{i}");
            let arrow = |ph: &str, track: Track, ts: f64| {
                json!({
                    "ph": ph, "id": flow, "name": "goes on", "cat": "packet",
                    "pid": track.process, "tid": track.thread(), "ts": ts,
                })
            };
            events.push(arrow("s", from, at));
            // Into the slice that it stands in, not the next one.
            let mut end = arrow("f", track, ts);
            end["bp"] = "e".into();
            events.push(end);
        }
        last = Some((track, ts));
    }
}

fn us(ns: u64) -> f64 {
    ns as f64 / 1000.0
}
