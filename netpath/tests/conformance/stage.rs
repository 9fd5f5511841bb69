//! Where a row plays: a topology that is up, the programs that run in it, and netpath beside them.
//!
//! In: a row. Out: what the client said, netpath's report, and what the kernel counted meanwhile.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use netpath::{
    lab::{
        Lab, LabError,
        topologies::{self, Topology},
    },
    netns::Netns,
};
use tempfile::TempDir;
use thiserror::Error;

use super::{
    outcome,
    process::{Process, command, wait_for},
    programs::{ALWAYS, On, Said},
    report::Report,
    row::Row,
    trace::Trace,
    witness::{Counters, Seen},
};

/// How long a server may take to listen.
const PATIENCE: Duration = Duration::from_secs(30);
/// The interface is quiet once it has carried nothing for so long.
const QUIET: Duration = Duration::from_millis(300);
/// How often netpath is started at most, until nothing passes meanwhile.
const STARTS: usize = 5;
/// How long that may take.
const PATIENCE_QUIET: Duration = Duration::from_secs(10);

#[derive(Debug, Error)]
pub(crate) enum StageError {
    /// The machine has not what it takes.
    #[error("{0}")]
    Lacks(String),
    #[error("{what}: {why}")]
    Failed { what: String, why: String },
}

impl StageError {
    #[expect(clippy::needless_pass_by_value, reason = "errors are given away")]
    pub(crate) fn failed(what: impl Into<String>, why: impl ToString) -> Self {
        Self::Failed { what: what.into(), why: why.to_string() }
    }
}

impl From<LabError> for StageError {
    fn from(error: LabError) -> Self {
        match error {
            LabError::Lacks(_) | LabError::MissingTool { .. } => Self::Lacks(error.to_string()),
            _ => Self::failed("the lab", error),
        }
    }
}

pub(crate) struct Stage {
    // Servers end before the namespaces are removed.
    running: Vec<Process>,
    lab: Lab,
    on: On,
    dir: TempDir,
    report: PathBuf,
    started: usize,
}

impl Stage {
    /// Brings a row's topology up, where all programs are there.
    pub(crate) fn up(row: &Row) -> Result<Self, StageError> {
        let lacking = row.program.needs.iter().chain(ALWAYS).find(|(name, _)| !is_there(name));
        if let Some((name, package)) = lacking {
            return Err(StageError::Lacks(format!("{name} is not here (Debian's {package})")));
        }
        let topology = topologies::find(row.on.topology)
            .ok_or_else(|| StageError::failed("the topology", row.on.topology))?;
        let dir = TempDir::new().map_err(|e| StageError::failed("a directory", e))?;
        // Also for programs that run as somebody else.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(dir.path(), mode)
            .map_err(|e| StageError::failed("a directory", e))?;
        let report = outcome::report_file(&row.name())
            .map_err(|e| StageError::failed("target/conformance", e))?;
        Ok(Self {
            running: Vec::new(),
            lab: Lab::up(topology)?,
            on: row.on,
            dir,
            report,
            started: 0,
        })
    }

    pub(crate) fn topology(&self) -> &'static Topology {
        self.lab.topology()
    }

    /// A directory of the row's own.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The server's address, as the client uses it.
    pub(crate) fn address(&self) -> String {
        let topology = self.topology();
        let v6 = self.on.v6.then_some(topology.server_v6).flatten();
        v6.unwrap_or(topology.server_v4).to_owned()
    }

    /// The same as it stands before a port, in an URL.
    pub(crate) fn at(&self, port: u16) -> String {
        before_port(&self.address(), port)
    }

    /// A namespace's own address, of the row's family.
    pub(crate) fn loopback(&self) -> &'static str {
        if self.is_v6() { "::1" } else { "127.0.0.1" }
    }

    /// The same as it stands before a port, in an URL.
    pub(crate) fn at_loopback(&self, port: u16) -> String {
        before_port(self.loopback(), port)
    }

    pub(crate) fn is_v6(&self) -> bool {
        self.on.v6
    }

    pub(crate) fn netns(&self, host: &str) -> Result<&Netns, StageError> {
        Ok(self.lab.host(host)?)
    }

    /// Starts a program in a host, which runs until the row is over or it is ended.
    pub(crate) fn start(&mut self, host: &str, command: Command) -> Result<usize, StageError> {
        let process = self.spawn(host, command)?;
        self.running.push(process);
        Ok(self.running.len() - 1)
    }

    /// A program that was started.
    pub(crate) fn running(&mut self, index: usize) -> &mut Process {
        &mut self.running[index]
    }

    fn spawn(&mut self, host: &str, command: Command) -> Result<Process, StageError> {
        self.started += 1;
        let out = self.dir.path().join(format!("{}.out", self.started));
        let what = format!("{command:?}");
        Process::start(self.lab.host(host)?, command, out).map_err(|e| StageError::failed(what, e))
    }

    /// Runs a program in a host to its end, and returns what it printed.
    pub(crate) fn run(&mut self, host: &str, command: Command) -> Result<String, StageError> {
        let what = format!("{command:?}");
        let mut process = self.spawn(host, command)?;
        let status = process.wait().map_err(|e| StageError::failed(&*what, e))?;
        let printed = process.printed();
        if !status.success() {
            return Err(StageError::failed(what, format!("{status}: {printed}")));
        }
        Ok(printed)
    }

    /// Starts a server in the topology's server, and waits until it has its port.
    pub(crate) fn serve(&mut self, words: Command, port: Port) -> Result<usize, StageError> {
        self.serve_on(self.topology().server, words, port)
    }

    /// Starts a server in a host, and waits until it has its port.
    pub(crate) fn serve_on(
        &mut self,
        host: &str,
        words: Command,
        port: Port,
    ) -> Result<usize, StageError> {
        let what = format!("{words:?}");
        let index = self.start(host, words)?;
        let netns = self.lab.host(host)?.clone();
        let running = &mut self.running[index];
        let up = wait_for(PATIENCE, || {
            let has = netns.run(|| port.is_taken()).unwrap_or(false);
            (has || running.has_ended()).then_some(has)
        });
        if up == Some(true) {
            Ok(index)
        } else {
            Err(StageError::failed(what, format!("it never listened: {}", running.printed())))
        }
    }

    /// Waits until a program that was started has said this.
    pub(crate) fn says(&mut self, index: usize, what: &str) -> Result<(), StageError> {
        let running = &mut self.running[index];
        let said = wait_for(PATIENCE, || {
            let said = running.printed().contains(what);
            (said || running.has_ended()).then_some(said)
        });
        if said == Some(true) {
            return Ok(());
        }
        Err(StageError::failed(format!("waiting for {what:?}"), running.printed()))
    }

    /// Both ends meet once, and what they have learnt of their neighbours stays: what asks for an
    /// address is not IP, and would be in the device's counters alone.
    pub(crate) fn warm_up(&mut self) -> Result<(), StageError> {
        let family = if self.on.v6 { "-6" } else { "-4" };
        let ping = ["ping", family, "-n", "-q", "-c", "3", "-i", "0.2", &self.address()];
        self.run(self.topology().client, command(&ping))?;
        // Where the server's address is not its own, somebody else has answered.
        if let Some(client) = self.topology().client_v4 {
            let ping = ["ping", "-4", "-n", "-q", "-c", "1", client];
            self.run(self.topology().server, command(&ping))?;
        }
        for host in self.topology().hosts {
            let known = self.lab.command(host, &["ip", "neigh", "show"])?;
            for line in known.lines() {
                let words: Vec<&str> = line.split_whitespace().collect();
                if let [ip, "dev", dev, "lladdr", mac, ..] = words[..] {
                    let change = ["ip", "neigh", "replace", ip, "lladdr", mac, "dev", dev];
                    self.lab.command(host, &[&change[..], &["nud", "permanent"]].concat())?;
                }
            }
        }
        Ok(())
    }

    /// Traces the topology's interface while a client runs.
    pub(crate) fn traced(
        &mut self,
        client: fn(&mut Self) -> Result<Said, StageError>,
    ) -> Result<(Said, Report, Seen), StageError> {
        let focus = self.topology().focus;
        let netns = self.lab.full_name(focus.0);
        let (trace, before) = self.trace_from_counters(&netns, focus.1)?;
        let said = client(self)?;
        self.wait_until_quiet()?;
        let after = Counters::read(&self.lab)?;
        let report = trace.end()?;
        let around = Counters::focus(&self.lab)? - before.passed();
        Ok((said, report, after.since(&before, around)))
    }

    /// Starts tracing, and reads the counters, with nothing that passed the interface in between: hosts say
    /// by themselves which groups they have joined.
    fn trace_from_counters(
        &self,
        netns: &str,
        iface: &str,
    ) -> Result<(Trace, Counters), StageError> {
        for _ in 0..STARTS {
            let untraced = Counters::focus(&self.lab)?;
            let trace = Trace::start(netns, iface, &self.report)?;
            let before = Counters::read(&self.lab)?;
            if before.passed() == untraced {
                return Ok((trace, before));
            }
            trace.end()?;
        }
        Err(StageError::failed("the interface", "packets pass it while nobody sends"))
    }

    fn wait_until_quiet(&self) -> Result<(), StageError> {
        let packets = || Counters::focus(&self.lab);
        let mut last = packets()?;
        let quiet = wait_for(PATIENCE_QUIET, || {
            thread::sleep(QUIET);
            let now = packets().ok()?;
            let same = now == last;
            last = now;
            same.then_some(())
        });
        quiet.ok_or_else(|| StageError::failed("the interface", "it is never quiet"))
    }
}

/// A port that a server takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Port {
    Tcp(u16),
    Udp(u16),
}

impl Port {
    /// Whether somebody in the calling thread's namespace has it.
    fn is_taken(self) -> bool {
        let (files, port, state) = match self {
            Self::Tcp(port) => (["tcp", "tcp6"], port, Some("0A")),
            Self::Udp(port) => (["udp", "udp6"], port, None),
        };
        files.iter().any(|file| {
            let table = std::fs::read_to_string(format!("/proc/thread-self/net/{file}"));
            table.unwrap_or_default().lines().skip(1).any(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                let [_, local, _, st, ..] = words[..] else { return false };
                let here = local.rsplit_once(':').map(|(_, port)| port);
                here == Some(&format!("{port:04X}")) && state.is_none_or(|s| s == st)
            })
        })
    }
}

/// Whether a program can be found.
fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut dirs = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    dirs.any(|dir| dir.join(program).is_file())
}

fn before_port(address: &str, port: u16) -> String {
    let ip = address.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, port));
    ip.map_or_else(|_| format!("{address}:{port}"), |socket| socket.to_string())
}
