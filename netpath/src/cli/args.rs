//! The command line's definition: help, man page and completions derive from it.

use std::{path::PathBuf, time::Duration};

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use crate::kernel::Backend;

/// Where a packet's time goes, hop by hop, and why.
///
/// Exit status: 0 fine; 1 failed; 2 usage; 3 the kernel lacks what is needed; 4 permission;
/// 5 a --fail-if threshold was passed; 130 interrupted twice.
#[derive(Debug, Parser)]
#[command(name = "netpath", version, max_term_width = 100)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
    /// Whether to use colours. By default, where the terminal has them and NO_COLOR is not set.
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Colours::Auto)]
    pub color: Colours,
    /// Draw the live view with ASCII alone.
    #[arg(long, global = true)]
    pub ascii: bool,
    /// Say more on stderr; twice for everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Trace packets and show what each hop costs.
    Trace(Trace),
    /// Keep raw events in a file, with everything needed to replay them elsewhere.
    Record(Record),
    /// Render a recording.
    Report(Report),
    /// Show the path that packets of an interface take on this machine.
    Topo(Topo),
    /// Ready-made topologies and traffic, in network namespaces of their own.
    Lab(Lab),
    /// List what netpath can measure.
    Hops(Hops),
    /// Say what can be measured on this kernel, by which backend, and why not.
    Doctor(Doctor),
}

/// Which interface.
#[derive(Clone, Debug, ClapArgs)]
pub struct Selection {
    /// The interface whose packets are traced; its path is found from there.
    #[arg(short, long, value_name = "IF")]
    pub iface: String,
    /// Where the interface is looked up: a name, a path or a pid. Default: here.
    #[arg(long, value_name = "NAME|PATH|PID")]
    pub netns: Option<String>,
}

/// What is gathered, and for how long.
#[derive(Clone, Debug, ClapArgs)]
pub struct Gather {
    #[command(flatten)]
    pub selection: Selection,
    /// How long, such as 10s or 500ms. Default: until Ctrl-C.
    #[arg(long = "for", value_name = "DUR", value_parser = duration)]
    pub for_: Option<Duration>,
    /// Stop after this many packets.
    #[arg(short = 'c', long, value_name = "N")]
    pub count: Option<u64>,
    /// Use only these backends.
    #[arg(long, value_name = "BACKEND", value_delimiter = ',', value_enum)]
    pub backend: Vec<BackendArg>,
    /// Let the programs in the kernel log to stderr. This costs time.
    #[arg(long)]
    pub log_kernel: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Trace {
    #[command(flatten)]
    pub gather: Gather,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, ClapArgs)]
pub struct Record {
    #[command(flatten)]
    pub gather: Gather,
    /// The recording.
    #[arg(short, long, value_name = "FILE.npz")]
    pub output: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub struct Report {
    /// A recording of `netpath record`.
    pub file: PathBuf,
    #[command(flatten)]
    pub output: Output,
}

/// Where results go, and how.
#[derive(Clone, Debug, ClapArgs)]
pub struct Output {
    /// How results are shown. Default: tui for a trace on a terminal, else summary.
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    /// Write to a file instead of stdout.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

impl Output {
    /// Gives the same choices to another netpath.
    pub fn pass_on(&self, command: &mut std::process::Command) {
        if let Some(format) = self.format().and_then(|f| f.to_possible_value()) {
            command.arg("--format").arg(format.get_name());
        }
        if let Some(path) = &self.output {
            command.arg("--output").arg(path);
        }
    }

    /// The format that was asked for.
    pub fn format(&self) -> Option<Format> {
        if self.json { Some(Format::Json) } else { self.format }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Colours {
    Auto,
    Always,
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The live view; the summary follows when it is left.
    Tui,
    /// Tables for people.
    Summary,
    /// The report, as docs/report.schema.json describes it.
    Json,
    /// The report so far on one line, every second and at the end.
    Ndjson,
}

/// [`Backend`] by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackendArg(pub Backend);

impl ValueEnum for BackendArg {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [BackendArg; Backend::ALL.len()] = {
            let mut all = [BackendArg(Backend::ALL[0]); Backend::ALL.len()];
            let mut i = 0;
            while i < all.len() {
                all[i] = BackendArg(Backend::ALL[i]);
                i += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.0.key()).help(self.0.what()))
    }
}

#[derive(Debug, ClapArgs)]
pub struct Topo {
    #[command(flatten)]
    pub selection: Selection,
    /// Write JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Lab {
    #[command(subcommand)]
    pub command: LabCommand,
}

#[derive(Debug, Subcommand)]
pub enum LabCommand {
    /// List the topologies.
    List,
    /// Bring one up, send request/reply traffic through it, and trace it.
    Run(LabRun),
}

#[derive(Debug, ClapArgs)]
pub struct LabRun {
    /// Which, as `netpath lab list` shows them.
    pub name: String,
    /// How long to trace.
    #[arg(long = "for", value_name = "DUR", value_parser = duration, default_value = "5s")]
    pub for_: Duration,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, ClapArgs)]
pub struct Hops {
    /// Write JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Doctor {
    /// Try only these backends.
    #[arg(long, value_name = "BACKEND", value_delimiter = ',', value_enum)]
    pub backend: Vec<BackendArg>,
    /// Write JSON.
    #[arg(long)]
    pub json: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration =
        humantime::parse_duration(text).map_err(|e| format!("{e} (try 10s or 500ms)"))?;
    if duration.is_zero() { Err("must be more than nothing".to_owned()) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn durations_need_a_unit_and_a_size() {
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert!(duration("0s").is_err() && duration("10").is_err());
    }
}
