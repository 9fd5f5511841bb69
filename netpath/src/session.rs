//! A session: what is known about a run apart from its events. The same live and in a recording.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use netpath_common::wire::ABI;
use serde::{Deserialize, Serialize};

use crate::{
    clock::Moment,
    facts::{CpuQuota, Facts, RuleHistory},
    filter::Filter,
    hooks::HookPlan,
    host::HostFacts,
    sample::{Births, Sampling},
    serving::Serving,
    topo::Topology,
};

/// What stands in an interface's and a namespace's place where everything is traced.
pub const ALL: &str = "all";
pub const HERE: &str = "this host";

/// What is known when recording begins.
// What an older recording doesn't say is as it is by default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Session {
    /// netpath's version.
    pub version: String,
    /// The wire records' version, [`ABI`].
    pub abi: u16,
    /// When recording began, ns since the epoch: the same moment as `since_ns`.
    pub started_unix_ns: u64,
    /// When recording began, on the events' clock, ns.
    pub since_ns: u64,
    /// The interface that was asked for; the first, where there are several.
    pub iface: String,
    /// The network namespace that it was looked up in.
    pub netns: String,
    pub topology: Topology,
    pub hooks: HookPlan,
    pub host: HostFacts,
    pub serving: Serving,
    /// `enum skb_drop_reason` of the kernel that recorded.
    pub drop_reasons: BTreeMap<u16, String>,
    /// Functions that free packets and give no reason, by their addresses; empty where the kernel hides
    /// them.
    pub freeing: Vec<FunctionRange>,
    /// What one event costs the packet; 0 where that was not measured.
    #[serde(default)]
    pub probe_cost: ProbeCost,
    /// When tracing began.
    #[serde(default)]
    pub facts: Facts,
    /// Between these times, ns, the probes were changed: flights under way may lack marks.
    #[serde(default)]
    pub unsure: Vec<(u64, u64)>,
    /// The same where they were changed in some namespaces only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unsure_in: Vec<UnsureIn>,
    /// Only packets that match were asked for.
    pub filter: Option<Filter>,
    pub sampling: Sampling,
    /// Packets' headers were captured.
    pub capture_headers: bool,
    /// What a reader should know, in sentences.
    pub notes: Vec<String>,
}

/// When the probes of some namespaces were changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnsureIn {
    pub from_ns: u64,
    pub until_ns: u64,
    /// By the low half of their cookies.
    pub netns: Vec<u32>,
}

/// Where a kernel function lies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionRange {
    pub from: u64,
    /// The address after its last.
    pub to: u64,
    pub name: String,
}

/// The cost of one recorded event, ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ProbeCost {
    pub mean: f64,
    pub stddev: f64,
    /// Of the mean, being called, which a packet that is not recorded pays as well.
    #[serde(default)]
    pub called: f64,
}

impl ProbeCost {
    /// What packets pay for passing so many probes, recorded or not, ns; and for so many checks
    /// whether one that is not recorded is late. A check asks for the time and a table, as recording
    /// an event does before it writes: it is reckoned as that, rather too much than too little.
    pub fn passing(&self, probes: f64, checks: f64) -> f64 {
        probes * self.called + checks * (self.mean - self.called).max(0.0)
    }

    /// What packets pay on top for so many events that are recorded, ns.
    pub fn recording(&self, events: f64) -> f64 {
        events * (self.mean - self.called)
    }
}

/// What is known when it has ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ending {
    pub duration_ns: u64,
    /// When recording ended, on the events' clock, ns; 0 while it goes on, and in older recordings.
    pub until_ns: u64,
    /// CPU time of the process that traced, user and system, ns.
    #[serde(default)]
    pub own_cpu_ns: u64,
    /// When it ended.
    #[serde(default)]
    pub facts: Facts,
    /// Packets that began while it ran.
    #[serde(default)]
    pub births: Births,
    /// At the end, a packet was late after so long, ns; 0 where none was.
    pub late_after_ns: u32,
    /// Of the duration, the time in which nothing was attached, to keep to the budget.
    pub paused_ns: u64,
    /// Events lost, by point.
    pub lost: BTreeMap<u16, u64>,
    /// What the rules are called that packets walked, by their address: a table, or a table and
    /// its chain.
    #[serde(default)]
    pub rules: BTreeMap<u64, String>,
    /// By namespace, the rule sets that there were while tracing.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[expect(private_interfaces, reason = "nobody outside asks what is in it")]
    pub rule_sets: BTreeMap<u32, RuleHistory>,
    /// By namespace, what the CPU quotas of its processes have cost.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub quotas: BTreeMap<u32, Vec<CpuQuota>>,
    /// Kernel functions that freed packets without a reason, by the address in them.
    pub functions: BTreeMap<u64, String>,
    pub notes: Vec<String>,
}

impl Ending {
    /// The share of the time in which probes were attached, 0 to 1.
    pub fn listened(&self) -> f64 {
        if self.duration_ns == 0 {
            return 1.0;
        }
        1.0 - self.paused_ns.min(self.duration_ns) as f64 / self.duration_ns as f64
    }
}

/// Changes to the probes that are kept.
const UNSURE_MAX: usize = 64;

impl Session {
    /// A session of this netpath that starts now.
    pub fn new() -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let mut this = Self { version, abi: ABI, ..Self::default() };
        this.begun(Moment::now());
        this
    }

    /// Takes when recording began.
    pub(crate) fn begun(&mut self, at: Moment) {
        (self.since_ns, self.started_unix_ns) = (at.events_ns, at.unix_ns);
    }

    /// Takes what is attached now, and what serves what.
    pub fn refreshed(
        &mut self,
        hooks: &HookPlan,
        serving: &Serving,
        unsure: (u64, u64),
        only_in: Option<Vec<u32>>,
    ) {
        self.hooks.clone_from(hooks);
        self.serving.clone_from(serving);
        if let Some(netns) = only_in {
            self.unsure_in.push(UnsureIn { from_ns: unsure.0, until_ns: unsure.1, netns });
            if self.unsure_in.len() > UNSURE_MAX {
                self.unsure_in.remove(0);
            }
            return;
        }
        self.unsure.push(unsure);
        if self.unsure.len() > UNSURE_MAX {
            // The oldest were told long ago.
            self.unsure.remove(0);
        }
    }

    pub fn started(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.started_unix_ns)
    }
}
