//! Traffic of our own: senders and receivers in the lab's namespaces, with their own clocks.
//!
//! Every socket is made by a thread inside its namespace, or by netpath in a guest. A [`Traffic`]
//! runs until it is stopped; then it says what it measured, which is what netpath's figures are held
//! against.
//!
//! - [`ends`]: a load's client and its server, as threads;
//! - [`client`]: what clients count, and how they are told to stop;
//! - [`tcp`], [`udp`], [`ping`], [`connections`]: the loads;
//! - [`tools`]: other programs that send in bulk;
//! - [`relay`]: a process between client and server;
//! - [`cpu`]: the CPU time that a load takes.

pub(super) mod client;
pub(super) mod connections;
mod cpu;
pub(super) mod ends;
mod ping;
mod relay;
mod tcp;
mod tools;
mod udp;

use std::{
    net::{IpAddr, SocketAddr},
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::{Lab, LabError, Stands, topologies::Relay};
use client::{Client, Stop};
use cpu::CpuTime;
pub use tools::Tool;

use ends::{Asker, ClientThread, Reading, Server, ServerThread, Stand, join};

/// How long a client waits before it looks whether to stop, and gives up an answer.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long a server does: while requests come it never waits so long.
const PATIENCE_SERVER: Duration = Duration::from_millis(10);

/// How long the first answer may take.
const PATIENCE_START: Duration = Duration::from_secs(5);

/// What to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// TCP, as much as there can be, sent and measured by another program.
    Tool(Tool),
}

/// Bytes of a request and of its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
        matches!(self, Self::TcpRequests(_) | Self::TcpConnects(_) | Self::TcpBulk | Self::Tool(_))
    }

    /// Whether it is known by what arrives: nobody answers.
    fn counts_arrivals(&self) -> bool {
        matches!(self, Self::TcpBulk | Self::UdpFlood { .. })
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
            Self::Tool(tool) => tool.program(),
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
    /// The topology's server is the one that asks, or sends, and its client the one that answers.
    pub reverse: bool,
}

/// A load that is running.
#[derive(Debug)]
pub struct Traffic {
    load: Load,
    cpu_before: CpuTime,
    before: Reading,
    stop_relay: Stop,
    // The server ends after the client, so that what is in flight still finds it.
    client: Box<dyn Asker>,
    relay: Option<JoinHandle<Result<(), String>>>,
    server: Box<dyn Server>,
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
        let (asks, answers) = if how.reverse {
            (topology.server, topology.client)
        } else {
            (topology.client, topology.server)
        };
        let ip = address(lab, how)?;
        let (asks, answers) = (lab.stands(asks)?, lab.stands(answers)?);
        if let Load::Tool(tool) = load {
            tool.check()?;
            let guest = [&asks, &answers].iter().any(|s| matches!(s, Stands::Guest(_)));
            if guest || topology.relay.is_some() {
                return Err(LabError::Traffic(format!(
                    "{} runs between namespaces of this machine alone, and passes no relay",
                    tool.program()
                )));
            }
        }
        let cpu_before = CpuTime::now(lab.daemons());
        let (server, mut port): (Box<dyn Server>, u16) = match answers {
            Stands::Here(netns) => {
                let stand = Stand { netns: Some(netns.clone()), cpu: how.cpus.map(|c| c.1) };
                let (server, port) =
                    ServerThread::start(stand, load, ip.is_ipv6()).map_err(LabError::Traffic)?;
                (Box::new(server), port)
            }
            Stands::Guest(guest) => {
                let (server, port) = guest.serve(load, ip.is_ipv6()).map_err(LabError::Traffic)?;
                (Box::new(server), port)
            }
        };
        let stop_relay = Stop::default();
        let mut relay = None;
        if let Some(row) = topology.relay {
            let (thread, its) = pass_on(lab, load, row, port, &stop_relay)?;
            (relay, port) = (Some(thread), its);
        }
        let to = SocketAddr::new(ip, port);
        let client: Result<Box<dyn Asker>, String> = match asks {
            Stands::Here(netns) => {
                let stand = Stand { netns: Some(netns.clone()), cpu: how.cpus.map(|c| c.0) };
                ClientThread::start(stand, load, to).map(|c| Box::new(c) as Box<dyn Asker>)
            }
            Stands::Guest(guest) => guest.request(load, to).map(|c| Box::new(c) as Box<dyn Asker>),
        };
        let client = client.map_err(|e| {
            stop_relay.request();
            LabError::Traffic(e)
        })?;
        let before = Reading::default();
        Ok(Self { load, cpu_before, before, stop_relay, client, relay, server })
    }

    /// Bytes that the receiving end has read so far; 0 where it can't be asked any more.
    pub fn received(&self) -> u64 {
        self.server.received().map_or(0, |r| r.bytes)
    }

    /// Forgets what was measured so far: measuring begins now.
    pub fn begin(&mut self) {
        // One that can't be reached any more says so when it is stopped.
        let _ = self.client.begin();
        self.cpu_before = self.cpu_before.again();
        self.before = self.server.received().unwrap_or_default();
    }

    /// Whether the client has done all that it was to do.
    pub fn finished(&self) -> bool {
        self.client.finished()
    }

    /// How many there were so far.
    pub fn count(&self) -> u64 {
        self.client.count()
    }

    /// Stops, and says what was measured.
    pub fn stop(&mut self) -> Result<Measured, LabError> {
        // While it flows: what comes after is not the load's any more.
        let now = self.server.received();
        let cpu = self.cpu_before.until_now();
        let counted = self.client.stop();
        self.stop_relay.request();
        let relayed = self.relay.take().map_or(Ok(()), join);
        let served = self.server.stop();
        let counted = counted.map_err(LabError::Traffic)?;
        relayed.map_err(LabError::Traffic)?;
        served.map_err(LabError::Traffic)?;
        let now = now.map_err(LabError::Traffic)?;
        let elapsed = now.at.saturating_sub(self.before.at);
        Ok(Measured {
            load: self.load,
            // Where nobody answers, the client's clock is the one that counts.
            elapsed: counted.took.filter(|_| !self.load.counts_arrivals()).unwrap_or(elapsed),
            count: counted.count,
            bytes: counted.bytes,
            received_bytes: now.bytes.saturating_sub(self.before.bytes),
            round_trips: counted.round_trips,
            cpu,
        })
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        let _ = self.client.stop();
        self.stop_relay.request();
        let _ = self.relay.take().map_or(Ok(()), join);
        let _ = self.server.stop();
    }
}

/// Where requests are sent to.
fn address(lab: &Lab, how: How) -> Result<IpAddr, LabError> {
    let topology = lab.topology();
    let lacks = |what: &str| LabError::Traffic(format!("topology {} has no {what}", topology.name));
    let text = match (how.reverse, how.v6) {
        (false, false) => topology.server_v4,
        (false, true) => topology.server_v6.ok_or_else(|| lacks("IPv6"))?,
        (true, false) => topology.client_v4.ok_or_else(|| lacks("way to its client"))?,
        (true, true) => return Err(lacks("way to its client over IPv6")),
    };
    text.parse().map_err(|_| LabError::Traffic(format!("bad address {text}")))
}

/// Starts a relay before a server's port, and returns its own.
fn pass_on(
    lab: &Lab,
    load: Load,
    relay: Relay,
    port: u16,
    stop: &Stop,
) -> Result<(JoinHandle<Result<(), String>>, u16), LabError> {
    let to: IpAddr =
        relay.to.parse().map_err(|_| LabError::Traffic(format!("bad address {}", relay.to)))?;
    if !load.is_tcp() {
        return Err(LabError::Traffic(format!(
            "{} passes no relay: it takes TCP connections only",
            load.name()
        )));
    }
    let netns = lab.host(relay.host)?.clone();
    let (listening, at) = mpsc::channel();
    let theirs = stop.clone();
    let thread = thread::Builder::new().name("np-relay".into()).spawn(move || {
        netns
            .run(|| relay::run(SocketAddr::new(to, port), &listening, &theirs))
            .map_err(|e| e.to_string())?
            .map_err(|e| format!("relay: {e}"))
    });
    let thread = thread.map_err(|e| LabError::Traffic(e.to_string()))?;
    if let Ok(port) = at.recv_timeout(PATIENCE_START) {
        return Ok((thread, port));
    }
    stop.request();
    let failed = join(thread).err();
    Err(LabError::Traffic(failed.unwrap_or_else(|| "the relay did not start".to_owned())))
}
