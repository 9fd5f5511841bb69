//! Cost and memory with many flows, and over time.
//!
//! One sender in the client's namespace gives its datagrams as many source ports as there are to be
//! flows. netpath runs as it does for users; its memory is what the kernel says of its process.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use netpath::lab::{Lab, topologies::find};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::Serialize;

use crate::{
    watcher::{Watcher, status},
    ways::FULL,
};

/// Concurrent flows of a step.
const FLOWS: &[usize] = &[1, 100, 10_000, 100_000];
/// Ports that a socket is kept open for at once; what lies beyond takes another destination.
const PORTS: usize = 20_000;
/// How long a step lasts, and a soak.
const STEP: Duration = Duration::from_secs(6);
const SOAK: Duration = Duration::from_secs(30);
/// How often memory is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// Datagrams per second that are aimed at.
const RATE: u64 = 40_000;

/// All steps.
#[derive(Debug, Serialize)]
pub(crate) struct Scale {
    pub(crate) steps: Vec<Row>,
    /// Resident memory over time with the most flows, bytes.
    pub(crate) soak: Vec<u64>,
    /// From the command's start to the first packet's record, ms.
    pub(crate) start_ms: f64,
    pub(crate) binary_bytes: u64,
}

/// A number of flows.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) flows: usize,
    pub(crate) packets: u64,
    /// CPU time of netpath's process per packet, ns.
    pub(crate) user_ns_per_packet: f64,
    pub(crate) peak_bytes: u64,
    pub(crate) lost: u64,
}

/// Sends until it is told to stop.
struct Sender {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Option<thread::JoinHandle<anyhow::Result<()>>>,
}

impl Sender {
    fn start(lab: &Lab, flows: usize) -> anyhow::Result<Self> {
        let client = lab.host(lab.topology().client)?.clone();
        let to: IpAddr = lab.topology().server_v4.parse()?;
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&sent));
        let thread = thread::spawn(move || {
            client.run(|| send(to, flows, &stopped, &counted)).map_err(|e| anyhow!("{e}"))?
        });
        Ok(Self { stop, sent, thread: Some(thread) })
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    fn stop(mut self) -> anyhow::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("the sender was stopped already")?;
        thread.join().map_err(|_| anyhow!("the sender panicked"))?
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One datagram per flow in turn. A flow is a source port and a destination port; nobody listens
/// there, and the server's kernel says so at the rate that it likes.
fn send(to: IpAddr, flows: usize, stop: &AtomicBool, sent: &AtomicU64) -> anyhow::Result<()> {
    const FIRST: u16 = 10_000;
    // As many as may be open, but for those of the bench itself.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let ports = PORTS.min(usize::try_from(most.saturating_sub(200))?);
    let sockets = (0..flows.min(ports))
        .map(|_| UdpSocket::bind("0.0.0.0:0"))
        .collect::<Result<Vec<_>, _>>()
        .context("cannot open a socket per flow")?;
    let begun = Instant::now();
    let mut flow = 0;
    while !stop.load(Ordering::Relaxed) {
        let elapsed_us = u64::try_from(begun.elapsed().as_micros())?;
        let due = elapsed_us * RATE / 1_000_000;
        let behind = due.saturating_sub(sent.load(Ordering::Relaxed));
        if behind == 0 {
            thread::sleep(Duration::from_micros(500));
        }
        for _ in 0..behind.min(64) {
            let port = FIRST + u16::try_from(flow / ports)?;
            // What comes back of an earlier datagram is told here, and is of no interest.
            let _ = sockets[flow % ports].send_to(&[0; 64], SocketAddr::new(to, port));
            sent.fetch_add(1, Ordering::Relaxed);
            flow = (flow + 1) % flows;
        }
    }
    Ok(())
}

pub(crate) fn run() -> anyhow::Result<Scale> {
    raise_files()?;
    let lab = Lab::up(find("bridge-nat").context("the lab has no bridge-nat")?)?;
    let mut steps = Vec::new();
    let mut soak = Vec::new();
    for flows in FLOWS {
        eprintln!("bench: {flows} flows");
        let sender = Sender::start(&lab, *flows)?;
        let watcher = Watcher::start(&FULL, &lab)?;
        let (cpu, sent) = (watcher.cpu(), sender.sent());
        let last = Some(flows) == FLOWS.last();
        let until = Instant::now() + if last { SOAK } else { STEP };
        while Instant::now() < until {
            thread::sleep(LOOK);
            if last {
                soak.push(watcher.resident());
            }
        }
        let packets = sender.sent() - sent;
        let cpu = watcher.cpu().saturating_sub(cpu);
        let peak_bytes = watcher.peak_memory();
        let said = watcher.stop()?;
        sender.stop()?;
        steps.push(Row {
            flows: *flows,
            packets,
            user_ns_per_packet: cpu.as_nanos() as f64 / packets.max(1) as f64,
            peak_bytes,
            lost: said.lost,
        });
    }
    let binary_bytes = std::fs::metadata(env!("CARGO_BIN_EXE_netpath"))?.len();
    Ok(Scale { steps, soak, start_ms: start_ms(&lab)?, binary_bytes })
}

/// How long `netpath trace --count 1` takes while packets pass, median of a few.
fn start_ms(lab: &Lab) -> anyhow::Result<f64> {
    let sender = Sender::start(lab, 1)?;
    let mut times = Vec::new();
    for _ in 0..5 {
        let mut command = FULL.command(lab).context("it is netpath's")?;
        command.args(["--count", "1"]).stdout(std::process::Stdio::null());
        command.stderr(std::process::Stdio::null());
        let since = Instant::now();
        command.status()?;
        times.push(since.elapsed().as_secs_f64() * 1e3);
    }
    sender.stop()?;
    Ok(crate::figures::Figure::of(&times).median)
}

/// Lets this process open a socket per flow.
fn raise_files() -> anyhow::Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(())
}

impl Watcher {
    /// Resident memory of the tool's process now, bytes.
    fn resident(&self) -> u64 {
        match self {
            Self::Process { child, .. } => status(child.id(), "VmRSS:"),
            Self::Nothing => 0,
        }
    }
}
