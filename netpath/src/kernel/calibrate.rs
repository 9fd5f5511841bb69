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
//! *hot* (one datagram right after the other) and *cold* (a buffer larger than the second-level
//! cache is walked through before each). Real traffic lies between the two, and so does the figure.
//! Its uncertainty is their distance, and the scatter of each.

use std::{
    hint::black_box,
    io::{self, PipeReader, PipeWriter, Read as _, Write as _},
    net::UdpSocket,
    os::fd::{AsRawFd as _, OwnedFd},
    thread,
    time::{Duration, Instant},
};

use nix::sched::{CloneFlags, unshare};

use crate::{
    netns::Netns,
    session::ProbeCost,
    topo::{Host, Place},
};

/// Turns.
const ROUNDS: usize = 40;
/// Datagrams of a turn that follow right after another, and single ones with cold caches.
const HOT: u32 = 25;
const COLD: u32 = 3;
/// Walked through before each cold datagram, bytes.
const EVICT: usize = 1 << 20;
/// A datagram on the loopback device arrives within this, or not at all.
const PATIENCE: Duration = Duration::from_millis(200);

/// The index of a namespace's loopback device.
const LOOPBACK: u32 = 1;

/// Times of one datagram, ns.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    hot: f64,
    cold: f64,
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
    sender: UdpSocket,
    receiver: UdpSocket,
    pipe: (PipeReader, PipeWriter),
    evict: Vec<u64>,
    measured: Measured,
}

impl Bench {
    /// Makes the namespace; it goes with the sockets.
    pub(super) fn new() -> io::Result<Self> {
        let worker = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            up()?;
            let receiver = UdpSocket::bind("127.0.0.1:0")?;
            receiver.set_read_timeout(Some(PATIENCE))?;
            let sender = UdpSocket::bind("127.0.0.1:0")?;
            sender.connect(receiver.local_addr()?)?;
            let path = std::path::Path::new("/proc/thread-self/ns/net");
            let netns = Netns::open(path, Some("netpath's own".to_owned()));
            let netns = netns.map_err(|e| io::Error::other(e.to_string()))?;
            Ok(Self {
                netns,
                sender,
                receiver,
                pipe: io::pipe()?,
                evict: vec![0; EVICT / size_of::<u64>()],
                measured: Measured::default(),
            })
        });
        worker.join().unwrap_or_else(|_| Err(io::Error::other("the thread ended unexpectedly")))
    }

    /// The namespace, as the topology has hosts.
    pub(super) fn host(&self) -> Host {
        Host {
            netns: self.netns.cookie,
            name: self.netns.name.clone(),
            devices: std::collections::BTreeMap::new(),
            forwards: false,
            bridge_nf: false,
            handle: Some(self.netns.clone()),
        }
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

    /// Sends datagrams, hot and cold.
    fn datagrams(&mut self) -> io::Result<Times> {
        let begun = Instant::now();
        for _ in 0..HOT {
            self.one()?;
        }
        let hot = begun.elapsed().as_nanos() as f64 / f64::from(HOT);
        let mut cold = Vec::with_capacity(COLD as usize);
        for _ in 0..COLD {
            for line in self.evict.chunks_mut(8) {
                line[0] = black_box(line[0].wrapping_add(1));
            }
            let begun = Instant::now();
            self.one()?;
            cold.push(begun.elapsed().as_nanos() as f64);
        }
        Ok(Times { hot, cold: median(cold) })
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

    /// Before anything is attached.
    pub(super) fn plain(&mut self) -> io::Result<()> {
        for _ in 0..ROUNDS {
            let yardstick = self.yardstick()?;
            let times = self.datagrams()?;
            self.measured
                .plain
                .push(Times { hot: times.hot / yardstick, cold: times.cold / yardstick });
        }
        Ok(())
    }

    /// With everything attached; `want` says whether packets are recorded from now on.
    pub(super) fn attached<E>(
        &mut self,
        mut want: impl FnMut(bool) -> Result<(), E>,
    ) -> Result<io::Result<()>, E> {
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
        let per_datagram = events as f64 / f64::from((HOT + COLD) * ROUNDS as u32);
        cost(&self.measured, per_datagram)
    }
}

/// The cost of one event.
fn cost(measured: &Measured, events_per_datagram: f64) -> Option<ProbeCost> {
    if events_per_datagram < 1.0 {
        return None;
    }
    let hot = extra(measured, |times| times.hot);
    let cold = extra(measured, |times| times.cold);
    tracing::debug!("calibration, ns a datagram of {events_per_datagram} events: hot {hot:?}, cold {cold:?}");
    let mean = f64::midpoint(hot.ns, cold.ns) / events_per_datagram;
    // Anywhere between the two, with nothing known of where: a uniform distribution.
    let between = (hot.ns - cold.ns).abs() / 12f64.sqrt();
    let scatter = hot.stderr.hypot(cold.stderr) / 2.0;
    Some(ProbeCost {
        mean: mean.max(0.0),
        stddev: between.hypot(scatter) / events_per_datagram,
    })
}

/// What a datagram takes longer, and the standard error of that; ns.
#[derive(Clone, Copy, Debug)]
struct Extra {
    ns: f64,
    stderr: f64,
}

fn extra(measured: &Measured, of: impl Fn(&Times) -> f64) -> Extra {
    let Measured { plain, turns } = measured;
    let yardstick = middle(turns.iter().map(|turn| turn.yardstick_ns)).ns;
    let recording = middle(turns.iter().map(|turn| of(&turn.recorded) - of(&turn.refused)));
    let before = middle(plain.iter().map(&of));
    let after = middle(turns.iter().map(|turn| of(&turn.refused) / turn.yardstick_ns));
    tracing::debug!("recording {recording:?} before {before:?} after {after:?} yardstick {yardstick}");
    // A probe cannot make a packet faster.
    let called = (after.ns - before.ns).max(0.0) * yardstick;
    let scatter = before.stderr.hypot(after.stderr) * yardstick;
    Extra { ns: recording.ns + called, stderr: recording.stderr.hypot(scatter) }
}

/// The median, and its standard error, from the median distance to it.
fn middle(all: impl Iterator<Item = f64>) -> Extra {
    /// Of a normal distribution: its deviation over its median distance, and a median's standard
    /// error over the deviation by √n.
    const DEVIATION: f64 = 1.4826;
    const OF_MEDIAN: f64 = 1.2533;
    let all: Vec<f64> = all.collect();
    let ns = median(all.clone());
    let distance = median(all.iter().map(|x| (x - ns).abs()).collect());
    Extra { ns, stderr: distance * DEVIATION * OF_MEDIAN / (all.len().max(1) as f64).sqrt() }
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
mod tests {
    use super::*;

    /// A machine on which a datagram takes this long, in yardsticks of `yardstick_ns`.
    fn measured(plain: Times, yardstick_ns: f64, called: f64, recording: Times) -> Measured {
        let times = |extra: f64, recording: Times| Times {
            hot: plain.hot * yardstick_ns + extra + recording.hot,
            cold: plain.cold * yardstick_ns + extra + recording.cold,
        };
        let turn = Turn {
            refused: times(called, Times::default()),
            recorded: times(called, recording),
            yardstick_ns,
        };
        Measured { plain: vec![plain; 9], turns: vec![turn; 9] }
    }

    #[test]
    fn the_cost_lies_between_hot_and_cold_however_fast_the_machine_has_become() {
        for yardstick_ns in [300.0, 500.0] {
            let plain = Times { hot: 5.0, cold: 15.0 };
            let recording = Times { hot: 300.0, cold: 1300.0 };
            let cost = cost(&measured(plain, yardstick_ns, 200.0, recording), 10.0).unwrap();
            assert!((cost.mean - 100.0).abs() < 1e-9, "{cost:?}");
            assert!((cost.stddev - 100.0 / 12f64.sqrt()).abs() < 1e-9, "{cost:?}");
        }
    }

    #[test]
    fn scatter_makes_the_cost_less_certain() {
        let times = Times { hot: 5.0, cold: 5.0 };
        let mut measured = measured(times, 400.0, 0.0, Times { hot: 500.0, cold: 500.0 });
        for (i, turn) in measured.turns.iter_mut().enumerate() {
            turn.recorded.hot += i as f64 * 100.0;
        }
        let cost = cost(&measured, 10.0).unwrap();
        assert!(cost.stddev > 5.0, "{cost:?}");
    }

    #[test]
    fn without_events_there_is_no_cost_to_tell() {
        assert_eq!(cost(&Measured::default(), 0.0), None);
    }
}
