//! Files that are whole, cut off, and changed at any place; and how large they are.

use std::path::Path;

use netpath_common::wire::ABI;

use super::*;
use crate::{pipeline::Pipeline, session::Session};

/// What a recording's reader gets: watermarks with their chunks, and whether there was an ending.
type Content = (Vec<(u64, Vec<Vec<u8>>)>, bool);

/// A small recording, its content, and where its frames begin (and the file ends).
fn small() -> (Vec<u8>, Content, Vec<u64>) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut writer = Writer::create(file.path()).unwrap();
    let mut begins = vec![writer.written];
    writer.session(&Session { abi: ABI, iface: "veth0".into(), ..Session::default() }).unwrap();
    begins.push(writer.written);
    let mut steps = Vec::new();
    for step in 1..4_u8 {
        let chunks = vec![vec![step; 40], vec![step + 100; 24]];
        for chunk in &chunks {
            writer.chunk(chunk);
        }
        let watermark = u64::from(step) * 1_000;
        writer.advance(watermark).unwrap();
        writer.flush().unwrap();
        steps.push((watermark, chunks));
        begins.push(writer.written);
    }
    let end = writer.end(&crate::session::Ending::default()).unwrap();
    begins.push(end);
    (std::fs::read(file.path()).unwrap(), (steps, true), begins)
}

fn read(path: &Path) -> Result<(Content, Option<RecordingError>), RecordingError> {
    let mut reader = Reader::open(path)?;
    let mut steps = Vec::new();
    while let Some(step) = reader.step() {
        steps.push((step.watermark_ns, step.chunks().map(<[u8]>::to_vec).collect()));
    }
    Ok(((steps, reader.ending.is_some()), reader.damage))
}

/// What comes of these bytes.
fn read_bytes(bytes: &[u8]) -> Result<(Content, Option<RecordingError>), RecordingError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    read(file.path())
}

/// Where the damage is said to be.
fn place(damage: &RecordingError) -> u64 {
    match damage {
        RecordingError::Damaged { offset, .. } => {
            assert!(damage.to_string().contains(&format!("at byte {offset}")), "{damage}");
            *offset
        }
        other => panic!("{other}"),
    }
}

#[test]
fn what_was_written_is_read() {
    let (bytes, content, _) = small();
    let (read, damage) = read_bytes(&bytes).unwrap();
    assert!(damage.is_none(), "{damage:?}");
    assert_eq!(read, content);
}

#[test]
fn a_file_that_ends_anywhere_is_good_up_to_there() {
    let (bytes, (steps, _), begins) = small();
    for length in 0..bytes.len() {
        // Frames that are whole; the first holds the session.
        let whole = begins.iter().filter(|b| **b <= length as u64).count().saturating_sub(1);
        let at_frame = begins.contains(&(length as u64));
        match read_bytes(&bytes[..length]) {
            Ok(((read, ending), damage)) => {
                assert!(whole >= 1 && !ending, "{length}");
                assert_eq!(read, steps[..whole - 1], "{length}");
                assert_eq!(damage.as_ref().map(place), (!at_frame).then(|| begins[whole]));
            }
            Err(RecordingError::NotOne { .. }) => assert!((length as u64) < begins[0], "{length}"),
            Err(RecordingError::Empty { .. }) => assert_eq!(length as u64, begins[0]),
            Err(error) => assert_eq!((whole, place(&error)), (0, begins[0]), "{length}"),
        }
    }
}

#[test]
fn a_bit_that_is_turned_anywhere_is_noticed_and_what_precedes_it_is_used() {
    let (bytes, (steps, _), begins) = small();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            // The frame that it is in.
            let frame = begins.iter().filter(|b| **b <= at as u64).count();
            match read_bytes(&changed) {
                Ok(((read, _), damage)) => {
                    assert!(frame >= 2, "byte {at}, bit {bit} was not noticed");
                    let damage = damage.unwrap_or_else(|| panic!("byte {at}, bit {bit}"));
                    assert_eq!(place(&damage), begins[frame - 1], "byte {at}, bit {bit}");
                    assert_eq!(read, steps[..(frame - 2).min(steps.len())]);
                }
                Err(RecordingError::NotOne { .. }) => assert!(at < MAGIC.len()),
                // As version 1, a frame has another checksum.
                Err(RecordingError::Version { .. }) => assert!((at as u64) < begins[0]),
                Err(error) => {
                    assert!(frame <= 1, "byte {at}, bit {bit}: {error}");
                    assert_eq!(place(&error), begins[0]);
                }
            }
        }
    }
}

#[test]
fn an_event_takes_few_bytes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bridge-nat.npz");
    let mut reader = Reader::open(&path).unwrap();
    let mut pipeline = Pipeline::of(&reader.session);
    let mut bytes = 0;
    let mut packed = tempfile::NamedTempFile::new().unwrap();
    let mut writer = Writer::create(packed.path()).unwrap();
    while let Some(step) = reader.step() {
        for chunk in step.chunks() {
            bytes += chunk.len();
            pipeline.chunk(chunk);
            writer.chunk(chunk);
        }
        writer.advance(step.watermark_ns).unwrap();
    }
    writer.flush().unwrap();
    let written = packed.as_file_mut().metadata().unwrap().len();
    let each = |bytes: u64| bytes as f64 / pipeline.events as f64;
    let (before, after) = (each(bytes as u64), each(written));
    println!("{} events: {before:.1} bytes each, {after:.1} in the file", pipeline.events);
    assert!(before <= 40.0, "{before} bytes an event");
    assert!(after <= 15.0, "{after} bytes an event in the file");
}
