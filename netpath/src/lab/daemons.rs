//! Daemons that a topology needs: Docker's, Open vSwitch's, a guest's QEMU.
//!
//! In: a host's namespace, and a [`Daemons`] row with a shell script. Out: daemons that run while a
//! [`Running`] is held, with what the script has said of them.
//!
//! The script is the first process of a PID namespace of its own, with mounts of its own and a
//! /run in memory: what it starts sees no other daemon's files and leaves none. It ends where its
//! stdin does, that is when netpath lets go of it, ends, or is killed; and with the first process
//! of such a namespace the kernel ends all others in it.

mod docker;
mod ovs;
mod qemu;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::{
        fd::OwnedFd,
        unix::{fs::MetadataExt as _, process::CommandExt as _},
    },
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use super::{LabError, build, guest::Guest};
use crate::netns::Netns;
pub(super) use docker::{DOCKER, DOCKER_PUBLISHED};
pub(super) use ovs::OPEN_VSWITCH;
pub(super) use qemu::GUEST;

/// How long they may take to come up, and to end.
const PATIENCE: Duration = Duration::from_mins(1);

/// What is started.
#[derive(Debug)]
pub struct Daemons {
    /// What people call them.
    pub name: &'static str,
    /// For /bin/sh, after [`BEFORE`] and before [`AFTER`]. It is given the run's id, and what
    /// `arguments` returns.
    pub script: &'static str,
    pub arguments: fn() -> Result<Vec<String>, LabError>,
    /// Programs of the system that it calls, and the package that has them.
    pub programs: &'static [&'static str],
    pub package: &'static str,
    pub makes: Option<Makes>,
}

/// A host that daemons make.
#[derive(Clone, Copy, Debug)]
pub enum Makes {
    /// The script says where its namespace stands.
    Netns(&'static str),
    /// The script says where the socket of its port is.
    Guest(&'static str),
}

impl Makes {
    /// The host's name.
    pub fn role(self) -> &'static str {
        let (Self::Netns(role) | Self::Guest(role)) = self;
        role
    }
}

/// A script's words to netpath begin with one of these; all else is told where it fails.
const NOTE: &str = "netpath-note ";
const MADE: &str = "netpath-made ";
const PORT: &str = "netpath-port ";
const EMULATED: &str = "netpath-emulated";
const READY: &str = "netpath-ready";

/// Mounts that were copied would keep others' network namespaces alive. Function `await` tries a
/// command until it succeeds, for twenty seconds.
const BEFORE: &str = r#"
set -e; exec 2>&1; id=$1; shift
umount -l -a -t nsfs >/dev/null 2>&1 || true
mount -t tmpfs -o mode=755 netpath /run; mkdir /run/lab; cd /run/lab
trap '[ $? = 0 ] || tail -qn 3 /run/lab/*.log 2>/dev/null' EXIT
await() { n=0; until "$@" >/dev/null 2>&1; do n=$((n+1)); [ $n -lt 400 ]; sleep 0.05; done; }
"#;

/// Stays until netpath lets go.
const AFTER: &str = r"
echo netpath-ready; read -r _ <&3 || true
";

/// Daemons that run.
#[derive(Debug)]
pub(super) struct Running {
    name: &'static str,
    child: Child,
    stdin: Option<ChildStdin>,
    /// Where they write to, which must not fail.
    pipes: Vec<OwnedFd>,
    /// What has to be said beside the figures.
    pub(super) notes: Vec<String>,
    /// The namespace that they made.
    pub(super) made: Option<Netns>,
    /// The guest that they are.
    pub(super) guest: Option<Guest>,
    /// Whether what is in it is emulated, so that its time is nothing like a real one's.
    pub(super) emulated: bool,
}

/// Starts them in a host's namespace, and waits until they are up.
pub(super) fn start(
    host: &str,
    netns: &Netns,
    what: &Daemons,
    id: &str,
) -> Result<Running, LabError> {
    build::programs(what.programs, what.package)?;
    build::programs(&["unshare", "setpriv"], "util-linux")?;
    let arguments = (what.arguments)()?;
    // Stdin stays what says when to end: what is started in between reads nothing of it.
    let script = format!("exec 3<&0 </dev/null\n{BEFORE}{}{AFTER}", what.script);
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "slave", "--pid", "--fork", "--kill-child"])
        .args(["--mount-proc", "--", "sh", "-c", &script, what.name, id])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C is for netpath, which ends them in its turn.
        .process_group(0);
    let fail = |e| LabError::system(format!("start {} in namespace {host}", what.name), e);
    let mut child = netns.run(|| command.spawn())?.map_err(fail)?;
    let stdin = child.stdin.take();
    let out = child.stdout.take();
    let stderr = child.stderr.take();
    let mut running = Running {
        name: what.name,
        child,
        stdin,
        pipes: stderr.into_iter().map(OwnedFd::from).collect(),
        notes: Vec::new(),
        made: None,
        guest: None,
        emulated: false,
    };
    let said = running.wait_until_ready(out)?;
    if !said.is_empty() {
        return Err(LabError::Command {
            command: what.name.to_owned(),
            host: host.to_owned(),
            output: said.join("; "),
        });
    }
    Ok(running)
}

impl Running {
    /// The inode of the PID namespace that they run in.
    pub(super) fn pid_namespace(&self) -> Option<u64> {
        let path = format!("/proc/{}/ns/pid_for_children", self.child.id());
        fs::metadata(path).ok().map(|m| m.ino())
    }

    /// Reads what the script says until it is ready. Returns its words where it won't be.
    fn wait_until_ready(&mut self, out: Option<ChildStdout>) -> Result<Vec<String>, LabError> {
        let Some(out) = out else { return Ok(vec!["it has no output".to_owned()]) };
        let (to, lines) = mpsc::channel();
        let reader = thread::spawn(move || {
            let mut out = BufReader::new(out);
            loop {
                let mut line = String::new();
                match out.read_line(&mut line) {
                    Ok(0) | Err(_) => return None,
                    Ok(_) => {}
                }
                let line = line.trim().to_owned();
                let ready = line == READY;
                if to.send(line).is_err() || ready {
                    return Some(out.into_inner());
                }
            }
        });
        let deadline = Instant::now() + PATIENCE;
        let mut said = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match lines.recv_timeout(left) {
                Ok(line) if line == READY => break,
                Ok(line) => {
                    if let Some(note) = line.strip_prefix(NOTE) {
                        self.notes.push(note.to_owned());
                    } else if let Some(path) = line.strip_prefix(MADE) {
                        // As those see it whose mounts these are.
                        let seen = format!("/proc/{}/root{path}", self.child.id());
                        self.made = Some(Netns::open(&PathBuf::from(seen), None)?);
                    } else if let Some(path) = line.strip_prefix(PORT) {
                        let seen = format!("/proc/{}/root{path}", self.child.id());
                        let guest = Guest::connect(&PathBuf::from(seen));
                        self.guest = Some(guest.map_err(LabError::Traffic)?);
                    } else if line == EMULATED {
                        self.emulated = true;
                    } else if !line.is_empty() {
                        said.push(line);
                    }
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    if said.is_empty() {
                        said.push("it ended without a word".to_owned());
                    }
                    return Ok(said);
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    said.push(format!("not up within {} s", PATIENCE.as_secs()));
                    return Ok(said);
                }
            }
        }
        for line in said {
            tracing::debug!("{}: {line}", self.name);
        }
        self.pipes.extend(reader.join().ok().flatten().map(OwnedFd::from));
        Ok(Vec::new())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(None) => thread::sleep(Duration::from_millis(5)),
                _ => return,
            }
        }
        tracing::warn!("{} did not end by itself: killed", self.name);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
