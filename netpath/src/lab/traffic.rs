//! Traffic of our own: senders and receivers in the lab's namespaces, with their own clocks.
//!
//! Every socket is made by a thread inside its namespace. A [`Traffic`] runs until it is stopped;
//! then it says what it measured, which is what netpath's figures are held against.
//!
//! - [`client`]: what clients count, and how they are told to stop;
//! - [`tcp`], [`udp`], [`ping`], [`connections`]: the loads;
//! - [`relay`]: a process between client and server;
//! - [`cpu`]: the CPU time that a load takes.

mod client;
pub(super) mod connections;
mod cpu;
mod ping;
mod relay;
mod tcp;
mod udp;

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use super::{Lab, LabError, topologies::Relay};
use client::{Client, Counted, Stop};
use cpu::{CpuTime, pin};

/// How long a receiver waits before it looks whether to stop.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long the first answer may take.
const PATIENCE_START: Duration = Duration::from_secs(5);

/// What to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// TCP request and reply on a connection that is kept, one in flight.
    TcpRequests(Sizes),
    /// UDP request and reply, one in flight.
    UdpRequests(Sizes),
    /// A TCP connection for every request.
    TcpConnects(Sizes),
    /// ICMP echo, one in flight.
    Ping { bytes: usize },
    /// UDP datagrams of this many bytes, at a rate per second, or as many as there can be.
    UdpFlood { bytes: usize, rate: Option<u64> },
    /// TCP, as much as there can be.
    TcpBulk,
    /// So many UDP datagrams to a server that throws them away, each of a connection of its own
    /// where `new`. The sender's CPU takes them all the way: nobody is woken.
    OneWay { datagrams: u32, new: bool },
}

/// Bytes of a request and of its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    pub request: usize,
    pub reply: usize,
}

impl Sizes {
    /// As in IBM's RC25482.
    pub const IBM: Self = Self { request: 100, reply: 200 };
}

impl Default for Sizes {
    /// As in IBM's RC25482.
    fn default() -> Self {
        Self::IBM
    }
}

impl Load {
    pub fn is_tcp(&self) -> bool {
        matches!(self, Self::TcpRequests(_) | Self::TcpConnects(_) | Self::TcpBulk)
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::TcpRequests(_) => "TCP request/reply",
            Self::UdpRequests(_) => "UDP request/reply",
            Self::TcpConnects(_) => "TCP connect/request/close",
            Self::UdpFlood { .. } => "UDP flood",
            Self::TcpBulk => "TCP bulk",
            Self::Ping { .. } => "ping",
            Self::OneWay { .. } => "UDP one way",
        }
    }
}

/// What a load's own clock measured.
#[derive(Clone, Debug)]
pub struct Measured {
    pub load: Load,
    pub elapsed: Duration,
    /// Transactions, datagrams or writes.
    pub count: u64,
    /// Payload bytes sent by the client.
    pub bytes: u64,
    /// Bytes that the receiving end has read.
    pub received_bytes: u64,
    /// Round trips in ns, for loads that have them.
    pub round_trips: Histogram<u64>,
    /// What this process, the softirq threads and the lab's daemons used of the CPUs.
    pub cpu: Duration,
}

impl Measured {
    pub fn per_second(&self) -> f64 {
        self.count as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// Payload that arrived, bits per second.
    pub fn goodput_bps(&self) -> f64 {
        self.received_bytes as f64 * 8.0 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// How a load is run.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// Over IPv6.
    pub v6: bool,
    /// The CPUs of the client and of the server; otherwise the scheduler chooses.
    pub cpus: Option<(usize, usize)>,
}

/// A load that is running.
#[derive(Debug)]
pub struct Traffic {
    load: Load,
    started: Instant,
    cpu_before: CpuTime,
    received_before: u64,
    /// The client's; the server's comes after it, so that what is in flight still finds it.
    stop: Stop,
    stop_server: Stop,
    restart: Arc<AtomicBool>,
    received: Arc<AtomicU64>,
    sent: Arc<AtomicU64>,
    server: Option<JoinHandle<Result<(), String>>>,
    relay: Option<JoinHandle<Result<(), String>>>,
    client: Option<JoinHandle<Result<Counted, String>>>,
}

impl Traffic {
    /// Starts a load between the lab's client and its server; IPv6 where `v6` says so. Returns
    /// once the first answer has come, or the first packets are out.
    pub fn start(lab: &Lab, load: Load, v6: bool) -> Result<Self, LabError> {
        Self::start_as(lab, load, How { v6, ..How::default() })
    }

    /// Like [`Self::start`].
    pub fn start_as(lab: &Lab, load: Load, how: How) -> Result<Self, LabError> {
        let topology = lab.topology();
        let address = if how.v6 {
            topology.server_v6.ok_or_else(|| {
                LabError::Traffic(format!("topology {} has no IPv6", topology.name))
            })?
        } else {
            topology.server_v4
        };
        let ip: IpAddr =
            address.parse().map_err(|_| LabError::Traffic(format!("bad address {address}")))?;
        let mut traffic = Self {
            load,
            started: Instant::now(),
            cpu_before: CpuTime::now(lab.daemons()),
            received_before: 0,
            stop: Stop::default(),
            stop_server: Stop::default(),
            restart: Arc::new(AtomicBool::new(false)),
            received: Arc::new(AtomicU64::new(0)),
            sent: Arc::new(AtomicU64::new(0)),
            server: None,
            relay: None,
            client: None,
        };
        let mut port = traffic.serve(lab, ip.is_ipv6(), how)?;
        if let Some(relay) = topology.relay {
            port = traffic.pass_on(lab, relay, port)?;
        }
        traffic.ask(lab, SocketAddr::new(ip, port), how)?;
        Ok(traffic)
    }

    /// Starts the server and returns its port.
    fn serve(&mut self, lab: &Lab, v6: bool, how: How) -> Result<u16, LabError> {
        let netns = lab.host(lab.topology().server)?.clone();
        let (listening, at) = mpsc::channel();
        let (load, s, r) = (self.load, self.stop_server.clone(), Arc::clone(&self.received));
        let server = thread::Builder::new().name("np-server".into()).spawn(move || {
            let any = if v6 { "[::]:0" } else { "0.0.0.0:0" };
            netns
                .run(|| {
                    pin(how.cpus.map(|c| c.1))?;
                    match load {
                        Load::UdpRequests(sizes) => udp::reply(any, sizes, &listening, &s, &r),
                        Load::UdpFlood { .. } => udp::sink(any, &listening, &s, &r),
                        Load::TcpRequests(sizes) | Load::TcpConnects(sizes) => {
                            tcp::reply(any, sizes, &listening, &s, &r)
                        }
                        Load::TcpBulk => tcp::sink(any, &listening, &s, &r),
                        // The server's kernel answers, or nobody.
                        Load::Ping { .. } | Load::OneWay { .. } => {
                            let _ = listening.send(0);
                            Ok(())
                        }
                    }
                })
                .map_err(|e| e.to_string())?
                .map_err(|e| format!("server: {e}"))
        });
        self.server = Some(server.map_err(|e| LabError::Traffic(e.to_string()))?);
        self.port(&at)
    }

    /// Starts the relay and returns its port.
    fn pass_on(&mut self, lab: &Lab, relay: Relay, port: u16) -> Result<u16, LabError> {
        let to: IpAddr =
            relay.to.parse().map_err(|_| LabError::Traffic(format!("bad address {}", relay.to)))?;
        if !self.load.is_tcp() {
            return Err(LabError::Traffic(format!(
                "{} passes no relay: it takes TCP connections only",
                self.load.name()
            )));
        }
        let netns = lab.host(relay.host)?.clone();
        let (listening, at) = mpsc::channel();
        let stop = self.stop_server.clone();
        let relay = thread::Builder::new().name("np-relay".into()).spawn(move || {
            netns
                .run(|| relay::run(SocketAddr::new(to, port), &listening, &stop))
                .map_err(|e| e.to_string())?
                .map_err(|e| format!("relay: {e}"))
        });
        self.relay = Some(relay.map_err(|e| LabError::Traffic(e.to_string()))?);
        self.port(&at)
    }

    /// Waits until somebody listens.
    fn port(&mut self, at: &mpsc::Receiver<u16>) -> Result<u16, LabError> {
        at.recv_timeout(PATIENCE_START).map_err(|_| self.failed("the server did not start"))
    }

    /// Starts the client, and returns once it has had its first answer.
    fn ask(&mut self, lab: &Lab, to: SocketAddr, how: How) -> Result<(), LabError> {
        let netns = lab.host(lab.topology().client)?.clone();
        let (flowing, flows) = mpsc::channel();
        let load = self.load;
        let mut client = Client::new(
            self.stop.clone(),
            Arc::clone(&self.restart),
            flowing,
            Arc::clone(&self.sent),
        );
        let thread = thread::Builder::new().name("np-client".into()).spawn(move || {
            netns
                .run(|| {
                    pin(how.cpus.map(|c| c.0))?;
                    match load {
                        Load::UdpRequests(sizes) => udp::request(to, sizes, &mut client),
                        Load::UdpFlood { bytes, rate } => udp::flood(to, bytes, rate, &mut client),
                        Load::TcpRequests(sizes) => tcp::request(to, sizes, &mut client),
                        Load::TcpConnects(sizes) => tcp::connect(to, sizes, &mut client),
                        Load::TcpBulk => tcp::bulk(to, &mut client),
                        Load::Ping { bytes } => ping::request(to, bytes, &mut client),
                        Load::OneWay { datagrams, new } => {
                            connections::send(datagrams, new, &mut client)
                        }
                    }
                })
                .map_err(|e| e.to_string())?
                .map_err(|e| format!("client: {e}"))?;
            Ok(client.counted)
        });
        self.client = Some(thread.map_err(|e| LabError::Traffic(e.to_string()))?);
        if flows.recv_timeout(PATIENCE_START).is_err() {
            let name = load.name();
            return Err(self.failed(&format!("{name}: no answer from {to} within 5 s")));
        }
        Ok(())
    }

    /// Stops everything; the error is what a thread says, or `otherwise`.
    fn failed(&mut self, otherwise: &str) -> LabError {
        self.stop().err().unwrap_or_else(|| LabError::Traffic(otherwise.to_owned()))
    }

    /// Bytes that the receiving end has read so far.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Forgets what was measured so far: measuring begins now.
    pub fn begin(&mut self) {
        self.restart.store(true, Ordering::Relaxed);
        self.received_before = self.received.load(Ordering::Relaxed);
        self.cpu_before = self.cpu_before.again();
        self.started = Instant::now();
    }

    /// Whether the client has done all that it was to do.
    pub fn finished(&self) -> bool {
        self.client.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// How many there were so far.
    pub fn count(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Bytes that the receiving end has read so far.
    pub fn received_bytes(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Stops, and says what was measured.
    pub fn stop(&mut self) -> Result<Measured, LabError> {
        self.stop.request();
        let mut elapsed = self.started.elapsed();
        let received = self.received.load(Ordering::Relaxed) - self.received_before;
        let cpu = self.cpu_before.until_now();
        let counted = self.client.take().map_or_else(|| Ok(Counted::new()), join);
        self.stop_server.request();
        let relayed = self.relay.take().map_or(Ok(()), join);
        let served = self.server.take().map_or(Ok(()), join);
        let counted = counted.map_err(LabError::Traffic)?;
        relayed.map_err(LabError::Traffic)?;
        served.map_err(LabError::Traffic)?;
        if let Some(took) = counted.took {
            elapsed = took;
        }
        Ok(Measured {
            load: self.load,
            elapsed,
            count: counted.count,
            bytes: counted.bytes,
            received_bytes: received,
            round_trips: counted.round_trips,
            cpu,
        })
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

fn join<T>(thread: JoinHandle<Result<T, String>>) -> Result<T, String> {
    thread.join().unwrap_or_else(|_| Err("a thread panicked".to_owned()))
}
