//! Carrying out a plan: everything that can run is brought up, measured in turns, and traced once.
//!
//! In: a [`Plan`] and [`Settings`]. Out: an [`Outcome`]. Figures come from runs without tracing, in
//! turns, so that what else the machine does falls on all alike; netpath's ledger of the difference
//! comes from a traced run of each.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{
    Lab, LabError,
    difference::{Difference, Per, SEGMENT, Spent},
    experiments::{Figure, Measure},
    outcome::{FigureOutcome, MeasureOutcome, Outcome, PublishedRatio, VariantOutcome},
    pace::{Pace, RUNS_MIN},
    plan::{Plan, Way},
    stats::Estimate,
    topologies::Step,
    traffic::{How, Load, Measured, Traffic, connections},
};
use crate::snapshot::Snapshot;

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How often everything is measured.
    pub runs: usize,
    /// For how long each time.
    pub run: Duration,
    /// For how long the load goes on before that.
    pub warm_up: Duration,
    /// How long the traced run is; none without.
    pub traced: Option<Duration>,
    pub cpus: Option<(usize, usize)>,
}

/// Traces a lab's interface while its traffic flows.
pub type Trace<'a> = dyn Fn(&Lab, Duration) -> Result<Snapshot, LabError> + 'a;

/// Who is told how far it is, and who says when to stop.
pub trait Watcher {
    /// A step begins.
    fn step(&mut self, what: &str);
    /// So many steps are left out.
    fn skip(&mut self, _steps: u64) {}
    /// Whether to stop with what there is.
    fn stop(&self) -> bool;
}

/// A way that is up, or why it isn't.
struct Site<'a> {
    way: &'a Way,
    lab: Result<Lab, String>,
    /// By measure: the values of each figure, run by run.
    values: Vec<Vec<Vec<f64>>>,
    failed: Vec<Option<String>>,
    spent: Option<Spent>,
}

/// Carries out a plan. Stops between two steps where the watcher says so.
pub fn run(
    plan: &Plan,
    settings: &Settings,
    pace: &mut Pace,
    trace: &Trace,
    watcher: &mut dyn Watcher,
) -> Outcome {
    let mut sites: Vec<Site> = Vec::new();
    for way in &plan.ways {
        watcher.step(&format!("{}/{}: up", plan.name, way.name));
        let lab = if watcher.stop() {
            Err("interrupted".to_owned())
        } else {
            Lab::up_with(way.topology, way.also).map_err(|e| e.to_string())
        };
        let values = plan.measures.iter().map(|m| vec![Vec::new(); m.figures.len()]).collect();
        let failed = vec![None; plan.measures.len()];
        sites.push(Site { way, lab, values, failed, spent: None });
        pace.step(Duration::ZERO, Duration::ZERO);
    }
    for run in 0..settings.runs {
        if run >= RUNS_MIN && pace.is_late() {
            let left = settings.runs - run;
            let steps = (left * plan.measures.len() * sites.len()) as u64;
            watcher.skip(steps);
            pace.left_out(steps, plan.measuring(left, settings.run));
            break;
        }
        for (i, measure) in plan.measures.iter().enumerate() {
            for turn in 0..sites.len() {
                if watcher.stop() {
                    break;
                }
                // Nobody always goes first.
                let at = (turn + run) % sites.len();
                let site = &mut sites[at];
                let of = settings.runs;
                watcher.step(&format!(
                    "{}/{}: {}, run {} of {of}",
                    plan.name,
                    site.way.name,
                    measure.key,
                    run + 1
                ));
                let share = pace.share();
                let shorter = Settings { run: settings.run.mul_f64(share), ..*settings };
                let measured = site.measure(i, measure, &shorter);
                pace.step(measure.planned(settings.run), measured);
            }
        }
    }
    if let (Some(time), Some(measure)) = (settings.traced, plan.measures.first()) {
        for site in &mut sites {
            if watcher.stop() {
                break;
            }
            watcher.step(&format!("{}/{}: traced", plan.name, site.way.name));
            if let Ok(lab) = &site.lab {
                match traced(lab, measure, settings, time, trace) {
                    Ok(spent) => site.spent = spent,
                    Err(e) => tracing::warn!("{}/{}: not traced: {e}", plan.name, site.way.name),
                }
            }
            pace.step(Duration::ZERO, Duration::ZERO);
        }
    }
    let mut outcome = outcome(plan, &sites);
    outcome.facts = (plan.facts)(&outcome);
    outcome
}

impl Site<'_> {
    /// Measures once. Returns for how long.
    fn measure(&mut self, i: usize, measure: &Measure, settings: &Settings) -> Duration {
        let Ok(lab) = &self.lab else { return Duration::ZERO };
        let measured = measure_once(lab, measure, settings).and_then(|m| {
            self.mend(lab, measure)?;
            Ok(m)
        });
        match measured {
            Ok(m) => {
                for (values, figure) in self.values[i].iter_mut().zip(measure.figures) {
                    let value = value(*figure, &m);
                    if value.is_none() {
                        self.failed[i] = Some("nothing came through in a run".to_owned());
                    }
                    values.push(value.unwrap_or(f64::NAN));
                }
            }
            Err(e) => {
                for values in &mut self.values[i] {
                    values.push(f64::NAN);
                }
                self.failed[i] = Some(e.to_string());
            }
        }
        measure.planned(settings.run)
    }

    /// Puts the connection table back to what it is to be.
    fn mend(&self, lab: &Lab, measure: &Measure) -> Result<(), LabError> {
        if !matches!(measure.load, Load::OneWay { new: true, .. }) {
            return Ok(());
        }
        let mut steps = self.way.also.iter().copied().flatten();
        let n = steps.find_map(|step| match step {
            Step::Connections(host, n) => Some((*host, *n)),
            _ => None,
        });
        let (host, n) = n.unwrap_or(("host", 0));
        connections::fill(lab, host, n)
    }
}

/// Starts a measure's loads: its own, and what goes on beside them.
fn start(
    lab: &Lab,
    measure: &Measure,
    settings: &Settings,
) -> Result<(Vec<Traffic>, Vec<Traffic>), LabError> {
    let how = |i: usize| How {
        v6: false,
        reverse: measure.reverse,
        cpus: settings.cpus.map(|(c, s)| match (measure.apart, i % 2) {
            (false, _) => (s, s),
            (true, 0) => (c, s),
            // Every other sender is at the other CPU.
            (true, _) => (s, c),
        }),
    };
    let background = (0..measure.background)
        .map(|_| Traffic::start_as(lab, Load::TcpBulk, how(0)))
        .collect::<Result<Vec<_>, _>>()?;
    let own = (0..measure.parallel)
        .map(|i| Traffic::start_as(lab, measure.load, how(i)))
        .collect::<Result<Vec<_>, _>>()?;
    Ok((own, background))
}

/// Measures once, without tracing.
pub fn measure_once(
    lab: &Lab,
    measure: &Measure,
    settings: &Settings,
) -> Result<Measured, LabError> {
    let (mut own, mut background) = start(lab, measure, settings)?;
    let ends_itself = measure.ends_itself();
    if !ends_itself {
        thread::sleep(settings.warm_up);
        own.iter_mut().for_each(Traffic::begin);
    }
    let deadline = Instant::now() + if ends_itself { LONG } else { measure.planned(settings.run) };
    while Instant::now() < deadline && !own.iter().all(Traffic::finished) {
        let left = deadline.saturating_duration_since(Instant::now());
        thread::sleep(if ends_itself { left.min(Duration::from_millis(1)) } else { left });
    }
    let measured = own.iter_mut().map(Traffic::stop).collect::<Result<Vec<_>, _>>()?;
    for traffic in &mut background {
        traffic.stop()?;
    }
    let mut all = measured.into_iter();
    let mut sum =
        all.next().ok_or_else(|| LabError::Traffic("no load was asked for".to_owned()))?;
    for one in all {
        sum.count += one.count;
        sum.elapsed = sum.elapsed.max(one.elapsed);
        sum.bytes += one.bytes;
        sum.received_bytes += one.received_bytes;
        // The histograms are of one precision and grow by themselves.
        let _ = sum.round_trips.add(&one.round_trips);
    }
    Ok(sum)
}

/// Loads that end by themselves are given this long.
const LONG: Duration = Duration::from_secs(10);

/// A figure; `None` where nothing came through to read it off.
fn value(figure: Figure, m: &Measured) -> Option<f64> {
    let nothing = match m.load {
        Load::TcpBulk | Load::UdpFlood { .. } => m.received_bytes == 0,
        _ => m.count == 0,
    };
    if nothing {
        return None;
    }
    let seconds = m.elapsed.as_secs_f64().max(1e-9);
    let us = |quantile| m.round_trips.value_at_quantile(quantile) as f64 / 1e3;
    let datagram = match m.load {
        Load::UdpFlood { bytes, .. } => bytes as f64,
        _ => 1.0,
    };
    Some(match figure {
        Figure::RoundTrip | Figure::Each => us(0.5),
        Figure::RoundTripP99 => us(0.99),
        Figure::Rate => m.per_second() / 1e3,
        Figure::Arrived => m.received_bytes as f64 / datagram / seconds / 1e3,
        Figure::Goodput => m.goodput_bps() / 1e9,
        Figure::CpuPerByte => m.cpu.as_nanos() as f64 / m.received_bytes.max(1) as f64,
        Figure::CpuPerOne => m.cpu.as_nanos() as f64 / m.count.max(1) as f64 / 1e3,
    })
}

/// Traces a measure's load, and says what a round trip or a segment of it spends where.
fn traced(
    lab: &Lab,
    measure: &Measure,
    settings: &Settings,
    time: Duration,
    trace: &Trace,
) -> Result<Option<Spent>, LabError> {
    let (mut own, _background) = start(lab, measure, settings)?;
    own.iter_mut().for_each(Traffic::begin);
    let snapshot = trace(lab, time)?;
    let measured = own.iter_mut().map(Traffic::stop).collect::<Result<Vec<_>, _>>()?;
    let per = match measure.load {
        Load::TcpBulk => {
            let seconds = snapshot.duration_ns as f64 / 1e9;
            let bits: f64 = measured.iter().map(Measured::goodput_bps).sum();
            Per::Segments(bits / 8.0 * seconds / SEGMENT)
        }
        _ => Per::RoundTrip,
    };
    Ok(Spent::of(&snapshot, per))
}

fn outcome(plan: &Plan, sites: &[Site]) -> Outcome {
    let find = |name: &str| sites.iter().find(|s| s.way.name == name);
    let variants = sites.iter().map(|site| {
        let base = find(&site.way.against).filter(|base| base.way.name != site.way.name);
        let mut figures = Vec::new();
        for (i, measure) in plan.measures.iter().enumerate().filter(|_| site.lab.is_ok()) {
            for (k, figure) in measure.figures.iter().enumerate() {
                let base = base.map(|b| b.values[i][k].as_slice());
                let mut f = figure_outcome(measure, *figure, &site.values[i][k], base);
                f.failed.clone_from(&site.failed[i]);
                let emulated = site.lab.as_ref().is_ok_and(Lab::is_emulated);
                f.published = (!emulated)
                    .then(|| published(plan, measure, *figure, &site.way.name))
                    .flatten();
                figures.push(f);
            }
        }
        let difference = base.and_then(|base| difference(plan, site, base));
        VariantOutcome {
            name: site.way.name.clone(),
            what: site.way.what.clone(),
            against: site.way.against.clone(),
            not_run: site.lab.as_ref().err().cloned(),
            notes: notes(plan, site),
            figures,
            difference,
        }
    });
    Outcome {
        name: plan.name.clone(),
        question: plan.question.clone(),
        measures: plan
            .measures
            .iter()
            .map(|m| MeasureOutcome { key: m.key.to_owned(), what: m.what.to_owned() })
            .collect(),
        variants: variants.collect(),
        facts: Vec::new(),
    }
}

/// What has to be known beside a way's figures.
fn notes(plan: &Plan, site: &Site) -> Vec<String> {
    let Ok(lab) = &site.lab else { return Vec::new() };
    let mut notes: Vec<String> = lab.notes().map(str::to_owned).collect();
    if lab.is_emulated() {
        let published: Vec<String> = plan
            .published
            .iter()
            .filter(|p| p.variant == site.way.name)
            .map(|p| format!("{} {} {:.2}", p.measure, p.figure.what(), p.ratio))
            .collect();
        notes.push(format!(
            "emulated: its figures are those of QEMU's emulator, many times a real guest's, and are \
             not held against what was published ({}). Only what netpath's ledger says of the \
             host's hops is this machine's own time",
            published.join(", ")
        ));
    }
    notes
}

fn figure_outcome(
    measure: &Measure,
    figure: Figure,
    values: &[f64],
    base: Option<&[f64]>,
) -> FigureOutcome {
    let good: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    let ratio = base.and_then(|base| {
        let pairs = values.iter().zip(base).filter(|(v, b)| v.is_finite() && b.is_finite());
        let (v, b): (Vec<f64>, Vec<f64>) = pairs.map(|(v, b)| (*v, *b)).unzip();
        Estimate::ratio(&v, &b)
    });
    FigureOutcome {
        measure: measure.key.to_owned(),
        figure: figure.key().to_owned(),
        unit: figure.unit().to_owned(),
        estimate: Estimate::of(&good),
        values: good,
        ratio,
        published: None,
        failed: None,
    }
}

fn published(plan: &Plan, measure: &Measure, figure: Figure, way: &str) -> Option<PublishedRatio> {
    let found = plan
        .published
        .iter()
        .find(|p| p.measure == measure.key && p.figure == figure && p.variant == way)?;
    Some(PublishedRatio {
        ratio: found.ratio,
        source: found.source.to_owned(),
        said: found.said.to_owned(),
    })
}

/// What makes up the difference of the first measure.
fn difference(plan: &Plan, site: &Site, base: &Site) -> Option<Difference> {
    let measure = plan.measures.first()?;
    let median = |site: &Site| {
        let values = site.values.first()?.first()?;
        let good: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        Some(Estimate::of(&good)?.median)
    };
    let (here, there) = (median(site)?, median(base)?);
    let measured_ns = match measure.figures.first()? {
        // Time of a segment, from Gb/s.
        Figure::Goodput => SEGMENT * 8.0 / here - SEGMENT * 8.0 / there,
        _ => (here - there) * 1e3,
    };
    Some(site.spent.as_ref()?.against(base.spent.as_ref()?, measured_ns))
}
