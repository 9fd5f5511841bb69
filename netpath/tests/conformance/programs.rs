//! The programs, as data: what each runs, what it takes, over which topologies, and how it is asked
//! what it did.
//!
//! To add one, add a row to [`PROGRAMS`] and its two functions to the file of its sort.
//!
//! - [`ping`]: ping and traceroute;
//! - [`web`]: curl and wrk, nginx, Python's server;
//! - [`stores`]: Redis, memcached, PostgreSQL;
//! - [`names`]: dnsmasq with dig and the C library's resolver;
//! - [`streams`]: iperf3, socat;
//! - [`beside`]: with tcpdump in each namespace;
//! - [`multicast`]: one sender, two ends.

mod beside;
mod multicast;
mod names;
mod ping;
mod stores;
mod streams;
mod web;

use super::{
    report::Kind,
    stage::{Stage, StageError},
};

/// A program, or a client and its server.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    /// Programs in PATH or files by their whole path, each with Debian's package of it.
    pub(crate) needs: &'static [(&'static str, &'static str)],
    pub(crate) on: &'static [On],
    /// Starts the servers.
    pub(crate) serve: fn(&mut Stage) -> Result<(), StageError>,
    /// Runs the client to its end.
    pub(crate) run: fn(&mut Stage) -> Result<Said, StageError>,
}

/// What every row takes.
pub(crate) const ALWAYS: &[(&str, &str)] = &[
    ("ip", "iproute2"),
    ("tc", "iproute2"),
    ("iptables", "iptables"),
    ("ping", "iputils-ping"),
    ("sh", "dash"),
];

/// A topology, and over which family.
#[derive(Clone, Copy, Debug)]
pub(crate) struct On {
    pub(crate) topology: &'static str,
    pub(crate) v6: bool,
    /// Whether `cargo xtask test` runs it.
    pub(crate) core: bool,
}

impl On {
    const fn v4(topology: &'static str) -> Self {
        Self { topology, v6: false, core: false }
    }

    const fn v6(topology: &'static str) -> Self {
        Self { topology, v6: true, core: false }
    }

    const fn core(self) -> Self {
        Self { core: true, ..self }
    }

    pub(crate) fn name(&self) -> String {
        format!("{}{}", self.topology, if self.v6 { "-v6" } else { "" })
    }
}

/// The container behind MASQUERADE, a published port, VXLAN, IPv6, macvlan.
const CONTAINER: On = On::v4("bridge-nat");
const DNAT: On = On::v4("published-dnat");
const VXLAN: On = On::v4("overlay");
const CONTAINER_V6: On = On::v6("bridge-nat");
const MACVLAN: On = On::v4("macvlan");
const DOCKER: On = On::v4("docker");
const DOCKER_PUBLISHED: On = On::v4("docker-published");
const RELAY: On = On::v4("published-relay");

/// Everywhere, with the container alone in the core.
const EVERYWHERE: &[On] = &[CONTAINER.core(), DNAT, VXLAN, CONTAINER_V6, MACVLAN];
/// Everywhere, and none of it in the core: the client's own share of a round trip is large, and not known.
const EVERYWHERE_LATER: &[On] = &[CONTAINER, DNAT, VXLAN, CONTAINER_V6, MACVLAN];
/// Everywhere, and all of it in the core.
const EVERYWHERE_CORE: &[On] =
    &[CONTAINER.core(), DNAT.core(), VXLAN.core(), CONTAINER_V6.core(), MACVLAN.core(), DOCKER];

/// What a client, or its server, says that it did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    pub(crate) trips: Vec<Trips>,
    /// The receiver's port, whose datagrams its namespace counts as read.
    pub(crate) read_at: Option<u16>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Trips {
    pub(crate) kind: Kind,
    pub(crate) count: u64,
    pub(crate) clock: Option<Clock>,
}

/// A mean by the client's own clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    pub(crate) mean_ns: f64,
    /// Where it stops.
    pub(crate) until: Until,
    /// What the client takes before its packet is there and after it has the reply: at most so much, as the
    /// same program measured it over its loopback device. 0 where that is not known.
    pub(crate) ends_ns: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// The program has the reply.
    Read,
    /// The reply has come to the client's namespace: the kernel's time stamp.
    Stamp,
    /// The program knows that there is a reply, and has yet to read it.
    Woken,
}

impl Clock {
    fn read(mean_ns: f64) -> Self {
        Self { mean_ns, until: Until::Read, ends_ns: 0.0 }
    }
}

impl Said {
    fn counted(kind: Kind, count: u64) -> Self {
        Self::default().and(kind, count, None)
    }

    fn and(mut self, kind: Kind, count: u64, clock: Option<Clock>) -> Self {
        self.trips.push(Trips { kind, count, clock });
        self
    }
}

/// Nothing to start.
#[expect(clippy::unnecessary_wraps, reason = "others can fail")]
fn no_server(_: &mut Stage) -> Result<(), StageError> {
    Ok(())
}

/// The error where a program's words are not understood.
fn unclear(program: &str, printed: &str) -> StageError {
    StageError::failed(program, format!("not understood: {printed}"))
}

pub(crate) const PROGRAMS: &[Program] = &[
    ping::RAW,
    ping::DATAGRAM,
    ping::LARGE,
    ping::TRACEROUTE,
    web::CURL_NGINX,
    web::CURL_RELAY,
    web::WRK_NGINX,
    web::CURL_PYTHON,
    stores::REDIS,
    stores::MEMCACHED,
    stores::PGBENCH,
    names::DIG,
    names::RESOLVER,
    streams::IPERF_TCP,
    streams::IPERF_UDP,
    streams::SOCAT,
    beside::PING_TCPDUMP,
    beside::CURL_TCPDUMP,
    multicast::MULTICAST,
];
