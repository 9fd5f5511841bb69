//! `netpath doctor`: what can be measured here. It tries, in a namespace of its own.

use std::process::ExitCode;

use netpath_common::hop::HOPS;
use serde_json::json;

use super::{args, exit::Status, output::print};
use crate::{
    host::HostFacts,
    kernel::{self, Backend, Options, Served, Tracer},
    serving::Serving,
    topo::Topology,
};

pub(super) fn run(args: &args::Doctor) -> anyhow::Result<ExitCode> {
    kernel::check_rights()?;
    let topology = Topology::of_current_netns()?;
    let tracer = Tracer::start(&topology, &Options::default())?;
    let host = HostFacts::read(&topology, tracer.plan());
    let serving = Serving::new(tracer.served(), tracer.absent());
    let rows: Vec<_> = HOPS.iter().map(|hop| (hop, serving.of(hop))).collect();
    if args.json {
        let hops: Vec<_> = rows
            .iter()
            .map(|(hop, served)| match served {
                Ok(backend) => json!({"hop": hop.key, "backend": backend}),
                Err(why) => json!({"hop": hop.key, "absent": why}),
            })
            .collect();
        let backends: serde_json::Map<_, _> = tracer
            .served()
            .iter()
            .map(|(backend, state)| (backend.key().to_owned(), json!(words(state))))
            .collect();
        let report = json!({"host": host, "backends": backends, "hops": hops});
        print(&format!("{}\n", serde_json::to_string_pretty(&report)?))?;
        return Ok(Status::Fine.into());
    }
    let mut text = format!(
        "Linux {} · {} · {} CPUs · clock {}\n\n",
        host.kernel, host.cpu, host.cpus, host.clocksource
    );
    text += "backends\n";
    for backend in Backend::ALL {
        let state = tracer.served().get(&backend).map_or_else(|| "not tried".to_owned(), words);
        text += &format!("  {:<16} {:<34} {state}\n", backend.key(), backend.what());
    }
    for (name, why) in tracer.absent() {
        text += &format!("  tracepoint {name}: {why}\n");
    }
    text += "\nhops\n";
    for (hop, served) in &rows {
        match served {
            Ok(backend) => text += &format!("  ✓ {:<14} {backend}\n", hop.key),
            Err(why) => text += &format!("  ✗ {:<14} {why}\n", hop.key),
        }
    }
    print(&text)?;
    Ok(Status::Fine.into())
}

fn words(state: &Served) -> String {
    match state {
        Served::Yes(n) => format!("works ({n} attached)"),
        Served::No(why) => format!("not here: {why}"),
    }
}
