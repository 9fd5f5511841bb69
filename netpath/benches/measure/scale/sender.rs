//! A sender in the lab's client that gives its datagrams as many source ports as there are to be
//! flows, at a rate.

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
use netpath::lab::Lab;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Ports that a socket is kept open for at once; what lies beyond takes another destination.
const PORTS: usize = 20_000;
/// Datagrams that go out between two looks at the clock, at most.
const BURST: u64 = 64;

/// Sends until it is told to stop.
pub(super) struct Sender {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Option<thread::JoinHandle<anyhow::Result<()>>>,
}

impl Sender {
    /// `rate` datagrams a second, or as many as there can be.
    pub(super) fn start(lab: &Lab, flows: usize, rate: Option<u64>) -> anyhow::Result<Self> {
        let client = lab.host(lab.topology().client)?.clone();
        let to: IpAddr = lab.topology().server_v4.parse()?;
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&sent));
        let thread = thread::spawn(move || {
            client.run(|| send(to, flows, rate, &stopped, &counted)).map_err(|e| anyhow!("{e}"))?
        });
        Ok(Self { stop, sent, thread: Some(thread) })
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(super) fn stop(mut self) -> anyhow::Result<()> {
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
fn send(
    to: IpAddr,
    flows: usize,
    rate: Option<u64>,
    stop: &AtomicBool,
    sent: &AtomicU64,
) -> anyhow::Result<()> {
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
        let due = |rate: u64| elapsed_us * rate / 1_000_000;
        let behind = rate.map_or(BURST, |r| due(r).saturating_sub(sent.load(Ordering::Relaxed)));
        if behind == 0 {
            thread::sleep(Duration::from_micros(500));
        }
        for _ in 0..behind.min(BURST) {
            let port = FIRST + u16::try_from(flow / ports)?;
            // What comes back of an earlier datagram is told here, and is of no interest.
            let _ = sockets[flow % ports].send_to(&[0; 64], SocketAddr::new(to, port));
            sent.fetch_add(1, Ordering::Relaxed);
            flow = (flow + 1) % flows;
        }
    }
    Ok(())
}
