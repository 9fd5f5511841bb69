//! A terminal without a window: a pseudo-terminal, what stands on its screen, and a program in it.
//! Everything is awaited at the terminal's end; nothing sleeps.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::{fd::AsRawFd as _, unix::process::CommandExt as _},
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

use nix::{
    pty::{Winsize, openpty},
    sys::termios::{Termios, tcgetattr},
};

/// How long anything may take before the test has failed.
const PATIENCE: Duration = Duration::from_secs(40);

/// A program in a terminal.
pub(crate) struct Pty {
    master: File,
    parser: vt100::Parser,
    pub(crate) child: Child,
    /// How the terminal was before the program started.
    pub(crate) before: Termios,
    /// The other end has been closed by everybody.
    closed: bool,
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

impl Pty {
    /// Starts a program in a terminal of 24-bit colours that shows UTF-8.
    pub(crate) fn start(command: &mut Command, columns: u16, rows: u16) -> Self {
        let pty = openpty(&size(columns, rows), None).expect("a pseudo-terminal");
        let before = tcgetattr(&pty.master).expect("its settings");
        let end = || pty.slave.try_clone().expect("a descriptor");
        command.stdin(end()).stdout(end()).stderr(end());
        command.env("TERM", "xterm-256color").env("COLORTERM", "truecolor");
        command.env("LC_ALL", "C.UTF-8").env_remove("NO_COLOR");
        // SAFETY: setsid and ioctl are async-signal-safe. The terminal becomes the child's own, so
        // that its size changes and hang-ups reach it.
        unsafe {
            command.pre_exec(|| {
                nix::unistd::setsid()?;
                nix::errno::Errno::result(libc::ioctl(libc::STDIN_FILENO, libc::TIOCSCTTY, 0))?;
                Ok(())
            });
        }
        let child = command.spawn().expect("it can be run");
        // The command holds the other end as well, until it gets other ones.
        command.stdin(std::process::Stdio::null());
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        Self {
            master: pty.master.into(),
            parser: vt100::Parser::new(rows, columns, 0),
            child,
            before,
            closed: false,
        }
    }

    pub(crate) fn screen(&self) -> &vt100::Screen {
        self.parser.screen()
    }

    /// What stands on the screen.
    pub(crate) fn text(&self) -> String {
        self.screen().contents()
    }

    /// The terminal's settings now.
    pub(crate) fn settings(&self) -> Termios {
        tcgetattr(&self.master).expect("its settings")
    }

    /// Types.
    pub(crate) fn keys(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    pub(crate) fn resize(&mut self, columns: u16, rows: u16) {
        let size = size(columns, rows);
        // SAFETY: the descriptor is a terminal's and the struct is whole.
        let set =
            unsafe { libc::ioctl(self.master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
        assert_eq!(set, 0, "the terminal can't be resized");
        self.parser.screen_mut().set_size(rows, columns);
    }

    /// Reads what the program writes until the screen is as wanted.
    pub(crate) fn wait_for(&mut self, what: &str, mut done: impl FnMut(&vt100::Screen) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self.parser.screen()) {
            assert!(!self.closed, "the program ended before {what}:\n{}", self.text());
            self.read(deadline, what);
        }
    }

    /// Reads until these words stand on the screen.
    pub(crate) fn wait_for_text(&mut self, words: &str) {
        self.wait_for(words, |screen| screen.contents().contains(words));
    }

    /// Reads until the program has ended.
    pub(crate) fn wait_for_end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        while !self.closed {
            self.read(deadline, "the end");
        }
        self.child.wait().expect("it has ended")
    }

    fn read(&mut self, deadline: Instant, what: &str) {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = libc::c_int::try_from(left.as_millis()).expect("it is not that long");
        let fd = self.master.as_raw_fd();
        let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        // SAFETY: one whole struct, whose descriptor is open.
        let ready = unsafe { libc::poll(&raw mut poll, 1, timeout) };
        assert!(ready > 0, "waited in vain for {what}:\n{}", self.text());
        let mut bytes = [0; 1 << 14];
        match self.master.read(&mut bytes) {
            Ok(n) if n > 0 => self.parser.process(&bytes[..n]),
            // EIO: nobody has the other end any more.
            _ => self.closed = true,
        }
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
