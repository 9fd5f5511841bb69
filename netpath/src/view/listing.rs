//! What can be traced, for people: a line each.

use std::fmt::Write as _;

use crate::inventory::{Entry, Listing, Stop, Way};

/// Space between columns.
const GAP: usize = 2;
/// Interfaces of a namespace that are named.
const NAMED: usize = 12;

/// A line per container and namespace: what it is, its name, who that is, an address, how it hangs together; and
/// what to do next.
pub fn render(listing: &Listing) -> String {
    let rows: Vec<[String; 5]> = listing.entries.iter().map(row).collect();
    let mut widths = [0; 4];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            // A column that is empty throughout takes no room.
            if width > 0 {
                let width = width + GAP;
                let _ = write!(line, "{cell:<width$}");
            }
        }
        line += &row[4];
        out += line.trim_end();
        out.push('\n');
    }
    let next = listing.next();
    if !next.is_empty() {
        let _ = writeln!(out, "try  {}", next.join("     "));
    }
    out
}

fn row(entry: &Entry) -> [String; 5] {
    let name = if entry.kind == entry.name { String::new() } else { entry.name.clone() };
    [entry.kind.clone(), name, about(entry), address(entry), hangs(entry)]
}

/// More of who it is than the name says.
fn about(entry: &Entry) -> String {
    let Some(owner) = &entry.owner else { return String::new() };
    match entry.kind.as_str() {
        "container" => {
            let own = owner.container();
            let image = own.and_then(|c| c.image.clone());
            let others = owner.containers.iter().filter(|other| Some(*other) != own);
            let others = others.map(|other| format!("with {}", other.called()));
            image.into_iter().chain(others).collect::<Vec<_>>().join(", ")
        }
        "pod" => {
            let names = owner.containers.iter().filter_map(|c| c.name.as_deref());
            names.collect::<Vec<_>>().join(", ")
        }
        "process" => String::new(),
        _ => match (&owner.container(), &owner.process) {
            (Some(container), _) => container.qualified(),
            (None, Some(process)) => process.name.clone(),
            (None, None) => String::new(),
        },
    }
}

/// The first address of the interface that is traced where none is named; the older protocol's is the shorter one.
fn address(entry: &Entry) -> String {
    let main = entry.interfaces.iter().find(|i| Some(&i.name) == entry.interface.as_ref());
    let all = || main.into_iter().flat_map(|interface| &interface.addresses);
    let address = all().find(|address| !address.contains(':')).or_else(|| all().next());
    address.and_then(|address| address.split('/').next()).unwrap_or_default().to_owned()
}

fn hangs(entry: &Entry) -> String {
    if entry.kind == "host" {
        return interfaces(entry);
    }
    if entry.shares_host {
        return "the host's own interfaces".to_owned();
    }
    if entry.ways.is_empty() {
        return "no interface but lo".to_owned();
    }
    let ways = entry.ways.iter().take(NAMED).map(|way| told(way, &entry.name));
    let mut ways: Vec<String> = ways.collect();
    if entry.ways.len() > NAMED {
        ways.push(format!("{} more", entry.ways.len() - NAMED));
    }
    ways.join(", ")
}

/// `eth0 ⇄ veth3f2a ⇄ docker0 → eth0`. A namespace is named where it is another one than before, but for the host.
fn told(way: &Way, own: &str) -> String {
    let joined = way.joined.iter().zip(std::iter::once("").chain(std::iter::repeat(" ⇄ ")));
    let stops = joined.chain(way.out.iter().map(|out| (out, " → ")));
    let (mut at, mut text) = (own, String::new());
    for (stop, joint) in stops {
        text += joint;
        if stop.namespace != at && stop.namespace != "host" {
            let _ = write!(text, "{}/", stop.namespace);
        }
        at = &stop.namespace;
        text += &stop.interface;
    }
    if way.routed {
        text += " (routed)";
    }
    text
}

/// The host's interfaces but for those that only lead to others on the list.
fn interfaces(host: &Entry) -> String {
    let leads_in = |peer: &Option<Stop>| peer.as_ref().is_some_and(|p| p.namespace != host.name);
    let (inner, own): (Vec<_>, Vec<_>) =
        host.interfaces.iter().partition(|interface| leads_in(&interface.peer));
    let mut names: Vec<String> =
        own.iter().take(NAMED).map(|interface| interface.name.clone()).collect();
    if own.len() > NAMED {
        names.push(format!("{} more", own.len() - NAMED));
    }
    if !inner.is_empty() {
        names.push(format!("{} that lead to others", inner.len()));
    }
    names.join(", ")
}
