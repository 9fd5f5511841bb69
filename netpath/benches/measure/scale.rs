//! Cost per packet and memory against hops, flows, paths and packets a second, and over time.
//!
//! - [`live`]: netpath as it runs for users, on traffic from [`sender`];
//! - [`user_side`]: user space alone, on events from [`synthetic`]: further than the lab's path goes,
//!   and the same in every run;
//! - [`fit`]: how far that is linear, or even.
//!
//! Each part says what it is at and how long that takes. A step in the lab that does not end is given
//! up after five minutes ([`crate::watcher`]), and the bench with it.

mod fit;
mod live;
mod sender;
mod synthetic;
mod user_side;

use anyhow::Context as _;
use clap::ValueEnum;
use netpath::lab::{Lab, topologies::find};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::Serialize;

pub(crate) use self::{
    fit::{Line, unevenness},
    live::{Row, Soak},
    user_side::Series,
};
use crate::{Args, ways::netpath};

/// What is varied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Against {
    /// Hops, flows and paths, on events made by hand.
    UserSide,
    /// Paths alone, on events made by hand: the lab has few.
    Paths,
    Hops,
    Flows,
    /// Packets a second.
    Rates,
    /// Time.
    Soak,
}

/// What was measured; what was not asked for is empty.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Scale {
    pub(crate) user_side: Vec<Series>,
    pub(crate) hops: Vec<Row>,
    pub(crate) flows: Vec<Row>,
    pub(crate) rates: Vec<Row>,
    pub(crate) soak: Option<Soak>,
    /// From the command's start to the first packet's record and the command's end, ms.
    pub(crate) start_ms: f64,
    pub(crate) binary_bytes: u64,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Scale> {
    raise_files()?;
    let wanted = |against| args.against.is_empty() || args.against.contains(&against);
    let mut scale = Scale::default();
    if wanted(Against::UserSide) {
        scale.user_side = user_side::run(None)?;
    } else if wanted(Against::Paths) {
        scale.user_side = user_side::run(Some("paths"))?;
    }
    let step = args.step.into();
    if wanted(Against::Hops) {
        scale.hops = live::hops(step)?;
    }
    let lab = Lab::up(find("bridge-nat").context("the lab has no bridge-nat")?)?;
    if wanted(Against::Flows) {
        scale.flows = live::flows(&lab, step)?;
    }
    if wanted(Against::Rates) {
        scale.rates = live::rates(&lab, step)?;
    }
    if wanted(Against::Soak) {
        scale.soak = Some(live::soak(&lab, args)?);
    }
    scale.start_ms = live::start_ms(&lab)?;
    scale.binary_bytes = std::fs::metadata(netpath())?.len();
    Ok(scale)
}

/// Lets this process open a socket per flow.
fn raise_files() -> anyhow::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(())
}
