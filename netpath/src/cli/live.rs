//! The live view, on the terminal of this process.

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal as _},
    path::PathBuf,
};

use anyhow::Context as _;
use thiserror::Error;

use super::{
    args::{self, Color},
    interrupt,
};
use crate::{
    report::{self, Format},
    snapshot::Snapshot,
    tui::{self, Depth, Look, Options, Source},
    view::summary::Style,
};

/// What this terminal can show, and what was asked for.
fn look(asked: args::Look) -> Look {
    let mut look = Look::of_environment(|name| std::env::var(name).ok());
    look.ascii |= asked.ascii;
    match (asked.color, look.depth) {
        (Color::Never, _) => look.depth = Depth::None,
        (Color::Always, Depth::None) => look.depth = Depth::Palette,
        _ => {}
    }
    look
}

/// There is no terminal to show the live view on.
#[derive(Debug, Error)]
#[error(
    "the live view needs a terminal at stdin and stdout; without one, use --format summary, json \
     or ndjson"
)]
pub(super) struct NoTerminal;

/// Fails where the live view is asked for and can't be shown, before anything is attached.
pub(super) fn check(format: Format) -> Result<(), NoTerminal> {
    let terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    if format == Format::Tui && !terminal { Err(NoTerminal) } else { Ok(()) }
}

/// Shows snapshots until the viewer quits, or there are no more.
pub(super) fn view(source: &mut dyn Source, asked: args::Look) -> anyhow::Result<()> {
    let look = look(asked);
    let options = Options { look, interrupted: interrupt::requested, write: &write };
    tui::run(source, &options).context("cannot show the live view")
}

/// Writes a report beside where netpath was started; no file that is there is touched.
fn write(snapshot: &Snapshot) -> Result<String, String> {
    let started = snapshot.started.replace([':', '-'], "");
    for n in 0..1000 {
        let again = if n == 0 { String::new() } else { format!("-{n}") };
        let path = PathBuf::from(format!("netpath-{}-{started}{again}.html", snapshot.iface));
        let file = match File::create_new(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(format!("cannot write {}: {error}", path.display())),
        };
        let mut out = BufWriter::new(file);
        return match report::write(snapshot, Format::Html, Style::default(), &mut out) {
            Ok(()) => Ok(format!("wrote {}", path.display())),
            Err(error) => Err(format!("cannot write {}: {error}", path.display())),
        };
    }
    Err(format!("there are a thousand reports netpath-{}-{started} here", snapshot.iface))
}
