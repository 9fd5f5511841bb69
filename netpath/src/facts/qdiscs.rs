//! Queueing disciplines of the calling thread's namespace, over rtnetlink.

use futures_util::TryStreamExt as _;
use rtnetlink::{
    new_connection,
    packet_route::tc::{TcAttribute, TcMessage, TcStats2},
};
use serde::{Deserialize, Serialize};

/// A qdisc and what it has counted since it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Qdisc {
    pub ifindex: u32,
    /// `fq_codel`, `tbf`, …
    pub kind: String,
    /// Major number.
    pub handle: u16,
    /// Attached to the device itself, not to a class of another one.
    pub root: bool,
    pub packets: u32,
    pub drops: u32,
    /// How often a packet had to wait for its rate.
    pub overlimits: u32,
    /// Packets in the queue at this moment.
    pub qlen: u32,
    /// Bytes in the queue at this moment.
    pub backlog: u32,
}

/// Empty where they can't be read.
pub(super) fn read() -> Vec<Qdisc> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else {
        return Vec::new();
    };
    runtime.block_on(async {
        let Ok((connection, handle, _)) = new_connection() else { return Vec::new() };
        tokio::spawn(connection);
        let messages = handle.qdisc().get().execute().try_collect::<Vec<_>>().await;
        messages.unwrap_or_default().iter().map(qdisc).collect()
    })
}

fn qdisc(message: &TcMessage) -> Qdisc {
    let mut out = Qdisc {
        ifindex: u32::try_from(message.header.index).unwrap_or_default(),
        handle: message.header.handle.major,
        root: message.header.parent == rtnetlink::packet_route::tc::TcHandle::ROOT,
        ..Qdisc::default()
    };
    for attribute in &message.attributes {
        match attribute {
            TcAttribute::Kind(kind) => out.kind.clone_from(kind),
            TcAttribute::Stats2(all) => all.iter().for_each(|stats| match stats {
                TcStats2::Basic(basic) => out.packets = basic.packets,
                TcStats2::Queue(queue) => {
                    out.drops = queue.drops;
                    out.overlimits = queue.overlimits;
                    out.qlen = queue.qlen;
                    out.backlog = queue.backlog;
                }
                _ => {}
            }),
            _ => {}
        }
    }
    out
}
