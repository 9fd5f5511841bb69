//! What recording an event costs the packet, measured on this machine at start.
//!
//! A network namespace of our own, with nothing in it but its loopback device, carries datagrams
//! from one socket to another: before anything is attached; then, with everything attached, in
//! turns refused and recorded. Two parts make the cost:
//! - *recording*: what a recorded datagram takes longer than a refused one. They take turns every
//!   fraction of a millisecond, so what else the machine does meets both alike.
//! - *being called*: what a refused datagram takes longer than one before the probes were attached.
//!   Between these lies the time that attaching takes, in which a shared machine becomes faster or
//!   slower: so both are measured against a *yardstick*, bytes through a pipe, which passes no
//!   probe.
//!
//! Their sum, divided by the events that a datagram leaves, is the cost of one event. It is measured
//! *hot* (one process sends to itself, one datagram right after the other) and *woken* (two take
//! turns, each woken by the other's datagram, so that the scheduler runs in between). Real traffic
//! lies near the two, and the figure is their middle. Its uncertainty is their distance, and the
//! scatter of each.

use std::{
    io::{self, PipeReader, PipeWriter, Read as _, Write as _},
    net::UdpSocket,
    os::fd::{AsRawFd as _, OwnedFd},
    thread,
    time::{Duration, Instant},
};

use aya::util::online_cpus;
use nix::{
    sched::{CloneFlags, CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity, unshare},
    unistd::Pid,
};

use crate::{
    hooks::Registered,
    netns::Netns,
    session::ProbeCost,
    topo::{Host, Place},
};

/// Turns.
const ROUNDS: u32 = 40;
/// Datagrams of a turn that follow right after another, and there and back between two threads.
const HOT: u32 = 25;
const WOKEN: u32 = 10;
/// Being woken takes longer than being hot by more than this factor only where the CPU is shared.
const SHARED: f64 = 4.0;
/// By how much the cost in other traffic was found to differ, as a share: packets that follow each
/// other closely on two CPUs pay more, those that let a CPU fall asleep in between pay less.
const OTHER_TRAFFIC: f64 = 0.15;
/// A datagram on the loopback device arrives within this, or not at all.
const PATIENCE: Duration = Duration::from_millis(200);

/// A hook that is as good as registered at each of the namespace's hook points: links stand around
/// it, so that they are as large a part of the datagrams' events as of a path's through NAT.
pub(super) fn pretended() -> Registered {
    Registered { function: "netpath's calibration".to_owned(), priority: 0 }
}

/// The index of a namespace's loopback device.
const LOOPBACK: u32 = 1;

/// Times of one datagram, ns.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    hot: f64,
    woken: f64,
}

/// A turn before anything is attached: in yardsticks.
type Plain = Times;

/// A turn with everything attached.
#[derive(Clone, Copy, Debug)]
struct Turn {
    refused: Times,
    recorded: Times,
    yardstick_ns: f64,
}

/// What was measured, turn by turn.
#[derive(Clone, Debug, Default)]
pub(super) struct Measured {
    plain: Vec<Plain>,
    turns: Vec<Turn>,
}

/// A namespace of our own, and two sockets in it.
pub(super) struct Bench {
    netns: Netns,
    /// Where all of it runs.
    cpu: usize,
    sender: UdpSocket,
    receiver: UdpSocket,
    /// Calls the echo.
    caller: UdpSocket,
    pipe: (PipeReader, PipeWriter),
    measured: Measured,
}

/// Keeps the calling thread on one CPU until this is dropped.
struct OnOneCpu(CpuSet);

impl OnOneCpu {
    fn new(cpu: usize) -> io::Result<Self> {
        let before = sched_getaffinity(THIS_THREAD)?;
        let mut one = CpuSet::new();
        one.set(cpu)?;
        sched_setaffinity(THIS_THREAD, &one)?;
        Ok(Self(before))
    }
}

impl Drop for OnOneCpu {
    fn drop(&mut self) {
        // A thread that stays where it is does no harm.
        let _ = sched_setaffinity(THIS_THREAD, &self.0);
    }
}

const THIS_THREAD: Pid = Pid::from_raw(0);

impl Bench {
    /// Makes the namespace; it goes with the sockets.
    pub(super) fn new() -> io::Result<Self> {
        // Between CPUs, waking takes many times what is to be measured.
        let cpu = sched_getcpu()?;
        let worker = thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET)?;
            up()?;
            let receiver = UdpSocket::bind("127.0.0.1:0")?;
            receiver.set_read_timeout(Some(PATIENCE))?;
            let sender = UdpSocket::bind("127.0.0.1:0")?;
            sender.connect(receiver.local_addr()?)?;
            let echo = UdpSocket::bind("127.0.0.1:0")?;
            let caller = UdpSocket::bind("127.0.0.1:0")?;
            caller.connect(echo.local_addr()?)?;
            caller.set_read_timeout(Some(PATIENCE))?;
            thread::spawn(move || {
                let _here = OnOneCpu::new(cpu);
                answer(&echo);
            });
            let path = std::path::Path::new("/proc/thread-self/ns/net");
            let netns = Netns::open(path, Some("netpath's own".to_owned()));
            let netns = netns.map_err(|e| io::Error::other(e.to_string()))?;
            Ok(Self {
                netns,
                cpu,
                sender,
                receiver,
                caller,
                pipe: io::pipe()?,
                measured: Measured::default(),
            })
        });
        worker.join().unwrap_or_else(|_| Err(io::Error::other("the thread ended unexpectedly")))
    }

    /// The namespace, as the topology has hosts.
    pub(super) fn host(&self) -> Host {
        let host = Host::bare(self.netns.cookie, self.netns.name.clone());
        Host { handle: Some(self.netns.clone()), ..host }
    }

    /// What must be wanted for its packets to be recorded.
    pub(super) fn places(&self) -> [Place; 2] {
        [0, LOOPBACK].map(|ifindex| Place { netns: self.netns.cookie, ifindex })
    }

    fn one(&self) -> io::Result<()> {
        let mut buffer = [0; 8];
        self.sender.send(&buffer)?;
        self.receiver.recv(&mut buffer)?;
        Ok(())
    }

    fn there_and_back(&self) -> io::Result<()> {
        let mut buffer = [0; 8];
        self.caller.send(&buffer)?;
        self.caller.recv(&mut buffer)?;
        Ok(())
    }

    /// Sends datagrams; the time of one.
    fn datagrams(&mut self) -> io::Result<Times> {
        let begun = Instant::now();
        for _ in 0..HOT {
            self.one()?;
        }
        let hot = begun.elapsed().as_nanos() as f64 / f64::from(HOT);
        let begun = Instant::now();
        for _ in 0..WOKEN {
            self.there_and_back()?;
        }
        let woken = begun.elapsed().as_nanos() as f64 / f64::from(2 * WOKEN);
        Ok(Times { hot, woken })
    }

    /// What a few bytes through a pipe take, ns.
    fn yardstick(&mut self) -> io::Result<f64> {
        let mut buffer = [0; 8];
        let begun = Instant::now();
        for _ in 0..HOT {
            self.pipe.1.write_all(&buffer)?;
            self.pipe.0.read_exact(&mut buffer)?;
        }
        Ok(begun.elapsed().as_nanos() as f64 / f64::from(HOT))
    }

    /// Sends a datagram on each CPU on which this thread may run.
    pub(super) fn on_each_cpu(&self) -> io::Result<()> {
        for cpu in online_cpus().map_err(|(_, e)| e)? {
            if let Ok(_here) = OnOneCpu::new(cpu as usize) {
                self.one()?;
            }
        }
        Ok(())
    }

    /// Before anything is attached.
    pub(super) fn plain(&mut self) -> io::Result<()> {
        let _here = OnOneCpu::new(self.cpu)?;
        for _ in 0..ROUNDS {
            let yardstick = self.yardstick()?;
            let times = self.datagrams()?;
            self.measured
                .plain
                .push(Times { hot: times.hot / yardstick, woken: times.woken / yardstick });
        }
        Ok(())
    }

    /// With everything attached; `want` says whether packets are recorded from now on.
    pub(super) fn attached<E>(
        &mut self,
        mut want: impl FnMut(bool) -> Result<(), E>,
    ) -> Result<io::Result<()>, E> {
        let _here = match OnOneCpu::new(self.cpu) {
            Ok(here) => here,
            Err(e) => return Ok(Err(e)),
        };
        for _ in 0..ROUNDS {
            let yardstick = self.yardstick();
            want(true)?;
            let recorded = self.datagrams();
            want(false)?;
            let refused = self.datagrams();
            match (yardstick, recorded, refused) {
                (Ok(yardstick_ns), Ok(recorded), Ok(refused)) => {
                    self.measured.turns.push(Turn { refused, recorded, yardstick_ns });
                }
                (Err(e), ..) | (_, Err(e), _) | (.., Err(e)) => return Ok(Err(e)),
            }
        }
        Ok(Ok(()))
    }

    /// The cost of one event, given how many were recorded in all.
    pub(super) fn cost(&self, events: usize) -> Option<ProbeCost> {
        let per_datagram = events as f64 / f64::from((HOT + 2 * WOKEN) * ROUNDS);
        cost(&self.measured, per_datagram)
    }
}

/// Sends back what comes, until an empty datagram does.
fn answer(echo: &UdpSocket) {
    let mut buffer = [0; 8];
    while let Ok((bytes, from)) = echo.recv_from(&mut buffer) {
        if bytes == 0 || echo.send_to(&buffer[..bytes], from).is_err() {
            break;
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // The echo has nothing else to wait for.
        let _ = self.caller.send(&[]);
    }
}

/// The cost of one event.
fn cost(measured: &Measured, events_per_datagram: f64) -> Option<ProbeCost> {
    if events_per_datagram < 1.0 {
        return None;
    }
    let hot = extra(measured, |times| times.hot);
    // Where others want the CPU, waking takes as long as they please: before, or by now.
    let alone = |all: &mut dyn Iterator<Item = &Times>| {
        let (woken, hot): (Vec<f64>, Vec<f64>) = all.map(|t| (t.woken, t.hot)).unzip();
        median(woken) < median(hot) * SHARED
    };
    let refused = &mut measured.turns.iter().map(|turn| &turn.refused);
    let woken = if alone(&mut measured.plain.iter()) && alone(refused) {
        extra(measured, |times| times.woken)
    } else {
        hot
    };
    tracing::debug!(
        "calibration, ns a datagram of {events_per_datagram} events: hot {hot:?}, woken {woken:?}"
    );
    // The more certain of the two counts for more.
    let weight = |extra: Extra| 1.0 / extra.stderr.max(1.0).powi(2);
    let (of_hot, of_woken) = (weight(hot), weight(woken));
    let mean = (hot.ns * of_hot + woken.ns * of_woken) / (of_hot + of_woken);
    let scatter = (of_hot + of_woken).recip().sqrt();
    // What lies between them beyond their scatter: anywhere there, a uniform distribution.
    let apart = (hot.ns - woken.ns).abs() - hot.stderr.hypot(woken.stderr);
    let between = apart.max(0.0) / 12f64.sqrt();
    let called = (hot.called_ns * of_hot + woken.called_ns * of_woken) / (of_hot + of_woken);
    Some(ProbeCost {
        called: called / events_per_datagram,
        mean: mean.max(0.0) / events_per_datagram,
        stddev: scatter.hypot(between).hypot(mean * OTHER_TRAFFIC) / events_per_datagram,
    })
}

/// What a datagram takes longer, and the standard error of that; ns.
#[derive(Clone, Copy, Debug)]
struct Extra {
    ns: f64,
    /// Of these, being called.
    called_ns: f64,
    stderr: f64,
}

fn extra(measured: &Measured, of: impl Fn(&Times) -> f64) -> Extra {
    let Measured { plain, turns } = measured;
    let yardstick = middle(turns.iter().map(|turn| turn.yardstick_ns)).ns;
    let recording = middle(turns.iter().map(|turn| of(&turn.recorded) - of(&turn.refused)));
    let before = middle(plain.iter().map(&of));
    let after = middle(turns.iter().map(|turn| of(&turn.refused) / turn.yardstick_ns));
    tracing::debug!(
        "recording {recording:?} before {before:?} after {after:?} yardstick {yardstick}"
    );
    // A probe cannot make a packet faster.
    let called = (after.ns - before.ns).max(0.0) * yardstick;
    let scatter = before.stderr.hypot(after.stderr) * yardstick;
    let stderr = recording.stderr.hypot(scatter);
    Extra { ns: recording.ns + called, called_ns: called, stderr }
}

/// A median, and its standard error.
#[derive(Clone, Copy, Debug)]
struct Middle {
    ns: f64,
    stderr: f64,
}

/// The median, and its standard error, from the median distance to it.
fn middle(all: impl Iterator<Item = f64>) -> Middle {
    /// Of a normal distribution: its deviation over its median distance, and a median's standard
    /// error over the deviation by √n.
    const DEVIATION: f64 = 1.4826;
    const OF_MEDIAN: f64 = 1.2533;
    let all: Vec<f64> = all.collect();
    let ns = median(all.clone());
    let distance = median(all.iter().map(|x| (x - ns).abs()).collect());
    Middle { ns, stderr: distance * DEVIATION * OF_MEDIAN / (all.len().max(1) as f64).sqrt() }
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or_default()
}

/// Brings the calling thread's loopback device up.
fn up() -> io::Result<()> {
    let socket: OwnedFd = UdpSocket::bind("0.0.0.0:0")?.into();
    // SAFETY: all-zero is a valid ifreq; the name fits; the kernel reads and writes one ifreq.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = libc::c_char::from_ne_bytes(*b"l");
        request.ifr_name[1] = libc::c_char::from_ne_bytes(*b"o");
        request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_UP).unwrap_or(1);
        if libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
