//! Ctrl-C: the first ends the run in order, the second at once.

use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::exit::Status;

static CAUGHT: AtomicUsize = AtomicUsize::new(0);

extern "C" fn on_signal(_signal: libc::c_int) {
    if CAUGHT.fetch_add(1, Ordering::Relaxed) > 0 {
        crate::tui::terminal::restore_from_handler();
        // SAFETY: _exit is async-signal-safe; the kernel detaches everything.
        unsafe { libc::_exit(Status::Interrupted as i32) }
    }
}

/// From now on, SIGINT and SIGTERM are counted instead of ending the process.
pub(super) fn catch() -> nix::Result<()> {
    let action = SigAction::new(SigHandler::Handler(on_signal), SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        // SAFETY: the handler only touches atomics, write, tcsetattr and _exit.
        unsafe { sigaction(signal, &action) }?;
    }
    Ok(())
}

/// Whether to stop.
pub(super) fn requested() -> bool {
    CAUGHT.load(Ordering::Relaxed) > 0
}
