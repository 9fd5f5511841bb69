//! Where results go.

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal as _, Write},
    path::Path,
};

use anyhow::{Context as _, bail};

use super::{
    args::{Color, Look, Output, Thresholds},
    exit::Status,
};
use crate::{
    fail_if,
    report::{self, Format, ReportError},
    snapshot::Snapshot,
    view::summary::Style,
};

/// An output that is known to be writable before anything is measured.
pub(super) struct Sink {
    format: Format,
    style: Style,
    to: Box<dyn Write>,
    page: Option<Box<dyn Write>>,
    thresholds: Thresholds,
}

impl Sink {
    /// `default` is the format where none was asked for.
    pub(super) fn open(output: &Output, default: Format) -> anyhow::Result<Self> {
        let (to, style) = open(output.output.as_deref(), output.look)?;
        let page = output.report.as_deref().map(create).transpose()?;
        let thresholds = output.thresholds.clone();
        let format = output.format().unwrap_or(default);
        Ok(Self { format, style, to, page, thresholds })
    }

    /// The same, for who has snapshots and no recording.
    pub(super) fn of_snapshots(self) -> Result<Self, ReportError> {
        if self.format.is_of_snapshot() { Ok(self) } else { Err(ReportError::NeedsRecording) }
    }

    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// Where the bytes go, for a format that is not made of a snapshot.
    pub(super) fn bytes(&mut self) -> &mut dyn Write {
        &mut self.to
    }

    /// Writes what is known so far; more follows.
    pub(super) fn write_so_far(&mut self, snapshot: &Snapshot) -> Result<(), ReportError> {
        report::write(snapshot, self.format, self.style, &mut self.to)
    }

    /// Writes the results, and judges them.
    pub(super) fn write(&mut self, snapshot: &Snapshot) -> anyhow::Result<Status> {
        if self.format.is_of_snapshot() {
            report::write(snapshot, self.format, self.style, &mut self.to)?;
        }
        if let Some(page) = &mut self.page {
            report::write(snapshot, Format::Html, self.style, page)?;
        }
        judge(&self.thresholds, snapshot)
    }
}

/// Says on stderr which thresholds were passed. One that can't be judged is an error.
fn judge(thresholds: &Thresholds, snapshot: &Snapshot) -> anyhow::Result<Status> {
    let verdict = fail_if::judge(&thresholds.fail_if, snapshot);
    let mut err = io::stderr();
    for sentence in &verdict.passed {
        writeln!(err, "netpath: threshold passed: {sentence}")?;
    }
    if !verdict.passed.is_empty() {
        return Ok(Status::Threshold);
    }
    if let Some(first) = verdict.unjudged.first() {
        bail!("cannot judge --fail-if {first}");
    }
    Ok(Status::Fine)
}

/// A file or stdout, and how text looks there.
pub(super) fn open(file: Option<&Path>, look: Look) -> anyhow::Result<(Box<dyn Write>, Style)> {
    Ok(match file {
        Some(path) => {
            let color = look.color == Color::Always;
            (create(path)?, Style { color, ..Style::default() })
        }
        None => (Box::new(BufWriter::new(io::stdout())), stdout_style(look)),
    })
}

fn create(path: &Path) -> anyhow::Result<Box<dyn Write>> {
    let file = File::create(path).with_context(|| format!("cannot write to {}", path.display()))?;
    Ok(Box::new(BufWriter::new(file)))
}

/// How text looks on stdout: as wide as its terminal, and in colour where that is wanted.
fn stdout_style(look: Look) -> Style {
    let terminal = io::stdout().is_terminal();
    let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty())
        || std::env::var_os("TERM").is_some_and(|v| v == "dumb");
    let color = match look.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => terminal && !plain,
    };
    Style { width: terminal_width(), color }
}

/// Columns of the terminal; 100 where there is none.
pub(super) fn terminal_width() -> usize {
    if !io::stdout().is_terminal() {
        return Style::default().width;
    }
    terminal_size::terminal_size().map_or(Style::default().width, |(width, _)| usize::from(width.0))
}

/// Writes to stdout; a reader that has gone is an error like any other here.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}
