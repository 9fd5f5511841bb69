//! The published experiments, as data: variants to hold against each other, what is measured on
//! them, and what others found.
//!
//! To add one, add a file beside the others and name it in [`EXPERIMENTS`]. What a machine can't
//! run is found out by trying.

mod container;
mod docker;
mod nat;
mod offload;
mod published_port;
mod qdisc;
mod rps;
mod rules;
mod switch;
mod virtio;

use std::time::Duration;

use super::{
    LabError,
    outcome::{Fact, Outcome},
    topologies::{self, Step, TOPOLOGIES, Topology},
    traffic::{Load, Sizes},
};
use crate::netns::close_names;

/// An experiment.
#[derive(Debug)]
pub struct Experiment {
    pub name: &'static str,
    /// The question that it answers.
    pub question: &'static str,
    pub variants: &'static [Variant],
    /// The first is the one whose difference netpath explains.
    pub measures: &'static [Measure],
    pub published: &'static [Published],
    /// What follows from the figures: slopes, costs of one.
    pub facts: fn(&Outcome) -> Vec<Fact>,
}

/// One way of doing it.
#[derive(Debug)]
pub struct Variant {
    pub name: &'static str,
    pub what: &'static str,
    pub topology: &'static Topology,
    /// Steps after the topology's own.
    pub also: &'static [&'static [Step]],
    /// The variant that it is held against; the first one's is itself.
    pub against: &'static str,
}

/// Something to measure.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    pub key: &'static str,
    pub what: &'static str,
    pub load: Load,
    /// How many of it at once.
    pub parallel: usize,
    /// How many TCP bulk transfers go on meanwhile.
    pub background: usize,
    /// Client and server on CPUs of their own. On one CPU nothing but the network's own work is
    /// measured: no other CPU has to be woken.
    pub apart: bool,
    /// The topology's server asks, or sends, and its client answers, or receives.
    pub reverse: bool,
    /// How many times as long as others a run is.
    pub longer: u32,
    pub figures: &'static [Figure],
}

impl Measure {
    /// Whether its load ends by itself, after so many datagrams.
    pub fn ends_itself(&self) -> bool {
        matches!(self.load, Load::OneWay { .. })
    }

    /// For how long it is measured where a run is so long; nothing where it ends by itself.
    pub fn planned(&self, run: Duration) -> Duration {
        if self.ends_itself() { Duration::ZERO } else { run * self.longer }
    }
}

/// What is read off a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// Median round trip, µs.
    RoundTrip,
    /// 99th percentile of the round trips, µs.
    RoundTripP99,
    /// Transactions, datagrams or connections per second, in thousands.
    Rate,
    /// Datagrams that arrived per second, in thousands.
    Arrived,
    /// Payload that arrived, Gb/s.
    Goodput,
    /// CPU time for a payload byte that arrived, ns.
    CpuPerByte,
    /// CPU time for a transaction or datagram, µs.
    CpuPerOne,
    /// Median time of a datagram by its sender's clock, µs.
    Each,
}

impl Figure {
    pub const ALL: [Self; 8] = [
        Self::RoundTrip,
        Self::RoundTripP99,
        Self::Rate,
        Self::Arrived,
        Self::Goodput,
        Self::CpuPerByte,
        Self::CpuPerOne,
        Self::Each,
    ];

    pub fn key(self) -> &'static str {
        match self {
            Self::RoundTrip => "round-trip",
            Self::RoundTripP99 => "round-trip-p99",
            Self::Rate => "rate",
            Self::Arrived => "arrived",
            Self::Goodput => "goodput",
            Self::CpuPerByte => "cpu-per-byte",
            Self::CpuPerOne => "cpu-per-one",
            Self::Each => "each",
        }
    }

    pub fn unit(self) -> &'static str {
        match self {
            Self::RoundTrip | Self::RoundTripP99 | Self::CpuPerOne | Self::Each => "µs",
            Self::Rate | Self::Arrived => "k/s",
            Self::Goodput => "Gb/s",
            Self::CpuPerByte => "ns/B",
        }
    }

    pub fn what(self) -> &'static str {
        match self {
            Self::RoundTrip => "median round trip",
            Self::RoundTripP99 => "99 % of round trips",
            Self::Rate => "rate",
            Self::Arrived => "arrived",
            Self::Goodput => "goodput",
            Self::CpuPerByte => "CPU per byte",
            Self::CpuPerOne => "CPU each",
            Self::Each => "median of each",
        }
    }
}

/// What others found.
#[derive(Debug)]
pub struct Published {
    pub source: &'static str,
    pub measure: &'static str,
    pub figure: Figure,
    pub variant: &'static str,
    pub against: &'static str,
    pub ratio: f64,
    /// Their figures, in words.
    pub said: &'static str,
}

/// All experiments.
pub const EXPERIMENTS: &[&Experiment] = &[
    &container::CONTAINER,
    &qdisc::QDISC,
    &rps::RPS,
    &nat::NAT_ENTRIES,
    &rules::RULES,
    &switch::SWITCH,
    &offload::OFFLOAD,
    &published_port::PUBLISHED_PORT,
    &virtio::VIRTIO,
    &docker::DOCKER,
];

pub const TCP_RR: Measure = Measure {
    key: "tcp-rr",
    what: "TCP request/reply, 100 B and 200 B, one in flight",
    load: Load::TcpRequests(Sizes::IBM),
    parallel: 1,
    background: 0,
    apart: false,
    reverse: false,
    longer: 1,
    figures: &[Figure::RoundTrip],
};

pub const UDP_RR: Measure = Measure {
    key: "udp-rr",
    what: "UDP request/reply, 100 B and 200 B, one in flight",
    load: Load::UdpRequests(Sizes::IBM),
    ..TCP_RR
};

pub const TCP_RR_APART: Measure = Measure {
    key: "tcp-rr-apart",
    what: "TCP request/reply, client and server on CPUs of their own",
    apart: true,
    ..TCP_RR
};

pub const UDP_RR_APART: Measure = Measure {
    key: "udp-rr-apart",
    what: "UDP request/reply, client and server on CPUs of their own",
    apart: true,
    ..UDP_RR
};

pub const TCP_RR_MANY: Measure = Measure {
    key: "tcp-rr-8",
    what: "TCP request/reply on 8 connections at once",
    parallel: 8,
    figures: &[Figure::Rate, Figure::CpuPerOne],
    ..TCP_RR
};

pub const TCP_RR_LOADED: Measure = Measure {
    key: "tcp-rr-loaded",
    what: "TCP request/reply while two TCP bulk transfers go the same way",
    background: 2,
    apart: true,
    figures: &[Figure::RoundTrip, Figure::RoundTripP99],
    ..TCP_RR
};

pub const CONNECT: Measure = Measure {
    key: "connect",
    what: "TCP connect, request, reply, close",
    load: Load::TcpConnects(Sizes::IBM),
    ..TCP_RR
};

pub const BULK: Measure = Measure {
    key: "bulk",
    what: "TCP, as much as one connection takes",
    load: Load::TcpBulk,
    apart: true,
    // A lost segment is sent again after 200 ms.
    longer: 2,
    figures: &[Figure::Goodput, Figure::CpuPerByte],
    ..TCP_RR
};

pub const ONE_WAY: Measure = Measure {
    key: "one-way",
    what: "20,000 UDP datagrams of 64 B to a server that throws them away",
    load: Load::OneWay { datagrams: 20_000, new: false },
    figures: &[Figure::Each],
    ..TCP_RR
};

pub const ONE_WAY_TWICE: Measure = Measure {
    key: "one-way-2",
    what: "20,000 UDP datagrams of 64 B to a server that throws them away, by each of two CPUs",
    parallel: 2,
    apart: true,
    ..ONE_WAY
};

/// No facts beyond the figures.
fn no_facts(_: &Outcome) -> Vec<Fact> {
    Vec::new()
}

/// A topology, or an experiment's variant, that can be brought up by name.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub topology: &'static Topology,
    pub also: &'static [&'static [Step]],
    pub what: &'static str,
}

/// The experiment with this name.
pub fn find(name: &str) -> Result<&'static Experiment, LabError> {
    EXPERIMENTS.iter().copied().find(|e| e.name == name).ok_or_else(|| {
        let close = close_names(name, EXPERIMENTS.iter().map(|e| e.name));
        LabError::Unknown { name: name.to_owned(), close }
    })
}

/// What `experiment/variant` or a topology's name means.
pub fn setting(name: &str) -> Result<Setting, LabError> {
    if let Some(topology) = topologies::find(name) {
        return Ok(Setting { topology, also: &[], what: topology.what });
    }
    if let Some(v) = variant(name) {
        return Ok(Setting { topology: v.topology, also: v.also, what: v.what });
    }
    let names = all_names();
    Err(LabError::Unknown {
        name: name.to_owned(),
        close: close_names(name, names.iter().map(String::as_str)),
    })
}

/// The variant with the name `experiment/variant`.
fn variant(name: &str) -> Option<&'static Variant> {
    let (experiment, variant) = name.split_once('/')?;
    let experiment = EXPERIMENTS.iter().copied().find(|e| e.name == experiment)?;
    experiment.variants.iter().find(|v| v.name == variant)
}

/// The variants that call a program of the system; an experiment's name alone where all of its do.
pub fn using(program: &str) -> Vec<String> {
    let uses = |v: &Variant| {
        let also = v.also.iter().copied().flatten();
        v.topology.steps().chain(also).any(|step| step.programs().contains(&program))
    };
    let mut names = Vec::new();
    for e in EXPERIMENTS {
        let using: Vec<_> = e.variants.iter().filter(|v| uses(v)).collect();
        if using.len() == e.variants.len() {
            names.push(e.name.to_owned());
        } else {
            names.extend(using.iter().map(|v| format!("{}/{}", e.name, v.name)));
        }
    }
    names
}

/// Every name that [`setting`] knows.
pub fn all_names() -> Vec<String> {
    let topologies = TOPOLOGIES.iter().map(|t| t.name.to_owned());
    let variants = EXPERIMENTS
        .iter()
        .flat_map(|e| e.variants.iter().map(|v| format!("{}/{}", e.name, v.name)));
    topologies.chain(variants).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_name_only_what_there_is() {
        for e in EXPERIMENTS {
            let variant = |name: &str| e.variants.iter().any(|v| v.name == name);
            for (i, v) in e.variants.iter().enumerate() {
                assert!(variant(v.against), "{}/{}: against {}", e.name, v.name, v.against);
                assert!(e.variants[..i].iter().all(|w| w.name != v.name), "{}", v.name);
                for step in v.also.iter().copied().flatten() {
                    for host in step.hosts() {
                        assert!(v.topology.hosts.contains(&host), "{}/{}", e.name, v.name);
                    }
                }
            }
            for p in e.published {
                assert!(variant(p.variant) && variant(p.against), "{}: {p:?}", e.name);
                let measure = e.measures.iter().find(|m| m.key == p.measure);
                let measure = measure.unwrap_or_else(|| panic!("{}: {p:?}", e.name));
                assert!(measure.figures.contains(&p.figure), "{}: {p:?}", e.name);
            }
        }
    }

    #[test]
    fn names_are_found_and_misspelt_ones_have_suggestions() {
        for name in all_names() {
            assert!(setting(&name).is_ok(), "{name}");
        }
        let Err(LabError::Unknown { close, .. }) = setting("qdisc/uplink-tfb") else { panic!() };
        assert_eq!(close[0], "qdisc/uplink-tbf");
    }

    #[test]
    fn what_a_missing_program_costs_is_known() {
        assert_eq!(using("ovs-vsctl"), ["switch/ovs"]);
        let ethtool = using("ethtool");
        assert_eq!(ethtool.len(), 4, "{ethtool:?}");
        assert!(using("nft").contains(&"rules/nft-1000".to_owned()));
        assert!(using("no-such-program").is_empty());
    }
}
