//! What the kernel's counters are told as.

use super::*;

fn summary(s: &Snapshot, id: &str) -> String {
    let explained = explain(s);
    let finding = explained.findings.iter().find(|f| f.id == id);
    finding.unwrap_or_else(|| panic!("no {id}: {explained:?}")).summary.clone()
}

#[test]
fn a_loss_says_how_much_of_it_netpath_has_seen() {
    let told = |kernel, netpath| {
        let mut s = healthy();
        counted(&mut s, "UdpRcvbufErrors", kernel, netpath);
        summary(&s, "receive-buffer-full")
    };
    assert!(told(37, Some(37)).ends_with("all of them are packets of this path"));
    assert!(told(40, Some(37)).ends_with("37 are packets of this path, 3 no packet on it shows"));
    assert!(told(40, None).ends_with("no packet on this path shows that"));
}

#[test]
fn what_is_not_compared_says_nothing_of_netpaths_count() {
    let mut s = healthy();
    s.counters_not_compared = Some("only some packets are recorded".to_owned());
    counted(&mut s, "UdpRcvbufErrors", 40, Some(37));
    let text = summary(&s, "receive-buffer-full");
    assert!(text.ends_with("(UdpRcvbufErrors)"), "{text}");
}

#[test]
fn a_few_segments_that_are_sent_again_are_no_news() {
    let mut s = healthy();
    counted(&mut s, "TcpRetransSegs", 9, None);
    counted(&mut s, "TcpOutSegs", 10_000, None);
    assert_eq!(ids(&s), BTreeSet::new());
    s.counters[1].kernel = 100;
    assert_eq!(ids(&s), BTreeSet::from(["retransmissions".to_owned()]));
}

#[test]
fn neighbours_of_other_paths_are_none_of_this_one() {
    let mut s = healthy();
    counted(&mut s, "arp_cache.unresolved_discards", 9, Some(0));
    assert_eq!(ids(&s), BTreeSet::new());
}

#[test]
fn losses_that_packets_show_are_told_by_those() {
    let mut s = healthy();
    counted(&mut s, "IpInHdrErrors", 5, Some(5));
    assert_eq!(ids(&s), BTreeSet::new());
    s.counters[0].kernel = 8;
    assert_eq!(ids(&s), BTreeSet::from(["kernel-losses".to_owned()]));
}

#[test]
fn counts_that_agree_or_cannot_be_compared_are_no_contradiction() {
    let mut s = healthy();
    counted(&mut s, "UdpNoPorts", 3, Some(3));
    for agrees in [None, Some(true)] {
        s.counters[0].agrees = agrees;
        assert_eq!(ids(&s), BTreeSet::new());
    }
    s.counters[0].agrees = Some(false);
    let text = summary(&s, "counters-disagree");
    assert_eq!(text, "host UdpNoPorts: 3 by the kernel, 3 by netpath");
}
