//! The terminal: taken over for the live view, and given back in every way that it can end.
//!
//! What the terminal was like is kept in a static, so that a panic's hook and a signal's handler
//! can give it back too: whoever comes first does it, once.

use std::{
    io::{self, Stdout, Write as _},
    panic,
    sync::{
        Mutex, Once, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use nix::{
    sys::{
        signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, raise, sigaction},
        termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr},
    },
    unistd::Pid,
};
use ratatui::{Terminal, backend::CrosstermBackend};

use super::held;

/// Whether the screen is ours.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// How the terminal was.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);
/// The same for the signal handler, which can take no lock. Written before `TAKEN` is set.
static mut BEFORE_RAW: Option<libc::termios> = None;

/// Alternate screen, no cursor.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[2J";
/// Plain text, cursor, the screen from before.
const LEAVE: &[u8] = b"\x1b[0m\x1b[?25h\x1b[?1049l";

/// The terminal while it is ours.
pub(crate) struct Screen {
    pub(crate) terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    /// Takes the terminal over.
    pub(crate) fn enter() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                restore();
                before(info);
            }));
        });
        catch_stop(SigHandler::Handler(on_stop))?;
        let mut termios = tcgetattr(io::stdin())?;
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(termios.clone());
        // SAFETY: the signal handler reads it only while TAKEN is set, which it is not yet, and
        // only one thread shows a live view.
        unsafe { BEFORE_RAW = Some(termios.clone().into()) };
        TAKEN.store(true, Ordering::SeqCst);
        cfmakeraw(&mut termios);
        tcsetattr(io::stdin(), SetArg::TCSADRAIN, &termios)?;
        let mut out = io::stdout();
        out.write_all(ENTER)?;
        out.flush()?;
        Ok(Self { terminal: Terminal::new(CrosstermBackend::new(io::stdout()))? })
    }

    /// Whether the screen still is ours: another thread's panic gives it back.
    pub(crate) fn is_ours() -> bool {
        TAKEN.load(Ordering::SeqCst)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Somebody wants the process to stop, by key or by SIGTSTP.
static STOP: AtomicBool = AtomicBool::new(false);

pub(crate) fn ask_to_stop() {
    STOP.store(true, Ordering::SeqCst);
}

/// Whether the view is to be suspended now; asked once.
pub(crate) fn stop_asked() -> bool {
    STOP.swap(false, Ordering::SeqCst)
}

extern "C" fn on_stop(_signal: libc::c_int) {
    ask_to_stop();
}

/// From now on, SIGTSTP asks the view to give the terminal back first.
fn catch_stop(handler: SigHandler) -> nix::Result<()> {
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler only touches an atomic.
    unsafe { sigaction(Signal::SIGTSTP, &action) }.map(|_| ())
}

/// Stops this job, as Ctrl-Z does where it is no key, until the shell continues it. The terminal has
/// been given back.
pub(crate) fn suspend() -> io::Result<()> {
    // The rest of the job first: who waits for this process must stop too, or the shell waits on.
    catch_stop(SigHandler::SigIgn)?;
    kill(Pid::from_raw(0), Signal::SIGTSTP)?;
    catch_stop(SigHandler::SigDfl)?;
    // To this thread, so that it goes no further until it is continued.
    raise(Signal::SIGTSTP)?;
    Ok(())
}

/// Gives the terminal back, if that has not been done.
pub(crate) fn restore() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut out = io::stdout();
    let _ = out.write_all(LEAVE);
    let _ = out.flush();
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(termios) = before {
        let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, &termios);
    }
    held::release();
}

/// The same from a signal's handler: no locks, no allocation.
pub(crate) fn restore_from_handler() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    // SAFETY: write and tcsetattr are async-signal-safe; BEFORE_RAW was written before TAKEN was
    // set and is not written again while it is.
    unsafe {
        libc::write(libc::STDOUT_FILENO, LEAVE.as_ptr().cast(), LEAVE.len());
        #[expect(static_mut_refs, reason = "nothing writes while TAKEN was set")]
        if let Some(termios) = &BEFORE_RAW {
            libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, termios);
        }
    }
}
