//! A packet's headers, byte by byte, where that is asked for.
//!
//! Link, network and transport header are copied, to the end of the transport header and no further:
//! payload stays where it is.

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use netpath_common::wire::{BYTES_CELLS, BYTES_MAX, Bytes, Cell, KIND_BYTES};

use crate::skb::{
    ETH_P_IP, ETH_P_IPV6, FRAGMENT_HEADER, Header, ICMP, ICMPV6, Ptr, SCTP, TCP, UDP, constant,
    offset, peek,
};

/// Not 0 where headers are captured. Set by user space before loading.
#[unsafe(no_mangle)]
static CAPTURE_HEADERS: u32 = 0;

/// Whether headers are captured: known to the verifier, which otherwise cuts off what follows.
#[inline(always)]
pub(crate) fn is_on() -> bool {
    constant(&raw const CAPTURE_HEADERS) != 0
}

/// What [`copy`] writes takes no more cells than this, as the verifier reckons.
pub(crate) const CELLS_MASK: u64 = 15;
/// Cells that are kept free for it.
#[inline(always)]
pub(crate) fn room() -> usize {
    if is_on() { CELLS_MASK as usize } else { 0 }
}

const _: () = assert!(BYTES_CELLS <= CELLS_MASK as usize && BYTES_MAX == 127);

/// Bytes that a link header can have: Ethernet's, with two VLAN tags.
const LINK_MAX: u64 = 22;

/// Writes the packet's headers to `cells` and returns how many cells that took, 0 where there are
/// none.
#[inline(always)]
pub(crate) fn headers(skb: Ptr, header: Header, cells: *mut Cell) -> u64 {
    let head = skb.load::<u64>(offset!(skb_head));
    let tail = head + u64::from(skb.load::<u32>(offset!(skb_tail)));
    let mac = head + u64::from(skb.load::<u16>(offset!(skb_mac_header)));
    // On its way out, the link header is the packet's beginning; on its way in, it was.
    let pushed = header.address.wrapping_sub(skb.load::<u64>(offset!(skb_data)));
    let pulled = header.address.wrapping_sub(mac);
    let link = match (pushed, pulled) {
        (1..=LINK_MAX, _) => pushed,
        (_, 1..=LINK_MAX) => pulled,
        _ => 0,
    };
    // What lies behind is not in one piece, or not this packet's.
    let linear = tail.wrapping_sub(header.address).min(u64::from(BYTES_MAX)) as u32;
    copy(header.address, header.protocol, link as u32, linear, cells)
}

/// A function of its own in the programs. `linear` bytes can be read from `address` on.
#[inline(never)]
fn copy(address: u64, protocol: u16, link: u32, linear: u32, cells: *mut Cell) -> u64 {
    let Some(first) = peek::<10>(address) else { return 0 };
    let (ip, proto) = match (protocol, first[0] >> 4) {
        (ETH_P_IP | 0, 4) => {
            let first_fragment = u16::from_be_bytes([first[6], first[7]]) & 0x1fff == 0;
            (u32::from(first[0] & 0xf) * 4, if first_fragment { first[9] } else { 0 })
        }
        (ETH_P_IPV6 | 0, 6) => (40, first[6]),
        _ => return 0,
    };
    let transport = match proto {
        TCP => peek::<1>(address + u64::from(ip) + 12).map_or(0, |b| u32::from(b[0] >> 4) * 4),
        UDP | ICMP | ICMPV6 | FRAGMENT_HEADER => 8,
        SCTP => 12,
        _ => 0,
    };
    let bytes = (link + (ip + transport).min(linear)).min(u32::from(BYTES_MAX));
    let head = cells.cast::<Bytes>();
    // SAFETY: the caller has room for CELLS_MASK cells.
    unsafe {
        head.write(Bytes {
            kind: KIND_BYTES,
            link: link as u8,
            bytes: bytes as u8,
            reserved: [0; 3],
        });
        // Through memory, so that the verifier follows one number here and not each.
        let bytes = u32::from((&raw const (*head).bytes).read_volatile()) & u32::from(BYTES_MAX);
        let from = address.wrapping_sub(u64::from(link)) as *const _;
        if bpf_probe_read_kernel(cells.add(1).cast(), bytes, from) != 0 {
            return 0;
        }
        u64::from(1 + bytes.div_ceil(size_of::<Cell>() as u32))
    }
}
