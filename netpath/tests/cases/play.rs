//! A case from its beginning to its end: set up, traced, sent through, taken down.
//!
//! In: a row of the table. Out: what netpath reported and what the script's programs printed.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{check::sound, claims::Claims, known_wrong, report::Report, said::Said, table::Case};
use crate::support::{attached, can_run, emulated, signal};

/// How a script says that it can't run on this kernel.
const CANNOT_RUN: i32 = 3;

/// Plays a case and holds its report to what is claimed of it.
pub(crate) fn play(case: &Case) {
    let judged = std::env::var_os("NETPATH_CASES_JUDGE").map(PathBuf::from);
    let (report, said) = match judged {
        Some(dir) => kept(&dir, case),
        None if !can_run() => return,
        None => match played(case) {
            Some(played) => played,
            None => return,
        },
    };
    let mut claims = Claims::default();
    let report = Report(report);
    sound(&mut claims, &report);
    (case.check)(&mut claims, &report, &Said(said.clone()));
    let bad = known_wrong::judge(case.name, &claims);
    for line in &bad {
        say(&format!("{line}\n"));
    }
    assert!(bad.is_empty(), "{}:\n{}\nThe script said:\n{said}", case.name, bad.join("\n"));
}

/// What was kept of it.
fn kept(dir: &Path, case: &Case) -> (Value, String) {
    let read = |end: &str| fs::read_to_string(dir.join(case.name).with_extension(end));
    let report = read("json").expect("a report was kept");
    (serde_json::from_str(&report).expect("it is one"), read("log").expect("it was kept"))
}

/// `None`, with a word, where this kernel lacks what the script needs.
fn played(case: &Case) -> Option<(Value, String)> {
    let script = Script::of(case.script);
    let mut steps = Steps::begin(case.name);
    let up = script.run("up");
    steps.done("up");
    if up.code == Some(CANNOT_RUN) {
        println!("SKIP {}: {}", case.name, up.said.trim());
        return None;
    }
    assert_eq!(up.code, Some(0), "{} does not come up: {}", case.script, up.said);
    let traced = script.trace_of(case.trace);
    let mut arguments: Vec<&str> = vec!["trace", "--json"];
    arguments.extend(traced.split_whitespace());
    let mut netpath = attached(&arguments);
    steps.done("attached");
    let sent = script.run("traffic");
    steps.done("sent");
    signal(&netpath, Signal::SIGINT);
    let mut text = String::new();
    let stdout = netpath.stdout.as_mut().expect("it was piped");
    stdout.read_to_string(&mut text).expect("a report is text");
    let ended = netpath.wait().expect("it ends");
    steps.done("reported");
    if let Some(dir) = std::env::var_os("NETPATH_CASES_KEEP").map(PathBuf::from) {
        fs::create_dir_all(&dir).expect("it can be made");
        let keep = |end: &str, text: &str| {
            fs::write(dir.join(case.name).with_extension(end), text).expect("it can be kept");
        };
        keep("json", &text);
        keep("log", &sent.said);
    }
    assert_eq!(ended.code(), Some(0), "netpath {arguments:?}: {text}");
    assert_eq!(sent.code, Some(0), "{} failed: {}", case.script, sent.said);
    Some((serde_json::from_str(&text).expect("a report"), sent.said))
}

/// Says how long each step of a case has taken, as soon as it has: on an emulated machine a case takes a
/// minute, and one wants to know where.
struct Steps {
    since: Instant,
}

impl Steps {
    fn begin(name: &str) -> Self {
        say(&format!("{name}:"));
        Self { since: Instant::now() }
    }

    fn done(&mut self, step: &str) {
        say(&format!(" {step} {:.1} s", self.since.elapsed().as_secs_f64()));
        self.since = Instant::now();
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        say("\n");
    }
}

/// Past what the test runner keeps back until all tests have ended; only where somebody waits for it.
fn say(text: &str) {
    if emulated() {
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}

/// A script; when it is dropped, what it has made goes.
pub(crate) struct Script {
    path: PathBuf,
}

pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    /// Everything that it printed.
    pub(crate) said: String,
}

impl Script {
    pub(crate) fn of(name: &str) -> Self {
        Self { path: folder().join(name) }
    }

    /// Runs a part of it: `up`, `traffic` or `down`.
    pub(crate) fn run(&self, part: &str) -> Ran {
        // A file, not a pipe: what it leaves in the background holds the writing end.
        let mut out = tempfile::tempfile().expect("a file can be made");
        let writer = |out: &File| Stdio::from(out.try_clone().expect("it is open"));
        let mut bash = Command::new("bash");
        bash.arg(&self.path).arg(part).stdin(Stdio::null());
        bash.stdout(writer(&out)).stderr(writer(&out));
        let code = bash.status().expect("bash can be run").code();
        std::io::Seek::rewind(&mut out).expect("it is a file");
        let mut said = String::new();
        out.read_to_string(&mut said).expect("scripts print text");
        Ran { code, said }
    }

    /// The arguments of the trace: these, or those that the script itself recommends, without a
    /// duration. The trace lasts as long as the traffic.
    fn trace_of(&self, given: Option<&str>) -> String {
        let text = fs::read_to_string(&self.path).expect("the script can be read");
        let own = text.lines().find_map(|line| line.strip_prefix("NETPATH='netpath trace "));
        let own = own.map(|line| line.trim_end_matches('\''));
        let words =
            given.or(own).unwrap_or_else(|| panic!("{} names no trace", self.path.display()));
        let mut words: Vec<&str> = words.split_whitespace().collect();
        if let Some(at) = words.iter().position(|word| *word == "--for") {
            words.drain(at..at + 2);
        }
        words.join(" ")
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let down = self.run("down");
        if down.code != Some(0) {
            eprintln!("{} does not go down: {}", self.path.display(), down.said);
        }
    }
}

/// Where the scripts are: as they were built from, or where the environment says, for tests that
/// were carried to another machine.
pub(crate) fn folder() -> PathBuf {
    std::env::var_os("NETPATH_CASES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases"), PathBuf::from)
}
