//! Where results go.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Write},
};

use anyhow::Context as _;

use super::args::{Format, Output};
use crate::{
    snapshot::Snapshot,
    view::summary::{self, Style},
};

/// An output that is known to be writable before anything is measured.
pub(super) struct Sink {
    format: Format,
    to: Box<dyn Write>,
    width: usize,
}

impl Sink {
    pub(super) fn open(output: &Output, format: Format) -> anyhow::Result<Self> {
        let (to, width): (Box<dyn Write>, usize) = match &output.output {
            Some(path) => {
                let file = File::create(path)
                    .with_context(|| format!("cannot write to {}", path.display()))?;
                (Box::new(file), Style::default().width)
            }
            None => (Box::new(io::stdout()), terminal_width()),
        };
        Ok(Self { format, to, width })
    }

    pub(super) fn write(&mut self, snapshot: &Snapshot) -> anyhow::Result<()> {
        let text = match self.format {
            Format::Tui | Format::Summary => summary::render(snapshot, Style { width: self.width }),
            Format::Json => serde_json::to_string_pretty(snapshot)? + "\n",
            Format::Ndjson => serde_json::to_string(snapshot)? + "\n",
        };
        self.to.write_all(text.as_bytes())?;
        self.to.flush()?;
        Ok(())
    }
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
