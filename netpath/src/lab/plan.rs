//! A plan: which ways are held against each other, and what is measured on them.
//!
//! In: an experiment, or two names. Out: a [`Plan`] that [`super::bench`] carries out.

use std::time::Duration;

use super::{
    LabError,
    experiments::{self, Experiment, Measure, Published},
    outcome::{Fact, Outcome},
    topologies::{Step, Topology},
};

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    pub name: String,
    pub question: String,
    pub ways: Vec<Way>,
    pub measures: Vec<Measure>,
    pub published: &'static [Published],
    pub facts: fn(&Outcome) -> Vec<Fact>,
}

/// One of the ways.
#[derive(Clone, Debug)]
pub struct Way {
    pub name: String,
    pub what: String,
    pub topology: &'static Topology,
    pub also: &'static [&'static [Step]],
    /// The name of the way that it is held against.
    pub against: String,
}

impl Plan {
    /// All variants of an experiment.
    pub fn of(experiment: &'static Experiment) -> Self {
        let ways = experiment.variants.iter().map(|v| Way {
            name: v.name.to_owned(),
            what: v.what.to_owned(),
            topology: v.topology,
            also: v.also,
            against: v.against.to_owned(),
        });
        Self {
            name: experiment.name.to_owned(),
            question: experiment.question.to_owned(),
            ways: ways.collect(),
            measures: experiment.measures.to_vec(),
            published: experiment.published,
            facts: experiment.facts,
        }
    }

    /// Two topologies or variants, `b` held against `a`.
    pub fn compare(a: &str, b: &str) -> Result<Self, LabError> {
        let way = |name: &str| -> Result<Way, LabError> {
            let setting = experiments::setting(name)?;
            Ok(Way {
                name: name.to_owned(),
                what: setting.what.to_owned(),
                topology: setting.topology,
                also: setting.also,
                against: a.to_owned(),
            })
        };
        let mut ways = vec![way(a)?];
        // A way can be held against itself: that shows how much the machine itself varies.
        if b == a {
            ways.push(Way { name: format!("{b} again"), ..way(b)? });
        } else {
            ways.push(way(b)?);
        }
        let measures = [experiments::TCP_RR, experiments::UDP_RR, experiments::BULK];
        let measures = measures.into_iter().filter(|m| ways.iter().all(|w| w.takes(m)));
        Ok(Self {
            name: "compare".to_owned(),
            question: format!("What makes {b} different from {a}?"),
            measures: measures.collect(),
            ways,
            published: &[],
            facts: |_| Vec::new(),
        })
    }

    /// How many steps there are to carry out.
    pub fn steps(&self, runs: usize, traced: bool) -> u64 {
        let per_way = 1 + runs * self.measures.len() + usize::from(traced);
        (self.ways.len() * per_way) as u64
    }

    /// For how long there is measuring, where a run is so long.
    pub fn measuring(&self, runs: usize, run: Duration) -> Duration {
        let one: Duration = self.measures.iter().map(|m| m.planned(run)).sum();
        one * u32::try_from(runs * self.ways.len()).unwrap_or(u32::MAX)
    }
}

impl Way {
    /// Whether a load gets through.
    pub fn takes(&self, measure: &Measure) -> bool {
        (self.topology.relay.is_none() || measure.load.is_tcp())
            && (!measure.reverse || self.topology.client_v4.is_some())
    }
}
