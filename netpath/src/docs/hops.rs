//! docs/hops.md: the hop table for readers.

use std::fmt::Write as _;

use netpath_common::{
    group::{GROUPS, Group},
    hop::{At, HOPS, Hop, Measure, Where},
    point::{Functions, Prefer, seen_by},
};

/// The whole page.
pub(super) fn render() -> String {
    let mut out = String::from(
        "# Hops\n\nWhat netpath can measure. A hop is a component at a place; a *span* is time that a \
         CPU worked on the packet, a *wait* is time that it sat in a queue. A hop's own time leaves \
         out what is measured inside it as a hop of its own. `netpath doctor` says which hops can be \
         measured on a machine, and by what; [kernels.md](kernels.md) has what it said on some.\n",
    );
    for group in GROUPS {
        let hops: Vec<&Hop> = HOPS.iter().filter(|h| h.group == group.group).collect();
        if !hops.is_empty() {
            let _ = writeln!(out, "\n## {}", group.label);
            for hop in hops {
                section(&mut out, hop);
            }
        }
    }
    let _ = writeln!(
        out,
        "\n## {}\n\nTime between two events of a packet that no hop accounts for. It is in the total, \
         and shown.",
        Group::Unattributed.label()
    );
    situations(&mut out);
    out
}

fn section(out: &mut String, hop: &Hop) {
    let place = match hop.place {
        Where::Netns => "a network namespace",
        Where::Device => "a device",
        Where::Hook => "a netfilter hook",
    };
    let _ = writeln!(out, "\n### `{}`\n", hop.key);
    let _ = writeln!(out, "{}: {}.\n", hop.label, hop.what);
    let _ = writeln!(out, "{} · of {place} · group `{}`\n", hop.kind.key(), hop.group.key());
    for (i, measure) in hop.measures.iter().enumerate() {
        let or = if i == 0 { "Measured" } else { "Else" };
        let _ = writeln!(out, "- {or} {}", words(measure));
    }
}

fn words(measure: &Measure) -> String {
    let names = |all: &[At]| all.iter().map(|at| at.name()).collect::<Vec<_>>().join("* or *");
    match measure {
        Measure::Between(edges) => {
            let edges: Vec<String> = edges
                .iter()
                .map(|e| format!("from *{}* to *{}*", names(e.after), names(e.before)))
                .collect();
            edges.join("; or ")
        }
        Measure::Span(span) => format!("inside {}", functions(span.functions)),
        Measure::Inside { hop, group } => {
            format!("as `{}`, inside functions of the group `{}`", hop.info().key, group.key())
        }
        Measure::Redirected(edge) => format!(
            "from *{}* to *{}*, where a filter redirects from the one device to the other",
            names(edge.after),
            names(edge.before)
        ),
        Measure::Resumed => "where the CPU had something else at hand in between".to_owned(),
        Measure::Hooks(owner) => format!(
            "between netfilter BPF links (Linux 6.4 or newer) before and after the hook functions \
             of: {}",
            format!("{owner:?}").to_lowercase()
        ),
    }
}

/// `a` or, where it is missing, `b`.
fn functions(all: Functions) -> String {
    let all: Vec<String> = all
        .iter()
        .map(|names| names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(" or else "))
        .collect();
    all.join(" and ")
}

/// Where each situation is seen.
fn situations(out: &mut String) {
    *out += "\n## Situations\n\nWhat the times above lie between, and where each is seen: in a \
             tracepoint, at a function's entry, or in a netfilter link. The first that the kernel \
             has is used.\n\n| situation | seen at |\n| --- | --- |\n";
    for at in At::ALL {
        let seen = match seen_by(*at) {
            None => "netfilter BPF link".to_owned(),
            Some(point) => {
                let tracepoint = point.tracepoint.map(|t| format!("tracepoint `{t}`"));
                let end = if point.body.on_return() { "return" } else { "entry" };
                let probed = (!point.functions.is_empty())
                    .then(|| format!("{end} of {}", functions(point.functions)));
                let mut both: Vec<String> = tracepoint.into_iter().chain(probed).collect();
                if point.prefer == Prefer::Functions {
                    both.reverse();
                }
                both.join(", else ")
            }
        };
        let _ = writeln!(out, "| {} | {seen} |", at.name());
    }
}
