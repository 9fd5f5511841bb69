//! bpftrace, at work while it is held; its maps at the end.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::ways::own_tracefs;

/// A running script.
pub(super) struct Bpftrace {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Bpftrace {
    /// Runs these clauses; returns once they are attached.
    pub(super) fn start(clauses: &str) -> anyhow::Result<Self> {
        // An interval begins when all is attached. The first can be too early to be heard.
        let script = format!("{clauses} interval:ms:50 {{ printf(\"ready\\n\"); }}");
        let mut command = Command::new("bpftrace");
        own_tracefs(&mut command);
        command.args(["-f", "json", "-e", &script]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().context("cannot run bpftrace")?;
        let out = child.stdout.take().context("bpftrace has no stdout")?;
        let mut this = Self { child, out: BufReader::new(out) };
        let mut line = String::new();
        while !line.contains("ready") {
            line.clear();
            if this.out.read_line(&mut line)? == 0 {
                bail!("bpftrace ended before it was attached; its script: {script}");
            }
        }
        Ok(this)
    }

    /// Ends it; what its maps without keys hold, by name.
    pub(super) fn stop(mut self) -> anyhow::Result<BTreeMap<String, f64>> {
        kill(Pid::from_raw(i32::try_from(self.child.id())?), Signal::SIGINT)?;
        let mut text = String::new();
        self.out.read_to_string(&mut text)?;
        self.child.wait()?;
        let mut maps = BTreeMap::new();
        for line in text.lines() {
            let Ok(line) = serde_json::from_str::<serde_json::Value>(line) else { continue };
            for (name, value) in line["data"].as_object().into_iter().flatten() {
                if let Some(value) = value.as_f64() {
                    maps.insert(name.clone(), value);
                }
            }
        }
        Ok(maps)
    }
}

impl Drop for Bpftrace {
    fn drop(&mut self) {
        // It has ended already where it was stopped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
