//! Devices' statistics, as `ip -s -s link` shows them.

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use rtnetlink::{
    new_connection,
    packet_route::link::{LinkAttribute, Stats64},
};

/// By index; empty where they can't be read.
pub(super) fn read() -> BTreeMap<u32, BTreeMap<String, u64>> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else {
        return BTreeMap::new();
    };
    runtime.block_on(async {
        let Ok((connection, handle, _)) = new_connection() else { return BTreeMap::new() };
        tokio::spawn(connection);
        let links = handle.link().get().execute().try_collect::<Vec<_>>().await;
        let of = |link: &rtnetlink::packet_route::link::LinkMessage| {
            let stats = link.attributes.iter().find_map(|attribute| match attribute {
                LinkAttribute::Stats64(stats) => Some(named(stats)),
                _ => None,
            })?;
            Some((link.header.index, stats))
        };
        links.unwrap_or_default().iter().filter_map(of).collect()
    })
}

/// Names are those of `struct rtnl_link_stats64`.
fn named(s: &Stats64) -> BTreeMap<String, u64> {
    let all = [
        ("rx_packets", s.rx_packets),
        ("tx_packets", s.tx_packets),
        ("rx_bytes", s.rx_bytes),
        ("tx_bytes", s.tx_bytes),
        ("rx_errors", s.rx_errors),
        ("tx_errors", s.tx_errors),
        ("rx_dropped", s.rx_dropped),
        ("tx_dropped", s.tx_dropped),
        ("multicast", s.multicast),
        ("collisions", s.collisions),
        ("rx_length_errors", s.rx_length_errors),
        ("rx_over_errors", s.rx_over_errors),
        ("rx_crc_errors", s.rx_crc_errors),
        ("rx_frame_errors", s.rx_frame_errors),
        ("rx_fifo_errors", s.rx_fifo_errors),
        ("rx_missed_errors", s.rx_missed_errors),
        ("tx_aborted_errors", s.tx_aborted_errors),
        ("tx_carrier_errors", s.tx_carrier_errors),
        ("tx_fifo_errors", s.tx_fifo_errors),
        ("tx_heartbeat_errors", s.tx_heartbeat_errors),
        ("tx_window_errors", s.tx_window_errors),
        ("rx_nohandler", s.rx_nohandler),
        ("rx_otherhost_dropped", s.rx_otherhost_dropped),
    ];
    all.into_iter().filter(|(_, n)| *n > 0).map(|(name, n)| (name.to_owned(), n)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_0_is_left_out() {
        let mut stats = Stats64::default();
        stats.rx_dropped = 4;
        assert_eq!(named(&stats), BTreeMap::from([("rx_dropped".to_owned(), 4)]));
    }
}
