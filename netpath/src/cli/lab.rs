//! `netpath lab`: ready-made topologies and traffic.

use std::{
    io::Write as _,
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use super::{
    args::{self, Format, LabCommand},
    exit::Status,
    interrupt,
    output::print,
};
use crate::{
    kernel,
    lab::{
        Lab, LabError,
        topologies::{self, TOPOLOGIES},
        traffic::{Load, Measured, Sizes, Traffic},
    },
    netns::close_names,
    view::units::{count, time},
};

pub(super) fn run(args: &args::Lab) -> anyhow::Result<ExitCode> {
    match &args.command {
        LabCommand::List => list(),
        LabCommand::Run(args) => run_one(args),
    }
}

fn list() -> anyhow::Result<ExitCode> {
    let mut text = String::new();
    for topology in TOPOLOGIES {
        text += &format!("{:<14} {}\n", topology.name, topology.what);
    }
    print(&text)?;
    Ok(Status::Fine.into())
}

/// Brings the topology up, sends request/reply traffic through it, traces it with a netpath of its
/// own, and takes it down.
fn run_one(args: &args::LabRun) -> anyhow::Result<ExitCode> {
    let Some(topology) = topologies::find(&args.name) else {
        let close = close_names(&args.name, TOPOLOGIES.iter().map(|t| t.name));
        return Err(LabError::Unknown { name: args.name.clone(), close }.into());
    };
    kernel::check_rights()?;
    interrupt::catch()?;
    let lab = Lab::up(topology)?;
    let mut err = std::io::stderr();
    writeln!(err, "lab {}: {}", topology.name, topology.what)?;
    let loads = [Load::TcpRequests(Sizes::default()), Load::UdpRequests(Sizes::default())];
    let mut traffic = loads
        .into_iter()
        .map(|load| Traffic::start(&lab, load, false))
        .collect::<Result<Vec<_>, _>>()?;
    let status = trace(args, &lab)?;
    let measured = traffic.iter_mut().map(Traffic::stop).collect::<Result<Vec<Measured>, _>>()?;
    drop(lab);
    for m in &measured {
        writeln!(err, "{}", describe(m))?;
    }
    Ok(status)
}

/// What a load's own clock says, in a line.
fn describe(m: &Measured) -> String {
    let h = &m.round_trips;
    format!(
        "{} by its own clock: {} round trips, mean {}, p50 {}, p99 {}",
        m.load.name(),
        count(m.count),
        time(h.mean()),
        time(h.value_at_quantile(0.5) as f64),
        time(h.value_at_quantile(0.99) as f64),
    )
}

/// Runs `netpath trace` on the lab's interface and waits for its end.
fn trace(args: &args::LabRun, lab: &Lab) -> anyhow::Result<ExitCode> {
    let focus = lab.topology().focus;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["trace", "--iface", focus.1, "--netns", &lab.full_name(focus.0)])
        .args(["--for", &humantime::format_duration(args.for_).to_string()]);
    if args.output.format() == Some(Format::Tui) {
        // The live view needs the terminal's keys; Ctrl-C is one of them.
        command.stdin(Stdio::inherit());
    } else {
        // Ctrl-C reaches the lab alone, which then ends the trace, once.
        command.stdin(Stdio::null()).process_group(0);
    }
    args.output.pass_on(&mut command);
    // SAFETY: prctl is async-signal-safe. A trace does not outlive a lab that is killed.
    unsafe {
        command.pre_exec(|| {
            nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGTERM)?;
            Ok(())
        });
    }
    let mut child = command.spawn().context("cannot run netpath trace")?;
    let deadline = Instant::now() + args.for_ + Duration::from_mins(2);
    loop {
        if let Some(status) = child.try_wait()? {
            let code = status.code().and_then(|c| u8::try_from(c).ok()).unwrap_or(1);
            return Ok(ExitCode::from(code));
        }
        if Instant::now() > deadline {
            child.kill()?;
            bail!("netpath trace did not end in time");
        }
        if interrupt::requested() {
            let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id())?);
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
            let status = child.wait()?;
            let code = status.code().and_then(|c| u8::try_from(c).ok()).unwrap_or(1);
            return Ok(ExitCode::from(code));
        }
        thread::sleep(Duration::from_millis(20));
    }
}
