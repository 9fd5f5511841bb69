//! Traffic of our own: senders and receivers in the lab's namespaces, with their own clocks.
//!
//! Every socket is made by a thread inside its namespace. A [`Traffic`] runs until it is stopped;
//! then it says what it measured, which is what netpath's figures are held against.

mod ping;
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

use super::{Lab, LabError};

/// How long a receiver waits before it looks whether to stop.
const PATIENCE: Duration = Duration::from_millis(100);

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
}

/// Bytes of a request and of its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    pub request: usize,
    pub reply: usize,
}

impl Default for Sizes {
    /// As in IBM's RC25482.
    fn default() -> Self {
        Self { request: 100, reply: 200 }
    }
}

impl Load {
    pub fn name(&self) -> &'static str {
        match self {
            Self::TcpRequests(_) => "TCP request/reply",
            Self::UdpRequests(_) => "UDP request/reply",
            Self::TcpConnects(_) => "TCP connect/request/close",
            Self::UdpFlood { .. } => "UDP flood",
            Self::TcpBulk => "TCP bulk",
            Self::Ping { .. } => "ping",
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
}

impl Measured {
    pub fn per_second(&self) -> f64 {
        self.count as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// Ends a load's threads.
#[derive(Clone, Debug, Default)]
struct Stop(Arc<AtomicBool>);

impl Stop {
    fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A load that is running.
#[derive(Debug)]
pub struct Traffic {
    load: Load,
    started: Instant,
    /// The client's; the server's comes after it, so that what is in flight still finds it.
    stop: Stop,
    stop_server: Stop,
    received: Arc<AtomicU64>,
    sent: Arc<AtomicU64>,
    server: Option<JoinHandle<Result<(), String>>>,
    client: Option<JoinHandle<Result<Counted, String>>>,
}

/// A client's side of a load: when to stop, and whom to tell how far it is.
#[derive(Debug)]
struct Client {
    stop: Stop,
    flowing: mpsc::Sender<()>,
    done: Arc<AtomicU64>,
}

impl Client {
    fn goes_on(&self) -> bool {
        !self.stop.requested()
    }

    /// Tells how many there were so far; the first is waited for.
    fn did(&self, count: u64) {
        if self.done.swap(count, Ordering::Relaxed) == 0 && count > 0 {
            let _ = self.flowing.send(());
        }
    }
}

/// What a client has counted.
#[derive(Debug)]
struct Counted {
    count: u64,
    bytes: u64,
    round_trips: Histogram<u64>,
}

impl Counted {
    fn new() -> Self {
        let mut round_trips = Histogram::new(3).expect("3 is a valid number of digits");
        round_trips.auto(true);
        Self { count: 0, bytes: 0, round_trips }
    }

    fn round_trip(&mut self, since: Instant, bytes: usize) {
        self.count += 1;
        self.bytes += bytes as u64;
        let ns = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        // The histogram grows as needed.
        let _ = self.round_trips.record(ns);
    }
}

impl Traffic {
    /// Starts a load between the lab's client and its server; IPv6 where `v6` says so. Returns
    /// once the first answer has come, or the first packets are out.
    pub fn start(lab: &Lab, load: Load, v6: bool) -> Result<Self, LabError> {
        let topology = lab.topology();
        let address = if v6 { topology.server_v6 } else { topology.server_v4 };
        let ip: IpAddr =
            address.parse().map_err(|_| LabError::Traffic(format!("bad address {address}")))?;
        let (server_ns, client_ns) =
            (lab.host(topology.server)?.clone(), lab.host(topology.client)?.clone());
        let (stop, stop_server) = (Stop::default(), Stop::default());
        let received = Arc::new(AtomicU64::new(0));

        let (listening, at) = mpsc::channel();
        let (s, r) = (stop_server.clone(), Arc::clone(&received));
        let server = thread::Builder::new().name("np-server".into()).spawn(move || {
            let any = if ip.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
            server_ns
                .run(|| match load {
                    Load::UdpRequests(sizes) => udp::reply(any, sizes, &listening, &s, &r),
                    Load::UdpFlood { .. } => udp::sink(any, &listening, &s, &r),
                    Load::TcpRequests(sizes) | Load::TcpConnects(sizes) => {
                        tcp::reply(any, sizes, &listening, &s, &r)
                    }
                    Load::TcpBulk => tcp::sink(any, &listening, &s, &r),
                    // The server's kernel answers.
                    Load::Ping { .. } => {
                        let _ = listening.send(0);
                        Ok(())
                    }
                })
                .map_err(|e| e.to_string())?
                .map_err(|e| format!("server: {e}"))
        });
        let server = server.map_err(|e| LabError::Traffic(e.to_string()))?;
        let Ok(port) = at.recv_timeout(Duration::from_secs(5)) else {
            stop_server.0.store(true, Ordering::Relaxed);
            return Err(LabError::Traffic(join(server).err().unwrap_or_default()));
        };

        let to = SocketAddr::new(ip, port);
        let (flowing, flows) = mpsc::channel();
        let sent = Arc::new(AtomicU64::new(0));
        let s = Client { stop: stop.clone(), flowing, done: Arc::clone(&sent) };
        let client = thread::Builder::new().name("np-client".into()).spawn(move || {
            client_ns
                .run(|| match load {
                    Load::UdpRequests(sizes) => udp::request(to, sizes, &s),
                    Load::UdpFlood { bytes, rate } => udp::flood(to, bytes, rate, &s),
                    Load::TcpRequests(sizes) => tcp::request(to, sizes, &s),
                    Load::TcpConnects(sizes) => tcp::connect(to, sizes, &s),
                    Load::TcpBulk => tcp::bulk(to, &s),
                    Load::Ping { bytes } => ping::request(to, bytes, &s),
                })
                .map_err(|e| e.to_string())?
                .map_err(|e| format!("client: {e}"))
        });
        let client = client.map_err(|e| LabError::Traffic(e.to_string()))?;
        let mut traffic = Self {
            load,
            started: Instant::now(),
            stop,
            stop_server,
            received,
            sent,
            server: Some(server),
            client: Some(client),
        };
        if flows.recv_timeout(Duration::from_secs(5)).is_err() {
            let why = traffic.stop().err().map_or_else(
                || format!("{}: no answer from {to} within 5 s", load.name()),
                |e| e.to_string(),
            );
            return Err(LabError::Traffic(why));
        }
        Ok(traffic)
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
        self.stop.0.store(true, Ordering::Relaxed);
        let elapsed = self.started.elapsed();
        let counted = self.client.take().map_or_else(|| Ok(Counted::new()), join);
        self.stop_server.0.store(true, Ordering::Relaxed);
        let served = self.server.take().map_or(Ok(()), join);
        let counted = counted.map_err(LabError::Traffic)?;
        served.map_err(LabError::Traffic)?;
        Ok(Measured {
            load: self.load,
            elapsed,
            count: counted.count,
            bytes: counted.bytes,
            received_bytes: self.received.load(Ordering::Relaxed),
            round_trips: counted.round_trips,
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
