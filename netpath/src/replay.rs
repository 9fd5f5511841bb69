//! A recording through the same stages as live events.
//!
//! In: a recording. Out: a snapshot, or the packets one by one.

use std::path::Path;

use crate::{
    explain,
    flight::Flight,
    ledger::Ledger,
    pipeline::Pipeline,
    recording::{Reader, RecordingError},
    session::Ending,
    snapshot::Snapshot,
};

/// The recording's ledger as a snapshot. Damage is noted in it; what precedes it is used.
pub fn snapshot(file: &Path) -> Result<Snapshot, RecordingError> {
    let mut reader = Reader::open(file)?;
    let mut ledger = Ledger::of(&reader.session);
    let pipeline = run(&mut reader, &mut ledger, |flight, ledger| ledger.add(flight));
    ledger.finish();
    let mut ending = reader.ending.take().unwrap_or_else(|| Ending {
        duration_ns: pipeline.1.saturating_sub(reader.session.since_ns),
        notes: vec!["the recording has no end: its writer was killed or its disk was full".into()],
        ..Ending::default()
    });
    if let Some(damage) = &reader.damage {
        ending.notes.push(format!("{damage}; what precedes it is shown"));
    }
    ledger.name_rules(ending.rules.iter().map(|(at, name)| (*at, name.as_str())));
    ledger.functions.clone_from(&ending.functions);
    ledger.accounting = pipeline.0.accounting();
    ending.notes.extend(ledger.notes().into_iter().chain(pipeline.0.notes()));
    Ok(explain::snapshot(&mut ledger, &reader.session, &ending))
}

/// Gives each packet of a recording to `each`, in the order in which they ended, with a ledger that
/// knows what its marks mean. What precedes damage is given; the reader then knows of the damage.
pub fn flights(reader: &mut Reader, each: impl FnMut(&Flight, &mut Ledger)) {
    let mut ledger = Ledger::of(&reader.session);
    run(reader, &mut ledger, each);
}

/// Runs all events through the pipeline; returns it, and the last watermark.
fn run(
    reader: &mut Reader,
    ledger: &mut Ledger,
    mut each: impl FnMut(&Flight, &mut Ledger),
) -> (Pipeline, u64) {
    let mut pipeline = Pipeline::of(&reader.session);
    let mut last_ns = reader.session.since_ns;
    // Of the changes to the probes, the last one that the pipeline knows of.
    let mut told_ns = 0;
    while let Some(step) = reader.step() {
        if step.changed {
            ledger.hooks.clone_from(&reader.session.hooks);
            ledger.know(&reader.session.topology);
            ledger.unsure_in.clone_from(&reader.session.unsure_in);
            for window in &reader.session.unsure {
                if window.0 > told_ns {
                    told_ns = window.0;
                    pipeline.unsure(*window);
                }
            }
        }
        for chunk in step.chunks() {
            pipeline.chunk(chunk);
        }
        pipeline.tell(ledger);
        pipeline.advance_with(step.watermark_ns, |flight| each(flight, ledger));
        last_ns = last_ns.max(step.watermark_ns);
    }
    pipeline.finish_with(|flight| each(flight, ledger));
    (pipeline, last_ns)
}
