//! Forms of other tools, against what their authors have published: the types below say what may
//! and must stand in a file, and nothing else may.

use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, Stdio},
};

use serde::Deserialize;
use serde_json::Value;

use super::{fixture, path, text};
use crate::{
    recording::Reader,
    replay,
    report::{
        Format, passage,
        pcapng::Capture,
        stack::{self, WAITING},
    },
};

/// speedscope's file format: `https://www.speedscope.app/file-format-schema.json`, made from
/// src/lib/file-format-spec.ts there.
mod speedscope {
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    pub(super) struct File {
        #[serde(rename = "$schema")]
        pub(super) schema: String,
        pub(super) shared: Shared,
        pub(super) profiles: Vec<Profile>,
        pub(super) name: Option<String>,
        pub(super) active_profile_index: Option<usize>,
        pub(super) exporter: Option<String>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Shared {
        pub(super) frames: Vec<Frame>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "they may be there")]
    pub(super) struct Frame {
        pub(super) name: String,
        pub(super) file: Option<String>,
        pub(super) line: Option<u32>,
        pub(super) col: Option<u32>,
    }

    /// There are evented ones, too; netpath makes none.
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    pub(super) struct Profile {
        #[serde(rename = "type")]
        pub(super) kind: Kind,
        pub(super) name: String,
        pub(super) unit: Unit,
        pub(super) start_value: f64,
        pub(super) end_value: f64,
        pub(super) samples: Vec<Vec<usize>>,
        pub(super) weights: Vec<f64>,
    }

    #[derive(Debug, Deserialize, PartialEq, Eq)]
    #[serde(rename_all = "camelCase")]
    pub(super) enum Kind {
        Sampled,
    }

    #[derive(Debug, Deserialize, PartialEq, Eq)]
    #[serde(rename_all = "camelCase")]
    pub(super) enum Unit {
        Bytes,
        Microseconds,
        Milliseconds,
        Nanoseconds,
        None,
        Seconds,
    }
}

#[test]
fn a_speedscope_file_is_as_its_schema_says() {
    let file: speedscope::File = serde_json::from_str(&text(Format::Speedscope)).unwrap();
    assert_eq!(file.schema, "https://www.speedscope.app/file-format-schema.json");
    assert!(file.name.is_some() && file.exporter.is_some_and(|e| e.starts_with("netpath@")));
    assert!(file.active_profile_index.is_none_or(|i| i < file.profiles.len()));
    let snapshot = fixture();
    let packets: usize = snapshot.paths.iter().map(|p| p.packets_shown.len()).sum();
    assert!(packets > 0);
    assert_eq!(file.profiles.len(), snapshot.paths.len() + packets);
    for profile in &file.profiles {
        assert_eq!(
            (&profile.kind, &profile.unit),
            (&speedscope::Kind::Sampled, &speedscope::Unit::Nanoseconds)
        );
        assert_eq!(profile.samples.len(), profile.weights.len(), "{}", profile.name);
        let sum: f64 = profile.weights.iter().sum();
        assert!((profile.end_value - profile.start_value - sum).abs() < 0.5, "{}", profile.name);
        assert!(profile.weights.iter().all(|w| *w > 0.0), "{}", profile.name);
        let frames = profile.samples.iter().flatten();
        assert!(
            frames.clone().count() > 0 && frames.clone().all(|i| *i < file.shared.frames.len())
        );
    }
    // A single packet takes what it took.
    for path in &snapshot.paths {
        for packet in &path.packets_shown {
            let ns: u64 = stack::packet_lines(path, packet).iter().map(|l| l.ns).sum();
            assert_eq!(i64::try_from(ns).unwrap(), packet.total_ns, "{}", packet.label);
        }
    }
    assert!(file.shared.frames.iter().any(|f| f.name.ends_with(WAITING)));
}

/// Chrome's trace events, as far as netpath writes them: the phases X (complete), M (metadata), s and
/// f (flow) of the *Trace Event Format*, object form.
mod chrome {
    use super::{BTreeMap, Deserialize, Value};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    pub(super) struct Trace {
        #[serde(rename = "traceEvents")]
        pub(super) events: Vec<Event>,
        /// `ms` or `ns`.
        pub(super) display_time_unit: String,
        #[expect(dead_code, reason = "anything may stand here")]
        pub(super) other_data: BTreeMap<String, Value>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(tag = "ph", deny_unknown_fields)]
    pub(super) enum Event {
        X {
            name: String,
            cat: String,
            pid: u64,
            tid: u64,
            ts: f64,
            dur: f64,
            args: BTreeMap<String, Value>,
        },
        M {
            name: String,
            pid: u64,
            tid: u64,
            args: BTreeMap<String, Value>,
        },
        #[serde(rename = "s")]
        Start {
            name: String,
            cat: String,
            id: String,
            pid: u64,
            tid: u64,
            ts: f64,
        },
        #[serde(rename = "f")]
        Finish {
            name: String,
            cat: String,
            id: String,
            pid: u64,
            tid: u64,
            ts: f64,
            /// `e`: the slice that it stands in, not the next one.
            bp: String,
        },
    }
}

#[test]
fn a_time_line_is_as_chromes_format_says() {
    use chrome::Event;
    let trace: chrome::Trace = serde_json::from_str(&text(Format::Perfetto)).unwrap();
    assert_eq!(trace.display_time_unit, "ns");
    let mut names: BTreeMap<(u64, u64), String> = BTreeMap::new();
    let mut slices: BTreeMap<(u64, u64), Vec<(f64, f64)>> = BTreeMap::new();
    let (mut starts, mut ends) = (Vec::new(), Vec::new());
    for event in trace.events {
        match event {
            Event::M { name, pid, tid, args } => {
                assert!(["process_name", "thread_name"].contains(&name.as_str()), "{name}");
                let text = args["name"].as_str().expect("a name").to_owned();
                let tid = if name == "process_name" { 0 } else { tid };
                assert!(names.insert((pid, tid), text).is_none(), "{pid} {tid} has two names");
            }
            Event::X { name, cat, pid, tid, ts, dur, args } => {
                assert!(!name.is_empty() && !cat.is_empty() && args.contains_key("packet"));
                assert!(dur >= 0.0 && ts >= 0.0, "{name} at {ts} takes {dur}");
                slices.entry((pid, tid)).or_default().push((ts, ts + dur));
            }
            Event::Start { name, cat, id, pid, tid, ts } => {
                starts.push(((name, cat, id), (pid, tid), ts));
            }
            Event::Finish { name, cat, id, pid, tid, ts, bp } => {
                assert_eq!(bp, "e");
                ends.push(((name, cat, id), (pid, tid), ts));
            }
        }
    }
    for (track, slices) in &mut slices {
        assert!(names.contains_key(track) && names.contains_key(&(track.0, 0)), "{track:?}");
        // Slices of one thread follow each other; a nanosecond is the least that there is.
        slices.sort_by(|a, b| a.partial_cmp(b).unwrap());
        for pair in slices.windows(2) {
            assert!(pair[0].1 <= pair[1].0 + 0.0005, "{track:?}: {pair:?}");
        }
    }
    let holds = |track, ts| slices[track].iter().any(|(a, b)| *a <= ts && ts <= *b);
    assert_eq!(starts.len(), ends.len());
    assert!(!starts.is_empty(), "packets cross namespaces");
    for ((from, at, begin), (to, until, end)) in starts.iter().zip(&ends) {
        assert_eq!(from, to);
        assert!(at != until && begin <= end, "{from:?}");
        assert!(holds(at, *begin) && holds(until, *end), "{from:?} hangs in the air");
    }
    let mut ids: Vec<_> = starts.iter().map(|s| &s.0).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), starts.len(), "an arrow's id is its own");
}

#[test]
fn packets_that_were_under_way_together_have_threads_of_their_own() {
    let mut snapshot = fixture();
    for packet in snapshot.paths.iter_mut().flat_map(|p| &mut p.packets_shown) {
        packet.start_ns = 1_000;
    }
    let trace = serde_json::to_value(super::super::perfetto::trace(&snapshot)).unwrap();
    let mut slices: BTreeMap<(u64, u64), Vec<(u64, u64)>> = BTreeMap::new();
    for slice in trace["traceEvents"].as_array().unwrap().iter().filter(|e| e["ph"] == "X") {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
        let ns = |name: &str| (slice[name].as_f64().unwrap() * 1000.0).round() as u64;
        let thread = (slice["pid"].as_u64().unwrap(), slice["tid"].as_u64().unwrap());
        slices.entry(thread).or_default().push((ns("ts"), ns("ts") + ns("dur")));
    }
    for (thread, mut slices) in slices {
        slices.sort_unstable();
        assert!(slices.windows(2).all(|w| w[0].1 <= w[1].0), "{thread:?}: {slices:?}");
    }
}

/// The fixture as pcapng, and the comments of its records.
fn capture() -> (Vec<u8>, usize) {
    let mut reader = Reader::open(&path()).unwrap();
    let session = reader.session.clone();
    let mut bytes = Vec::new();
    let mut capture = Capture::begin(&mut bytes, &session).unwrap();
    let mut records = 0;
    replay::flights(&mut reader, |flight, ledger| {
        if let Some(passage) = passage::of(flight, ledger, &session) {
            records += 1 + usize::from(passage.from != passage.to);
            capture.add(&passage).unwrap();
        }
    });
    (bytes, records)
}

#[test]
fn wireshark_reads_every_record_with_its_addresses_and_comments() {
    let (bytes, records) = capture();
    let fields =
        ["-e", "frame.number", "-e", "ip.src", "-e", "_ws.malformed", "-e", "frame.comment"];
    let tshark = Command::new("tshark")
        .args(["-n", "-r", "-", "-T", "fields"])
        .args(fields)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut tshark = match tshark {
        Ok(child) => child,
        Err(error) => {
            let set = |name: &str, value: &str| std::env::var(name).as_deref() == Ok(value);
            let excused = set("NETPATH_WITHOUT", "tshark") || !set("NETPATH_REQUIRE_KERNEL", "1");
            assert!(excused, "tshark can't be run: {error}");
            println!("SKIP Wireshark's opinion: tshark can't be run: {error}");
            return;
        }
    };
    let mut input = tshark.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || input.write_all(&bytes));
    let output = tshark.wait_with_output().unwrap();
    feeder.join().unwrap().expect("it reads all of it");
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{complaint}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Vec<&str>> = text.lines().map(|l| l.split('\t').collect()).collect();
    assert_eq!(lines.len(), records, "{complaint}");
    for line in &lines {
        let [number, source, malformed, comment] = line[..] else { panic!("{line:?}") };
        assert!(!source.is_empty() && malformed.is_empty(), "record {number}: {line:?}");
        assert!(comment.starts_with("flight "), "record {number}: {comment}");
    }
    // The record of where a packet was first seen has its hops.
    assert!(lines.iter().any(|l| l[3].contains("conntrack track, host PREROUTING: ")), "{text}");
}
