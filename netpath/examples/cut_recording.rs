//! Cuts a recording to its first chunks: for fixtures, and for sending a part of one.
//!
//! In: a recording, how many chunks of each CPU to keep. Out: a recording.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, bail};
use netpath::{
    decode,
    recording::{Reader, Writer},
    session::Ending,
};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to, keep] = &arguments[..] else { bail!("cut_recording FROM TO CHUNKS_PER_CPU") };
    let keep: usize = keep.parse().with_context(|| format!("{keep} is no number of chunks"))?;
    let mut reader = Reader::open(Path::new(from))?;
    let mut writer = Writer::create(Path::new(to))?;
    writer.session(&reader.session)?;
    let mut kept: BTreeMap<u16, usize> = BTreeMap::new();
    let mut last_ns = reader.session.since_ns;
    while let Some(step) = reader.step() {
        for chunk in step.chunks() {
            let Ok(header) = decode::header(chunk) else { continue };
            let n = kept.entry(header.cpu).or_default();
            if *n < keep {
                *n += 1;
                last_ns = last_ns.max(header.base_ns);
                writer.chunk(chunk);
            }
        }
    }
    writer.advance(last_ns)?;
    let bytes = writer.end(&Ending {
        duration_ns: last_ns - reader.session.since_ns,
        ..reader.ending.take().unwrap_or_default()
    })?;
    println!("{to}: {bytes} bytes");
    Ok(())
}
