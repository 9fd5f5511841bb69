//! `record --capture-headers`: the packets' own bytes, and what Wireshark makes of them.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use netpath::lab::{
    Lab,
    traffic::{Load, Sizes, Traffic},
};
use pcap_file::{
    DataLink,
    pcapng::{Block, PcapNgReader, blocks::enhanced_packet::EnhancedPacketOption},
};

use super::support::{bridge_nat, run};
use crate::need_kernel;

/// A record of the capture.
struct Record {
    interface: String,
    link: DataLink,
    data: Vec<u8>,
    comments: Vec<String>,
}

/// Records the lab's traffic with its headers, and makes a capture of it.
fn capture(lab: &Lab, load: Load, v6: bool, name: &str) -> PathBuf {
    let mut traffic = Traffic::start(lab, load, v6).expect("the traffic flows");
    let netns = lab.full_name(lab.topology().focus.0);
    let file = |end: &str| {
        let file = format!("netpath-{name}-{}.{end}", std::process::id());
        std::env::temp_dir().join(file).to_str().expect("a path in UTF-8").to_owned()
    };
    let (recording, capture) = (file("npz"), file("pcapng"));
    // A namespace that is new also says which multicast groups it is in.
    let filter = if matches!(load, Load::TcpRequests(_)) { "tcp" } else { "udp" };
    let selection =
        ["--iface", lab.topology().focus.1, "--netns", &netns, "--for", "500ms", filter];
    let record = ["record", "--capture-headers", "-o", &recording];
    for arguments in [
        [&record[..], &selection[..]].concat(),
        vec!["report", &recording, "--format", "pcapng", "-o", &capture],
    ] {
        let output = run(&arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    traffic.stop().expect("the traffic flowed");
    fs::remove_file(recording).unwrap();
    capture.into()
}

fn read(capture: &Path) -> Vec<Record> {
    let mut reader = PcapNgReader::new(File::open(capture).unwrap()).unwrap();
    let (mut interfaces, mut records) = (BTreeMap::new(), Vec::new());
    while let Some(block) = reader.next_block() {
        match block.unwrap() {
            Block::InterfaceDescription(block) => {
                use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption;
                let name = block.options.iter().find_map(|o| match o {
                    InterfaceDescriptionOption::IfName(name) => Some(name.to_string()),
                    _ => None,
                });
                let number = u32::try_from(interfaces.len()).unwrap();
                interfaces.insert(number, (name.expect("a name"), block.linktype));
            }
            Block::EnhancedPacket(packet) => {
                let (interface, link) = interfaces[&packet.interface_id].clone();
                let comments = packet.options.iter().filter_map(|o| match o {
                    EnhancedPacketOption::Comment(text) => Some(text.to_string()),
                    _ => None,
                });
                let comments = comments.collect();
                let data = packet.data.to_vec();
                records.push(Record { interface, link, data, comments });
            }
            _ => {}
        }
    }
    records
}

/// The records whose bytes were captured; those of packets that began while another program was
/// interrupted are made of recorded fields, and say so.
fn captured(records: &[Record]) -> Vec<&Record> {
    let made = |r: &&Record| r.comments.iter().any(|c| c == "made of recorded fields");
    let captured: Vec<_> = records.iter().filter(|r| !made(r)).collect();
    assert!(captured.len() > 100, "{} of {}", captured.len(), records.len());
    assert!(captured.len() * 100 >= records.len() * 95, "{} of {}", captured.len(), records.len());
    captured
}

/// The sum that is 0xffff over an IPv4 header whose checksum is right.
fn sum(header: &[u8]) -> u16 {
    let words = header.chunks(2).map(|w| u32::from(u16::from_be_bytes([w[0], w[1]])));
    let sum: u32 = words.sum();
    u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap_or(0)
}

/// Wireshark's own opinion.
fn no_packet_is_malformed(capture: &Path) {
    let filter = ["-n", "-Y", "_ws.malformed or _ws.unreassembled", "-r"];
    match Command::new("tshark").args(filter).arg(capture).output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{complaint}");
            assert_eq!(text, "");
        }
        Err(error) => {
            let set = |name: &str, value: &str| std::env::var(name).as_deref() == Ok(value);
            let excused = set("NETPATH_WITHOUT", "tshark") || !set("NETPATH_REQUIRE_KERNEL", "1");
            assert!(excused, "tshark can't be run: {error}");
            println!("SKIP Wireshark's opinion: tshark can't be run: {error}");
        }
    }
}

#[test]
fn a_capture_holds_the_packets_own_headers_and_no_payload() {
    need_kernel!();
    let lab = bridge_nat();
    let file = capture(&lab, Load::UdpRequests(Sizes::default()), false, "capture-udp");
    let records = read(&file);
    let mut ttls: BTreeMap<(String, u8), usize> = BTreeMap::new();
    for record in captured(&records) {
        assert_eq!(record.link, DataLink::ETHERNET, "{}", record.interface);
        // Ethernet, IPv4, UDP, and nothing else.
        assert_eq!(record.data.len(), 14 + 20 + 8, "{:02x?}", record.data);
        assert_eq!(record.data[12..14], [8, 0]);
        assert_ne!(record.data[0..12], [0; 12]);
        assert_eq!(sum(&record.data[14..34]), 0xffff, "{:02x?}", record.data);
        *ttls.entry((record.interface.clone(), record.data[22])).or_default() += 1;
    }
    // Requests begin at the client and replies at the server; both are one hop older at the end.
    let seen: Vec<_> = ttls.keys().map(|(name, ttl)| (name.as_str(), *ttl)).collect();
    let both = [("client/eth0", 63), ("client/eth0", 64), ("server/eth0", 63), ("server/eth0", 64)];
    assert_eq!(seen, both, "{ttls:?}");
    no_packet_is_malformed(&file);
    fs::remove_file(file).unwrap();
}

#[test]
fn tcps_options_and_ipv6_as_well() {
    need_kernel!();
    let lab = bridge_nat();
    let file = capture(&lab, Load::TcpRequests(Sizes::default()), true, "capture-tcp");
    for record in captured(&read(&file)) {
        assert_eq!(record.link, DataLink::ETHERNET, "{}", record.interface);
        assert_eq!((&record.data[12..14], record.data[20]), (&[0x86, 0xdd][..], 6));
        let tcp = usize::from(record.data[14 + 40 + 12] >> 4) * 4;
        assert!(tcp > 20, "Linux sends timestamps");
        assert_eq!(record.data.len(), 14 + 40 + tcp);
    }
    no_packet_is_malformed(&file);
    fs::remove_file(file).unwrap();
}
