//! All forms, from a recording of real events.

mod formats;

use std::path::{Path, PathBuf};

use super::*;
use crate::replay;

/// A recording of the lab's container behind NAT; tests/fixtures/README.md says how it was made.
fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bridge-nat.npz")
}

/// The recording, replayed.
pub(crate) fn fixture() -> Snapshot {
    replay::snapshot(&path()).expect("the fixture is a recording")
}

fn text(format: Format) -> String {
    let mut out = Vec::new();
    write(&fixture(), format, Style::default(), &mut out).expect("it can be written");
    String::from_utf8(out).expect("text")
}

#[test]
fn rows_stand_in_the_order_of_the_enum() {
    for (i, row) in FORMATS.iter().enumerate() {
        assert_eq!(row.format as usize, i, "{}", row.key);
    }
}

#[test]
fn texts_are_as_they_were() {
    insta::assert_snapshot!("summary", text(Format::Summary));
    insta::assert_snapshot!("markdown", text(Format::Markdown));
    insta::assert_snapshot!("folded", text(Format::Folded));
}

#[test]
fn json_can_be_read_back() {
    let read: Snapshot = serde_json::from_str(&text(Format::Json)).expect("a report");
    assert_eq!(read, fixture());
}

#[test]
fn folded_lines_sum_to_the_ledger() {
    let sum: u64 = text(Format::Folded)
        .lines()
        .map(|line| line.rsplit_once(' ').and_then(|(_, ns)| ns.parse::<u64>().ok()).unwrap())
        .sum();
    let snapshot = fixture();
    let total: f64 = snapshot.paths.iter().map(|p| p.total.mean_ns * p.packets as f64).sum();
    let rows: usize = snapshot.paths.iter().map(|p| p.hops.len() + 1).sum();
    assert!((sum as f64 - total).abs() <= rows as f64, "{sum} of {total}");
}

#[test]
fn the_flame_graph_shows_every_hop_and_waits_in_their_own_colour() {
    let svg = text(Format::Svg);
    for hop in fixture().paths.iter().flat_map(|p| &p.hops) {
        assert!(svg.contains(&words::part(hop)), "{}", hop.hop);
    }
    let waits: Vec<&str> = svg.split("<g>").filter(|g| g.contains(stack::WAITING)).collect();
    assert!(!waits.is_empty() && waits.iter().all(|g| g.contains("rgb(227,201,74)")));
}

#[test]
fn frames_of_a_path_are_as_wide_as_what_is_in_them() {
    fn check(frame: &stack::Frame) {
        if !frame.inside.is_empty() {
            assert_eq!(frame.ns, frame.inside.iter().map(|f| f.ns).sum::<u64>(), "{}", frame.name);
        }
        frame.inside.iter().for_each(check);
    }
    let frames = stack::nest(&stack::lines(&fixture()));
    assert_eq!(frames.len(), fixture().paths.len());
    frames.iter().for_each(check);
}

#[test]
fn the_page_needs_nothing_else_and_holds_its_data() {
    let mut snapshot = fixture();
    snapshot.notes.push("</script><script>alert(1)</script>".to_owned());
    let mut out = Vec::new();
    write(&snapshot, Format::Html, Style::default(), &mut out).unwrap();
    let page = String::from_utf8(out).unwrap();
    for reference in ["src=", "href=", "url(", "@import", "http://", "https://"] {
        assert!(!page.contains(reference), "{reference}");
    }
    assert!(!page.contains("<script>alert"));
    let begin = page.find("id=\"report\">").unwrap() + "id=\"report\">".len();
    let end = begin + page[begin..].find("</script>").unwrap();
    let data: Snapshot = serde_json::from_str(&page[begin..end]).expect("the data");
    assert_eq!(data, snapshot);
    for hop in snapshot.paths.iter().flat_map(|p| &p.hops) {
        assert!(page.contains(&words::what(hop)), "{}", hop.hop);
    }
}

#[test]
fn reports_of_nothing_are_reports() {
    let mut snapshot = fixture();
    snapshot.paths.clear();
    snapshot.flows.clear();
    for row in FORMATS.iter().filter(|row| row.format.is_of_snapshot()) {
        let result = write(&snapshot, row.format, Style::default(), &mut Vec::new());
        match row.format {
            Format::Svg => assert!(matches!(result, Err(ReportError::Empty))),
            _ => assert!(result.is_ok(), "{}: {result:?}", row.key),
        }
    }
}

#[test]
fn a_capture_holds_each_packet_where_it_was_first_and_last_seen() {
    use pcap_file::pcapng::{Block, PcapNgReader, blocks::enhanced_packet::EnhancedPacketOption};

    let mut reader = crate::recording::Reader::open(&path()).unwrap();
    let session = reader.session.clone();
    let mut bytes = Vec::new();
    let mut capture = pcapng::Capture::begin(&mut bytes, &session).unwrap();
    let mut passages = Vec::new();
    replay::flights(&mut reader, |flight, ledger| {
        passages.extend(passage::of(flight, ledger, &session));
    });
    for passage in &passages {
        capture.add(passage).unwrap();
    }
    let mut records = Vec::new();
    let mut read = PcapNgReader::new(&bytes[..]).unwrap();
    while let Some(block) = read.next_block() {
        if let Block::EnhancedPacket(packet) = block.unwrap() {
            records.push(packet.into_owned());
        }
    }
    let twice = passages.iter().filter(|p| p.from != p.to).count();
    assert_eq!(records.len(), passages.len() + twice);
    let first = &passages[0];
    let comments =
        records[0].options.iter().filter(|o| matches!(o, EnhancedPacketOption::Comment(_)));
    assert_eq!(comments.count(), 1 + first.pieces.len());
    assert_eq!(records[0].timestamp, first.start);
    // Source and destination of the first record are those before NAT, of the second after it.
    let address = |ip: std::net::IpAddr| match ip {
        std::net::IpAddr::V4(ip) => ip.octets().to_vec(),
        std::net::IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    assert_eq!(records[0].data[12..16], address(first.before.src));
    let after = first.after.expect("the lab translates addresses");
    assert_eq!(records[1].data[12..16], address(after.src));
    assert_eq!(records[1].data[16..20], address(after.dst));
}

#[test]
fn what_precedes_damage_is_used_and_the_damage_is_named() {
    let whole = std::fs::read(path()).unwrap();
    // The ending is the last frame; the events stand before it, in one frame.
    let cut = std::env::temp_dir().join(format!("netpath-cut-{}.npz", std::process::id()));
    std::fs::write(&cut, &whole[..whole.len() - 5]).unwrap();
    let snapshot = replay::snapshot(&cut).unwrap();
    assert_eq!(snapshot.packets, fixture().packets);
    let note = snapshot.notes.iter().find(|n| n.contains("is damaged at byte")).expect("a note");
    assert!(note.contains("cut off") && note.contains("what precedes it is shown"), "{note}");

    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x40;
    std::fs::write(&cut, flipped).unwrap();
    let snapshot = replay::snapshot(&cut).unwrap();
    assert!(snapshot.notes.iter().any(|n| n.contains("checksum is wrong")), "{:?}", snapshot.notes);

    std::fs::write(&cut, b"something else").unwrap();
    let error = replay::snapshot(&cut).unwrap_err().to_string();
    assert!(error.contains("is not a netpath recording"), "{error}");
    std::fs::remove_file(&cut).unwrap();
}
