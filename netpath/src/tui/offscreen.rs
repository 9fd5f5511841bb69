//! The live view without a terminal: what it would write to one goes to a writer. For measuring
//! what a screen costs.
//!
//! In: snapshots. Out: bytes, those that a terminal of this size would get.

use std::{
    io::{self, Write},
    sync::Arc,
};

use ratatui::{Terminal, TerminalOptions, Viewport, backend::CrosstermBackend, layout::Rect};

use super::{Look, render, state::State};
use crate::snapshot::Snapshot;

/// A view that nobody sees.
#[derive(Debug)]
pub struct Offscreen<W: Write> {
    terminal: Terminal<CrosstermBackend<W>>,
    state: State,
    look: Look,
}

impl<W: Write> Offscreen<W> {
    pub fn new(out: W, columns: u16, rows: u16, look: Look) -> io::Result<Self> {
        let viewport = Viewport::Fixed(Rect::new(0, 0, columns, rows));
        let options = TerminalOptions { viewport };
        let terminal = Terminal::with_options(CrosstermBackend::new(out), options)?;
        Ok(Self { terminal, state: State::new(true), look })
    }

    /// Takes a snapshot and draws it, as the live view does when one comes.
    pub fn show(&mut self, snapshot: Arc<Snapshot>) -> io::Result<()> {
        self.state.take(snapshot);
        self.terminal.draw(|frame| render(&self.state, self.look, frame.buffer_mut()))?;
        Ok(())
    }
}
