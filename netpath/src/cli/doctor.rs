//! `netpath doctor`: what can be measured here. It attaches everything once, to see.

use std::{process::ExitCode, time::Duration};

use netpath_common::hop::HOPS;
use serde_json::json;

use super::{args, exit::Status, output::print};
use crate::{
    host::HostFacts,
    kernel::{self, Backend, Options, Tracer},
    serving::Serving,
    topo::Topology,
};

pub(super) fn run(args: &args::Doctor) -> anyhow::Result<ExitCode> {
    kernel::check_rights()?;
    let topology = Topology::of_current_netns()?;
    let backends = args.backend.iter().map(|b| b.0).collect();
    let options = Options { backends, everything: true, ..Options::default() };
    let tracer = Tracer::start(&topology, &options)?;
    let host = HostFacts::read(&topology, tracer.plan());
    let serving = tracer.serving();
    let took = tracer.starting();
    let text =
        if args.json { json_report(&host, serving, took)? } else { report(&host, serving, took) };
    print(&text)?;
    Ok(Status::Fine.into())
}

fn json_report(host: &HostFacts, serving: &Serving, took: Duration) -> anyhow::Result<String> {
    let hops: Vec<_> = HOPS
        .iter()
        .map(|hop| match serving.of(hop) {
            Ok(by) => {
                let by: Vec<&str> = by.iter().map(|b| b.key()).collect();
                json!({"hop": hop.key, "backends": by, "probes": serving.probes(hop)})
            }
            Err(why) => json!({"hop": hop.key, "absent": why}),
        })
        .collect();
    let backends: serde_json::Map<_, _> = Backend::ALL
        .iter()
        .map(|backend| (backend.key().to_owned(), json!(state(*backend, serving))))
        .collect();
    let report = json!({
        "host": host,
        "backends": backends,
        "attaching_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "hops": hops,
    });
    Ok(format!("{}\n", serde_json::to_string_pretty(&report)?))
}

fn report(host: &HostFacts, serving: &Serving, took: Duration) -> String {
    let mut text = format!(
        "Linux {} · {} · {} CPUs · clock {}\n\nbackends\n",
        host.kernel, host.cpu, host.cpus, host.clocksource
    );
    for backend in Backend::ALL {
        text += &format!(
            "  {:<16} {:<46} {}\n",
            backend.key(),
            backend.what(),
            state(backend, serving)
        );
    }
    text += &format!("  loading and attaching all of it took {:.2} s\n", took.as_secs_f64());
    text += "\nhops\n";
    for hop in HOPS {
        match serving.of(hop) {
            Ok(by) => {
                let by: Vec<&str> = by.iter().map(|b| b.key()).collect();
                let probes = serving.probes(hop).join(", ");
                text += format!("  ✓ {:<18} {:<26} {probes}", hop.key, by.join("+")).trim_end();
                text.push('\n');
            }
            Err(why) => text += &format!("  ✗ {:<18} {why}\n", hop.key),
        }
    }
    text
}

fn state(backend: Backend, serving: &Serving) -> String {
    match (serving.attached.get(&backend), serving.why_not.get(&backend)) {
        (Some(n), _) => format!("works ({n} attached)"),
        (None, Some(why)) => format!("not used: {why}"),
        (None, None) => "nothing to attach".to_owned(),
    }
}
