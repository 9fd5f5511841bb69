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
        traffic::{How, Load, Measured, Sizes, Tool, Traffic},
    },
    units::{count, time},
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
    let how = How { v6: args.ipv6, cpus: args.cpus, reverse: args.reverse };
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
    if let Some(text) = cpu(&measured) {
        writeln!(err, "{text}")?;
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
        args::LoadArg::Iperf3 => Load::Tool(Tool::Iperf3),
        args::LoadArg::Nuttcp => Load::Tool(Tool::Nuttcp),
    }
}

/// What a load's own clock says, in a line.
fn describe(m: &Measured) -> String {
    let h = &m.round_trips;
    let name = m.load.name();
    if let Load::Tool(_) = m.load {
        let seconds = m.elapsed.as_secs_f64().max(1e-9);
        let rate = m.bytes as f64 * 8.0 / seconds / 1e9;
        return format!("{name} by its own clock: {rate:.2} Gb/s sent in {seconds:.2} s");
    }
    if h.is_empty() {
        return format!(
            "{name} by its own clock: {} in {}, {:.2} Gb/s arrived",
            count(m.count),
            time(m.elapsed.as_nanos() as f64),
            m.goodput_bps() / 1e9
        );
    }
    format!(
        "{name} by its own clock: {} round trips, {:.0}/s, mean {}, p50 {}, p90 {}, p99 {}, p99.9 {}",
        count(m.count),
        m.per_second(),
        time(h.mean()),
        time(h.value_at_quantile(0.5) as f64),
        time(h.value_at_quantile(0.9) as f64),
        time(h.value_at_quantile(0.99) as f64),
        time(h.value_at_quantile(0.999) as f64),
    )
}

/// What the loads took of the CPUs. It can't be told apart which of several loads it was.
fn cpu(measured: &[Measured]) -> Option<String> {
    // Other programs' time is not netpath's.
    let own = measured.iter().filter(|m| !matches!(m.load, Load::Tool(_)));
    let own: Vec<&Measured> = own.collect();
    let longest = own.iter().max_by_key(|m| m.elapsed)?;
    let ns = longest.cpu.as_nanos() as f64;
    let share = ns / longest.elapsed.as_nanos().max(1) as f64 * 100.0;
    let bytes: u64 = own.iter().map(|m| m.received_bytes).sum();
    let transactions: u64 = own.iter().filter(|m| !m.round_trips.is_empty()).map(|m| m.count).sum();
    let each = match (transactions, bytes) {
        (0, 0) => String::new(),
        (0, bytes) => format!(", {:.2} ns for each byte that arrived", ns / bytes as f64),
        (n, _) => format!(", {} for each round trip", time(ns / n as f64)),
    };
    Some(format!("CPU of clients, servers and softirqs, traced: {share:.0} % of one{each}"))
}
