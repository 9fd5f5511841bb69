//! ping over a raw and over a datagram socket, with packets that are fragmented; traceroute.

use super::{
    CONTAINER, CONTAINER_V6, Clock, DNAT, DOCKER, EVERYWHERE, EVERYWHERE_CORE, MACVLAN, Program,
    Said, Until, VXLAN, no_server, unclear,
};
use crate::conformance::{
    process::command,
    report::Kind,
    stage::{Stage, StageError},
};

const COUNT: u64 = 100;

pub(super) const RAW: Program = Program {
    name: "ping-raw",
    what: "`ping -c 100 -i 0.01` over a raw socket",
    needs: &[],
    on: EVERYWHERE_CORE,
    serve: |stage| allow_datagrams(stage, false),
    run: |stage| ping(stage, &["ping"], &[]),
};

pub(super) const DATAGRAM: Program = Program {
    name: "ping-datagram",
    what: "the same by a user other than root, over a datagram socket",
    needs: &[("setpriv", "util-linux")],
    on: EVERYWHERE,
    serve: |stage| allow_datagrams(stage, true),
    run: |stage| {
        let nobody =
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"];
        ping(stage, &[&nobody[..], &["ping"]].concat(), &[])
    },
};

pub(super) const LARGE: Program = Program {
    name: "ping-4000",
    what: "`ping -s 4000 -c 100 -i 0.01`: three fragments each way",
    needs: &[],
    on: &[CONTAINER.core(), DNAT.core(), VXLAN, CONTAINER_V6.core(), MACVLAN, DOCKER],
    serve: no_server,
    run: |stage| ping(stage, &["ping"], &["-s", "4000"]),
};

pub(super) const TRACEROUTE: Program = Program {
    name: "traceroute",
    what: "`traceroute -n`: datagrams that run out of hops, or into closed ports",
    needs: &[("/usr/sbin/traceroute", "traceroute")],
    on: EVERYWHERE,
    serve: no_server,
    run: |stage| {
        let words = ["/usr/sbin/traceroute", "-n", "-m", "4", &stage.address()];
        stage.run(stage.topology().client, command(&words))?;
        Ok(Said::default())
    },
};

/// Lets the client's users open datagram sockets for echoes, or nobody: then ping takes a raw one.
fn allow_datagrams(stage: &mut Stage, allowed: bool) -> Result<(), StageError> {
    let range = if allowed { "0 2147483647" } else { "1 0" };
    let netns = stage.netns(stage.topology().client)?;
    netns
        .run(|| std::fs::write("/proc/sys/net/ipv4/ping_group_range", range))
        .map_err(|e| StageError::failed("ping_group_range", e))?
        .map_err(|e| StageError::failed("ping_group_range", e))
}

fn ping(stage: &mut Stage, program: &[&str], more: &[&str]) -> Result<Said, StageError> {
    let words = |address: &str| {
        let (count, options) = (COUNT.to_string(), ["-n", "-q", "-i", "0.01", "-c"]);
        command(&[program, &options, &[&count], more, &[address]].concat())
    };
    let client = stage.topology().client;
    let printed = stage.run(client, words(&stage.address()))?;
    // Nothing of this is traced: it leaves no namespace.
    let loopback = stage.run(client, words(stage.loopback()))?;
    let received =
        printed.split(" received").next().and_then(|text| text.rsplit(' ').next()?.parse().ok());
    let (Some(received), Some(mean_ns), Some(ends_ns)) =
        (received, average_ns(&printed), average_ns(&loopback))
    else {
        return Err(unclear("ping", &printed));
    };
    let clock = Clock { mean_ns, until: Until::Stamp, ends_ns };
    Ok(Said::default().and(Kind::Ping, received, Some(clock)))
}

/// `rtt min/avg/max/mdev = 0.035/0.049/0.080/0.010 ms`
fn average_ns(printed: &str) -> Option<f64> {
    let (_, figures) = printed.split_once("min/avg/max")?;
    let average: f64 = figures.split_once("= ")?.1.split('/').nth(1)?.parse().ok()?;
    Some(average * 1e6)
}
