//! The live view: a snapshot several times a second, on the terminal.
//!
//! In: snapshots, from a trace or a recording; keys. Out: a screen. It sees snapshots and nothing
//! else of the trace.
//!
//! - [`keys`], `columns`, `palette`: one table each; `help` puts them into words;
//! - `state`: what the viewer has chosen; keys and snapshots change it;
//! - `draw`: a screen of a state, as cells;
//! - [`look`]: what the terminal can show of them;
//! - [`terminal`]: taking the terminal over, and giving it back; [`Offscreen`]: doing without one.

mod columns;
mod draw;
mod held;
mod help;
pub mod keys;
pub mod look;
mod offscreen;
mod palette;
mod rows;
mod state;
pub mod terminal;

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use ratatui::{
    buffer::Buffer,
    crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
};

pub use held::Stderr;
pub use look::{Depth, Look};
pub use offscreen::Offscreen;

use crate::{
    live::{Live, News},
    snapshot::Snapshot,
};
use keys::Action;
use state::{Effect, State};
use terminal::Screen;

/// How often a new snapshot is asked for.
const REFRESH: Duration = Duration::from_millis(250);
/// How long a key is waited for before the trace is looked at.
const TICK: Duration = Duration::from_millis(50);

/// Where snapshots come from.
pub trait Source {
    /// Whether more snapshots come.
    fn is_live(&self) -> bool;
    /// Asks for a new one.
    fn ask(&self);
    fn newest(&mut self) -> News;
    /// Forgets what was gathered.
    fn reset(&self);
}

impl Source for Live {
    fn is_live(&self) -> bool {
        true
    }

    fn ask(&self) {
        Self::ask(self);
    }

    fn newest(&mut self) -> News {
        Self::newest(self)
    }

    fn reset(&self) {
        Self::reset(self);
    }
}

/// One snapshot, of a recording.
#[derive(Debug)]
pub struct Still(Option<Arc<Snapshot>>);

impl Still {
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self(Some(snapshot))
    }
}

impl Source for Still {
    fn is_live(&self) -> bool {
        false
    }

    fn ask(&self) {}

    fn newest(&mut self) -> News {
        self.0.take().map_or(News::Nothing, News::Snapshot)
    }

    fn reset(&self) {}
}

/// What the view needs from outside.
pub struct Options<'a> {
    pub look: Look,
    /// Asked at every turn: whether to end.
    pub interrupted: fn() -> bool,
    /// Writes a report; what to tell about it, or why it failed.
    pub write: &'a dyn Fn(&Snapshot) -> Result<String, String>,
}

/// Shows snapshots until the viewer quits, the source is over, or a signal comes.
pub fn run(source: &mut dyn Source, options: &Options) -> io::Result<()> {
    let mut screen = Screen::enter()?;
    let mut state = State::new(source.is_live());
    // A change of size is heard of from the first poll on, so that one comes before the first draw.
    event::poll(Duration::ZERO)?;
    let mut due = Instant::now();
    let mut dirty = true;
    while !(options.interrupted)() && Screen::is_ours() {
        if terminal::stop_asked() {
            drop(screen);
            terminal::suspend()?;
            screen = Screen::enter()?;
            dirty = true;
        }
        match source.newest() {
            News::Snapshot(snapshot) if !state.paused => {
                state.take(snapshot);
                dirty = true;
            }
            News::Over => break,
            News::Snapshot(_) | News::Nothing => {}
        }
        if !state.paused && due <= Instant::now() {
            source.ask();
            due = Instant::now() + REFRESH;
        }
        if dirty {
            let draw = |buffer: &mut Buffer| render(&state, options.look, buffer);
            screen.terminal.draw(|frame| draw(frame.buffer_mut()))?;
            dirty = false;
        }
        // All keys that are there, before anything is drawn again.
        let mut wait = TICK;
        while event::poll(wait)? {
            wait = Duration::ZERO;
            dirty = true;
            let Event::Key(key) = event::read()? else { continue };
            if key.kind == KeyEventKind::Release {
                continue;
            }
            match on_key(&mut state, key) {
                Effect::None => {}
                Effect::Quit => return Ok(()),
                Effect::Reset => {
                    source.reset();
                    due = Instant::now();
                }
                Effect::Suspend => terminal::ask_to_stop(),
                Effect::Write => {
                    if let Some(snapshot) = state.snapshot() {
                        let told = (options.write)(snapshot);
                        state.message = Some(told.unwrap_or_else(|why| why));
                    }
                }
            }
        }
    }
    Ok(())
}

/// Draws a state as this terminal can show it.
fn render(state: &State, look: Look, buffer: &mut Buffer) {
    draw::screen(state, buffer.area, buffer);
    look.reduce(buffer);
}

/// What a key does, given whether letters go to the filter.
fn on_key(state: &mut State, key: KeyEvent) -> Effect {
    if !state.typing {
        return keys::action(key).map_or(Effect::None, |action| state.act(action));
    }
    match key.code {
        KeyCode::Enter => state.typing = false,
        KeyCode::Esc => {
            state.typing = false;
            while !state.folding.filter.is_empty() {
                state.letter(None);
            }
        }
        KeyCode::Backspace => state.letter(None),
        KeyCode::Char(letter) if !key.modifiers.contains(KeyModifiers::CONTROL) => {
            state.letter(Some(letter));
        }
        _ => match keys::action(key) {
            Some(Action::Quit) => return Effect::Quit,
            Some(Action::Suspend) => return Effect::Suspend,
            _ => {}
        },
    }
    Effect::None
}

#[cfg(test)]
mod tests;
