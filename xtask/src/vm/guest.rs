//! One run of a command in a guest.

use std::{
    fmt,
    fs::{self, File},
    io::{Read as _, Write},
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;

use super::{
    Image, console, initramfs,
    qemu::{self, Port},
};
use crate::shell::{check, target};

/// Something of this machine that is put into the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Put {
    pub(crate) host: PathBuf,
    pub(crate) guest: PathBuf,
}

/// What is run, and with what.
#[derive(Clone, Debug)]
pub(crate) struct Guest {
    /// The program and its arguments; run as root, in root's home.
    pub(crate) command: Vec<String>,
    pub(crate) files: Vec<Put>,
    /// How many CPUs it has.
    pub(crate) cpus: u8,
    /// What its kernel is told when it boots, beside what every one is.
    pub(crate) boot: Vec<String>,
    /// Where what the command leaves in /out goes.
    pub(crate) out: Option<PathBuf>,
    /// After this the machine is killed.
    pub(crate) timeout: Duration,
    /// What its lines begin with when they are passed on, where others' lines lie between them.
    pub(crate) label: Option<String>,
}

impl Default for Guest {
    fn default() -> Self {
        Self {
            command: Vec::new(),
            files: Vec::new(),
            cpus: 2,
            boot: Vec::new(),
            out: None,
            timeout: Duration::from_mins(20),
            label: None,
        }
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The command ended, with this status.
    Exited(u8),
    /// It took too long, and was killed.
    TimedOut(Duration),
    /// The machine ended without a word of the command.
    Died,
    /// Somebody wants us to stop.
    Interrupted,
}

impl End {
    /// The exit status to give; what is not the command's own is that of `timeout` and of a shell
    /// whose program was killed.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Exited(status) => *status,
            Self::TimedOut(_) => 124,
            Self::Died => 137,
            Self::Interrupted => 130,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(0) => write!(f, "ok"),
            Self::Exited(status) => write!(f, "exit status {status}"),
            Self::TimedOut(after) => {
                write!(f, "killed: not done after {}", humantime::format_duration(*after))
            }
            Self::Died => write!(f, "the kernel died"),
            Self::Interrupted => write!(f, "interrupted"),
        }
    }
}

/// What a run has brought.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) end: End,
    pub(crate) stdout: Vec<u8>,
    /// What `uname -r` says in the guest; empty where it did not come that far.
    pub(crate) kernel_version: String,
    /// What its console says of a fault; where the command did not end, its last lines at least.
    pub(crate) console: String,
    /// From the machine's start to its end.
    pub(crate) elapsed: Duration,
}

/// How often what the guest says is looked at.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a guest may take to switch itself off.
const POWER_OFF: Duration = Duration::from_secs(5);

/// Boots, runs the command, and waits for the machine's end.
pub(crate) fn run(image: &Image, guest: &Guest) -> anyhow::Result<Outcome> {
    let interrupted = interrupted()?;
    let dir = tempfile::Builder::new().prefix("run-").tempdir_in(target().join("vm"))?;
    let dir = dir.path();
    let initramfs = dir.join("initramfs");
    initramfs::write(image, guest, &initramfs)?;
    let started = Instant::now();
    let mut machine = Machine(qemu::start(image, guest, &initramfs, dir)?);
    let mut control = Follower::open(&Port::Control.file(dir), None)?;
    let mut stdout =
        Follower::open(&Port::Stdout.file(dir), Some(passed_on(std::io::stdout(), guest)))?;
    let mut stderr =
        Follower::open(&Port::Stderr.file(dir), Some(passed_on(std::io::stderr(), guest)))?;
    let mut done: Option<Instant> = None;
    let end = loop {
        // In this order: what was said before the end is read after it.
        let ended = machine.0.try_wait()?.is_some();
        for follower in [&mut stdout, &mut stderr, &mut control] {
            follower.follow()?;
        }
        if interrupted.load(Ordering::Relaxed) {
            break End::Interrupted;
        }
        if let Some(status) = status(&control.seen) {
            let since = *done.get_or_insert_with(Instant::now);
            if ended || since.elapsed() > POWER_OFF {
                break End::Exited(status);
            }
        } else if ended {
            break End::Died;
        } else if started.elapsed() > guest.timeout {
            break End::TimedOut(guest.timeout);
        }
        if initramfs.exists() && !control.seen.is_empty() {
            // The guest has it; what is left behind where we are killed is small.
            fs::remove_file(&initramfs)?;
        }
        thread::sleep(PAUSE);
    };
    drop(machine);
    let elapsed = started.elapsed();
    if let (Some(into), End::Exited(_)) = (&guest.out, &end) {
        take_out(&Port::Out.file(dir), into)?;
    }
    let kernel_version = said(&control.seen, "booted ").unwrap_or_default().to_owned();
    let console = last_words(dir, &end);
    Ok(Outcome { end, stdout: stdout.seen, kernel_version, console, elapsed })
}

/// Set by Ctrl-C and by a request to end, from the first guest on.
fn interrupted() -> anyhow::Result<Arc<AtomicBool>> {
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    if FLAG.get().is_none() {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            // A second one ends us at once.
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&flag))?;
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
        }
        let _ = FLAG.set(flag);
    }
    FLAG.get().cloned().context("the signals' flag is not set")
}

/// QEMU; killed when it goes.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where a guest's output goes.
fn passed_on(to: impl Write + 'static, guest: &Guest) -> Box<dyn Write> {
    match &guest.label {
        None => Box::new(to),
        Some(label) => Box::new(Labelled { label: label.clone(), line: Vec::new(), to }),
    }
}

/// Writes whole lines, each with the same beginning.
struct Labelled<W> {
    label: String,
    /// Of a line that is not whole yet.
    line: Vec<u8>,
    to: W,
}

impl<W: Write> Write for Labelled<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.line.extend_from_slice(bytes);
        while let Some(end) = self.line.iter().position(|&byte| byte == b'\n') {
            let mut whole = format!("{} ", self.label).into_bytes();
            whole.extend(self.line.drain(..=end));
            self.to.write_all(&whole)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}

/// Reads a file that grows.
struct Follower {
    file: File,
    seen: Vec<u8>,
    show: Option<Box<dyn Write>>,
}

impl Follower {
    fn open(path: &Path, show: Option<Box<dyn Write>>) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self { file, seen: Vec::new(), show })
    }

    fn follow(&mut self) -> anyhow::Result<()> {
        let before = self.seen.len();
        self.file.read_to_end(&mut self.seen)?;
        if let Some(show) = &mut self.show
            && self.seen.len() > before
        {
            // Whoever reads us may have gone; the command has not.
            if show.write_all(&self.seen[before..]).and_then(|()| show.flush()).is_err() {
                self.show = None;
            }
        }
        Ok(())
    }
}

/// The rest of a whole line that begins so.
fn said<'a>(control: &'a [u8], begin: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(control).ok()?;
    let line = text.split_inclusive('\n').find(|line| line.starts_with(begin))?;
    line.strip_prefix(begin)?.strip_suffix('\n')
}

fn status(control: &[u8]) -> Option<u8> {
    said(control, "exit ")?.parse().ok()
}

fn last_words(dir: &Path, end: &End) -> String {
    let read = |path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    let console = read(qemu::console(dir));
    match (console::fault(&console), end) {
        (Some(fault), _) => fault,
        (None, End::Died | End::TimedOut(_)) => {
            read(qemu::complaints(dir)) + &console::tail(&console)
        }
        (None, End::Exited(_) | End::Interrupted) => String::new(),
    }
}

/// Unpacks what the guest has sent, if anything.
fn take_out(tar: &Path, into: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(into).with_context(|| format!("cannot make {}", into.display()))?;
    if tar.metadata()?.len() == 0 {
        return Ok(());
    }
    check(Command::new("tar").arg("-x").arg("-f").arg(tar).arg("-C").arg(into))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_read_when_it_is_whole() {
        assert_eq!(status(b"booted 6.1\nexit 1"), None);
        assert_eq!(status(b"booted 6.1\nexit 127\n"), Some(127));
        assert_eq!(said(b"booted 6.1\n", "booted "), Some("6.1"));
        assert_eq!(status(b""), None);
    }

    #[test]
    fn only_a_good_end_is_good() {
        assert_eq!(End::Exited(0).status(), 0);
        assert_eq!(End::Exited(3).status(), 3);
        for end in [End::TimedOut(Duration::from_secs(1)), End::Died, End::Interrupted] {
            assert_ne!(end.status(), 0);
        }
    }

    #[test]
    fn lines_are_labelled_once_they_are_whole() {
        let mut shown = Labelled { label: "6.1".to_owned(), line: Vec::new(), to: Vec::new() };
        for part in ["test a ... ", "ok\n\ntest b", " ... ok\ntest c"] {
            shown.write_all(part.as_bytes()).expect("a vector takes all");
        }
        let lines = "6.1 test a ... ok\n6.1 \n6.1 test b ... ok\n";
        assert_eq!(String::from_utf8_lossy(&shown.to), lines);
    }
}
