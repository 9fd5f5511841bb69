//! What a reader needs to judge the figures: coverage, loss, the probes' own cost, what measured
//! what, the machine. And the flows that were seen.

use maud::{Markup, html};

use crate::{
    report::words,
    snapshot::{FlowReport, Snapshot},
    units::{count, micros},
};

pub(super) const LEGEND: &str = "What was seen and what was not, what measuring cost, and the machine \
    that the figures hold for.";
pub(super) const FLOWS_LEGEND: &str = "The flows with the most packets, each direction by itself. \
    Times in µs, from the packet's first event to its last.";

/// Flows that are shown at once; the others fold out.
const FLOWS_OPEN: usize = 12;

pub(super) fn render(s: &Snapshot) -> Markup {
    html! {
        div.trust {
            dl { @for (name, value) in words::trust(s) { dt { (name) } dd { (value) } } }
            details {
                summary { "Which backend measured which hop" }
                dl { @for (hop, backend) in &s.backends { dt { (hop) } dd { (backend) } } }
            }
            @if !s.counters.is_empty() { (counters(s)) }
            @if !s.host.netfilter.is_empty() {
                details {
                    summary { "What netfilter had registered, by namespace" }
                    @for (netns, facts) in &s.host.netfilter {
                        h3 {
                            (netns) " "
                            @if facts.bridge_nf_call_iptables { small { "bridge-nf-call-iptables = 1" } }
                        }
                        @if facts.hooks.is_empty() { p { "Nothing on this path's hooks." } }
                        dl { @for (hook, functions) in &facts.hooks {
                            dt { (hook) }
                            dd { (functions.join(", ")) }
                        } }
                    }
                }
            }
        }
    }
}

/// Every counter; open where somebody should look.
fn counters(s: &Snapshot) -> Markup {
    let open = !words::counters::telling(s).is_empty();
    html! {
        details open[open] {
            summary { (words::counters::heading(s)) }
            table {
                thead { tr {
                    th { "where" } th { "counter" } th.n { "kernel" } th.n { "netpath" } th { "" }
                    th { "what it counts" }
                } }
                tbody { @for c in s.counters.iter().filter(|c| c.kernel > 0 || c.netpath.is_some()) {
                    tr {
                        td { (c.netns) @if let Some(dev) = &c.dev { "/" (dev) } }
                        td { (c.name) }
                        td.n { (count(c.kernel)) }
                        td.n { @if let Some(own) = c.netpath { (count(own)) } }
                        td { (words::counters::verdict(c)) }
                        td { (c.what) }
                    }
                } }
            }
        }
    }
}

pub(super) fn flows(s: &Snapshot) -> Markup {
    let (first, rest) = s.flows.split_at(s.flows.len().min(FLOWS_OPEN));
    html! {
        (flow_table(first))
        @if !rest.is_empty() {
            details { summary { (rest.len()) " more" } (flow_table(rest)) }
        }
    }
}

fn flow_table(flows: &[FlowReport]) -> Markup {
    html! {
        div.wide tabindex="0" { table data-sortable {
            thead { tr {
                @for title in ["flow", "after NAT", "direction"] { th scope="col" { (title) } }
                @for title in ["packets", "mean", "max"] { th.n scope="col" { (title) } }
            } }
            tbody { @for row in flows { tr {
                td { (row.flow.before) }
                td { (row.flow.after.as_deref().unwrap_or("–")) }
                td { (row.direction) }
                td.n data-value=(row.packets) { (count(row.packets)) }
                td.n data-value=(row.mean_ns) { (micros(row.mean_ns)) }
                td.n data-value=(row.max_ns) { (micros(row.max_ns as f64)) }
            } } }
        } }
    }
}
