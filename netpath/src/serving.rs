//! What serves what: which backend sees which point and span, and why not.

use std::collections::BTreeMap;

use netpath_common::{
    hop::{At, Hop, Measure},
    point::{POINTS, seen_by},
    span::SPANS,
};
use serde::{Deserialize, Serialize};

use crate::backend::Backend;

/// Who sees a point or a span.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// A backend, and the tracepoint or functions that it probes.
    By(Backend, String),
    /// Nobody, and why.
    Absent(String),
}

/// What is attached, in the terms of the tables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serving {
    /// How much of each backend is attached; only those of which anything is.
    pub attached: BTreeMap<Backend, usize>,
    /// Why a backend is not used.
    pub why_not: BTreeMap<Backend, String>,
    /// By the point's number.
    pub points: BTreeMap<u16, Source>,
    /// By the span's index.
    pub spans: BTreeMap<usize, Source>,
}

impl Serving {
    /// Says of everything that nothing was tried for, why.
    pub(crate) fn fill(&mut self) {
        for point in POINTS {
            if !self.points.contains_key(&point.point) {
                let tracepoint = point.tracepoint.map(|_| Backend::Tracepoint);
                let functions =
                    if point.functions.is_empty() { &[][..] } else { Backend::FUNCTIONS };
                let source = self.untried(tracepoint.iter().chain(functions));
                self.points.insert(point.point, source);
            }
        }
        for index in 0..SPANS.len() {
            if !self.spans.contains_key(&index) {
                let source = self.untried(Backend::FUNCTIONS);
                self.spans.insert(index, source);
            }
        }
    }

    fn untried<'a>(&self, wanted: impl IntoIterator<Item = &'a Backend>) -> Source {
        let words: Vec<String> = wanted
            .into_iter()
            .filter_map(|b| Some(format!("{}: {}", b.key(), self.why_not.get(b)?)))
            .collect();
        Source::Absent(words.join("; "))
    }

    /// What serves a hop: the first of its measures that something serves; or why none is.
    pub fn of(&self, hop: &Hop) -> Result<Vec<Backend>, String> {
        let mut why = None;
        for measure in hop.measures {
            match self.measure(hop, measure) {
                Ok(backends) => return Ok(backends),
                Err(reason) => {
                    why.get_or_insert(reason);
                }
            }
        }
        Err(why.unwrap_or_else(|| "no way to measure it".to_owned()))
    }

    /// The functions, tracepoints and links that a hop is measured by here.
    pub fn probes(&self, hop: &Hop) -> Vec<String> {
        let mut probes = Vec::new();
        let of = hop
            .measures
            .iter()
            .find_map(|m| match m {
                Measure::Inside { hop, .. } => Some(*hop),
                _ => None,
            })
            .unwrap_or(hop.id);
        for (index, _) in SPANS.iter().enumerate().filter(|(_, row)| row.hop == of) {
            if let Some(Source::By(_, names)) = self.spans.get(&index) {
                probes.push(names.clone());
            }
        }
        probes
    }

    fn measure(&self, hop: &Hop, measure: &Measure) -> Result<Vec<Backend>, String> {
        match measure {
            Measure::Span(_) => {
                let mut why = String::new();
                for (index, _) in SPANS.iter().enumerate().filter(|(_, row)| row.hop == hop.id) {
                    match self.spans.get(&index) {
                        Some(Source::By(backend, _)) => return Ok(vec![*backend]),
                        Some(Source::Absent(reason)) => why.clone_from(reason),
                        None => {}
                    }
                }
                Err(why)
            }
            Measure::Inside { hop, .. } => self.of(hop.info()),
            Measure::Hooks(_) => self.links(),
            // Seen by whatever sees the packet before and after.
            Measure::Resumed | Measure::Redirected(_) => {
                self.at(At::Queue).map(|backend| vec![backend])
            }
            Measure::Between(edges) => {
                let mut why = String::new();
                for edge in *edges {
                    for (after, before) in
                        edge.after.iter().flat_map(|a| edge.before.iter().map(move |b| (*a, *b)))
                    {
                        match self.at(after).and_then(|a| Ok((a, self.at(before)?))) {
                            Ok((a, b)) => {
                                let mut both = vec![a, b];
                                both.sort();
                                both.dedup();
                                return Ok(both);
                            }
                            Err(reason) => why = reason,
                        }
                    }
                }
                Err(why)
            }
        }
    }

    /// The backend that a situation is seen by.
    fn at(&self, at: At) -> Result<Backend, String> {
        // That a packet has become a part of another one is seen where it is freed.
        let at = if at == At::Joined { At::Consume } else { at };
        let links = || self.links().map(|_| Backend::NetfilterLink);
        let Some(point) = seen_by(at) else { return links() };
        match self.points.get(&point.point) {
            Some(Source::By(backend, _)) => Ok(*backend),
            _ if at.is_in_hook() && links().is_ok() => links(),
            Some(Source::Absent(why)) => Err(why.clone()),
            None => Err("not tried".to_owned()),
        }
    }

    fn links(&self) -> Result<Vec<Backend>, String> {
        let backend = Backend::NetfilterLink;
        if self.attached.contains_key(&backend) {
            return Ok(vec![backend]);
        }
        let why = self.why_not.get(&backend).map_or("not tried", String::as_str);
        Err(format!("{}: {why}", backend.key()))
    }
}
