//! The kernel boundary: the only module that talks to the kernel about programs and maps.
//!
//! In: the topology. Out: chunks of events, and what could be attached and what not.
//!
//! - [`btf`]: offsets and signatures from the running kernel's BTF;
//! - [`object`]: loading the eBPF object, tracepoints;
//! - [`links`]: netfilter BPF links, which aya does not load;
//! - [`hooks`]: reading which netfilter hooks a namespace has;
//! - [`reader`]: the ring buffer and the CPUs' unfinished chunks;
//! - [`rights`]: what the process is allowed to do.

mod btf;
mod error;
mod hooks;
mod links;
mod object;
mod reader;
mod rights;
mod symbols;

use std::collections::BTreeMap;

use netpath_common::point::TRACEPOINTS;
use serde::{Deserialize, Serialize};

pub use error::KernelError;
pub use reader::Polled;
pub use rights::check as check_rights;

use crate::{hooks::HookPlan, topo::Topology};

/// The backends, in the order of preference; one row each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    Tracepoint,
    NetfilterLink,
}

impl Backend {
    pub const ALL: [Self; 2] = [Self::Tracepoint, Self::NetfilterLink];

    /// The name on the command line and in reports.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Tracepoint => "tracepoint",
            Self::NetfilterLink => "netfilter-link",
        }
    }

    pub const fn what(self) -> &'static str {
        match self {
            Self::Tracepoint => "BTF tracepoints (tp_btf)",
            Self::NetfilterLink => "netfilter BPF links, Linux 6.4",
        }
    }
}

/// What the user asked of the kernel side.
#[derive(Clone, Debug)]
pub struct Options {
    /// Only these.
    pub backends: Vec<Backend>,
    /// Size of the ring buffer, bytes, a power of two.
    pub ring_bytes: u32,
    /// Let the programs log.
    pub log_kernel: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { backends: Backend::ALL.to_vec(), ring_bytes: 8 << 20, log_kernel: false }
    }
}

/// A backend's state: how much of it is attached, or why it isn't.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Served {
    /// How many programs or links are attached.
    Yes(usize),
    No(String),
}

/// Programs that are attached, and their events. Everything is detached when this is dropped, and
/// by the kernel when the process ends in whatever way.
pub struct Tracer {
    // Order matters: links go before the programs and maps that they use.
    links: links::Links,
    object: object::Object,
    reader: reader::Reader,
    plan: HookPlan,
    served: BTreeMap<Backend, Served>,
    /// Tracepoints that this kernel doesn't have, or whose arguments are not what is expected.
    absent: BTreeMap<&'static str, String>,
    drop_reasons: BTreeMap<u16, String>,
    /// Hook points that have no links, and why.
    refused: Vec<String>,
    logger: Option<object::Logger>,
    since_ns: u64,
}

impl Tracer {
    /// Loads and attaches everything that serves `topology`.
    pub fn start(topology: &Topology, options: &Options) -> Result<Self, KernelError> {
        let btf = btf::KernelBtf::load()?;
        let layout = btf.layout()?;
        let mut object = object::Object::load(layout, options)?;
        let reader = reader::Reader::open(&mut object, options.ring_bytes)?;
        let mut served = BTreeMap::new();
        let mut absent = BTreeMap::new();
        let mut plan = HookPlan::default();
        let mut links = links::Links::default();
        let mut refused = Vec::new();

        if options.backends.contains(&Backend::NetfilterLink) {
            let state = match links::Links::attach(&mut object, topology, &mut plan, &mut refused) {
                Ok(attached) => {
                    links = attached;
                    Served::Yes(links.len())
                }
                Err(error) => {
                    plan = HookPlan::default();
                    Served::No(format!("{error}"))
                }
            };
            served.insert(Backend::NetfilterLink, state);
        }
        if options.backends.contains(&Backend::Tracepoint) {
            let mut attached = 0;
            for tracepoint in TRACEPOINTS {
                let result = btf
                    .check_tracepoint(tracepoint)
                    .and_then(|()| object.attach_tracepoint(tracepoint).map_err(|e| e.to_string()));
                match result {
                    Ok(()) => attached += 1,
                    Err(reason) => {
                        absent.insert(tracepoint.name, reason);
                    }
                }
            }
            let state = if attached > 0 {
                Served::Yes(attached)
            } else {
                Served::No(absent.values().next().cloned().unwrap_or_default())
            };
            served.insert(Backend::Tracepoint, state);
        }
        if served.values().all(|s| matches!(s, Served::No(_))) {
            return Err(KernelError::NothingAttached { served });
        }
        let logger = if options.log_kernel { object.logger() } else { None };
        let drop_reasons = btf.drop_reasons();
        Ok(Self {
            links,
            object,
            reader,
            plan,
            served,
            absent,
            drop_reasons,
            refused,
            logger,
            since_ns: 0,
        })
    }

    /// Gives all that has been recorded to `chunk`.
    pub fn poll(&mut self, chunk: impl FnMut(&[u8])) -> Polled {
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
        self.reader.poll(chunk)
    }

    /// The netfilter links and what lies between them.
    pub fn plan(&self) -> &HookPlan {
        &self.plan
    }

    pub fn served(&self) -> &BTreeMap<Backend, Served> {
        &self.served
    }

    pub fn absent(&self) -> &BTreeMap<&'static str, String> {
        &self.absent
    }

    /// Names of drop reasons, by number.
    pub fn drop_reasons(&self) -> BTreeMap<u16, String> {
        self.drop_reasons.clone()
    }

    /// Why hook points have no links.
    pub fn refused(&self) -> &[String] {
        &self.refused
    }

    /// Begins to record packets of the topology's devices. Only now: packets that pass while the
    /// probes are being attached are none of ours.
    pub fn begin(&mut self, topology: &Topology) -> Result<(), KernelError> {
        self.object.want(topology.devices().map(|(place, _)| place))?;
        self.since_ns = reader::now_ns();
        Ok(())
    }

    /// Ends recording; what was recorded can still be read.
    pub fn end(&mut self) -> Result<(), KernelError> {
        self.object.want(std::iter::empty())
    }

    /// Lets go of a namespace that nobody else holds any more.
    pub fn release(&mut self, netns: u32) {
        self.links.release(netns);
    }

    /// When recording began, on the events' clock, ns.
    pub fn since_ns(&self) -> u64 {
        self.since_ns
    }

    /// Events lost so far, by point; only points that lost any.
    pub fn lost(&self) -> BTreeMap<u16, u64> {
        self.object.lost()
    }

    /// How many links and programs are attached.
    pub fn attached(&self) -> usize {
        self.links.len() + self.object.attached()
    }
}
