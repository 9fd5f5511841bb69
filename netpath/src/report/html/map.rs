//! The path's picture: boxes for where CPUs work on the packet, arrows for where it goes and waits.

use maud::{Markup, html};
use netpath_common::group::{Group, GroupInfo};

use super::{colours::class, path_title, percent_of};
use crate::{
    report::words,
    snapshot::{HopReport, PathReport, Snapshot},
    units::time,
};

pub(super) const LEGEND: &str = "What a packet passes, in order, and the mean time that it costs: work \
    stands in the boxes, waiting (hatched) on the arrows. Frames are network namespaces.";

/// Time on the way to a stop.
struct Wait {
    ns: f64,
    what: String,
    group: Group,
}

/// A place where the packet is worked on.
struct Stop<'a> {
    name: &'a str,
    before: Option<Wait>,
    /// By group, ns.
    work: Vec<(&'static GroupInfo, f64)>,
}

impl Stop<'_> {
    fn ns(&self) -> f64 {
        self.work.iter().map(|w| w.1).sum()
    }
}

/// Neighbouring stops of one network namespace.
struct Stage<'a> {
    netns: &'a str,
    stops: Vec<Stop<'a>>,
}

/// All paths' pictures.
pub(super) fn render(paths: &[&PathReport], snapshot: &Snapshot) -> Markup {
    html! {
        @for path in paths {
            (path_title(path))
            @if let Some(example) = &path.example {
                p.example {
                    "such as " code { (example.before) }
                    @if let Some(after) = &example.after { ", after NAT " code { (after) } }
                }
            }
            (picture(path, snapshot))
        }
    }
}

fn picture(path: &PathReport, snapshot: &Snapshot) -> Markup {
    let stages = stages(path);
    let most = stages.iter().flat_map(|s| &s.stops).map(Stop::ns).fold(0.0, f64::max);
    html! {
        ol.map {
            @for stage in &stages {
                li.stage {
                    p.netns {
                        (stage.netns)
                        @if let Some(owner) = snapshot.owners.get(stage.netns)
                            .filter(|owner| owner.says_more_than(stage.netns)) {
                            " " small { (owner) }
                        }
                    }
                    ol { @for stop in &stage.stops { (stop_box(stop, most)) } }
                }
            }
        }
    }
}

fn stop_box(stop: &Stop<'_>, most: f64) -> Markup {
    let ns = stop.ns();
    html! {
        li.stop {
            @if let Some(wait) = &stop.before {
                span.arrow.waiting {
                    span class={ "pill wait " (class(wait.group)) } { (time(wait.ns)) }
                    small { (wait.what) }
                }
            } @else {
                span.arrow {}
            }
            div.box {
                b { (stop.name) }
                @if ns > 0.0 { span.ns { (time(ns)) } }
                @if !stop.work.is_empty() {
                    span.stack {
                        @for (group, ns) in &stop.work {
                            i class=(class(group.group)) title={ (group.label) " " (time(*ns)) }
                                style={ "width:" (percent_of(*ns, most)) } {}
                        }
                    }
                    small {
                        @for (group, ns) in &stop.work {
                            span { (group.label) @if stop.work.len() > 1 { " " (time(*ns)) } }
                        }
                    }
                }
            }
        }
    }
}

/// The path's rows as stops.
fn stages(path: &PathReport) -> Vec<Stage<'_>> {
    let mut stages: Vec<Stage<'_>> = Vec::new();
    let mut waited: Option<Wait> = None;
    for hop in &path.hops {
        let ns = words::of_packet(hop, path);
        let group = words::group(hop);
        if words::is_wait(hop) {
            let what = words::what(hop);
            match &mut waited {
                Some(wait) => {
                    wait.ns += ns;
                    wait.what = format!("{}, {what}", wait.what);
                }
                None => waited = Some(Wait { ns, what, group: group.group }),
            }
            // A device that was waited for is passed, also where nothing is measured in it.
            if hop.dev.is_some() {
                stop(&mut stages, hop, &mut waited);
            }
            continue;
        }
        let stop = stop(&mut stages, hop, &mut waited);
        match stop.work.iter_mut().find(|(g, _)| g.group == group.group) {
            Some((_, sum)) => *sum += ns,
            None => stop.work.push((group, ns)),
        }
    }
    // What is left was waiting for its reader.
    if let (Some(_), Some(stage)) = (&waited, stages.last_mut()) {
        stage.stops.push(Stop { name: "process", before: waited, work: Vec::new() });
    }
    stages
}

/// The stop that a hop is at: the last one, or a new one, reached after what was waited.
fn stop<'s, 'a>(
    stages: &'s mut Vec<Stage<'a>>,
    hop: &'a HopReport,
    waited: &mut Option<Wait>,
) -> &'s mut Stop<'a> {
    let socket = words::group(hop).group == Group::Socket;
    let name = hop.dev.as_deref().unwrap_or(if socket { "socket" } else { "IP layer" });
    if stages.last().is_none_or(|s| s.netns != hop.netns) {
        stages.push(Stage { netns: &hop.netns, stops: Vec::new() });
    }
    let last = stages.len() - 1;
    let stops = &mut stages[last].stops;
    if waited.is_some() || stops.last().is_none_or(|s| s.name != name) {
        stops.push(Stop { name, before: waited.take(), work: Vec::new() });
    }
    let last = stops.len() - 1;
    &mut stops[last]
}
