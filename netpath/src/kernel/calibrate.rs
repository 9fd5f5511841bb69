//! What recording an event costs the packet, measured on this machine at start.
//!
//! A network namespace of our own, with nothing in it but its loopback device, carries datagrams
//! from one socket to another: before anything is attached, then with everything attached and
//! every packet recorded. What a datagram takes longer, divided by the events that it leaves, is
//! the cost of one: the kernel's dispatch, the program, and what both do to the caches.
//!
//! It is measured *hot* (one datagram right after the other) and *cold* (a buffer larger than the
//! second-level cache is walked through before each). Real traffic lies between the two, and so
//! does the figure; their distance is its uncertainty.

use std::{
    hint::black_box,
    io,
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

/// Datagrams of a hot batch, and batches.
const BATCH: u32 = 50;
const BATCHES: usize = 30;
/// Single cold datagrams.
const COLD: usize = 100;
/// Walked through before each cold datagram, bytes.
const EVICT: usize = 1 << 20;
/// A datagram on the loopback device arrives within this, or not at all.
const PATIENCE: Duration = Duration::from_millis(200);

/// The index of a namespace's loopback device.
const LOOPBACK: u32 = 1;

/// Times of one datagram, ns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    hot_ns: f64,
    cold_ns: f64,
}

/// A namespace of our own, and two sockets in it.
pub(super) struct Bench {
    netns: Netns,
    sender: UdpSocket,
    receiver: UdpSocket,
    evict: Vec<u64>,
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
            Ok(Self { netns, sender, receiver, evict: vec![0; EVICT / size_of::<u64>()] })
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

    /// Sends datagrams, hot and cold; the time of one.
    pub(super) fn measure(&mut self) -> io::Result<Times> {
        let mut hot = Vec::with_capacity(BATCHES);
        for _ in 0..BATCHES {
            let begun = Instant::now();
            for _ in 0..BATCH {
                self.one()?;
            }
            hot.push(begun.elapsed().as_nanos() as f64 / f64::from(BATCH));
        }
        let mut cold = Vec::with_capacity(COLD);
        for _ in 0..COLD {
            for line in self.evict.chunks_mut(8) {
                line[0] = black_box(line[0].wrapping_add(1));
            }
            let begun = Instant::now();
            self.one()?;
            cold.push(begun.elapsed().as_nanos() as f64);
        }
        Ok(Times { hot_ns: median(hot), cold_ns: median(cold) })
    }

    /// Datagrams that a measurement sends.
    pub(super) const fn datagrams() -> usize {
        BATCHES * BATCH as usize + COLD
    }
}

/// The cost of one event, from the times of a datagram without and with its events recorded.
pub(super) fn cost(plain: Times, traced: Times, events_per_datagram: f64) -> Option<ProbeCost> {
    if events_per_datagram < 1.0 {
        return None;
    }
    let hot = (traced.hot_ns - plain.hot_ns) / events_per_datagram;
    let cold = (traced.cold_ns - plain.cold_ns) / events_per_datagram;
    let (low, high) = if hot < cold { (hot, cold) } else { (cold, hot) };
    // Anywhere between the two, with nothing known of where: a uniform distribution.
    Some(ProbeCost { mean: f64::midpoint(low, high).max(0.0), stddev: (high - low) / 12f64.sqrt() })
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

    #[test]
    fn the_cost_lies_between_hot_and_cold() {
        let plain = Times { hot_ns: 2000.0, cold_ns: 9000.0 };
        let traced = Times { hot_ns: 2500.0, cold_ns: 10_500.0 };
        let cost = cost(plain, traced, 10.0).unwrap();
        assert!((cost.mean - 100.0).abs() < 1e-9);
        assert!((cost.stddev - 100.0 / 12f64.sqrt()).abs() < 1e-9);
    }

    #[test]
    fn without_events_there_is_no_cost_to_tell() {
        let times = Times { hot_ns: 1.0, cold_ns: 1.0 };
        assert_eq!(cost(times, times, 0.0), None);
    }
}
