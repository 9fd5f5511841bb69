//! pcapng: the recorded packets' headers, with each hop's time as a comment.
//!
//! In: passages. Out: a capture file for Wireshark, an interface per device, and per packet a record
//! where it was first seen, with a comment per hop, and one where it was last seen, with the addresses
//! that it has there.
//!
//! Where the recording holds packets' headers (`record --capture-headers`), these are the records'
//! bytes. Else only what netpath records of a header is in a record, and every other field is 0.
//! Payload is left out in both. The file says so in its section's comment.

use std::{borrow::Cow, io::Write, net::IpAddr, time::Duration};

use pcap_file::{
    DataLink,
    pcapng::{
        PcapNgWriter,
        blocks::{
            enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption},
            interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption},
            section_header::{SectionHeaderBlock, SectionHeaderOption},
        },
    },
};

use super::{ReportError, passage::Passage};
use crate::{
    packet::{Bytes, Headers, ICMP, ICMPV6, TCP, Tuple, UDP},
    session::Session,
    snapshot::NamedPlace,
    units::time,
};

/// What the section's comment says of records made of fields.
const FIELDS: &str = "Made by netpath of recorded header fields: addresses, protocol, IPv4 \
    identification, ports, TCP sequence and acknowledgment numbers and flags, ICMP type, id and \
    sequence number, lengths. Not recorded, and 0 here: TTL, DSCP, fragmentation, flow label, \
    checksums, TCP window and options, ICMP code (netpath record --capture-headers keeps them all). \
    Payload is left out.";
/// And of records that hold what was captured.
const BYTES: &str = "Made by netpath of packets' headers as they were read in the kernel: link \
    header where there is one, network and transport header. Payload is left out, and so are VLAN \
    tags that a device adds. Checksums are as a device gets them, which may be unfinished. Where a \
    comment says so, a record is made of recorded fields instead.";
/// What holds for both.
const TIMES: &str = "Times within the file are exact to a nanosecond; its date is that at which \
    recording began. Records stand in the order in which packets ended (Wireshark's reordercap sorts \
    them by time).";

/// Capture file with packets as they are added.
pub struct Capture<W: Write> {
    writer: PcapNgWriter<W>,
    /// By the device, and whether its records begin with a link header.
    interfaces: Vec<(NamedPlace, DataLink)>,
    captured: bool,
}

/// What a record holds.
struct Record {
    link: DataLink,
    data: Vec<u8>,
    /// Bytes that the packet had.
    original_len: u32,
    /// What there is to say of the bytes.
    comment: Option<String>,
}

impl<W: Write> Capture<W> {
    /// Begins the file.
    pub fn begin(out: W, session: &Session) -> Result<Self, ReportError> {
        let text = |text: String| Cow::<'static, str>::Owned(text);
        let captured = session.capture_headers;
        let what = if captured { BYTES } else { FIELDS };
        let section = SectionHeaderBlock {
            options: vec![
                SectionHeaderOption::Comment(text(format!("{what} {TIMES}"))),
                SectionHeaderOption::Hardware(text(session.host.cpu.clone())),
                SectionHeaderOption::OS(text(format!("Linux {}", session.host.kernel))),
                SectionHeaderOption::UserApplication(text(format!("netpath {}", session.version))),
            ],
            ..SectionHeaderBlock::default()
        };
        let writer = PcapNgWriter::with_section_header(out, section)?;
        Ok(Self { writer, interfaces: Vec::new(), captured })
    }

    /// Adds a packet.
    pub fn add(&mut self, passage: &Passage) -> Result<(), ReportError> {
        let mut comments = vec![format!(
            "flight {}, {}, {} in all, {}",
            passage.seq,
            passage.direction,
            time(passage.total_ns as f64),
            passage.end
        )];
        comments.extend(passage.pieces.iter().map(|stay| {
            format!(
                "+{} {}: {}{}, CPU {}",
                time(stay.at_ns as f64),
                stay.what,
                time(stay.ns as f64),
                if stay.is_wait { " waiting" } else { "" },
                stay.cpu
            )
        }));
        let captured = passage.captured.as_deref();
        let first = self.record(passage, &passage.before, captured.map(|c| &c.first));
        self.write(&passage.from, passage.start, first, comments)?;
        if passage.to == passage.from {
            return Ok(());
        }
        let nat = passage.after.map_or_else(String::new, |after| format!(", after NAT {after}"));
        let comment = format!("flight {} again, where it was last seen{nat}", passage.seq);
        let took = Duration::from_nanos(u64::try_from(passage.total_ns).unwrap_or(0));
        let tuple = passage.after.unwrap_or(passage.before);
        // Without others, what was read at first still holds, but for its addresses.
        let last =
            captured.and_then(|c| c.last.as_ref().or(passage.after.is_none().then_some(&c.first)));
        let last = self.record(passage, &tuple, last);
        self.write(&passage.to, passage.start + took, last, vec![comment])
    }

    /// What a record of this packet holds, with these addresses.
    fn record(&self, passage: &Passage, tuple: &Tuple, captured: Option<&Bytes>) -> Record {
        let headers = &passage.headers;
        let Some(bytes) = captured else {
            let data = bytes(headers, tuple);
            let original_len = u32::try_from(data.len()).unwrap_or(0) + headers.payload;
            let comment = self.captured.then(|| "made of recorded fields".to_owned());
            return Record { link: DataLink::RAW, data, original_len, comment };
        };
        let ethernet = is_ethernet(bytes);
        let skipped = if ethernet { 0 } else { usize::from(bytes.link) };
        let data = bytes.data.get(skipped..).unwrap_or_default().to_vec();
        let link = if ethernet { DataLink::ETHERNET } else { DataLink::RAW };
        let beyond = if ethernet { u32::from(bytes.link) } else { 0 };
        let original_len =
            headers.len.saturating_add(beyond).max(u32::try_from(data.len()).unwrap_or(0));
        let at_ns = bytes.at_ns.saturating_sub(passage.start_ns);
        let comment = Some(format!("headers as they were at +{}", time(at_ns as f64)));
        Record { link, data, original_len, comment }
    }

    fn write(
        &mut self,
        place: &NamedPlace,
        at: Duration,
        record: Record,
        mut comments: Vec<String>,
    ) -> Result<(), ReportError> {
        let interface_id = self.interface(place, record.link)?;
        comments.extend(record.comment);
        self.writer.write_pcapng_block(EnhancedPacketBlock {
            interface_id,
            timestamp: at,
            original_len: record.original_len,
            data: record.data.into(),
            options: comments
                .into_iter()
                .map(|c| EnhancedPacketOption::Comment(c.into()))
                .collect(),
        })?;
        Ok(())
    }

    fn interface(&mut self, place: &NamedPlace, link: DataLink) -> Result<u32, ReportError> {
        let known = self.interfaces.iter().position(|(p, l)| p == place && *l == link);
        let index = known.unwrap_or(self.interfaces.len());
        if known.is_none() {
            let name = format!("{}/{}", place.netns, place.dev);
            self.writer.write_pcapng_block(InterfaceDescriptionBlock {
                linktype: link,
                snaplen: 0,
                options: vec![
                    InterfaceDescriptionOption::IfName(name.into()),
                    // Nanoseconds.
                    InterfaceDescriptionOption::IfTsResol(9),
                ],
            })?;
            self.interfaces.push((place.clone(), link));
        }
        Ok(u32::try_from(index).unwrap_or(0))
    }
}

/// Whether the link header is Ethernet's: it ends with the network header's type.
fn is_ethernet(bytes: &Bytes) -> bool {
    let link = usize::from(bytes.link);
    let word = |at: usize| bytes.data.get(at..at + 2);
    let ip = matches!(word(link.wrapping_sub(2)), Some([0x08, 0x00] | [0x86, 0xdd]));
    ip && match link {
        14 => true,
        18 | 22 => matches!(word(12), Some([0x81, 0x00] | [0x88, 0xa8])),
        _ => false,
    }
}

/// IP and transport headers; what was not recorded is 0.
fn bytes(headers: &Headers, tuple: &Tuple) -> Vec<u8> {
    let transport = transport(headers, tuple);
    let length = u32::try_from(transport.len()).unwrap_or(0).saturating_add(headers.payload);
    // A packet that GSO has yet to cut may be longer than its length field can say; 0 then stands
    // for its true length, as in Linux's own big TCP.
    let short = |length: u32| u16::try_from(length).unwrap_or(0).to_be_bytes();
    let mut out = Vec::with_capacity(60);
    match (tuple.src, tuple.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            out.extend_from_slice(&[0x45, 0]);
            out.extend_from_slice(&short(length.saturating_add(20)));
            out.extend_from_slice(&headers.ip_id.to_be_bytes());
            out.extend_from_slice(&[0, 0, 0, tuple.proto, 0, 0]);
            out.extend_from_slice(&src.octets());
            out.extend_from_slice(&dst.octets());
        }
        (src, dst) => {
            let octets = |ip: IpAddr| match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                IpAddr::V6(ip) => ip.octets(),
            };
            out.extend_from_slice(&[0x60, 0, 0, 0]);
            out.extend_from_slice(&short(length));
            out.extend_from_slice(&[tuple.proto, 0]);
            out.extend_from_slice(&octets(src));
            out.extend_from_slice(&octets(dst));
        }
    }
    out.extend_from_slice(&transport);
    out
}

fn transport(headers: &Headers, tuple: &Tuple) -> Vec<u8> {
    let mut out = Vec::with_capacity(20);
    let ports = [tuple.sport.to_be_bytes(), tuple.dport.to_be_bytes()].concat();
    match tuple.proto {
        TCP => {
            out.extend_from_slice(&ports);
            out.extend_from_slice(&headers.seq.to_be_bytes());
            out.extend_from_slice(&headers.ack.to_be_bytes());
            // Five words: options are not recorded.
            out.extend_from_slice(&[5 << 4, headers.flags, 0, 0, 0, 0, 0, 0]);
        }
        UDP => {
            let length = u16::try_from(headers.payload.saturating_add(8)).unwrap_or(0);
            out.extend_from_slice(&ports);
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(&[0, 0]);
        }
        ICMP | ICMPV6 => {
            out.extend_from_slice(&[headers.flags, 0, 0, 0]);
            out.extend_from_slice(&ports);
        }
        _ => {}
    }
    out
}
