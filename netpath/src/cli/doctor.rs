//! `netpath doctor`: what can be measured here. It attaches everything once, to see.

use std::process::ExitCode;

use netpath_common::hop::HOPS;
use serde_json::json;

use super::{args, exit::Status, output::print};
use crate::{
    host::HostFacts,
    kernel::{self, Backend, Options, Tracer},
    serving::Serving,
    topo::Topology,
    units::count,
};

pub(super) fn run(args: &args::Doctor) -> anyhow::Result<ExitCode> {
    kernel::check_rights()?;
    let topology = Topology::of_current_netns()?;
    let backends = args.backend.iter().map(|b| b.0).collect();
    let options = Options { backends, everything: true, ..Options::default() };
    let tracer = Tracer::start(&topology, &options)?;
    let host = HostFacts::read(&topology, tracer.plan());
    let text = if args.json { json_report(&host, &tracer)? } else { report(&host, &tracer) };
    print(&text)?;
    Ok(Status::Fine.into())
}

fn json_report(host: &HostFacts, tracer: &Tracer) -> anyhow::Result<String> {
    let serving = tracer.serving();
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
        "attaching_ms": u64::try_from(tracer.starting().as_millis()).unwrap_or(u64::MAX),
        "verified_instructions": tracer.verified(),
        "untold_returns": tracer.untold_returns(),
        "hops": hops,
    });
    Ok(format!("{}\n", serde_json::to_string_pretty(&report)?))
}

fn report(host: &HostFacts, tracer: &Tracer) -> String {
    let serving = tracer.serving();
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
    text += &format!(
        "  loading and attaching all of it took {:.2} s; the verifier went through {} instructions\n",
        tracer.starting().as_secs_f64(),
        count(tracer.verified()),
    );
    if tracer.untold_returns() > 0 {
        text += &format!(
            "  of {} functions' returns this kernel does not tell how often it missed one (Linux 6.7 does, by fprobe)\n",
            tracer.untold_returns()
        );
    }
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
