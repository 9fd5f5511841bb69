//! The ledger as nested frames: path, namespace, group, hop. What flame graphs are drawn from.
//!
//! In: a snapshot. Out: frames in the order in which packets meet them, whose weights are
//! nanoseconds of latency summed over the packets; those of a path sum to its total.

use netpath_common::group::Group;

use super::words;
use crate::snapshot::{HopReport, PacketReport, PathReport, PieceReport, Snapshot};

/// A frame with what is inside it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Frame {
    pub(crate) name: String,
    /// Nanoseconds of packet latency, over all packets; what is inside included.
    pub(crate) ns: u64,
    pub(crate) paint: Paint,
    pub(crate) inside: Vec<Frame>,
}

/// How a frame is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    /// A path or a namespace.
    Plain,
    /// A group, or work of it.
    Work(Group),
    /// Waiting.
    Wait(Group),
}

/// A line of folded stacks: names from the outside in, and its own weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) names: Vec<String>,
    pub(crate) ns: u64,
    pub(crate) paint: Paint,
}

/// Words after the name of a frame in which packets wait.
pub(crate) const WAITING: &str = " (waiting)";

/// All paths' rows, a line each, zero ones left out. They sum to the paths' totals.
pub(crate) fn lines(snapshot: &Snapshot) -> Vec<Line> {
    snapshot.paths.iter().flat_map(|path| path_lines(path, path.packets as f64)).collect()
}

/// A path's rows, a line each; the weights are those of a mean packet times `packets`.
///
/// Namespaces and groups stand in the order in which packets first meet them, each in one piece.
pub(crate) fn path_lines(path: &PathReport, packets: f64) -> Vec<Line> {
    let root = path_frame(path);
    let mut lines: Vec<Line> = Vec::new();
    for hop in &path.hops {
        let ns = rounded(words::of_packet(hop, path) * packets);
        let (names, paint) = frames(&root, hop);
        match lines.iter_mut().find(|line| line.names == names) {
            Some(line) => line.ns += ns,
            None => lines.push(Line { names, ns, paint }),
        }
    }
    lines.push(unattributed(&root, rounded(path.unattributed_ns * packets)));
    lines.retain(|line| line.ns > 0);
    let first = |line: &Line, depth: usize| {
        lines.iter().position(|other| other.names.get(..depth) == line.names.get(..depth))
    };
    let order: Vec<_> = lines.iter().map(|line| (first(line, 2), first(line, 3))).collect();
    let mut sorted: Vec<_> = order.into_iter().zip(lines.iter().cloned()).collect();
    sorted.sort_by_key(|(order, _)| *order);
    sorted.into_iter().map(|(_, line)| line).collect()
}

/// A single packet's pieces in the order of time, a line each. A piece that took no time, or less
/// (between two CPUs' clocks), has no width.
pub(crate) fn packet_lines(path: &PathReport, packet: &PacketReport) -> Vec<Line> {
    let root = path_frame(path);
    let line = |piece: &PieceReport| {
        let ns = u64::try_from(piece.ns).ok().filter(|ns| *ns > 0)?;
        Some(match piece.hop.and_then(|h| path.hops.get(h)) {
            Some(hop) => {
                let (names, paint) = frames(&root, hop);
                Line { names, ns, paint }
            }
            None => unattributed(&root, ns),
        })
    };
    packet.pieces.iter().filter_map(line).collect()
}

/// The frames that a hop's time is in, from the outside in.
fn frames(root: &str, hop: &HopReport) -> (Vec<String>, Paint) {
    let group = words::group(hop);
    let wait = words::is_wait(hop);
    let place = hop.hook.as_ref().or(hop.dev.as_ref());
    let leaf = format!(
        "{}{}{}",
        words::part(hop),
        place.map_or_else(String::new, |at| format!(" {at}")),
        if wait { WAITING } else { "" }
    );
    let names = [root, &hop.netns, group.label, &leaf].map(plain).to_vec();
    (names, if wait { Paint::Wait(group.group) } else { Paint::Work(group.group) })
}

fn unattributed(root: &str, ns: u64) -> Line {
    let group = Group::Unattributed;
    Line { names: [root, group.label()].map(plain).to_vec(), ns, paint: Paint::Work(group) }
}

/// A name that can be a frame's: semicolons divide frames.
fn plain(name: &str) -> String {
    name.replace(';', ",")
}

/// The outermost frame of a path.
fn path_frame(path: &PathReport) -> String {
    let end =
        if path.end == "delivered" { String::new() } else { format!(", {}", words::end(path)) };
    format!("{} {}{end}", path.direction, path.name)
}

/// Lines nested: equal names side by side in one frame are one, in the order of their first.
pub(crate) fn nest(lines: &[Line]) -> Vec<Frame> {
    let mut roots = Vec::new();
    for line in lines {
        let mut level = &mut roots;
        for (depth, name) in line.names.iter().enumerate() {
            let paint = match (depth, line.paint) {
                (0 | 1, _) => Paint::Plain,
                (2, Paint::Wait(group)) => Paint::Work(group),
                (_, paint) => paint,
            };
            let at = level.iter().position(|f: &Frame| f.name == *name).unwrap_or_else(|| {
                level.push(Frame { name: name.clone(), ns: 0, paint, inside: Vec::new() });
                level.len() - 1
            });
            level[at].ns += line.ns;
            level = &mut level[at].inside;
        }
    }
    roots
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times are not negative in sum, or are left out, and below 2^53 ns"
)]
fn rounded(ns: f64) -> u64 {
    ns.max(0.0).round() as u64
}
