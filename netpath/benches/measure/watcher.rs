//! A tool that watches while it is held.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read},
    process::{Child, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use netpath::{lab::Lab, snapshot::Snapshot};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, SysconfVar, sysconf},
};

use crate::ways::{Tool, Way};

/// How long a tool may take to attach, or to end: on an emulated machine, much longer than here.
const PATIENCE: Duration = Duration::from_mins(5);
/// How long after that it is left alone before anything is measured.
const SETTLE: Duration = Duration::from_millis(200);
/// How long a tool is given that does not say when it is attached.
const BLIND: Duration = Duration::from_secs(1);

/// A tool at work.
pub(crate) enum Watcher {
    Nothing,
    Process(Box<Process>),
}

/// Its process.
pub(crate) struct Process {
    child: Child,
    tool: Tool,
    /// All of stdout, and of stderr, at their ends.
    out: mpsc::Receiver<Vec<u8>>,
    err: mpsc::Receiver<Vec<u8>>,
    printed: Arc<Printed>,
}

/// What a tool has printed so far.
#[derive(Debug, Default)]
struct Printed {
    lines: AtomicU64,
    /// What `Lost N events` adds up to.
    lost: AtomicU64,
}

/// What a tool said at its end, where it says anything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    /// Events lost; `None` where the tool does not say.
    pub(crate) lost: Option<u64>,
    /// Lines printed.
    pub(crate) lines: u64,
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
        let printed = Arc::new(Printed::default());
        let out = drain(child.stdout.take(), way.ready, said.clone(), Some(Arc::clone(&printed)));
        let err = drain(child.stderr.take(), way.ready, said, None);
        let mut process = Process { child, tool: way.tool, out, err, printed };
        match way.ready {
            Some(line) if says.recv_timeout(PATIENCE).is_err() => {
                let _ = process.child.kill();
                let _ = process.child.wait();
                let err = process.err.recv_timeout(PATIENCE).unwrap_or_default();
                let said = String::from_utf8_lossy(&err);
                let says = |line: &&str| line.contains("rror") || line.contains("annot ");
                let why = said.lines().find(says).or(said.lines().last()).unwrap_or("nothing else");
                bail!("{command:?} has not said `{line}`: {why}");
            }
            Some(_) => thread::sleep(SETTLE),
            None => thread::sleep(BLIND),
        }
        Ok(Self::Process(Box::new(process)))
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        match self {
            Self::Process(process) => Some(process.child.id()),
            Self::Nothing => None,
        }
    }

    /// CPU time that its process has used.
    pub(crate) fn cpu(&self) -> Duration {
        self.pid().map_or(Duration::ZERO, cpu_time)
    }

    /// The most memory that its process has had, bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.pid().map_or(0, |pid| status(pid, "VmHWM:"))
    }

    /// Memory that its process has now, bytes.
    pub(crate) fn resident(&self) -> u64 {
        self.pid().map_or(0, |pid| status(pid, "VmRSS:"))
    }

    /// Lines that it has printed so far.
    pub(crate) fn lines(&self) -> u64 {
        match self {
            Self::Process(process) => process.printed.lines.load(Ordering::Relaxed),
            Self::Nothing => 0,
        }
    }

    /// Ends it in order, and reads netpath's report.
    pub(crate) fn stop(self) -> anyhow::Result<Said> {
        let Self::Process(mut process) = self else { return Ok(Said::default()) };
        let pid = Pid::from_raw(i32::try_from(process.child.id())?);
        kill(pid, Signal::SIGINT)?;
        let deadline = Instant::now() + PATIENCE;
        while process.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                process.child.kill()?;
                process.child.wait()?;
                bail!("process {pid} did not end when it was interrupted");
            }
            thread::sleep(Duration::from_millis(5));
        }
        let text = process.out.recv_timeout(PATIENCE).unwrap_or_default();
        let lines = process.printed.lines.load(Ordering::Relaxed);
        let snapshot = match process.tool {
            Tool::Netpath(_) => {
                let read = serde_json::from_slice::<Snapshot>(&text);
                Some(Box::new(read.context("netpath has written no report")?))
            }
            _ => None,
        };
        let lost = match process.tool {
            Tool::Netpath(_) => snapshot.as_ref().map(|s| s.lost_events),
            Tool::Bpftrace(body) if body.contains("printf") => {
                Some(process.printed.lost.load(Ordering::Relaxed))
            }
            _ => None,
        };
        Ok(Said { lost, lines, snapshot })
    }
}

/// Reads all that a pipe brings: tells `said` of the line that holds `ready`, counts lines, and keeps
/// the last megabytes for who asks.
fn drain(
    pipe: Option<impl Read + Send + 'static>,
    ready: Option<&'static str>,
    said: mpsc::Sender<()>,
    printed: Option<Arc<Printed>>,
) -> mpsc::Receiver<Vec<u8>> {
    const KEPT: usize = 16 << 20;
    let (all, kept) = mpsc::channel();
    let Some(pipe) = pipe else { return kept };
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
            if let Some(printed) = &printed {
                printed.lines.fetch_add(1, Ordering::Relaxed);
                printed.lost.fetch_add(lost(&text[from..]), Ordering::Relaxed);
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

/// The number in bpftrace's `Lost N events`.
fn lost(line: &[u8]) -> u64 {
    let number = line.strip_prefix(b"Lost ").and_then(|rest| rest.strip_suffix(b" events\n"));
    number.and_then(|n| std::str::from_utf8(n).ok()?.parse().ok()).unwrap_or(0)
}

fn cpu_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // After the name in parentheses: state is field 3, user time 14, system time 15.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 = rest.split_whitespace().skip(11).take(2).flat_map(str::parse::<u64>).sum();
    let per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
    Duration::from_secs_f64(ticks as f64 / per_second as f64)
}

/// A line of a process's status that is in KiB, in bytes.
fn status(pid: u32, line: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let value = text.lines().find_map(|l| l.strip_prefix(line));
    value
        .and_then(|v| v.split_whitespace().next())
        .and_then(|v| v.parse::<u64>().ok())
        .map_or(0, |kib| kib * 1024)
}
