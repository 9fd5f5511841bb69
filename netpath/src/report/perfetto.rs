//! Packets on a time line: Chrome's trace JSON, which Perfetto and chrome://tracing read.
//!
//! In: a snapshot's single packets. Out: a process per network namespace, a thread per CPU in it,
//! a slice per piece of a packet's time, and an arrow where a packet goes on elsewhere. Times are µs
//! since recording began.

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
    threads: Vec<(usize, u16)>,
}

/// A namespace's process, and a CPU's thread in it. Numbers begin with 1: 0 is the idle task's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Track {
    process: usize,
    thread: u16,
}

impl Tracks {
    fn of(&mut self, netns: &str, cpu: u16) -> Track {
        let at = self.namespaces.iter().position(|n| n == netns).unwrap_or_else(|| {
            self.namespaces.push(netns.to_owned());
            self.namespaces.len() - 1
        });
        let process = at + 1;
        if !self.threads.contains(&(process, cpu)) {
            self.threads.push((process, cpu));
        }
        Track { process, thread: cpu + 1 }
    }

    fn names(&self) -> Vec<Value> {
        let processes = self.namespaces.iter().enumerate().map(|(i, name)| {
            json!({"ph": "M", "name": "process_name", "pid": i + 1, "tid": 0, "args": {"name": name}})
        });
        let threads = self.threads.iter().map(|(process, cpu)| {
            let name = format!("CPU {cpu}");
            json!({"ph": "M", "name": "thread_name", "pid": process, "tid": cpu + 1, "args": {"name": name}})
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
    let mut netns = path.from.netns.as_str();
    let mut last: Option<(Track, f64)> = None;
    for (i, piece) in packet.pieces.iter().enumerate() {
        let hop = piece.hop.and_then(|h| path.hops.get(h));
        netns = hop.map_or(netns, |h| h.netns.as_str());
        let track = tracks.of(netns, piece.cpu);
        let ts = us(packet.start_ns) + piece.at_ns as f64 / 1000.0;
        let (name, category) = hop.map_or_else(
            || ("unattributed".to_owned(), "unattributed".to_owned()),
            |h| (words::what(h), h.group.clone()),
        );
        events.push(json!({
            "ph": "X", "name": name, "cat": category, "pid": track.process, "tid": track.thread,
            "ts": ts, "dur": piece.ns as f64 / 1000.0,
            "args": {
                "packet": format!("{} {}", path.direction, packet.label),
                "where": hop.map(crate::snapshot::HopReport::place),
                "kind": hop.map(|h| h.kind.clone()),
                "path": path.name,
                "total_us": packet.total_ns as f64 / 1000.0,
            },
        }));
        if let Some((from, at)) = last.filter(|(from, _)| *from != track) {
            let flow = format!("{id}.{i}");
            let arrow = |ph: &str, track: Track, ts: f64| {
                json!({
                    "ph": ph, "bp": "e", "id": flow, "name": "goes on", "cat": "packet",
                    "pid": track.process, "tid": track.thread, "ts": ts,
                })
            };
            events.push(arrow("s", from, at));
            events.push(arrow("f", track, ts));
        }
        last = Some((track, ts));
    }
}

fn us(ns: u64) -> f64 {
    ns as f64 / 1000.0
}
