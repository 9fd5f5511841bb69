//! Cost per packet and memory against hops, flows, paths and packets a second, and over time.
//!
//! - [`live`]: netpath as it runs for users, on traffic from [`sender`];
//! - [`user_side`]: user space alone, on events from [`synthetic`]: further than the lab's path goes,
//!   and the same in every run;
//! - [`fit`]: how far that is linear, or even.

mod fit;
mod live;
mod sender;
mod synthetic;
mod user_side;

use anyhow::Context as _;
use netpath::lab::{Lab, topologies::find};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::Serialize;

pub(crate) use self::{
    fit::{Line, unevenness},
    live::{Row, Soak},
    user_side::Series,
};
use crate::{Args, ways::netpath};

/// Everything.
#[derive(Debug, Serialize)]
pub(crate) struct Scale {
    pub(crate) hops: Vec<Row>,
    pub(crate) flows: Vec<Row>,
    pub(crate) rates: Vec<Row>,
    pub(crate) user_side: Vec<Series>,
    pub(crate) soak: Soak,
    /// From the command's start to the first packet's record and the command's end, ms.
    pub(crate) start_ms: f64,
    pub(crate) binary_bytes: u64,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Scale> {
    raise_files()?;
    let user_side = user_side::run()?;
    let hops = live::hops()?;
    let lab = Lab::up(find("bridge-nat").context("the lab has no bridge-nat")?)?;
    Ok(Scale {
        user_side,
        hops,
        flows: live::flows(&lab)?,
        rates: live::rates(&lab)?,
        soak: live::soak(&lab, args)?,
        start_ms: live::start_ms(&lab)?,
        binary_bytes: std::fs::metadata(netpath())?.len(),
    })
}

/// Lets this process open a socket per flow.
fn raise_files() -> anyhow::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(())
}
