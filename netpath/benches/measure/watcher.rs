//! A tool that watches while it is held.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read},
    process::{Child, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use netpath::{lab::Lab, snapshot::Snapshot};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, SysconfVar, sysconf},
};

use crate::ways::Way;

/// How long a tool may take to attach.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long after that it is left alone before anything is measured.
const SETTLE: Duration = Duration::from_millis(200);
/// How long a tool is given that does not say when it is attached.
const BLIND: Duration = Duration::from_secs(1);

/// A tool at work.
pub(crate) enum Watcher {
    Nothing,
    Process { child: Child, report: Option<mpsc::Receiver<Vec<u8>>> },
}

/// What a tool said at its end, where it says anything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    /// Events lost.
    pub(crate) lost: u64,
    /// netpath's report.
    pub(crate) snapshot: Option<Box<Snapshot>>,
}

impl Watcher {
    /// Starts a tool; returns once it is attached.
    pub(crate) fn start(way: &Way, lab: &Lab) -> anyhow::Result<Self> {
        let Some(mut command) = way.command(lab) else { return Ok(Self::Nothing) };
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot run {command:?}"))?;
        let (said, says) = mpsc::channel();
        let report = child.stdout.take().map(|out| drain(out, way.ready, said.clone()));
        child.stderr.take().map(|err| drain(err, way.ready, said));
        match way.ready {
            Some(line) if says.recv_timeout(PATIENCE).is_err() => {
                let _ = child.kill();
                let _ = child.wait();
                bail!("{command:?} has not said `{line}`");
            }
            Some(_) => thread::sleep(SETTLE),
            None => thread::sleep(BLIND),
        }
        Ok(Self::Process { child, report })
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        match self {
            Self::Process { child, .. } => Some(child.id()),
            Self::Nothing => None,
        }
    }

    /// CPU time that its process has used.
    pub(crate) fn cpu(&self) -> Duration {
        match self {
            Self::Process { child, .. } => cpu_time(child.id()),
            Self::Nothing => Duration::ZERO,
        }
    }

    /// The most memory that its process has had, bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        match self {
            Self::Process { child, .. } => peak_memory(child.id()),
            Self::Nothing => 0,
        }
    }

    /// Ends it in order, and reads netpath's report.
    pub(crate) fn stop(self) -> anyhow::Result<Said> {
        let Self::Process { mut child, report } = self else { return Ok(Said::default()) };
        let pid = Pid::from_raw(i32::try_from(child.id())?);
        kill(pid, Signal::SIGINT)?;
        let deadline = Instant::now() + PATIENCE;
        while child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                child.kill()?;
                child.wait()?;
                bail!("process {pid} did not end when it was interrupted");
            }
            thread::sleep(Duration::from_millis(5));
        }
        let text = report.and_then(|r| r.recv_timeout(PATIENCE).ok()).unwrap_or_default();
        let Ok(snapshot) = serde_json::from_slice::<Snapshot>(&text) else {
            return Ok(Said::default());
        };
        Ok(Said { lost: snapshot.lost_events, snapshot: Some(Box::new(snapshot)) })
    }
}

/// Reads all that a pipe brings: tells `said` of the line that holds `ready`, and keeps the last
/// megabytes for who asks.
fn drain(
    pipe: impl Read + Send + 'static,
    ready: Option<&'static str>,
    said: mpsc::Sender<()>,
) -> mpsc::Receiver<Vec<u8>> {
    const KEPT: usize = 16 << 20;
    let (all, kept) = mpsc::channel();
    thread::spawn(move || {
        let mut pipe = BufReader::with_capacity(1 << 16, pipe);
        let mut text = Vec::new();
        let mut ready = ready;
        loop {
            let from = text.len();
            match pipe.read_until(b'\n', &mut text) {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
            if let Some(word) = ready
                && String::from_utf8_lossy(&text[from..]).contains(word)
            {
                let _ = said.send(());
                ready = None;
            }
            if text.len() > KEPT {
                text.clear();
            }
        }
        let _ = all.send(text);
    });
    kept
}

fn cpu_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // After the name in parentheses: state is field 3, user time 14, system time 15.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 = rest.split_whitespace().skip(11).take(2).flat_map(str::parse::<u64>).sum();
    let per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
    Duration::from_secs_f64(ticks as f64 / per_second as f64)
}

/// `VmHWM` of a process, bytes.
pub(crate) fn peak_memory(pid: u32) -> u64 {
    status(pid, "VmHWM:")
}

/// A line of a process's status that is in KiB, in bytes.
pub(crate) fn status(pid: u32, line: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let value = text.lines().find_map(|l| l.strip_prefix(line));
    value
        .and_then(|v| v.split_whitespace().next())
        .and_then(|v| v.parse::<u64>().ok())
        .map_or(0, |kib| kib * 1024)
}
