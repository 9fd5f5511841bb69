//! The arguments of `netpath lab`.

use std::{path::PathBuf, time::Duration};

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use super::{Output, duration};

#[derive(Debug, ClapArgs)]
pub struct Lab {
    #[command(subcommand)]
    pub command: LabCommand,
}

#[derive(Debug, Subcommand)]
pub enum LabCommand {
    /// List the topologies and experiments.
    List,
    /// Bring a topology or an experiment's variant up, send traffic through it, and trace it.
    Run(LabRun),
    /// Hold two topologies or variants against each other, and say which hops make the difference.
    Compare(LabCompare),
    /// Run the published experiments, and hold what they show against what was published.
    Matrix(LabMatrix),
    /// Carry one end of a lab's traffic in its guest; the guest runs it by itself.
    #[command(hide = true)]
    Agent {
        /// The port to listen at.
        port: PathBuf,
    },
}

#[derive(Debug, ClapArgs)]
pub struct LabRun {
    /// A topology, or experiment/variant, as `netpath lab list` shows them.
    pub name: String,
    /// How long to trace.
    #[arg(long = "for", value_name = "DUR", value_parser = duration, default_value = "5s")]
    pub for_: Duration,
    /// What to send.
    #[arg(
        long,
        value_name = "LOAD",
        value_delimiter = ',',
        value_enum,
        default_value = "tcp-rr,udp-rr"
    )]
    pub load: Vec<LoadArg>,
    /// Bytes of a request, of a datagram of the flood, or of an echo.
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = bytes)]
    pub request: usize,
    /// Bytes of a reply.
    #[arg(long, value_name = "BYTES", default_value_t = 200, value_parser = bytes)]
    pub reply: usize,
    /// How many of each load at once.
    #[arg(long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=256))]
    pub parallel: u16,
    /// Datagrams of the flood per second. Default: as many as can be sent.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub rate: Option<u64>,
    /// Over IPv6.
    #[arg(short = '6', long)]
    pub ipv6: bool,
    /// The topology's server asks, or sends, and its client answers, or receives.
    #[arg(long)]
    pub reverse: bool,
    /// The CPUs of clients and servers. Default: the scheduler's choice.
    #[arg(long, value_name = "CLIENT,SERVER", value_parser = cpus)]
    pub cpus: Option<(usize, usize)>,
    #[command(flatten)]
    pub output: Output,
    /// What else netpath trace is told, such as: -- --sample 1/10 udp.
    #[arg(last = true, value_name = "TRACE ARGUMENT")]
    pub trace: Vec<String>,
}

/// A load by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LoadArg {
    /// TCP requests and replies on one connection, one in flight.
    TcpRr,
    /// UDP requests and replies, one in flight.
    UdpRr,
    /// A TCP connection for every request.
    Connect,
    /// TCP, as much as there can be.
    Bulk,
    /// UDP datagrams one way.
    Flood,
    /// ICMP echo, one in flight.
    Ping,
    /// TCP, as much as there can be, sent and measured by iperf3.
    Iperf3,
    /// The same by nuttcp.
    Nuttcp,
}

/// How figures are made.
#[derive(Debug, ClapArgs)]
pub struct LabBench {
    /// How often everything is measured, in turns.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=999))]
    pub runs: Option<u16>,
    /// How long each run is.
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub run_time: Option<Duration>,
    /// The CPUs of clients and servers, where a load keeps them apart; elsewhere both are on the
    /// server's. Default: the first two; the scheduler's choice where there is one only.
    #[arg(long, value_name = "CLIENT,SERVER", value_parser = cpus)]
    pub cpus: Option<(usize, usize)>,
    /// Leave out the traced runs, which say which hops make a difference.
    #[arg(long)]
    pub no_trace: bool,
    /// How results are written.
    #[arg(long, value_enum, default_value_t = LabFormat::Summary)]
    pub format: LabFormat,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    /// Write lab.html, lab.json, lab.md and lab.txt into this directory as well.
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

/// How figures are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LabFormat {
    /// Tables for people.
    Summary,
    /// All figures, as netpath.lab/1.
    Json,
    /// What was published beside what was found here, as a table.
    Markdown,
}

#[derive(Debug, ClapArgs)]
pub struct LabCompare {
    /// A topology, or experiment/variant.
    pub a: String,
    /// What is held against it.
    pub b: String,
    #[command(flatten)]
    pub bench: LabBench,
}

#[derive(Debug, ClapArgs)]
pub struct LabMatrix {
    /// Only these experiments.
    pub names: Vec<String>,
    /// Fewer and shorter runs: wider spreads.
    #[arg(long)]
    pub quick: bool,
    /// Be done by then: where the machine is too slow for what is asked, runs become shorter, and
    /// then fewer.
    #[arg(long, value_name = "DUR", value_parser = duration, default_value = "8m")]
    pub within: Duration,
    #[command(flatten)]
    pub bench: LabBench,
}

/// What fits into a datagram.
fn bytes(text: &str) -> Result<usize, String> {
    const MAX: usize = 60_000;
    let n: usize = text.parse().map_err(|_| "not a number of bytes".to_owned())?;
    if (1..=MAX).contains(&n) { Ok(n) } else { Err(format!("must be from 1 to {MAX}")) }
}

fn cpus(text: &str) -> Result<(usize, usize), String> {
    let parse = |s: &str| s.trim().parse::<usize>().ok();
    let pair = text.split_once(',').and_then(|(c, s)| Some((parse(c)?, parse(s)?)));
    pair.ok_or_else(|| "must be two numbers, such as 0,1".to_owned())
}
