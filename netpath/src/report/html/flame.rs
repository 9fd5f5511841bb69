//! The flame: path, namespace, group, hop, each as wide as the latency that packets had in it.

use maud::{Markup, html};
use netpath_common::group::Group;

use super::{colours::class, percent_of};
use crate::{
    report::{
        stack::{self, Frame, Paint},
        words,
    },
    snapshot::PathReport,
    units::{percent, time},
};

pub(super) const LEGEND: &str = "Width is time: all packets' latency added up, from the path (top) \
    over network namespaces and cost groups down to single hops. Hatched is waiting, plain is work. \
    Select a frame to see it from edge to edge.";

/// Rows: all, path, namespace, group, hop.
const ROWS: usize = 5;

/// A frame's place in the picture.
struct Drawn<'a> {
    frame: &'a Frame,
    row: usize,
    /// From the left edge, ns.
    at: u64,
    /// Of its path: packets, ns.
    of: (u64, u64),
}

pub(super) fn render(paths: &[&PathReport]) -> Markup {
    let roots: Vec<(Vec<Frame>, u64)> = paths
        .iter()
        .map(|p| (stack::nest(&stack::path_lines(p, p.packets as f64)), p.packets))
        .collect();
    let all: u64 = roots.iter().flat_map(|(frames, _)| frames).map(|f| f.ns).sum();
    let mut drawn = Vec::new();
    let mut at = 0;
    for (frames, packets) in &roots {
        for frame in frames {
            place(frame, 1, at, (*packets, frame.ns), &mut drawn);
            at += frame.ns;
        }
    }
    html! {
        div.flame-tools.script-only {
            label for="flame-search" { "Search" }
            input type="search" id="flame-search" autocomplete="off" placeholder="hop, group, namespace";
            button type="button" id="flame-reset" { "Show all" }
            output id="flame-found" {}
        }
        div.flame id="flame-frames" style={ "--rows:" (ROWS) } {
            button.fr.plain type="button" style="left:0;width:100%;--row:0" data-at="0" data-ns=(all)
                data-row="0" title={ "all paths: " (time(all as f64)) } { span { "all paths" } }
            @for d in &drawn { (frame_button(d, all)) }
        }
        p.flame-info id="flame-info" aria-live="polite" {}
        (key(paths))
    }
}

fn place<'a>(frame: &'a Frame, row: usize, at: u64, of: (u64, u64), drawn: &mut Vec<Drawn<'a>>) {
    drawn.push(Drawn { frame, row, at, of });
    let mut at = at;
    for inside in &frame.inside {
        place(inside, row + 1, at, of, drawn);
        at += inside.ns;
    }
}

fn frame_button(d: &Drawn<'_>, all: u64) -> Markup {
    let colour = match d.frame.paint {
        Paint::Plain => "plain".to_owned(),
        Paint::Work(group) => class(group),
        Paint::Wait(group) => format!("wait {}", class(group)),
    };
    let ns = d.frame.ns as f64;
    let (packets, path_ns) = d.of;
    let info = format!(
        "{}: {} of a mean packet, {} of its path, {} of all",
        d.frame.name,
        time(ns / packets.max(1) as f64),
        percent(ns / path_ns.max(1) as f64),
        percent(ns / all.max(1) as f64)
    );
    let (left, width) = (percent_of(d.at as f64, all as f64), percent_of(ns, all as f64));
    html! {
        button class={ "fr " (colour) } type="button" title=(info)
            style={ "left:" (left) ";width:" (width) ";--row:" (d.row) }
            data-at=(d.at) data-ns=(d.frame.ns) data-row=(d.row) { span { (d.frame.name) } }
    }
}

/// Which colour is which group.
fn key(paths: &[&PathReport]) -> Markup {
    let mut groups: Vec<Group> =
        paths.iter().flat_map(|p| &p.hops).map(|h| words::group(h).group).collect();
    groups.sort_unstable();
    groups.dedup();
    html! {
        ul.key aria-label="Colours" {
            @for group in groups { li { i class={ "swatch " (class(group)) } {} (group.label()) } }
            li { i.swatch.wait.plain {} "waiting" }
        }
    }
}
