//! `netpath hops`: the hop table.

use std::process::ExitCode;

use netpath_common::hop::{Edge, HOPS, Measure};
use serde_json::json;

use super::{args, exit::Status, output::print};

pub(super) fn run(args: &args::Hops) -> anyhow::Result<ExitCode> {
    if args.json {
        let rows: Vec<_> = HOPS
            .iter()
            .map(|hop| {
                json!({
                    "hop": hop.key,
                    "group": hop.group.key(),
                    "kind": hop.kind.key(),
                    "what": hop.what,
                    "measured": hop.measures.iter().flat_map(measure).collect::<Vec<_>>(),
                })
            })
            .collect();
        print(&format!("{}\n", serde_json::to_string_pretty(&rows)?))?;
        return Ok(Status::Fine.into());
    }
    let mut text = String::new();
    for hop in HOPS {
        text += &format!("{:<14} {:<20} {}\n", hop.key, hop.group.key(), hop.kind.key());
        text += &format!("               {}\n", hop.what);
        for line in hop.measures.iter().flat_map(measure) {
            text += &format!("               · {line}\n");
        }
    }
    print(&text)?;
    Ok(Status::Fine.into())
}

/// How a hop is measured, a line each.
fn measure(measure: &Measure) -> Vec<String> {
    match measure {
        Measure::Between(edges) => edges.iter().map(between).collect(),
        Measure::Span(span) => {
            let names: Vec<String> = span.functions.iter().map(|n| n.join(" or ")).collect();
            vec![format!("inside {}", names.join(", "))]
        }
        Measure::Inside { hop, group } => {
            vec![format!("as {}, inside functions of {}", hop.info().key, group.key())]
        }
        Measure::Redirected(edge) => {
            vec![format!("{}, where a filter redirects", between(edge))]
        }
        Measure::Resumed => {
            vec!["where the CPU had something else at hand in between".to_owned()]
        }
        Measure::Hooks(owner) => {
            vec![
                format!("between the netfilter links around the hooks of {owner:?}").to_lowercase(),
            ]
        }
    }
}

fn between(edge: &Edge) -> String {
    let before: Vec<&str> = edge.before.iter().map(|at| at.name()).collect();
    let after: Vec<&str> = edge.after.iter().map(|at| at.name()).collect();
    format!("from {} to {}", after.join(" or "), before.join(" or "))
}
