//! The breakdown's rows: hops as they stand in the path, or folded into cost groups.
//!
//! In: a path's report. Out: rows whose shares sum to 1 with what is unattributed. Percentiles of
//! several hops can't be added up, so a group has its own; none where the filter leaves some of its
//! hops out.

use std::{cmp::Ordering, collections::BTreeSet};

use netpath_common::hop::Kind;

use super::palette;
use crate::{
    report::words::what,
    snapshot::{HopReport, PathReport, Summary},
};

/// What a row is, through all changes of its figures and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RowId {
    /// A hop: key, netns, device, hook, part.
    Hop([String; 5]),
    /// A cost group, by its key.
    Group(String),
}

/// A row of the breakdown.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) id: RowId,
    /// Index in the path's `hops`, for a hop.
    pub(crate) hop: Option<usize>,
    pub(crate) what: String,
    pub(crate) place: String,
    /// The cost group's key.
    pub(crate) group: String,
    /// Of the path's mean total: time worked.
    pub(crate) work: f64,
    /// Of the path's mean total: time waited.
    pub(crate) wait: f64,
    pub(crate) count: u64,
    /// Of a packet that met it, ns; of any packet, for a part of a group.
    pub(crate) mean_ns: f64,
    /// None for a part of a group.
    pub(crate) times: Option<Summary>,
    /// Inside an unfolded group.
    pub(crate) inner: bool,
    /// Of a group: whether it shows its hops.
    pub(crate) unfolded: Option<bool>,
}

impl Row {
    pub(crate) fn share(&self) -> f64 {
        self.work + self.wait
    }

    /// Whether it is waiting alone.
    pub(crate) fn is_wait(&self) -> bool {
        self.wait > 0.0 && self.work == 0.0
    }

    /// Whether the filter's letters are in its line.
    fn holds(&self, filter: &str) -> bool {
        let line = format!("{} {} {}", self.what, self.place, self.group).to_lowercase();
        line.contains(&filter.to_lowercase())
    }
}

/// How rows are made of a path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Folding {
    pub(crate) grouped: bool,
    /// Groups that show their hops.
    pub(crate) unfolded: BTreeSet<String>,
    pub(crate) filter: String,
}

/// What names a hop's row.
pub(crate) fn id(hop: &HopReport) -> RowId {
    let text = |o: &Option<String>| o.clone().unwrap_or_default();
    RowId::Hop([
        hop.hop.clone(),
        hop.netns.clone(),
        text(&hop.dev),
        text(&hop.hook),
        text(&hop.part),
    ])
}

fn hop_row(index: usize, hop: &HopReport) -> Row {
    let wait = hop.kind == Kind::Wait.key();
    Row {
        id: id(hop),
        hop: Some(index),
        what: what(hop),
        place: hop.place(),
        group: hop.group.clone(),
        work: if wait { 0.0 } else { hop.share },
        wait: if wait { hop.share } else { 0.0 },
        count: hop.count,
        mean_ns: hop.times.mean_ns,
        times: Some(hop.times),
        inner: false,
        unfolded: None,
    }
}

/// Compares two rows.
pub(crate) type Before<'a> = dyn Fn(&Row, &Row) -> Ordering + 'a;

/// The rows of a path, in the order in which packets meet them. `before` compares two rows where
/// they are to be sorted.
pub(crate) fn rows(path: &PathReport, folding: &Folding, before: Option<&Before>) -> Vec<Row> {
    let hops = path.hops.iter().enumerate().map(|(i, hop)| hop_row(i, hop));
    let mut hops: Vec<Row> =
        hops.filter(|r| folding.filter.is_empty() || r.holds(&folding.filter)).collect();
    if let Some(before) = before {
        hops.sort_by(before);
    }
    if !folding.grouped {
        return hops;
    }
    let mut groups: Vec<(Row, Vec<Row>)> = Vec::new();
    for mut hop in hops {
        hop.inner = true;
        match groups.iter_mut().find(|(g, _)| g.group == hop.group) {
            Some((group, members)) => {
                add(group, &hop, path.total.mean_ns);
                members.push(hop);
            }
            None => groups.push((group_of(&hop, path.total.mean_ns), vec![hop])),
        }
    }
    for (group, members) in &mut groups {
        group.unfolded = Some(folding.unfolded.contains(&group.group));
        let all = path.hops.iter().filter(|h| h.group == group.group).count();
        if let Some(sum) = path.groups.iter().find(|g| g.group == group.group)
            && members.len() == all
        {
            (group.count, group.mean_ns) = (sum.count, sum.times.mean_ns);
            group.times = Some(sum.times);
        }
        group.place = match &members[..] {
            [one] => one.place.clone(),
            more => format!("{} hops", more.len()),
        };
    }
    if let Some(before) = before {
        groups.sort_by(|a, b| before(&a.0, &b.0));
    }
    groups
        .into_iter()
        .flat_map(|(group, members)| {
            let shown = group.unfolded == Some(true);
            std::iter::once(group).chain(members.into_iter().filter(move |_| shown))
        })
        .collect()
}

/// A group with its first hop.
fn group_of(hop: &Row, total_ns: f64) -> Row {
    let label = palette::info(&hop.group).map_or(hop.group.as_str(), |g| g.label);
    Row {
        id: RowId::Group(hop.group.clone()),
        hop: None,
        what: label.to_owned(),
        mean_ns: hop.share() * total_ns,
        inner: false,
        ..hop.clone()
    }
}

/// Adds a hop to its group.
fn add(group: &mut Row, hop: &Row, total_ns: f64) {
    group.work += hop.work;
    group.wait += hop.wait;
    group.count = group.count.max(hop.count);
    group.mean_ns += hop.share() * total_ns;
    group.times = None;
}
