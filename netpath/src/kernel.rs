//! The kernel boundary: the only module that talks to the kernel about programs and maps.
//!
//! In: the topology. Out: chunks of events, and what could be attached and what not.
//!
//! - [`btf`]: offsets, and where arguments stand, from the running kernel's BTF;
//! - [`object`]: the eBPF object and its maps, tracepoints; through aya;
//! - [`functions`]: probes on functions, by fentry or kprobes;
//! - [`links`]: netfilter BPF links;
//! - [`source`], [`raw`]: loading and linking what aya has no way for;
//! - [`hooks`]: reading which netfilter hooks a namespace has;
//! - [`reader`]: the ring buffer and the CPUs' unfinished chunks;
//! - [`calibrate`]: what recording an event costs;
//! - [`rights`]: what the process is allowed to do.

mod btf;
mod calibrate;
mod error;
mod functions;
mod hooks;
mod links;
mod object;
mod raw;
mod reader;
mod rights;
mod source;
mod symbols;

use std::collections::{BTreeMap, BTreeSet};

use netpath_common::{
    args::Positions,
    point::{POINTS, Point, Prefer},
    span::SPANS,
};
use serde::{Deserialize, Serialize};

pub use error::KernelError;
pub use reader::Polled;
pub use rights::check as check_rights;

use crate::{
    hooks::HookPlan,
    serving::{Serving, Source},
    session::ProbeCost,
    topo::{Place, Topology},
};
use calibrate::Bench;
use functions::{Ways, What};

/// The backends, in the order of preference; one row each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    Tracepoint,
    Fentry,
    Kprobe,
    NetfilterLink,
}

impl Backend {
    pub const ALL: [Self; 4] = [Self::Tracepoint, Self::Fentry, Self::Kprobe, Self::NetfilterLink];

    /// The name on the command line and in reports.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Tracepoint => "tracepoint",
            Self::Fentry => "fentry",
            Self::Kprobe => "kprobe",
            Self::NetfilterLink => "netfilter-link",
        }
    }

    pub const fn what(self) -> &'static str {
        match self {
            Self::Tracepoint => "BTF tracepoints",
            Self::Fentry => "function entry and exit, by BPF trampolines",
            Self::Kprobe => "function entry and exit, by kprobes",
            Self::NetfilterLink => "BPF links around netfilter hooks, Linux 6.4",
        }
    }
}

/// What the user asked of the kernel side.
#[derive(Clone, Debug)]
pub struct Options {
    /// Only these; where there are none, what serves most at least cost.
    pub backends: Vec<Backend>,
    /// Size of the ring buffer, bytes, a power of two.
    pub ring_bytes: u32,
    /// Let the programs log.
    pub log_kernel: bool,
    /// Measure what an event costs.
    pub calibrate: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { backends: Vec::new(), ring_bytes: 8 << 20, log_kernel: false, calibrate: false }
    }
}

/// Programs that are attached, and their events. Everything is detached when this is dropped, and
/// by the kernel when the process ends in whatever way.
pub struct Tracer {
    // Order matters: links go before the programs and maps that they use.
    links: links::Links,
    functions: functions::Functions,
    object: object::Object,
    reader: reader::Reader,
    plan: HookPlan,
    serving: Serving,
    drop_reasons: BTreeMap<u16, String>,
    /// Hook points that have no links, and why.
    refused: Vec<String>,
    logger: Option<object::Logger>,
    since_ns: u64,
    cost: Option<ProbeCost>,
}

/// Which backends are used, and why the others aren't.
struct Choice {
    tracepoints: bool,
    functions: Option<Ways>,
    links: bool,
    why_not: BTreeMap<Backend, String>,
}

impl Choice {
    /// Tries each backend that is asked for, the preferred ones first.
    fn make(btf: &btf::KernelBtf, options: &Options) -> Self {
        let mut this =
            Self { tracepoints: false, functions: None, links: false, why_not: BTreeMap::new() };
        for backend in Backend::ALL {
            let asked = options.backends.is_empty() || options.backends.contains(&backend);
            let tried = if asked {
                this.try_backend(backend, btf, options)
            } else {
                Err("not asked for".to_owned())
            };
            if let Err(why) = tried {
                this.why_not.insert(backend, why);
            }
        }
        this
    }

    fn try_backend(
        &mut self,
        backend: Backend,
        btf: &btf::KernelBtf,
        options: &Options,
    ) -> Result<(), String> {
        match backend {
            Backend::Tracepoint => self.tracepoints = true,
            Backend::Fentry | Backend::Kprobe => {
                let way = functions::try_backend(btf, backend)?;
                let ways = self.functions.get_or_insert(Ways { typed: way, by_symbol: None });
                if backend == Backend::Kprobe {
                    ways.by_symbol = Some(way);
                }
            }
            Backend::NetfilterLink if self.functions.is_some() && options.backends.is_empty() => {
                return Err("functions are seen from inside".to_owned());
            }
            Backend::NetfilterLink => {
                links::try_links()?;
                self.links = true;
            }
        }
        Ok(())
    }

    /// Whether a point is served by its tracepoint.
    fn by_tracepoint(&self, point: &Point) -> bool {
        let functions = self.functions.is_some() && !point.functions.is_empty();
        self.tracepoints
            && point.tracepoint.is_some()
            && (point.prefer == Prefer::Tracepoint || !functions)
    }
}

impl Tracer {
    /// Loads and attaches everything that serves `topology`, and measures what an event costs.
    pub fn start(topology: &Topology, options: &Options) -> Result<Self, KernelError> {
        if !options.calibrate {
            return Self::attach(topology, options);
        }
        let fail = |e: std::io::Error| format!("what an event costs is not known: {e}");
        let prepared = Bench::new().and_then(|mut bench| Ok((bench.measure()?, bench)));
        let (plain, mut bench) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                let mut this = Self::attach(topology, options)?;
                this.refused.push(fail(error));
                return Ok(this);
            }
        };
        let mut with_bench = topology.clone();
        let host = bench.host();
        let netns = host.netns;
        with_bench.hosts.insert(netns, host);
        let mut this = Self::attach(&with_bench, options)?;
        match this.calibrate(plain, &mut bench)? {
            Ok(cost) => this.cost = cost,
            Err(error) => this.refused.push(fail(error)),
        }
        this.links.release(netns);
        if let Some(attached) = this.serving.attached.get_mut(&Backend::NetfilterLink) {
            *attached = this.links.len();
        }
        this.plan.points.retain(|key, _| key.netns != netns);
        Ok(this)
    }

    /// Records the bench's datagrams, and compares.
    fn calibrate(
        &mut self,
        plain: calibrate::Times,
        bench: &mut Bench,
    ) -> Result<std::io::Result<Option<ProbeCost>>, KernelError> {
        self.object.want(bench.places())?;
        let traced = bench.measure();
        self.object.want(std::iter::empty())?;
        let mut batch = crate::decode::Batch::default();
        // What cannot be decoded is no event.
        self.reader.poll(|chunk| {
            let _ = batch.chunk(chunk);
        });
        let events = batch.events.len() as f64 / Bench::datagrams() as f64;
        Ok(traced.map(|traced| {
            tracing::debug!("calibration: {plain:?} {traced:?} {events} events");
            calibrate::cost(plain, traced, events)
        }))
    }

    /// What one event costs, where it was measured.
    pub fn cost(&self) -> Option<ProbeCost> {
        self.cost
    }

    fn attach(topology: &Topology, options: &Options) -> Result<Self, KernelError> {
        let btf = btf::KernelBtf::load()?;
        let layout = btf.layout()?;
        let choice = Choice::make(&btf, options);
        let mut serving = Serving::default();
        serving.why_not.clone_from(&choice.why_not);

        // Where arguments stand must be known before anything is loaded.
        let mut positions = Positions::NONE;
        let mut tracepoints = Vec::new();
        for point in POINTS.iter().filter(|p| choice.by_tracepoint(p)) {
            let Some(name) = point.tracepoint else { continue };
            match btf.tracepoint(name, point.body) {
                Ok(row) => {
                    positions.rows[usize::from(point.point)] = row;
                    tracepoints.push((point.point, name));
                }
                Err(why) => {
                    serving.points.insert(point.point, Source::Absent(why));
                }
            }
        }
        let by_tracepoint: BTreeSet<u16> = tracepoints.iter().map(|(p, _)| *p).collect();
        let plan = choice.functions.map(|ways| {
            let wanted = |p: &Point| !by_tracepoint.contains(&p.point);
            functions::Plan::new(&btf, ways, wanted, &mut positions)
        });

        let mut object = object::Object::load(layout, &positions, options)?;
        let reader = reader::Reader::open(&mut object, options.ring_bytes)?;
        for (point, name) in tracepoints {
            let source = match object.attach_tracepoint(point, name) {
                Ok(()) => Source::By(Backend::Tracepoint, name.to_owned()),
                Err(error) => Source::Absent(refusal(&format!("tracepoint {name}"), &error)),
            };
            serving.points.insert(point, source);
        }
        let mut functions = functions::Functions::default();
        if let Some(plan) = plan {
            functions = functions::Functions::attach(&object, &plan.targets)?;
            for (what, why) in plan.absent.iter().chain(&functions.refused) {
                serving.put(*what, Source::Absent(why.clone()));
            }
            for (what, (backend, names)) in &functions.served {
                serving.put(*what, Source::By(*backend, names.join(", ")));
            }
        }
        let mut hooks = HookPlan::default();
        let mut refused = Vec::new();
        let mut links = links::Links::default();
        if choice.links {
            match links::Links::attach(&mut object, topology, &mut hooks, &mut refused) {
                Ok(attached) => links = attached,
                Err(error) => {
                    serving.why_not.insert(Backend::NetfilterLink, error.to_string());
                }
            }
        } else if let Err(error) = links::survey(&mut object, topology, &mut hooks) {
            refused.push(error.to_string());
        }
        if links.len() == 0 {
            hooks.points.values_mut().for_each(crate::hooks::HookPoint::without_links);
        }
        serving.attached.extend(functions.attached());
        serving.attached.extend(
            [(Backend::Tracepoint, object.attached()), (Backend::NetfilterLink, links.len())]
                .into_iter()
                .filter(|(_, n)| *n > 0),
        );
        serving.fill();
        if serving.attached.is_empty() {
            return Err(KernelError::NothingAttached { why_not: serving.why_not });
        }
        let logger = if options.log_kernel { object.logger() } else { None };
        Ok(Self {
            links,
            functions,
            object,
            reader,
            plan: hooks,
            serving,
            drop_reasons: btf.drop_reasons(),
            refused,
            logger,
            since_ns: 0,
            cost: None,
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

    /// What serves what.
    pub fn serving(&self) -> &Serving {
        &self.serving
    }

    /// Names of drop reasons, by number.
    pub fn drop_reasons(&self) -> BTreeMap<u16, String> {
        self.drop_reasons.clone()
    }

    /// Why hook points have no links.
    pub fn refused(&self) -> &[String] {
        &self.refused
    }

    /// Begins to record packets of the topology's devices, and what sockets at its ends send. Only
    /// now: packets that pass while the probes are being attached are none of ours.
    pub fn begin(&mut self, topology: &Topology) -> Result<(), KernelError> {
        let devices = topology.devices().map(|(place, _)| place);
        let ends = topology.hosts.values().filter(|host| !host.forwards);
        let ends = ends.map(|host| Place { netns: host.netns, ifindex: 0 });
        self.object.want(devices.chain(ends))?;
        self.since_ns = reader::now_ns();
        Ok(())
    }

    /// Ends recording; what was recorded can still be read.
    pub fn end(&mut self) -> Result<(), KernelError> {
        self.object.want(std::iter::empty())
    }

    /// When recording began, on the events' clock, ns.
    pub fn since_ns(&self) -> u64 {
        self.since_ns
    }

    /// The events' clock, ns.
    pub fn now_ns(&self) -> u64 {
        reader::now_ns()
    }

    /// Lets go of a namespace that nobody else holds any more.
    pub fn release(&mut self, netns: u32) {
        self.links.release(netns);
    }

    /// Events lost so far, by point; only points that lost any.
    pub fn lost(&self) -> BTreeMap<u16, u64> {
        self.object.lost()
    }

    /// How many links and programs are attached.
    pub fn attached(&self) -> usize {
        self.links.len() + self.functions.len() + self.object.attached()
    }
}

/// Why something is absent; a verifier's log goes to the diagnostics.
fn refusal(what: &str, error: &KernelError) -> String {
    if let KernelError::Verifier { log, .. } = error {
        tracing::warn!("{what}: {error}; the verifier's log ends:\n{log}");
    }
    format!("{what}: {error}")
}

impl Serving {
    fn put(&mut self, what: What, source: Source) {
        // What is served by one function is served, whatever is said of another.
        match what {
            What::Point(point) => self.points.insert(point, source),
            What::Span(index) => self.spans.insert(index, source),
        };
    }

    /// Says of everything that nothing was tried for, why.
    fn fill(&mut self) {
        for point in POINTS {
            if !self.points.contains_key(&point.point) {
                let tracepoint = point.tracepoint.map(|_| Backend::Tracepoint);
                let functions = if point.functions.is_empty() { &[][..] } else { FUNCTIONS };
                let source = self.why(tracepoint.iter().chain(functions));
                self.points.insert(point.point, source);
            }
        }
        for index in 0..SPANS.len() {
            if !self.spans.contains_key(&index) {
                let source = self.why(FUNCTIONS);
                self.spans.insert(index, source);
            }
        }
    }

    fn why<'a>(&self, wanted: impl IntoIterator<Item = &'a Backend>) -> Source {
        let words: Vec<String> = wanted
            .into_iter()
            .filter_map(|b| Some(format!("{}: {}", b.key(), self.why_not.get(b)?)))
            .collect();
        Source::Absent(words.join("; "))
    }
}

/// The backends that probe functions.
const FUNCTIONS: &[Backend] = &[Backend::Fentry, Backend::Kprobe];
