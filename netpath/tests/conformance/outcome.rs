//! What a row came to: its figures, and whether it passed. Kept as a file, so that rows which ran
//! one by one make one table.
//!
//! In: checks. Out: lines for people; JSON in target/conformance.

use std::{
    env, fmt, fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::stage::StageError;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Verdict {
    Passed,
    Failed,
    Skipped(String),
}

/// A figure of netpath's beside a witness's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Check {
    /// The table's column.
    pub(crate) what: String,
    pub(crate) netpath: String,
    pub(crate) witness: String,
    pub(crate) passed: bool,
    /// What has to be known beside it.
    pub(crate) note: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) program: String,
    pub(crate) topology: String,
    pub(crate) kernel: String,
    pub(crate) verdict: Verdict,
    /// Neither vanished nor ambiguous packets.
    pub(crate) clean: bool,
    pub(crate) checks: Vec<Check>,
    /// Why it came to no figures.
    pub(crate) error: Option<String>,
}

impl Outcome {
    pub(crate) fn new(program: &str, topology: &str, verdict: Verdict) -> Self {
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            program: program.to_owned(),
            topology: topology.to_owned(),
            kernel: kernel.trim().to_owned(),
            verdict,
            clean: false,
            checks: Vec::new(),
            error: None,
        }
    }

    /// It passes where all checks do.
    #[must_use]
    pub(crate) fn with(self, checks: Vec<Check>, clean: bool) -> Self {
        let passed = checks.iter().all(|check| check.passed);
        let verdict = if passed { Verdict::Passed } else { Verdict::Failed };
        Self { verdict, clean, checks, ..self }
    }

    /// What came of a row that was carried out, or could not be.
    pub(crate) fn came(program: &str, topology: &str, of: Result<Self, StageError>) -> Self {
        match of {
            Ok(outcome) => outcome,
            Err(StageError::Lacks(what)) => Self::new(program, topology, Verdict::Skipped(what)),
            Err(error) => Self {
                error: Some(error.to_string()),
                ..Self::new(program, topology, Verdict::Failed)
            },
        }
    }

    pub(crate) fn row(&self) -> String {
        format!("{}::{}", self.program, self.topology)
    }

    /// Leaves it for the table, and says as an error why it is not good enough.
    pub(crate) fn told(&self, required: bool) -> Result<(), String> {
        let keep = || fs::write(file(&self.row())?, serde_json::to_vec_pretty(self)?);
        keep().map_err(|e| format!("cannot keep {}: {e}", self.row()))?;
        println!("{self}");
        match &self.verdict {
            Verdict::Passed => Ok(()),
            Verdict::Failed => Err(self.to_string()),
            Verdict::Skipped(why) if required => Err(format!("it must run here, but {why}")),
            Verdict::Skipped(why) => {
                println!("SKIP {}: {why}", self.row());
                Ok(())
            }
        }
    }

    pub(crate) fn check(&self, what: &str) -> Option<&Check> {
        self.checks.iter().find(|check| check.what == what)
    }
}

/// Where what rows come to is kept, unless this says where.
const KEPT: &str = "NETPATH_CONFORMANCE";

fn dir() -> PathBuf {
    if let Some(dir) = env::var_os(KEPT) {
        return dir.into();
    }
    let built = Path::new(env!("CARGO_TARGET_TMPDIR"));
    built.parent().unwrap_or(built).join("conformance")
}

/// A row's file.
fn file(row: &str) -> io::Result<PathBuf> {
    fs::create_dir_all(dir())?;
    Ok(dir().join(format!("{}.json", row.replace("::", "-on-"))))
}

/// Where netpath leaves its report of a row, for whoever wants to know why it failed.
pub(crate) fn report_file(row: &str) -> io::Result<PathBuf> {
    file(row).map(|file| file.with_extension("report.json"))
}

/// What a row that has run came to.
pub(crate) fn read(row: &str) -> Option<Outcome> {
    serde_json::from_slice(&fs::read(file(row).ok()?).ok()?).ok()
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Verdict::Passed => writeln!(f, "{}: passed", self.row())?,
            Verdict::Failed => writeln!(f, "{}: FAILED", self.row())?,
            Verdict::Skipped(why) => writeln!(f, "{}: skipped, {why}", self.row())?,
        }
        if let Some(error) = &self.error {
            writeln!(f, "  {error}")?;
        }
        for check in &self.checks {
            let Check { what, netpath, witness, passed, note } = check;
            let mark = if *passed { ' ' } else { '!' };
            write!(f, "{mark} {what:<16} netpath {netpath:<14} witness {witness}")?;
            writeln!(f, "{}{note}", if note.is_empty() { "" } else { "   " })?;
        }
        Ok(())
    }
}
