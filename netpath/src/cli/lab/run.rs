//! `netpath lab run`: brings a topology up, sends traffic through it, traces it with a netpath of
//! its own, and takes it down.

use std::{io::Write as _, process::ExitCode};

use super::{
    super::{args, interrupt},
    child,
};
use crate::{
    kernel,
    lab::{
        Lab, experiments,
        traffic::{How, Load, Measured, Sizes, Traffic},
    },
    view::units::{count, time},
};

pub(super) fn run(args: &args::LabRun) -> anyhow::Result<ExitCode> {
    let setting = experiments::setting(&args.name)?;
    kernel::check_rights()?;
    interrupt::catch()?;
    let lab = Lab::up_with(setting.topology, setting.also)?;
    let mut err = std::io::stderr();
    writeln!(err, "lab {}: {}", args.name, setting.what)?;
    for note in lab.notes() {
        writeln!(err, "{note}")?;
    }
    let how = How { v6: args.ipv6, cpus: args.cpus };
    let mut traffic = Vec::new();
    for load in args.load.iter().map(|load| load_of(*load, args)) {
        if setting.topology.relay.is_some() && !load.is_tcp() {
            writeln!(err, "no {}: the relay takes TCP connections only", load.name())?;
            continue;
        }
        for _ in 0..args.parallel {
            traffic.push(Traffic::start_as(&lab, load, how)?);
        }
    }
    traffic.iter_mut().for_each(Traffic::begin);
    let status = child::show(&lab, args)?;
    let measured = traffic.iter_mut().map(Traffic::stop).collect::<Result<Vec<Measured>, _>>()?;
    drop(lab);
    for m in &measured {
        writeln!(err, "{}", describe(m))?;
    }
    Ok(status)
}

fn load_of(load: args::LoadArg, args: &args::LabRun) -> Load {
    let sizes = Sizes { request: args.request, reply: args.reply };
    match load {
        args::LoadArg::TcpRr => Load::TcpRequests(sizes),
        args::LoadArg::UdpRr => Load::UdpRequests(sizes),
        args::LoadArg::Connect => Load::TcpConnects(sizes),
        args::LoadArg::Bulk => Load::TcpBulk,
        args::LoadArg::Flood => Load::UdpFlood { bytes: args.request, rate: args.rate },
        args::LoadArg::Ping => Load::Ping { bytes: args.request },
    }
}

/// What a load's own clock says, in a line.
fn describe(m: &Measured) -> String {
    let h = &m.round_trips;
    let name = m.load.name();
    if h.is_empty() {
        return format!(
            "{name} by its own clock: {} in {}, {:.2} Gb/s arrived",
            count(m.count),
            time(m.elapsed.as_nanos() as f64),
            m.goodput_bps() / 1e9
        );
    }
    format!(
        "{name} by its own clock: {} round trips, mean {}, p50 {}, p99 {}",
        count(m.count),
        time(h.mean()),
        time(h.value_at_quantile(0.5) as f64),
        time(h.value_at_quantile(0.99) as f64),
    )
}
