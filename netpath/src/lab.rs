//! Ready-made topologies and traffic, in network namespaces of their own.
//!
//! In: a row of [`topologies::TOPOLOGIES`] and a [`traffic::Load`]. Out: namespaces that carry the
//! traffic while a [`Lab`] is held, and what the traffic's own clock measured. Everything is
//! removed when the [`Lab`] is dropped; what a killed lab has left is removed by the next one.
//!
//! - [`topologies`]: the topologies, as data;
//! - [`build`]: bringing one up, over netlink; [`daemons`]: Docker's and others' beside it;
//! - [`namespaces`]: named namespaces, and whose they are;
//! - [`guest`]: a virtual machine that carries one end of the traffic;
//! - [`traffic`]: senders, receivers, and their measurements;
//! - [`experiments`]: what is held against what, and what others have published, as data;
//! - [`plan`], [`bench`]: carrying that out, and [`pace`]: within a time;
//! - [`stats`], [`difference`]: what the figures say, and which hops make the difference;
//! - [`outcome`], [`report`]: the result, and how it is written.

pub mod bench;
mod build;
mod cgroups;
mod daemons;
pub mod difference;
pub mod experiments;
pub mod guest;
mod memory;
mod namespaces;
pub mod outcome;
pub mod pace;
pub mod plan;
pub mod report;
pub mod stats;
pub mod topologies;
pub mod traffic;

use std::{collections::BTreeMap, io, path::PathBuf};

use thiserror::Error;

pub use namespaces::{Run, clean_up};

use crate::netns::{Netns, NetnsError, suggestion};
use guest::Guest;
use topologies::{Step, Topology};

#[derive(Debug, Error)]
pub enum LabError {
    #[error("cannot {what}: {source}")]
    System { what: String, source: io::Error },
    #[error("cannot {what} in namespace {host}: {reason}")]
    Netlink { what: String, host: String, reason: String },
    #[error("{program} is not installed (Debian's package {package}); without it these can't be \
             run: {}", costs.join(", "))]
    MissingTool { program: String, package: &'static str, costs: Vec<String> },
    #[error("`{command}` failed in namespace {host}: {output}")]
    Command { command: String, host: String, output: String },
    #[error("no lab {name}{hint}; `netpath lab list` shows them", hint = suggestion(close))]
    Unknown { name: String, close: Vec<String> },
    #[error("{0}")]
    Lacks(String),
    #[error("no namespace {0} in this lab")]
    NoHost(String),
    #[error("the traffic failed: {0}")]
    Traffic(String),
    #[error(transparent)]
    Netns(#[from] NetnsError),
}

impl LabError {
    fn system(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::System { what: what.into(), source: source.into() }
    }
}

/// Where a host of a topology stands.
enum Stands<'a> {
    /// A namespace of this machine.
    Here(&'a Netns),
    Guest(&'a Guest),
}

/// A topology that is up.
#[derive(Debug)]
pub struct Lab {
    topology: &'static Topology,
    hosts: BTreeMap<&'static str, Netns>,
    guests: BTreeMap<&'static str, Guest>,
    // Ends them when they go.
    daemons: Vec<daemons::Running>,
    // Removes the namespaces when it goes.
    run: Run,
}

impl Lab {
    /// Brings a topology up, after removing what killed labs have left.
    pub fn up(topology: &'static Topology) -> Result<Self, LabError> {
        Self::up_with(topology, &[])
    }

    /// Like [`Self::up`], with more steps after the topology's own.
    pub fn up_with(
        topology: &'static Topology,
        also: &[&'static [Step]],
    ) -> Result<Self, LabError> {
        clean_up()?;
        let run = Run::begin()?;
        let mut hosts = BTreeMap::new();
        let steps = || topology.steps().chain(also.iter().copied().flatten());
        // What is lacking is said before anything is made.
        steps().try_for_each(build::check)?;
        let made_later: Vec<_> = steps().filter_map(Step::makes).collect();
        for host in topology.hosts.iter().filter(|host| !made_later.contains(host)) {
            hosts.insert(*host, run.add(host)?);
        }
        let mut lab = Self { topology, hosts, guests: BTreeMap::new(), daemons: Vec::new(), run };
        build::build(&mut lab, steps())?;
        Ok(lab)
    }

    pub fn topology(&self) -> &'static Topology {
        self.topology
    }

    /// The namespace of one of the topology's hosts.
    pub fn host(&self, name: &str) -> Result<&Netns, LabError> {
        self.hosts.get(name).ok_or_else(|| LabError::NoHost(name.to_owned()))
    }

    fn stands(&self, name: &str) -> Result<Stands<'_>, LabError> {
        self.guests
            .get(name)
            .map_or_else(|| self.host(name).map(Stands::Here), |guest| Ok(Stands::Guest(guest)))
    }

    /// Whether one of its hosts is emulated: its time is nothing like a real one's.
    pub fn is_emulated(&self) -> bool {
        self.daemons.iter().any(|d| d.emulated)
    }

    /// What has to be known beside its figures.
    pub fn notes(&self) -> impl Iterator<Item = &str> {
        self.daemons.iter().flat_map(|d| &d.notes).map(String::as_str)
    }

    /// The PID namespaces of its daemons, by inode.
    fn daemons(&self) -> Vec<u64> {
        self.daemons.iter().filter_map(daemons::Running::pid_namespace).collect()
    }

    /// The name under which `ip netns` knows one of the topology's hosts.
    pub fn full_name(&self, host: &str) -> String {
        self.run.full_name(host)
    }

    /// Where the namespace can be opened.
    pub fn path(&self, host: &str) -> PathBuf {
        self.run.path(host)
    }

    /// Runs a command in a host's namespace and returns what it printed.
    pub fn command(&self, host: &str, words: &[&str]) -> Result<String, LabError> {
        build::command(host, self.host(host)?, words, "")
    }
}

/// A namespace's name as people see it: the role, where it is a lab's.
pub fn short_name(name: &str) -> String {
    namespaces::role(name).unwrap_or(name).to_owned()
}
