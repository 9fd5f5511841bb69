//! Diagnostics while the live view is shown: held back, and written to stderr once the terminal has
//! been given back.

use std::{
    io::{self, Write},
    sync::{Mutex, PoisonError},
};

use super::terminal::Screen;

/// More than this is cut off at the front, bytes.
const HELD_MAX: usize = 1 << 16;

static HELD: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Stderr, but never over the live view.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !Screen::is_ours() {
            return io::stderr().write(bytes);
        }
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        held.extend_from_slice(bytes);
        let over = held.len().saturating_sub(HELD_MAX);
        held.drain(..over);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Writes what was held back.
pub(super) fn release() {
    let held = std::mem::take(&mut *HELD.lock().unwrap_or_else(PoisonError::into_inner));
    let _ = io::stderr().write_all(&held);
}
