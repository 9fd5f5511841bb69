//! Facts about the machine that figures depend on. A report without them is void: distributions
//! reload iptables silently, governors change, mitigations differ.

use std::{collections::BTreeMap, fs};

use netpath_common::point::{Family, Hook};
use serde::{Deserialize, Serialize};

use crate::{hooks::HookPlan, topo::Topology};

/// The machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HostFacts {
    /// `uname -r`.
    pub kernel: String,
    pub cpu: String,
    pub cpus: usize,
    /// CPU frequency governor, or `none` where the machine has no choice.
    pub governor: String,
    pub clocksource: String,
    /// Vulnerability → mitigation, of those that are mitigated.
    pub mitigations: BTreeMap<String, String>,
    /// By namespace on the path.
    pub netfilter: BTreeMap<String, NetfilterFacts>,
}

/// What netfilter has in a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NetfilterFacts {
    pub bridge_nf_call_iptables: bool,
    /// By family and hook: the functions registered there, in the order in which they run.
    pub hooks: BTreeMap<String, Vec<String>>,
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|s| s.trim().to_owned())
}

impl HostFacts {
    /// Reads them.
    pub fn read(topology: &Topology, plan: &HookPlan) -> Self {
        let kernel = nix::sys::utsname::uname()
            .map(|u| u.release().to_string_lossy().into_owned())
            .unwrap_or_default();
        Self {
            kernel,
            cpu: cpu_model(),
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            governor: read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
                .unwrap_or_else(|| "none".to_owned()),
            clocksource: read("/sys/devices/system/clocksource/clocksource0/current_clocksource")
                .unwrap_or_default(),
            mitigations: mitigations(),
            netfilter: netfilter(topology, plan),
        }
    }
}

fn cpu_model() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    info.lines()
        .find_map(|line| line.strip_prefix("model name"))
        .and_then(|rest| rest.split_once(':'))
        .map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

fn mitigations() -> BTreeMap<String, String> {
    fs::read_dir("/sys/devices/system/cpu/vulnerabilities")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let text = fs::read_to_string(entry.path()).ok()?;
            let text = text.trim().strip_prefix("Mitigation: ")?;
            Some((entry.file_name().to_string_lossy().into_owned(), text.to_owned()))
        })
        .collect()
}

fn netfilter(topology: &Topology, plan: &HookPlan) -> BTreeMap<String, NetfilterFacts> {
    let mut facts = BTreeMap::new();
    for host in topology.hosts.values() {
        let mut hooks = BTreeMap::new();
        for (key, point) in plan.points.iter().filter(|(key, _)| key.netns == host.netns) {
            if point.registered.is_empty() {
                continue;
            }
            let family = Family::ALL[usize::from(key.family).min(1)].name();
            let hook = Hook::from_number(key.hook).map_or("", Hook::name);
            let functions = point
                .registered
                .iter()
                .map(|r| format!("{} ({})", r.function, r.priority))
                .collect();
            hooks.insert(format!("{family} {hook}"), functions);
        }
        facts.insert(
            host.name.clone(),
            NetfilterFacts { bridge_nf_call_iptables: host.bridge_nf, hooks },
        );
    }
    facts
}
