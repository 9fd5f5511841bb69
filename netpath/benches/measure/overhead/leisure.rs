//! What tools show of packets that come one by one, so that nothing is lost: what they show of a
//! flood is held against it.

use std::{collections::BTreeMap, thread, time::Duration};

use anyhow::{Context as _, ensure};
use netpath::lab::{
    Lab,
    traffic::{Load, Traffic},
};

use crate::{
    watcher::{Said, Watcher},
    ways::{FULL, Way},
};

/// Datagrams a second, and for how long.
const LOAD: Load = Load::UdpFlood { bytes: 64, rate: Some(20) };
const LENGTH: Duration = Duration::from_secs(5);
/// How long a tool is given to show the last of them.
const LAST: Duration = Duration::from_secs(1);

/// How many hops netpath sees by each backend, as it chooses them itself.
pub(super) fn backends(lab: &Lab) -> anyhow::Result<BTreeMap<String, usize>> {
    let (said, _) = watch(&FULL, lab)?;
    let snapshot = said.snapshot.context("netpath has written no report")?;
    let mut backends = BTreeMap::new();
    for backend in snapshot.backends.into_values() {
        *backends.entry(backend).or_default() += 1;
    }
    Ok(backends)
}

/// Lines that a tool prints for a datagram.
pub(super) fn lines(way: &Way, lab: &Lab) -> anyhow::Result<f64> {
    let (said, datagrams) = watch(way, lab)?;
    ensure!(said.lines > 0, "{} has printed nothing", way.what);
    Ok(said.lines as f64 / datagrams as f64)
}

fn watch(way: &Way, lab: &Lab) -> anyhow::Result<(Said, u64)> {
    let watcher = Watcher::start(way, lab)?;
    let mut traffic = Traffic::start(lab, LOAD, false)?;
    thread::sleep(LENGTH);
    let datagrams = traffic.stop()?.count;
    thread::sleep(LAST);
    Ok((watcher.stop()?, datagrams.max(1)))
}
