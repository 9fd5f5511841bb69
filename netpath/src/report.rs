//! Reports: a snapshot in the forms that people, browsers and other tools read.
//!
//! In: a [`Snapshot`], and nothing else but, for packets' headers, the flights behind it. Out: bytes.
//! Each form is a module; what they share is in [`words`] (names and sentences) and [`stack`] (the
//! ledger as nested frames).

pub mod diff;
mod folded;
mod html;
mod markdown;
pub mod passage;
pub mod pcapng;
mod perfetto;
mod speedscope;
pub(crate) mod stack;
mod svg;
pub(crate) mod words;

use std::io::{self, Write};

use thiserror::Error;

use crate::{
    explain::{self, bill},
    snapshot::Snapshot,
    view::summary::{self, Style},
};

/// A form of report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Tui,
    Summary,
    Explain,
    Json,
    Ndjson,
    Markdown,
    Html,
    Folded,
    Svg,
    Speedscope,
    Perfetto,
    Pcapng,
}

/// How a form is named and what it is for.
#[derive(Debug)]
pub struct FormatInfo {
    pub format: Format,
    /// The name on the command line.
    pub key: &'static str,
    /// What it is, in a sentence.
    pub what: &'static str,
}

/// All forms, in the order in which help shows them.
pub const FORMATS: &[FormatInfo] = &[
    FormatInfo {
        format: Format::Tui,
        key: "tui",
        what: "The live view; the summary follows when it is left",
    },
    FormatInfo { format: Format::Summary, key: "summary", what: "Tables for a terminal" },
    FormatInfo {
        format: Format::Explain,
        key: "explain",
        what: "What costs, why, and what would help, in sentences",
    },
    FormatInfo {
        format: Format::Json,
        key: "json",
        what: "The whole report, as docs/report.schema.json describes it",
    },
    FormatInfo {
        format: Format::Ndjson,
        key: "ndjson",
        what: "The report on one line; while tracing, what is known so far, every second",
    },
    FormatInfo { format: Format::Markdown, key: "markdown", what: "Tables for a ticket" },
    FormatInfo {
        format: Format::Html,
        key: "html",
        what: "One page that needs nothing else: pictures, flame, packets, histograms",
    },
    FormatInfo {
        format: Format::Folded,
        key: "folded",
        what: "Folded stacks weighted by nanoseconds of packet latency, for flame graph tools",
    },
    FormatInfo { format: Format::Svg, key: "svg", what: "A flame graph" },
    FormatInfo { format: Format::Speedscope, key: "speedscope", what: "A profile for speedscope" },
    FormatInfo {
        format: Format::Perfetto,
        key: "perfetto",
        what: "Packets on a time line, for Perfetto and chrome://tracing (Chrome's trace JSON)",
    },
    FormatInfo {
        format: Format::Pcapng,
        key: "pcapng",
        what: "The recorded packets' headers with their hops as comments, for Wireshark; from a \
               recording",
    },
];

impl Format {
    pub fn info(self) -> &'static FormatInfo {
        // One row per form, in its order: a test holds the table to that.
        &FORMATS[self as usize]
    }

    /// Whether it is made of a snapshot; else it needs the packets of a recording.
    pub fn is_of_snapshot(self) -> bool {
        self != Self::Pcapng
    }
}

/// Why a report could not be written.
#[derive(Debug, Error)]
pub enum ReportError {
    #[error("cannot write the report: {0}")]
    Io(#[from] io::Error),
    #[error("cannot put the report into JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("cannot draw the flame graph: {0}")]
    Flame(io::Error),
    #[error("cannot write pcapng: {0}")]
    Pcapng(#[from] pcap_file::PcapError),
    #[error(
        "pcapng is made from a recording: `netpath record … -o FILE.npz`, then `netpath report \
         FILE.npz --format pcapng`"
    )]
    NeedsRecording,
    #[error("no packet got through, so there is nothing to draw")]
    Empty,
}

/// Writes `snapshot` in the form `format`. `style` is for the summary.
pub fn write(
    snapshot: &Snapshot,
    format: Format,
    style: Style,
    out: &mut dyn Write,
) -> Result<(), ReportError> {
    match format {
        Format::Tui | Format::Summary => {
            out.write_all(summary::render(snapshot, style).as_bytes())?;
        }
        Format::Explain => {
            let text = bill::render(snapshot, &explain::explain(snapshot));
            out.write_all(text.as_bytes())?;
        }
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, snapshot).map_err(json)?;
            writeln!(out)?;
        }
        Format::Ndjson => {
            serde_json::to_writer(&mut *out, snapshot).map_err(json)?;
            writeln!(out)?;
        }
        Format::Markdown => out.write_all(markdown::render(snapshot).as_bytes())?,
        Format::Html => out.write_all(html::render(snapshot)?.as_bytes())?,
        Format::Folded => out.write_all(folded::render(snapshot).as_bytes())?,
        Format::Svg => svg::write(snapshot, out)?,
        Format::Speedscope => {
            serde_json::to_writer(&mut *out, &speedscope::profile(snapshot)).map_err(json)?;
            writeln!(out)?;
        }
        Format::Perfetto => {
            serde_json::to_writer(&mut *out, &perfetto::trace(snapshot)).map_err(json)?;
            writeln!(out)?;
        }
        Format::Pcapng => return Err(ReportError::NeedsRecording),
    }
    out.flush()?;
    Ok(())
}

/// A JSON writer's error, told as what it is: a closed pipe must be known as one.
fn json(error: serde_json::Error) -> ReportError {
    if error.is_io() { ReportError::Io(error.into()) } else { ReportError::Json(error) }
}

#[cfg(test)]
pub(crate) mod tests;
