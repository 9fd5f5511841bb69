//! The netpath that traces a lab: a process of its own, so that the traffic's own clock and CPU
//! time are the traffic's alone.

use std::{
    io::Read,
    os::unix::process::CommandExt as _,
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use indicatif::ProgressBar;

use super::{
    super::{args, interrupt},
    progress,
};
use crate::{
    errors::told,
    lab::{Lab, LabError},
    report::Format,
    snapshot::Snapshot,
};

/// How much longer than its time a trace may take.
const GRACE: Duration = Duration::from_mins(2);

/// `netpath trace` on the lab's interface. With `keys` the terminal's keys are its own, Ctrl-C too.
fn command(lab: &Lab, time: Duration, keys: bool) -> std::io::Result<Command> {
    let focus = lab.topology().focus;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["trace", "--iface", focus.1, "--netns", &lab.full_name(focus.0)])
        .args(["--for", &humantime::format_duration(time).to_string()]);
    if keys {
        command.stdin(Stdio::inherit());
    } else {
        // Ctrl-C reaches the lab alone, which then ends the trace, once.
        command.stdin(Stdio::null()).process_group(0);
    }
    // SAFETY: prctl is async-signal-safe. A trace does not outlive a lab that is killed.
    unsafe {
        command.pre_exec(|| {
            nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGTERM)?;
            Ok(())
        });
    }
    Ok(command)
}

/// Traces, and lets the trace say what it found.
pub(super) fn show(lab: &Lab, args: &args::LabRun) -> anyhow::Result<ExitCode> {
    let live = args.output.format() == Some(Format::Tui);
    let mut command = command(lab, args.for_, live)?;
    args.output.pass_on(&mut command);
    command.args(&args.trace);
    let mut child = command.spawn().context("cannot run netpath trace")?;
    // What is found is printed after that time, since it takes a while to begin: over no bar.
    let bar = if live { ProgressBar::hidden() } else { progress::of_time(args.for_) };
    let status = wait(&mut child, args.for_, &bar)?;
    let code = status.code().and_then(|c| u8::try_from(c).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}

/// Traces, and returns what was found.
pub(super) fn snapshot(lab: &Lab, time: Duration) -> Result<Snapshot, LabError> {
    let trace = || -> anyhow::Result<Snapshot> {
        let mut command = command(lab, time, false)?;
        command.arg("--json").stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        // Both are read while it runs: a full pipe would hold it up.
        let (status, text, said) = thread::scope(|scope| {
            let text = scope.spawn(|| read_all(out));
            let said = scope.spawn(|| read_all(err));
            let status = wait(&mut child, time, &ProgressBar::hidden());
            (status, text.join(), said.join())
        });
        let (Ok(text), Ok(said)) = (text, said) else { bail!("reading it failed") };
        if !status?.success() {
            bail!("{}", String::from_utf8_lossy(&said?).trim());
        }
        Ok(serde_json::from_slice(&text?)?)
    };
    trace().map_err(|e| LabError::Traffic(format!("netpath trace: {}", told(e.as_ref()))))
}

fn read_all(pipe: Option<impl Read>) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    if let Some(mut pipe) = pipe {
        pipe.read_to_end(&mut text)?;
    }
    Ok(text)
}

/// Waits for the end of a trace, and brings it about where it is time to stop.
fn wait(child: &mut Child, time: Duration, bar: &ProgressBar) -> anyhow::Result<ExitStatus> {
    let since = Instant::now();
    let deadline = since + time + GRACE;
    loop {
        progress::show(bar, since.elapsed());
        if let Some(status) = child.try_wait()? {
            bar.finish_and_clear();
            return Ok(status);
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            bail!("netpath trace did not end in time");
        }
        if interrupt::requested() {
            bar.finish_and_clear();
            let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id())?);
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
            return Ok(child.wait()?);
        }
        thread::sleep(Duration::from_millis(20));
    }
}
