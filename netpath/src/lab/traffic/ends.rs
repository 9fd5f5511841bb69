//! The two ends of a load, each a thread: in a namespace of this machine, or in a guest's own.
//!
//! In: a [`Load`], and where the end stands. Out: an end that runs until it is stopped, and what it
//! has counted meanwhile. What is measured here and what is measured in a guest is counted by the
//! same code.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    Load, PATIENCE_START,
    client::{Client, Counted, Stop},
    connections,
    cpu::pin,
    ping, tcp, tools, udp,
};
use crate::netns::Netns;

/// What a server has received until a moment, by a clock that goes on evenly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::lab) struct Reading {
    pub(in crate::lab) bytes: u64,
    pub(in crate::lab) at: Duration,
}

/// A server that runs, wherever that is.
pub(in crate::lab) trait Server: Send + std::fmt::Debug {
    fn received(&self) -> Result<Reading, String>;
    fn stop(&mut self) -> Result<(), String>;
}

/// A client that runs, wherever that is.
pub(in crate::lab) trait Asker: Send + std::fmt::Debug {
    /// Forgets what was counted so far.
    fn begin(&mut self) -> Result<(), String>;
    /// How many there were, since it began.
    fn count(&self) -> u64;
    /// Whether it has done all that it was to do.
    fn finished(&self) -> bool;
    fn stop(&mut self) -> Result<Counted, String>;
}

/// A server's thread.
#[derive(Debug)]
pub(in crate::lab) struct ServerThread {
    since: Instant,
    received: Arc<AtomicU64>,
    stop: Stop,
    thread: Option<JoinHandle<Result<(), String>>>,
}

/// A client's thread.
#[derive(Debug)]
pub(in crate::lab) struct ClientThread {
    stop: Stop,
    restart: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<Counted, String>>>,
}

/// Where a thread stands: in a namespace, or where its process is; and its CPU.
#[derive(Clone, Debug, Default)]
pub(in crate::lab) struct Stand {
    pub(in crate::lab) netns: Option<Netns>,
    pub(in crate::lab) cpu: Option<usize>,
}

impl Stand {
    fn run<T: Send>(
        &self,
        who: &str,
        f: impl FnOnce() -> io::Result<T> + Send,
    ) -> Result<T, String> {
        let pinned = || {
            pin(self.cpu)?;
            f()
        };
        let done = match &self.netns {
            Some(netns) => netns.run(pinned).map_err(|e| e.to_string())?,
            None => pinned(),
        };
        done.map_err(|e| format!("{who}: {e}"))
    }
}

impl ServerThread {
    /// Starts a server; returns it and its port once it listens.
    pub(in crate::lab) fn start(stand: Stand, load: Load, v6: bool) -> Result<(Self, u16), String> {
        let (listening, at) = mpsc::channel();
        let (stop, received) = (Stop::default(), Arc::new(AtomicU64::new(0)));
        let (s, r) = (stop.clone(), Arc::clone(&received));
        let thread = thread::Builder::new().name("np-server".into()).spawn(move || {
            let any = if v6 { "[::]:0" } else { "0.0.0.0:0" };
            stand.run("server", || match load {
                Load::UdpRequests(sizes) => udp::reply(any, sizes, &listening, &s, &r),
                Load::UdpFlood { .. } => udp::sink(any, &listening, &s, &r),
                Load::TcpRequests(sizes) | Load::TcpConnects(sizes) => {
                    tcp::reply(any, sizes, &listening, &s, &r)
                }
                Load::TcpBulk => tcp::sink(any, &listening, &s, &r),
                Load::Tool(tool) => tools::serve(tool, &listening, &s),
                // The server's kernel answers, or nobody.
                Load::Ping { .. } | Load::OneWay { .. } => {
                    let _ = listening.send(0);
                    Ok(())
                }
            })
        });
        let thread = Some(thread.map_err(|e| e.to_string())?);
        let mut this = Self { since: Instant::now(), received, stop, thread };
        match at.recv_timeout(PATIENCE_START) {
            Ok(port) => Ok((this, port)),
            Err(_) => Err(failed(this.stop(), "the server did not start")),
        }
    }
}

impl Server for ServerThread {
    fn received(&self) -> Result<Reading, String> {
        let bytes = self.received.load(Ordering::Relaxed);
        Ok(Reading { bytes, at: self.since.elapsed() })
    }

    fn stop(&mut self) -> Result<(), String> {
        self.stop.request();
        self.thread.take().map_or(Ok(()), join)
    }
}

impl ClientThread {
    /// Starts a client; returns it once it has had its first answer.
    pub(in crate::lab) fn start(stand: Stand, load: Load, to: SocketAddr) -> Result<Self, String> {
        let (flowing, flows) = mpsc::channel();
        let mut this = Self {
            stop: Stop::default(),
            restart: Arc::new(AtomicBool::new(false)),
            sent: Arc::new(AtomicU64::new(0)),
            thread: None,
        };
        let mut client = Client::new(
            this.stop.clone(),
            Arc::clone(&this.restart),
            flowing,
            Arc::clone(&this.sent),
        );
        let thread = thread::Builder::new().name("np-client".into()).spawn(move || {
            stand.run("client", || match load {
                Load::UdpRequests(sizes) => udp::request(to, sizes, &mut client),
                Load::UdpFlood { bytes, rate } => udp::flood(to, bytes, rate, &mut client),
                Load::TcpRequests(sizes) => tcp::request(to, sizes, &mut client),
                Load::TcpConnects(sizes) => tcp::connect(to, sizes, &mut client),
                Load::TcpBulk => tcp::bulk(to, &mut client),
                Load::Tool(tool) => tools::send(tool, to, &mut client),
                Load::Ping { bytes } => ping::request(to, bytes, &mut client),
                Load::OneWay { datagrams, new } => connections::send(datagrams, new, &mut client),
            })?;
            Ok(client.counted)
        });
        this.thread = Some(thread.map_err(|e| e.to_string())?);
        if flows.recv_timeout(PATIENCE_START).is_err() {
            let otherwise = format!("{}: no answer from {to} within 5 s", load.name());
            return Err(failed(this.stop().map(|_| ()), &otherwise));
        }
        Ok(this)
    }
}

impl Asker for ClientThread {
    fn begin(&mut self) -> Result<(), String> {
        self.restart.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn count(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    fn finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    fn stop(&mut self) -> Result<Counted, String> {
        self.stop.request();
        self.thread.take().map_or_else(|| Ok(Counted::new()), join)
    }
}

impl Drop for ServerThread {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

impl Drop for ClientThread {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

/// The error of a thread that was stopped, or `otherwise`.
fn failed(stopped: Result<(), String>, otherwise: &str) -> String {
    stopped.err().unwrap_or_else(|| otherwise.to_owned())
}

pub(super) fn join<T>(thread: JoinHandle<Result<T, String>>) -> Result<T, String> {
    thread.join().unwrap_or_else(|_| Err("a thread panicked".to_owned()))
}
