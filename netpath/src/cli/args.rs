//! The command line's definition: help, man page and completions derive from it.

mod given;
mod lab;
mod selection;

use std::{path::PathBuf, time::Duration};

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use netpath_common::control::Inert;

use crate::{
    fail_if::Condition,
    filter::{Filter, FilterError},
    kernel::Backend,
    report::{FORMATS, Format},
    sample::{Budget, By, Sampling, Share},
};
pub use given::Given;
pub use lab::{Lab, LabBench, LabCommand, LabCompare, LabFormat, LabMatrix, LabRun, LoadArg};
pub use selection::Selection;

/// Where a packet's time goes, hop by hop, and why.
///
/// Exit status: 0 fine; 1 failed; 2 usage; 3 the kernel lacks what is needed; 4 permission;
/// 5 a --fail-if threshold was passed; 130 interrupted twice.
#[derive(Debug, Parser)]
#[command(name = "netpath", version, max_term_width = 100)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
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
    /// Render a recording, or a report in JSON.
    Report(Report),
    /// Say in sentences what costs, why, and what would help; from a recording or live.
    Explain(Explain),
    /// Say what changed between two recordings or reports, hop by hop, and how surely.
    Diff(Diff),
    /// List what can be traced: containers, namespaces, their interfaces, and how they hang together.
    Ls(Ls),
    /// Show the path that packets of an interface take on this machine.
    Topo(Topo),
    /// Ready-made topologies and traffic, in network namespaces of their own.
    Lab(Lab),
    /// List what netpath can measure.
    Hops(Hops),
    /// Say what can be measured on this kernel, by which backend, and why not.
    Doctor(Doctor),
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
    /// Record one packet in N, or as many as the budget allows.
    #[arg(long, value_name = "1/N|auto", default_value_t = Share::All, hide_default_value = true)]
    pub sample: Share,
    /// What is drawn: single packets, or conversations with all their packets.
    #[arg(long, value_enum, default_value_t = SampleBy::Packet)]
    pub sample_by: SampleBy,
    /// With --sample auto: the share of the machine's CPU time that netpath may take.
    #[arg(long, value_name = "PERCENT", default_value_t = Budget::default())]
    pub budget: Budget,
    /// Attach everything and record nothing: what attaching alone costs, or asking for the time as well.
    #[arg(long, value_enum, value_name = "WHAT", num_args = 0..=1, require_equals = true,
        default_missing_value = "nothing", hide_short_help = true)]
    pub inert: Option<InertArg>,
    /// Only packets that match, in tcpdump's language, such as: host 10.0.0.2 and tcp port 443.
    /// With their addresses before or after NAT.
    #[arg(value_name = "FILTER")]
    pub filter: Vec<String>,
}

/// [`Inert`] by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum InertArg {
    Nothing,
    Clock,
}

impl From<InertArg> for Inert {
    fn from(arg: InertArg) -> Self {
        match arg {
            InertArg::Nothing => Self::Nothing,
            InertArg::Clock => Self::Clock,
        }
    }
}

/// [`By`] by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SampleBy {
    Packet,
    Flow,
}

impl Gather {
    /// What is to be sampled.
    pub fn sampling(&self) -> Sampling {
        let by = match self.sample_by {
            SampleBy::Packet => By::Packet,
            SampleBy::Flow => By::Flow,
        };
        Sampling { share: self.sample, by, budget: self.budget }
    }

    /// The filter, if there is one.
    pub fn filter(&self) -> Result<Option<Filter>, FilterError> {
        if self.filter.is_empty() {
            return Ok(None);
        }
        Filter::compile(&self.filter.join(" ")).map(Some)
    }
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
    /// Keep packets' headers, for `netpath report --format pcapng`: link, network and transport
    /// header, 127 bytes at most, where a packet is first seen and where it leaves an IP stack.
    /// Payload is not recorded.
    #[arg(long)]
    pub capture_headers: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Diff {
    /// A recording, or a report in JSON.
    pub a: PathBuf,
    /// Another one.
    pub b: PathBuf,
    /// How the difference is written.
    #[arg(long, value_enum, default_value_t = DiffFormatArg::Summary)]
    pub format: DiffFormatArg,
    /// Write to a file instead of stdout.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub look: Look,
}

/// How a difference is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DiffFormatArg {
    /// Tables of what changed.
    Summary,
    /// All hops, with figures, uncertainties and verdicts.
    Json,
    /// A differential flame graph.
    Svg,
    /// A page.
    Html,
}

#[derive(Debug, ClapArgs)]
pub struct Report {
    /// A recording of `netpath record`, or a report in JSON.
    pub file: PathBuf,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, ClapArgs)]
pub struct Explain {
    /// A recording of `netpath record`. Where it is said what to trace, such as --iface, that is traced
    /// instead, and this is the filter's first word.
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub gather: Given,
    /// Write the report, with its findings, as JSON.
    #[arg(long)]
    pub json: bool,
    /// Write to a file instead of stdout.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub thresholds: Thresholds,
    #[command(flatten)]
    pub look: Look,
}

/// Where results go, and how.
#[derive(Clone, Debug, ClapArgs)]
pub struct Output {
    /// How results are shown. Default: tui for a trace on a terminal, else summary.
    #[arg(long, value_enum)]
    pub format: Option<FormatArg>,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    /// Write to a file instead of stdout.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write the HTML report to a file, too.
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    #[command(flatten)]
    pub thresholds: Thresholds,
    #[command(flatten)]
    pub look: Look,
}

/// How results look on a terminal.
#[derive(Clone, Copy, Debug, ClapArgs)]
pub struct Look {
    /// Whether to colour what a terminal shows. NO_COLOR in the environment means never.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Color::Auto)]
    pub color: Color,
    /// Draw the live view with ASCII alone.
    #[arg(long)]
    pub ascii: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    Always,
    Never,
}

/// What must hold, for CI.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct Thresholds {
    /// Exit with status 5 where this holds, such as 'conntrack.p99 > 2us', 'group:nat.p99 > 1us' or
    /// 'lost > 0'. A hop, at each of its places; a cost group (with group: before it where a hop has
    /// the same name), all of its hops together; or total; with .mean, .p50, .p90, .p99, .p999, .max,
    /// .count or .share; or lost (events), drops (packets lost or refused), incomplete, vanished,
    /// negative. Can be given several times.
    #[arg(long = "fail-if", value_name = "COND")]
    pub fail_if: Vec<Condition>,
}

impl Output {
    /// Gives the same choices to another netpath.
    pub fn pass_on(&self, command: &mut std::process::Command) {
        if let Some(format) = self.format() {
            command.arg("--format").arg(format.info().key);
        }
        for (flag, path) in [("--output", &self.output), ("--report", &self.report)] {
            if let Some(path) = path {
                command.arg(flag).arg(path);
            }
        }
        for condition in &self.thresholds.fail_if {
            command.arg("--fail-if").arg(&condition.text);
        }
        if self.look.ascii {
            command.arg("--ascii");
        }
        if let Some(color) = self.look.color.to_possible_value() {
            command.arg("--color").arg(color.get_name());
        }
    }

    /// The format that was asked for.
    pub fn format(&self) -> Option<Format> {
        if self.json { Some(Format::Json) } else { self.format.map(|f| f.0) }
    }
}

/// [`Format`] by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormatArg(pub Format);

impl ValueEnum for FormatArg {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [FormatArg; FORMATS.len()] = {
            let mut all = [FormatArg(FORMATS[0].format); FORMATS.len()];
            let mut i = 0;
            while i < all.len() {
                all[i] = FormatArg(FORMATS[i].format);
                i += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        let info = self.0.info();
        Some(clap::builder::PossibleValue::new(info.key).help(info.what))
    }
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
pub struct Ls {
    /// How it is written.
    #[arg(long, value_enum, default_value_t = LsFormat::Text)]
    pub format: LsFormat,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}

/// How a listing is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LsFormat {
    /// A line each.
    Text,
    /// With all interfaces and addresses.
    Json,
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
