//! netpath, tracing beside what a row runs.
//!
//! In: an interface. Out: the report, once it has been interrupted.

use std::{
    ffi::OsString,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{process::wait_for, report::Report, stage::StageError};

/// How long it may take to attach, and to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where netpath is: as cargo has built it, or where the environment says.
fn program() -> OsString {
    std::env::var_os("CARGO_BIN_EXE_netpath")
        .unwrap_or_else(|| env!("CARGO_BIN_EXE_netpath").into())
}

/// netpath, tracing.
pub(crate) struct Trace {
    child: Child,
    report: PathBuf,
    said: Option<thread::JoinHandle<Vec<String>>>,
}

impl Trace {
    /// Starts it, and waits until it has attached. It leaves its report in this file.
    pub(crate) fn start(netns: &str, iface: &str, report: &Path) -> Result<Self, StageError> {
        let mut child = Command::new(program())
            .args(["-v", "trace", "--iface", iface, "--netns", netns])
            .args(["--format", "json", "-o"])
            .arg(report)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| StageError::failed("netpath", e))?;
        let stderr = child.stderr.take();
        let (attached, wait) = mpsc::channel();
        let said = thread::spawn(move || {
            let lines = stderr.into_iter().flat_map(|s| BufReader::new(s).lines());
            let told = |line: &String| {
                if line.contains("attached in") {
                    let _ = attached.send(());
                }
            };
            lines.map_while(Result::ok).inspect(told).collect()
        });
        let mut trace = Self { child, report: report.to_owned(), said: Some(said) };
        match wait.recv_timeout(PATIENCE) {
            Ok(()) => Ok(trace),
            Err(_) => Err(trace.failed("it never attached")),
        }
    }

    /// Interrupts it, and reads its report.
    pub(crate) fn end(mut self) -> Result<Report, StageError> {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX));
        kill(pid, Signal::SIGINT).map_err(|e| StageError::failed("netpath", e))?;
        let ended = wait_for(PATIENCE, || self.child.try_wait().transpose());
        if !matches!(&ended, Some(Ok(status)) if status.success()) {
            return Err(self.failed(&format!("{ended:?}")));
        }
        let text = std::fs::read(&self.report).map_err(|e| StageError::failed("a report", e))?;
        serde_json::from_slice(&text).map_err(|e| StageError::failed("a report", e))
    }

    /// The error, with what it said; then it has ended.
    fn failed(&mut self, why: &str) -> StageError {
        let _ = self.child.kill();
        let said = self.said.take().and_then(|said| said.join().ok()).unwrap_or_default();
        StageError::failed("netpath", format!("{why}: {}", said.join("; ")))
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
