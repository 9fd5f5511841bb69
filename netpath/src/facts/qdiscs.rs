//! Queueing disciplines of the calling thread's namespace, over rtnetlink.

use futures_util::TryStreamExt as _;
use rtnetlink::{
    new_connection,
    packet_core::{Nla as _, NlasIterator},
    packet_route::tc::{TcAttribute, TcMessage, TcOption, TcQdiscFqCodelOption, TcStats2},
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
    /// How often the device did not take a packet, which was put back.
    #[serde(default)]
    pub requeues: u32,
    /// What it holds at most, where its kind says so.
    #[serde(default)]
    pub limit: Option<Limit>,
    /// Packets in the queue at this moment.
    pub qlen: u32,
    /// Bytes in the queue at this moment.
    pub backlog: u32,
}

/// How much a qdisc holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    Packets(u32),
    Bytes(u32),
}

/// Where a kind's limit stands in its options (`include/uapi/linux/pkt_sched.h`).
struct LimitAt {
    kind: &'static str,
    /// The attribute that has it, where the options are not one struct.
    attribute: Option<u16>,
    offset: usize,
    of: fn(u32) -> Limit,
}

const fn at(
    kind: &'static str,
    attribute: Option<u16>,
    offset: usize,
    of: fn(u32) -> Limit,
) -> LimitAt {
    LimitAt { kind, attribute, offset, of }
}

const LIMITS: &[LimitAt] = &[
    at("pfifo", None, 0, Limit::Packets),
    at("pfifo_head_drop", None, 0, Limit::Packets),
    at("bfifo", None, 0, Limit::Bytes),
    at("sfq", None, 8, Limit::Packets),
    at("netem", None, 4, Limit::Packets),
    at("tbf", Some(1), 24, Limit::Bytes),
    at("fq", Some(1), 0, Limit::Packets),
    at("hhf", Some(1), 0, Limit::Packets),
    at("codel", Some(2), 0, Limit::Packets),
    at("pie", Some(2), 0, Limit::Packets),
    at("fq_pie", Some(1), 0, Limit::Packets),
    at("cake", Some(9), 0, Limit::Bytes),
];

/// The limit that these options of a qdisc of this kind say.
fn limit(kind: &str, options: &[TcOption]) -> Option<Limit> {
    options.iter().find_map(|option| match option {
        TcOption::FqCodel(TcQdiscFqCodelOption::Limit(packets)) => Some(Limit::Packets(*packets)),
        TcOption::Other(whole) => {
            let row = LIMITS.iter().find(|row| row.kind == kind)?;
            let mut value = vec![0; whole.value_len()];
            whole.emit_value(&mut value);
            in_options(row, &value)
        }
        _ => None,
    })
}

fn in_options(row: &LimitAt, value: &[u8]) -> Option<Limit> {
    let number = |bytes: &[u8]| {
        let bytes = bytes.get(row.offset..row.offset + 4)?;
        bytes.try_into().ok().map(u32::from_ne_bytes)
    };
    let limit = match row.attribute {
        None => number(value),
        Some(wanted) => {
            let mut all = NlasIterator::new(value).filter_map(Result::ok);
            all.find(|nla| nla.kind() == wanted).and_then(|nla| number(nla.value()))
        }
    };
    limit.map(row.of)
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
    let mut options = &[][..];
    for attribute in &message.attributes {
        match attribute {
            TcAttribute::Kind(kind) => out.kind.clone_from(kind),
            TcAttribute::Options(all) => options = all,
            TcAttribute::Stats2(all) => all.iter().for_each(|stats| match stats {
                TcStats2::Basic(basic) => out.packets = basic.packets,
                TcStats2::Queue(queue) => {
                    out.drops = queue.drops;
                    out.overlimits = queue.overlimits;
                    out.requeues = queue.requeues;
                    out.qlen = queue.qlen;
                    out.backlog = queue.backlog;
                }
                _ => {}
            }),
            _ => {}
        }
    }
    out.limit = limit(&out.kind, options);
    out
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_core::DefaultNla;

    use super::*;

    fn other(value: Vec<u8>) -> TcOption {
        const TCA_OPTIONS: u16 = 2;
        TcOption::Other(DefaultNla::new(TCA_OPTIONS, value))
    }

    /// An attribute in its bytes.
    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap();
        [&length.to_ne_bytes(), &kind.to_ne_bytes(), value].concat()
    }

    #[test]
    fn limits_are_found_where_each_kind_has_them() {
        let pfifo = other(1000u32.to_ne_bytes().to_vec());
        assert_eq!(limit("pfifo", &[pfifo]), Some(Limit::Packets(1000)));
        let mut tbf = vec![0; 36];
        tbf[24..28].copy_from_slice(&61_440u32.to_ne_bytes());
        let tbf = [attribute(4, &[0; 4]), attribute(1, &tbf)].concat();
        assert_eq!(limit("tbf", &[other(tbf)]), Some(Limit::Bytes(61_440)));
        let fq_codel = TcOption::FqCodel(TcQdiscFqCodelOption::Limit(10_240));
        assert_eq!(limit("fq_codel", &[fq_codel]), Some(Limit::Packets(10_240)));
    }

    #[test]
    fn what_is_not_known_or_cut_short_has_none() {
        assert_eq!(limit("htb", &[other(vec![0; 64])]), None);
        assert_eq!(limit("pfifo", &[other(vec![0; 2])]), None);
        assert_eq!(limit("tbf", &[other(attribute(1, &[0; 8]))]), None);
        assert_eq!(limit("pfifo", &[]), None);
    }
}
