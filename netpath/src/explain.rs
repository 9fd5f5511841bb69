//! Findings: what costs, why, and what to do about it.
//!
//! In: a [`Snapshot`], live or from a report. Out: [`Finding`]s, what costs packets before what
//! costs time, dearest first, each with its cost, its evidence, and advice. A rule is a row of [`RULES`]; its mechanism is explained under the same
//! name in docs/findings.md. [`bill`] puts the findings and the ledger into sentences.

pub mod bill;
mod rules;
mod scene;
pub(crate) mod trips;

use std::collections::BTreeMap;

use netpath_common::group::Group;
use serde_json::Value;

pub use rules::RULES;
pub use scene::Scene;

use crate::{
    ledger::Ledger,
    session::{Ending, Session},
    snapshot::{self, Finding, Snapshot},
};

/// Where the findings are explained.
const PAGE: &str = "docs/findings.md";
/// Paths with fewer packets than this prove nothing.
pub const ENOUGH: u64 = 100;
/// Paths with a smaller share of the packets are left alone.
const MINOR: f64 = 0.005;

/// A snapshot with its findings.
pub fn snapshot(ledger: &mut Ledger, session: &Session, ending: &Ending) -> Snapshot {
    let mut snapshot = snapshot::build(ledger, session, ending);
    snapshot.findings = explain(&snapshot).findings;
    snapshot
}

/// A rule: what to look for.
#[derive(Debug)]
pub struct Rule {
    /// Anchor in docs/findings.md.
    pub id: &'static str,
    pub title: &'static str,
    pub group: Group,
    /// What a person can do about it.
    pub advice: &'static str,
    pub check: Check,
}

/// What a rule looks at.
#[derive(Debug)]
pub enum Check {
    /// A path with enough packets.
    Path(fn(&Scene) -> Option<Hit>),
    /// The run as a whole.
    Run(fn(&Snapshot) -> Option<Hit>),
}

/// What a rule has found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hit {
    /// Packets that were lost or refused; 0 where the cost is time.
    pub lost: u64,
    /// Of a mean packet, ns; 0 where the cost is not time.
    pub cost_ns: f64,
    /// What was seen, in a sentence with figures.
    pub summary: String,
    pub evidence: BTreeMap<String, Value>,
}

impl Hit {
    pub fn new(cost_ns: f64, summary: String) -> Self {
        // An empty sum is −0.
        Self { lost: 0, cost_ns: cost_ns + 0.0, summary, evidence: BTreeMap::new() }
    }

    /// What costs packets.
    pub fn losing(lost: u64, summary: String) -> Self {
        Self { lost, ..Self::new(0.0, summary) }
    }

    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.evidence.insert(key.to_owned(), value.into());
        self
    }
}

/// What the rules make of a snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Explained {
    /// Those that cost packets first, then the dearest; those that cost neither at the end.
    pub findings: Vec<Finding>,
    /// Paths that had too few packets to say anything, by name.
    pub too_few: Vec<String>,
}

/// Applies all rules.
pub fn explain(snapshot: &Snapshot) -> Explained {
    let mut out = Explained::default();
    let packets: u64 = snapshot.paths.iter().map(|p| p.packets).sum();
    for path in &snapshot.paths {
        if (path.packets as f64) < packets as f64 * MINOR {
            continue;
        }
        if path.packets < ENOUGH {
            out.too_few.push(path.name.clone());
            continue;
        }
        let scene = Scene { snapshot, path };
        for rule in RULES {
            if let Check::Path(check) = rule.check
                && let Some(hit) = check(&scene)
            {
                out.findings.push(finding(rule, hit, &path.name, path.total.mean_ns));
            }
        }
    }
    for rule in RULES {
        if let Check::Run(check) = rule.check
            && let Some(hit) = check(snapshot)
        {
            out.findings.push(finding(rule, hit, "", 0.0));
        }
    }
    out.findings.sort_by(|a, b| b.lost.cmp(&a.lost).then(b.cost_ns.total_cmp(&a.cost_ns)));
    out
}

fn finding(rule: &Rule, hit: Hit, path: &str, total_ns: f64) -> Finding {
    Finding {
        id: rule.id.to_owned(),
        title: rule.title.to_owned(),
        summary: hit.summary,
        group: rule.group.key().to_owned(),
        lost: hit.lost,
        cost_ns: hit.cost_ns,
        share: if total_ns > 0.0 { hit.cost_ns / total_ns } else { 0.0 },
        path: path.to_owned(),
        evidence: hit.evidence,
        advice: rule.advice.to_owned(),
        link: format!("{PAGE}#{}", rule.id),
    }
}

#[cfg(test)]
mod tests;
