//! The kernel boundary: the only module that talks to the kernel about programs and maps.
//!
//! In: the topology. Out: chunks of events, and what could be attached and what not.
//!
//! - [`options`], [`choice`]: what the user asks for, and which backends are used here;
//! - [`btf`], [`symbols`]: offsets, where arguments stand, and names, from the running kernel;
//! - [`known`]: what of that is kept;
//! - [`object`], [`globals`]: the eBPF object and its maps, through aya, and what it is told;
//! - [`plan`], [`needs`]: what is probed, and what isn't worth it on this path;
//! - [`probes`], [`way`]: tracepoints and functions, by BPF trampolines or kprobes;
//! - [`links`]: netfilter BPF links;
//! - [`source`], [`raw`]: loading and linking what aya has no way for;
//! - [`hooks`]: reading which netfilter hooks a namespace has;
//! - [`late`]: modules and hooks that come while a trace goes on;
//! - [`rules`]: names of the rules that packets walk;
//! - [`softirq`]: where the CPUs keep their backlogs;
//! - [`reader`]: the ring buffer and the CPUs' unfinished chunks;
//! - [`calibrate`]: what recording an event costs;
//! - [`selection`], [`wanted`]: which packets the programs take, and from when to when; of which devices;
//! - [`rights`]: what the process is allowed to do.

mod btf;
mod calibrate;
mod choice;
mod error;
mod globals;
mod hooks;
mod known;
mod late;
mod links;
mod needs;
mod object;
mod options;
mod plan;
mod probes;
mod raw;
mod reader;
mod rights;
mod rules;
mod selection;
mod softirq;
mod source;
mod symbols;
mod wanted;
mod way;

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::AsFd as _,
    time::{Duration, Instant},
};

use netpath_common::{end, span};

pub use error::KernelError;
pub use late::Refreshed;
pub use options::Options;
pub use reader::Polled;
pub use rights::{allow_many_files, check as check_rights};
pub use selection::Selection;

pub use crate::backend::Backend;
use crate::{
    clock::{self, Moment},
    hooks::{HookPlan, Registered},
    netns::Netns,
    priority::Raised,
    sample::Lateness,
    serving::{Serving, Source as Served},
    session::{FunctionRange, ProbeCost},
    topo::Topology,
};
use calibrate::Bench;
use hooks::Named;
use known::{Known, Reading};
use needs::Lacking;
use plan::{Plan, What};
use source::Source;
use symbols::Symbols;

/// What is said where functions have no addresses.
const HIDDEN: &str = "the kernel hides where its functions are (kernel.kptr_restrict): packets that one \
    frees without a reason are judged by their place alone";

/// Programs that are attached, and their events. Everything is detached when this is dropped, and
/// by the kernel when the process ends in whatever way.
pub struct Tracer {
    // Order matters: links go before the programs and maps that they use.
    links: links::Links,
    probes: probes::Probes,
    object: object::Object,
    reader: reader::Reader,
    flows: selection::Flows,
    plan: HookPlan,
    serving: Serving,
    drop_reasons: BTreeMap<u16, String>,
    freeing: Vec<FunctionRange>,
    /// Names of functions that were asked for, by the address in them.
    functions: BTreeMap<u64, String>,
    /// Hook points that have no links, and why.
    refused: Vec<String>,
    logger: Option<object::Logger>,
    since: Moment,
    selection: Selection,
    late: Lateness,
    /// Whether packets that begin are recorded.
    is_open: bool,
    /// Whether packets are seen when they leave the sockets of the topology's ends.
    births: bool,
    /// All devices are wanted, but those of namespaces that are left out.
    everything: bool,
    cost: Option<ProbeCost>,
    /// How often probes had been passed over when recording began.
    passed_over_before: u64,
    /// What there was to attach to when it was last looked at.
    seen: late::Seen,
    known: Known,
    aim: Aim,
    /// Modules have come, and what is known is being read anew.
    reading: Option<Reading>,
    /// Why there is no link at all, where some were tried.
    no_link: Option<String>,
    options: Options,
    /// Whether links of kprobes tell what they have missed (Linux 6.7).
    links_tell_misses: bool,
    /// What it took to read BTF, to load and to attach.
    starting: Duration,
    /// What attaching took, the last time.
    attaching: Duration,
    /// What could not be attached again, and why.
    missing: BTreeSet<String>,
}

/// What is to be probed, and the programs for it.
struct Aim {
    /// What the path lacks for functions to be worth a probe.
    lacking: Lacking,
    plan: Plan,
    source: Source,
}

impl Aim {
    fn new(
        object: &object::Object,
        known: &Known,
        lacking: Lacking,
        symbols: &Symbols,
        options: &Options,
    ) -> Result<Self, KernelError> {
        let plan = Plan::new(&known.btf, &known.choice, &lacking, symbols);
        let source = Source::new(object, &known.layout, &plan.positions, options)?;
        Ok(Self { lacking, plan, source })
    }
}

/// Gives back to the system what starting took for a while: symbols, BTF, what was parsed.
fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes no pointers.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// What the path lacks, given the hooks that are registered on it.
fn lacking(
    topology: &Topology,
    points: Option<(&[Named], Vec<Registered>)>,
    options: &Options,
) -> Lacking {
    if options.everything {
        return Lacking::default();
    }
    let registered: Option<Vec<Registered>> = points.map(|(points, mut others)| {
        others.extend(points.iter().flat_map(|p| p.registered.clone()));
        others
    });
    Lacking::of(topology, registered.as_deref())
}

impl Tracer {
    /// Loads and attaches everything that serves `topology`, and measures what an event costs.
    pub fn start(topology: &Topology, options: &Options) -> Result<Self, KernelError> {
        if !options.calibrate {
            return Self::attach(topology, options, None);
        }
        let fail = |e: std::io::Error| format!("what an event costs is not known: {e}");
        let prepared = Bench::new().and_then(|mut bench| {
            bench.plain()?;
            Ok(bench)
        });
        let mut bench = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                let mut this = Self::attach(topology, options, None)?;
                this.refused.push(fail(error));
                return Ok(this);
            }
        };
        let mut with_bench = topology.clone();
        let host = bench.host();
        let netns = host.netns;
        with_bench.hosts.insert(netns, host);
        let mut this = Self::attach(&with_bench, options, Some(netns))?;
        if let Err(error) = softirq::find(&mut this.object, &bench) {
            this.refused.push(format!("who takes packets up from backlogs is not known: {error}"));
        }
        match this.calibrate(&mut bench)? {
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
        bench: &mut Bench,
    ) -> Result<std::io::Result<Option<ProbeCost>>, KernelError> {
        let places = bench.places();
        let sent =
            bench.attached(|wanted| self.object.want(places.into_iter().filter(|_| wanted)))?;
        let mut batch = crate::decode::Batch::default();
        // What cannot be decoded is no event.
        self.reader.poll(|chunk| {
            let _ = batch.chunk(chunk);
        });
        Ok(sent.map(|()| bench.cost(batch.events.len())))
    }

    /// What one event costs, where it was measured.
    pub fn cost(&self) -> Option<ProbeCost> {
        self.cost
    }

    fn attach(
        topology: &Topology,
        options: &Options,
        bench: Option<u32>,
    ) -> Result<Self, KernelError> {
        let begun = Instant::now();
        // Traffic that keeps the CPUs busy must not draw this out: while some probes are there and others
        // are not, packets pay for nothing.
        let _raised = Raised::now();
        let (mut known, symbols) = Known::read(options)?;
        let mut object = object::Object::load(known.layout, options)?;
        let reader = reader::Reader::open(&mut object, options.ring_bytes)?;
        let flows = selection::Flows::open(&mut object)?;
        let namespaces: Vec<Netns> =
            topology.hosts.values().filter_map(|host| host.handle.clone()).collect();
        let surveyed = hooks::survey(&mut object, &namespaces);
        let mut points = match &surveyed {
            Ok(surveyed) => known.name(surveyed, Some(&symbols)),
            Err(_) => Vec::new(),
        };
        let registered = surveyed.is_ok().then_some((points.as_slice(), Vec::new()));
        let lacking = lacking(topology, registered, options);
        let aim = Aim::new(&object, &known, lacking, &symbols, options)?;
        let mut this = Self {
            links: links::Links::default(),
            probes: probes::Probes::default(),
            object,
            reader,
            flows,
            plan: HookPlan::default(),
            serving: Serving::default(),
            drop_reasons: known.btf.drop_reasons(),
            freeing: symbols.ranges(|name| end::function(name).is_some()),
            functions: BTreeMap::new(),
            refused: if symbols.are_hidden() { vec![HIDDEN.to_owned()] } else { Vec::new() },
            logger: None,
            since: Moment::default(),
            selection: Selection::default(),
            late: Lateness::default(),
            is_open: true,
            births: false,
            everything: false,
            cost: None,
            passed_over_before: 0,
            seen: late::Seen::default(),
            options: options.clone(),
            links_tell_misses: known.btf.member("bpf_link_info", "kprobe_multi.missed").is_some(),
            known,
            aim,
            reading: None,
            starting: Duration::ZERO,
            attaching: Duration::ZERO,
            missing: BTreeSet::new(),
            no_link: None,
        };
        drop(symbols);
        this.refused.extend(surveyed.as_ref().err().map(ToString::to_string));
        this.probes.attach(&this.aim.source, &this.aim.plan.targets);
        for point in points.iter_mut().filter(|p| Some(p.key().netns) == bench) {
            point.registered.push(calibrate::pretended());
        }
        this.plan.met_in_prerouting = topology.sharing();
        for point in &points {
            this.plan.add(point.key().netns, point.family, point.hook, &point.registered);
        }
        if this.known.choice.links {
            let failed = this.links.attach(&this.aim.source, &points, &mut this.plan);
            if let (Some(error), 0) = (failed.first(), this.links.len()) {
                this.no_link = Some(error.to_string());
            }
            this.refused.extend(counted(failed.iter().map(ToString::to_string)));
        }
        if this.links.len() == 0 {
            this.plan.points.values_mut().for_each(crate::hooks::HookPoint::without_links);
        }
        this.serve();
        if this.serving.attached.is_empty() {
            return Err(KernelError::NothingAttached { why_not: this.serving.why_not });
        }
        if options.log_kernel {
            this.logger = this.object.logger();
        }
        let links = &this.links;
        let planned = surveyed.as_deref().unwrap_or_default();
        let own = |key| links.count(key);
        let modules = this.known.btf.modules();
        this.seen = late::Seen::after_attaching(&mut this.object, planned, modules, own);
        this.starting = begun.elapsed();
        trim();
        Ok(this)
    }

    /// Says anew what serves what.
    fn serve(&mut self) {
        let mut why_not = self.known.choice.why_not();
        why_not.extend(self.no_link.iter().map(|why| (Backend::NetfilterLink, why.clone())));
        let mut serving = Serving { why_not, ..Serving::default() };
        for (what, why) in self.aim.plan.absent.iter().chain(&self.probes.refused) {
            put(&mut serving, *what, Served::Absent(why.clone()));
        }
        // What is served by one function is served, whatever is said of another.
        for (what, (backend, names)) in &self.probes.served {
            put(&mut serving, *what, Served::By(*backend, names.join(", ")));
        }
        serving.attached.extend(self.probes.by_backend());
        if self.links.len() > 0 {
            serving.attached.insert(Backend::NetfilterLink, self.links.len());
        }
        serving.fill();
        self.serving = serving;
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

    /// Where functions lie that free packets and give no reason.
    pub fn freeing(&self) -> &[FunctionRange] {
        &self.freeing
    }

    /// Names of the functions that these addresses lie in, of those asked for now or before; what the
    /// kernel hides is empty.
    pub fn functions(&mut self, asked: impl IntoIterator<Item = u64>) -> &BTreeMap<u64, String> {
        let new: BTreeSet<u64> =
            asked.into_iter().filter(|at| !self.functions.contains_key(at)).collect();
        if !new.is_empty() {
            let mut names = Symbols::read().functions_at(&new);
            self.functions.extend(new.iter().map(|at| (*at, names.remove(at).unwrap_or_default())));
        }
        &self.functions
    }

    /// Why hook points have no links.
    pub fn refused(&self) -> &[String] {
        &self.refused
    }

    /// Lets go of the kernel: packets pass as if there were no netpath.
    pub fn pause(&mut self) {
        self.links.pause();
        self.probes.pause();
    }

    /// Attaches again what was attached before. What can't be, is missing from now on. Packets are
    /// recorded again from [`Self::go_on`] on.
    pub fn resume(&mut self) {
        let begun = Instant::now();
        // As at the start: what ends a wait first.
        let failed = self.probes.resume().into_iter().chain(self.links.resume());
        for error in failed {
            tracing::warn!("after a pause: {error}");
            self.missing.insert(error.to_string());
        }
        self.attaching = begun.elapsed();
    }

    /// What it took at the start to load and attach everything, calibration aside.
    pub fn starting(&self) -> Duration {
        self.starting
    }

    /// How many instructions the verifier went through for what is attached: what most of
    /// [`Self::starting`] goes into on a slow machine. 0 before Linux 5.16, which does not tell.
    pub fn verified(&self) -> u64 {
        let programs = self.probes.programs().chain(self.links.programs());
        programs
            .filter_map(|program| raw::verified_instructions(program.as_fd()).ok())
            .map(u64::from)
            .sum()
    }

    /// What attaching took, the last time; loading aside.
    pub fn attaching(&self) -> Duration {
        self.attaching
    }

    /// When recording began.
    pub(crate) fn since(&self) -> Moment {
        self.since
    }

    /// The events' clock, ns.
    pub fn now_ns(&self) -> u64 {
        clock::now_ns()
    }

    /// Lets go of a namespace that nobody else holds any more.
    pub fn release(&mut self, netns: u32) {
        self.links.release(netns);
    }

    /// Forgets the hooks of namespaces that are gone.
    pub fn forget(&mut self, gone: &BTreeSet<u32>) {
        self.plan.points.retain(|key, _| !gone.contains(&key.netns));
        self.seen.forget(gone);
    }

    /// Events lost so far, by point; only points that lost any.
    pub fn lost(&self) -> BTreeMap<u16, u64> {
        let mut lost = self.object.lost();
        let missed = self.probes.missed();
        for (what, on_return, missed) in missed.into_iter().filter(|(.., m)| m.returns > 0) {
            let point = match what {
                What::Point(point) => point,
                What::Span(index) => span::entry(index) + u16::from(on_return),
            };
            // Some of them the programs have noticed themselves.
            let lost: &mut u64 = lost.entry(point).or_default();
            *lost = missed.returns.max(*lost);
        }
        lost
    }

    /// What a reader should know of probes that the kernel did not run.
    pub fn notes(&self) -> Vec<String> {
        let passed_over = self.passed_over().saturating_sub(self.passed_over_before);
        let passed_over = (passed_over > 0).then(|| {
            format!(
                "{passed_over} times a probe was passed over, because an interrupt came to it \
                 while it was running: as many packets, wanted or not, lack a mark. Those that are known \
                 to have interrupted one then count as incomplete"
            )
        });
        let untold = self.untold_returns();
        let untold = (untold > 0).then(|| {
            format!(
                "{untold} functions' returns are seen by kretprobes, and this kernel does not tell how \
                 often it missed one (Linux 6.7 does, by fprobe): those that are noticed, by the exit of the \
                 caller, count as lost; the time after a missed one is its function's, up to the \
                 packet's next mark"
            )
        });
        let missing = self.missing.iter().map(|what| format!("after a pause: {what}"));
        passed_over.into_iter().chain(untold).chain(missing).collect()
    }

    /// How many functions' returns are probed of which this kernel does not tell how often they were
    /// missed. Elsewhere they count as lost.
    pub fn untold_returns(&self) -> usize {
        self.probes.untold_returns(self.links_tell_misses)
    }

    /// How often a probe was passed over so far, because an interrupt came to it while it was running.
    pub fn passed_over(&self) -> u64 {
        self.probes.missed().iter().map(|(.., missed)| missed.nested).sum()
    }

    /// How many links and programs are attached.
    pub fn attached(&self) -> usize {
        self.links.len() + self.probes.len()
    }
}

/// Each of these once, in their order, with how often it was there.
fn counted(all: impl Iterator<Item = String>) -> Vec<String> {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for text in all {
        match counts.iter_mut().find(|(known, _)| *known == text) {
            Some((_, count)) => *count += 1,
            None => counts.push((text, 1)),
        }
    }
    let times = |count| if count > 1 { format!(" ({count} times)") } else { String::new() };
    counts.into_iter().map(|(text, count)| text + &times(count)).collect()
}

fn put(serving: &mut Serving, what: What, source: Served) {
    match what {
        What::Point(point) => serving.points.insert(point, source),
        What::Span(index) => serving.spans.insert(index, source),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_is_said_once() {
        let all = ["refused", "busy", "refused"].map(str::to_owned);
        assert_eq!(counted(all.into_iter()), ["refused (2 times)", "busy"]);
    }
}
