//! What experiments found: the report of `netpath lab` (`netpath.lab/1`), and nothing but values.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::{difference::Difference, stats::Estimate};
use crate::{hooks::HookPlan, host::HostFacts, topo::Topology};

/// The version of the JSON form.
pub const SCHEMA: &str = "netpath.lab/1";

/// Everything that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub schema: String,
    /// netpath's version.
    pub version: String,
    /// RFC 3339, UTC.
    pub started: String,
    pub machine: HostFacts,
    /// The CPUs of clients and servers; absent where the scheduler chose.
    pub cpus: Option<(usize, usize)>,
    /// How often everything was measured, and for how long each time.
    pub runs: usize,
    pub run_ms: u64,
    /// What was given up of that, to be done in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up: Option<String>,
    /// Whether everything was done that was asked for.
    pub complete: bool,
    pub took_s: f64,
    pub experiments: Vec<Outcome>,
}

/// What one experiment found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub name: String,
    pub question: String,
    pub measures: Vec<MeasureOutcome>,
    pub variants: Vec<VariantOutcome>,
    pub facts: Vec<Fact>,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeasureOutcome {
    pub key: String,
    pub what: String,
}

/// A variant's figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VariantOutcome {
    pub name: String,
    pub what: String,
    /// The variant that it is held against.
    pub against: String,
    /// Why there are no figures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_run: Option<String>,
    /// What has to be known beside the figures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    pub figures: Vec<FigureOutcome>,
    /// What makes up the difference, by a traced run of both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
}

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FigureOutcome {
    pub measure: String,
    pub figure: String,
    pub unit: String,
    /// One value for each run, in the order of the runs.
    pub values: Vec<f64>,
    pub estimate: Option<Estimate>,
    /// Of the quotients of the same runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<Estimate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published: Option<PublishedRatio>,
    /// Why there is no value, or not one for each run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// What others found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PublishedRatio {
    pub ratio: f64,
    pub source: String,
    pub said: String,
}

/// What follows from the figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    pub what: String,
    /// With its unit; with its interval where it has one.
    pub here: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published: Option<String>,
}

impl Report {
    /// An empty one that begins now.
    pub fn new(runs: usize, run: Duration, cpus: Option<(usize, usize)>) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            machine: HostFacts::read(&Topology::default(), &HookPlan::default()),
            cpus,
            runs,
            run_ms: u64::try_from(run.as_millis()).unwrap_or(u64::MAX),
            given_up: None,
            complete: true,
            took_s: 0.0,
            experiments: Vec::new(),
        }
    }
}

impl Outcome {
    pub fn variant(&self, name: &str) -> Option<&VariantOutcome> {
        self.variants.iter().find(|v| v.name == name)
    }

    /// The values of a variant's figure, one for each run.
    pub fn values(&self, variant: &str, measure: &str, figure: &str) -> &[f64] {
        self.variant(variant).and_then(|v| v.figure(measure, figure)).map_or(&[], |f| &f.values)
    }
}

impl VariantOutcome {
    pub fn figure(&self, measure: &str, figure: &str) -> Option<&FigureOutcome> {
        self.figures.iter().find(|f| f.measure == measure && f.figure == figure)
    }
}
