//! New connections: what conntrack and NAT do for them must be seen where connections are opened,
//! as often as the client opens any, and nowhere else.

use std::time::Duration;

use anyhow::Context as _;
use netpath::{
    lab::{
        Lab,
        topologies::find,
        traffic::{Load, Sizes},
    },
    snapshot::{HopReport, Snapshot},
};

use super::{Check, traced};
use crate::Args;

/// Count and mean of a row's packets in this state.
fn state(hop: &HopReport, key: &str) -> (f64, f64) {
    let of = |what: &str| hop.causes.get(key).and_then(|v| v[what].as_f64()).unwrap_or_default();
    (of("count"), of("mean_ns"))
}

/// How many packets in this state met a hop in the host's hooks, and what each took there on average.
fn met(snapshot: &Snapshot, hop: &str, key: &str) -> (f64, f64) {
    let (mut count, mut sum_ns) = (0.0, 0.0);
    for path in &snapshot.paths {
        let rows = path.hops.iter().filter(|h| h.hop == hop && h.netns == "host");
        // A packet meets several rows of one hop: defragmentation and tracking, DNAT and SNAT.
        let most = rows.map(|h| state(h, key)).fold(0.0, |most: f64, (count, mean_ns)| {
            sum_ns += count * mean_ns;
            most.max(count)
        });
        count += most;
    }
    (count, sum_ns / count.max(1.0))
}

fn found(snapshot: &Snapshot, id: &str) -> bool {
    snapshot.findings.iter().any(|f| f.id == id)
}

pub(super) fn run(args: &Args) -> anyhow::Result<Vec<Check>> {
    let lab = Lab::up(find("bridge-nat").context("the lab has no bridge-nat")?)?;
    let time = Duration::from_millis(args.run_ms);
    let (mut opened, mut kept) = (Vec::new(), Vec::new());
    let (mut track, mut nat) = (Vec::new(), Vec::new());
    let (mut fired, mut fired_falsely) = (0, 0);
    eprintln!("bench: truth: connections");
    for _ in 0..args.rounds {
        let (client, snapshot) = traced(&lab, Load::TcpConnects(Sizes::default()), time)?;
        opened.push((met(&snapshot, "conntrack", "new").0, client.count as f64));
        let both = |hop| (met(&snapshot, hop, "new").1, met(&snapshot, hop, "established").1);
        track.push(both("conntrack"));
        nat.push(both("nat"));
        fired += usize::from(found(&snapshot, "new-connections"));
        let (_, snapshot) = traced(&lab, Load::TcpRequests(Sizes::default()), time)?;
        kept.push((met(&snapshot, "conntrack", "new").0, 1.0));
        fired_falsely += usize::from(found(&snapshot, "new-connections"));
    }
    let note = format!(
        "the finding new-connections: in {fired} of {0} runs that open them, in {fired_falsely} of \
         {0} that don't",
        args.rounds
    );
    let mut first = Check::new(
        "connections-opened",
        "packets that conntrack calls new, a connection for each request",
        ("the client's count", "connections"),
        &opened,
        0.98..=1.02,
    )
    .noting(note);
    first.passed &= fired == args.rounds && fired_falsely == 0;
    let of_new = |key: &str, what: &str, runs: &[(f64, f64)]| {
        let established = ("its established packets", "ns");
        Check::new(
            key,
            format!("{what}, a connection's first packet"),
            established,
            runs,
            1.2..=100.0,
        )
    };
    Ok(vec![
        first,
        Check::new(
            "connections-kept",
            "packets that conntrack calls new, one connection",
            ("the client's count", "connections"),
            &kept,
            1.0..=1.0,
        ),
        of_new("conntrack-new", "conntrack in its hooks", &track),
        of_new("nat-new", "NAT in its hooks", &nat),
    ])
}
