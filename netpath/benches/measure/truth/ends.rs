//! A round trip's ends that no probe of netpath sees: from the client's system call to the first event,
//! and from the last event to the call's return. By bpftrace, with nothing else attached; what its own
//! programs take is measured by two of them at one tracepoint, and taken out.

use std::{thread, time::Duration};

use anyhow::Context as _;
use netpath::{
    lab::{
        Lab,
        traffic::{Load, Traffic},
    },
    snapshot::{PathReport, Snapshot, TransactionReport},
};

use super::{HERE, WARM_UP, bpftrace::Bpftrace};

/// Longer ones were interrupted: they are the machine's.
macro_rules! script {
    ($($clause:literal),*) => { concat!($(
        "tracepoint:", $clause, " { $ns = nsecs - @at[tid]; @at[tid] = 0; if ($ns < 20000) { @sum = sum($ns); @n = count(); } }\n"
    ),*) };
}
const SEND: &str = concat!(
    "tracepoint:syscalls:sys_enter_sendto /comm == \"np-client\"/ { @at[tid] = nsecs; }\n",
    script!("net:net_dev_queue /@at[tid]/")
);
const SEND_NULL: &str = concat!(
    "tracepoint:syscalls:sys_enter_sendto /comm == \"np-client\"/ { @at[tid] = nsecs; }\n",
    script!("syscalls:sys_enter_sendto /@at[tid]/")
);
const RETURN: &str = concat!(
    "tracepoint:sock:sock_recv_length /comm == \"np-client\"/ { @at[tid] = nsecs; }\n",
    script!("syscalls:sys_exit_recvfrom /@at[tid]/")
);
const RETURN_NULL: &str = concat!(
    "tracepoint:sock:sock_recv_length /comm == \"np-client\"/ { @at[tid] = nsecs; }\n",
    script!("sock:sock_recv_length /@at[tid]/")
);

/// Times without any tracer, ns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    /// From the call that sends to the device's transmit side.
    send: f64,
    /// From the socket's receive to the call's return.
    pub(super) back: f64,
}

pub(super) fn measure(lab: &Lab, load: Load, time: Duration) -> anyhow::Result<Ends> {
    let mut traffic = Traffic::start_as(lab, load, HERE)?;
    thread::sleep(WARM_UP);
    let mean = |script: &str| -> anyhow::Result<f64> {
        let bpftrace = Bpftrace::start(script)?;
        thread::sleep(time);
        let maps = bpftrace.stop()?;
        let of = |name| maps.get(name).copied().context("bpftrace has seen no system call");
        Ok(of("@sum")? / of("@n")?)
    };
    let ends =
        Ends { send: mean(SEND)? - mean(SEND_NULL)?, back: mean(RETURN)? - mean(RETURN_NULL)? };
    traffic.stop()?;
    Ok(ends)
}

impl Ends {
    /// What lies before the first event of these round trips' requests.
    pub(super) fn before(&self, snapshot: &Snapshot, trips: &TransactionReport) -> f64 {
        let request = trips.parts.first().and_then(|part| part.path_of(snapshot));
        let seen = |path: &PathReport| -> f64 {
            let sending = |h: &&netpath::snapshot::HopReport| {
                h.netns == path.from.netns && ["socket.send", "ip.send"].contains(&h.hop.as_str())
            };
            // Protocols share a path: a row counts as often as packets met it.
            path.hops.iter().filter(sending).map(|h| h.compensated_ns).sum()
        };
        (self.send - request.map_or(0.0, seen)).max(0.0)
    }
}
