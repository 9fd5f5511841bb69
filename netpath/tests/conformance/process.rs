//! Programs in a lab's namespaces: run to their end, or in the background until they are dropped.
//!
//! In: a namespace and words. Out: what the program printed. Nothing outlives its [`Process`].

use std::{
    ffi::OsStr,
    fs::File,
    io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use netpath::netns::Netns;
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

/// How long a client may take, and a server to end.
const PATIENCE: Duration = Duration::from_mins(1);
const PATIENCE_END: Duration = Duration::from_secs(5);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Prepares a command with words for its arguments.
pub(crate) fn command<S: AsRef<OsStr>>(words: &[S]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    // What the developer has set must not change what is measured.
    command.env("LC_ALL", "C").env_remove("http_proxy").env_remove("HTTP_PROXY");
    command
}

/// A program that runs in a namespace, with what it prints in a file.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    out: PathBuf,
}

impl Process {
    /// Starts it; stdout and stderr go to `out`.
    pub(crate) fn start(netns: &Netns, mut command: Command, out: PathBuf) -> io::Result<Self> {
        let file = File::create(&out)?;
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            // So that all of it can be ended.
            .process_group(0);
        let child = netns.run(|| command.spawn()).map_err(io::Error::other)??;
        Ok(Self { child, out })
    }

    pub(crate) fn group(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX))
    }

    /// What it has printed so far.
    pub(crate) fn printed(&self) -> String {
        printed(&self.out)
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end, a minute at most.
    pub(crate) fn wait(&mut self) -> io::Result<ExitStatus> {
        wait_for(PATIENCE, || self.child.try_wait().transpose()).unwrap_or_else(|| {
            let late = format!("not at its end after {} s: {}", PATIENCE.as_secs(), self.printed());
            Err(io::Error::new(io::ErrorKind::TimedOut, late))
        })
    }

    /// Tells it to end, and waits until it has.
    pub(crate) fn end(&mut self, signal: Signal) {
        if !self.has_ended() {
            let _ = killpg(self.group(), signal);
            let ended = wait_for(PATIENCE_END, || self.has_ended().then_some(()));
            if ended.is_none() {
                eprintln!("killed: {}", self.printed());
            }
        }
        // What it has left of its group.
        let _ = killpg(self.group(), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end(Signal::SIGTERM);
    }
}

fn printed(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

/// Looks until there is something, or the time is over.
pub(crate) fn wait_for<T>(patience: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(LOOK_EVERY);
    }
}
