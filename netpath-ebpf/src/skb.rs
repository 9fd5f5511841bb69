//! Reads of kernel structs: `sk_buff`, `net_device`, `net`, `Qdisc`, and the packet's headers.
//!
//! Pointers that come from a program's context are BTF pointers, so their fields are loaded
//! directly at the offsets in [`LAYOUT`], which the verifier knows as constants. Packet bytes are
//! plain kernel memory and go through `bpf_probe_read_kernel`.

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use netpath_common::{
    layout::Layout,
    place::DevId,
    wire::{
        Addr, Cell, FRAGMENT, KIND_SEGMENT, KIND_TUPLE4, KIND_TUPLE6, MORE_FRAGMENTS, Segment,
        Tuple4, Tuple6, ZEROS,
    },
};

/// Set by user space before loading.
#[unsafe(no_mangle)]
pub(crate) static LAYOUT: Layout = Layout::from_offsets(&[0; netpath_common::layout::FIELDS.len()]);

/// One offset of [`LAYOUT`].
macro_rules! offset {
    ($field:ident) => {
        $crate::skb::constant(&raw const $crate::skb::LAYOUT.$field)
    };
}
pub(crate) use offset;

/// Reads a field of [`LAYOUT`].
#[inline(always)]
pub(crate) fn constant(field: *const u32) -> usize {
    // SAFETY: a field of a static; the volatile read keeps its zero initializer from being folded
    // into the programs.
    unsafe { field.read_volatile() as usize }
}

/// A pointer to a kernel struct.
#[derive(Clone, Copy)]
pub(crate) struct Ptr {
    address: u64,
    /// Whether the verifier knows by BTF what it points to: then fields are loaded directly, else
    /// through `bpf_probe_read_kernel`.
    typed: bool,
}

impl Ptr {
    pub(crate) const NULL: Self = Self { address: 0, typed: false };

    #[inline(always)]
    pub(crate) fn new(address: u64, typed: bool) -> Self {
        Self { address, typed }
    }

    /// A pointer whose type the verifier knows.
    #[inline(always)]
    pub(crate) fn typed(address: u64) -> Self {
        Self { address, typed: true }
    }

    /// The same, read as any memory.
    #[inline(always)]
    pub(crate) fn untyped(self) -> Self {
        Self { typed: false, ..self }
    }

    #[inline(always)]
    pub(crate) fn address(self) -> u64 {
        self.address
    }

    #[inline(always)]
    pub(crate) fn is_null(self) -> bool {
        self.address == 0
    }

    /// Loads a field; what can't be read is zero.
    #[inline(always)]
    pub(crate) fn load<T: Copy>(self, offset: usize) -> T {
        if self.typed {
            // SAFETY: the verifier has checked that the offset is a field of this struct.
            unsafe { (self.address as *const u8).add(offset).cast::<T>().read_volatile() }
        } else {
            let mut out = core::mem::MaybeUninit::<T>::uninit();
            // SAFETY: the helper writes the whole value, zeros where it fails; T is an integer.
            unsafe {
                bpf_probe_read_kernel(
                    out.as_mut_ptr().cast(),
                    size_of::<T>() as u32,
                    (self.address as *const u8).wrapping_add(offset).cast(),
                );
                out.assume_init()
            }
        }
    }

    /// Loads a pointer to another struct.
    #[inline(always)]
    pub(crate) fn follow(self, offset: usize) -> Self {
        Self { address: self.load::<u64>(offset), typed: self.typed }
    }
}

/// An address as a number that can be reckoned with. The verifier knows many an address as a pointer,
/// of which it refuses shifts and products; negating one is what makes a number of it.
#[inline(always)]
pub(crate) fn number_of(address: u64) -> u64 {
    let mut negated = address;
    // SAFETY: a register's arithmetic.
    unsafe {
        core::arch::asm!("{negated} = -{negated}", negated = inout(reg) negated,
            options(pure, nomem, nostack));
    }
    negated.wrapping_neg()
}

/// What tells an sk_buff or a socket from any other within 256 GiB of addresses: none is smaller than a
/// cache line.
#[inline(always)]
pub(crate) fn tag(address: u64) -> u32 {
    (number_of(address) >> 6) as u32
}

/// The low half of a pointer that the verifier knows by BTF, as a number. Shifts and products of the pointer itself are
/// refused by the verifier; a 32-bit move is what makes a number of it.
#[inline(always)]
pub(crate) fn low_half(address: u64) -> u32 {
    let low: u32;
    // SAFETY: a register move.
    unsafe {
        core::arch::asm!("{low} = {address}", low = out(wreg) low,
            address = in(wreg) address as u32, options(pure, nomem, nostack));
    }
    low
}

/// Copies `N` bytes from any kernel address; `None` where it can't be read.
#[inline(always)]
pub(crate) fn peek<const N: usize>(address: u64) -> Option<[u8; N]> {
    let mut out = core::mem::MaybeUninit::<[u8; N]>::uninit();
    // SAFETY: the helper writes all N bytes, zeros where it fails.
    let rc =
        unsafe { bpf_probe_read_kernel(out.as_mut_ptr().cast(), N as u32, address as *const _) };
    if rc == 0 {
        // SAFETY: written above.
        Some(unsafe { out.assume_init() })
    } else {
        None
    }
}

/// The cookie that netpath knows a `struct net` by.
#[inline(always)]
pub(crate) fn netns_of(net: Ptr) -> u32 {
    net.load::<u64>(offset!(net_cookie)) as u32
}

/// Identity of a `struct net_device`.
#[inline(always)]
pub(crate) fn dev_id(dev: Ptr) -> DevId {
    DevId {
        netns: netns_of(dev.follow(offset!(dev_net))),
        ifindex: dev.load::<u32>(offset!(dev_ifindex)),
    }
}

/// Where a packet's network header is found.
#[derive(Clone, Copy)]
pub(crate) enum Network {
    /// At `skb->head + skb->network_header`.
    Header,
    /// At `skb->data`: on receive, before the header's offset is set.
    Data,
    /// Nowhere yet: it will be made of the `struct flowi6` at this address, and the transport
    /// header is at `skb->data`.
    Flow(u64),
}

/// How the packet's headers are read, where they are read.
#[derive(Clone, Copy)]
pub(crate) struct Look {
    pub(crate) network: Network,
    /// Also where the packet is known already: its addresses may have changed since.
    pub(crate) again: bool,
}

pub(crate) const ETH_P_IP: u16 = 0x0800u16.to_be();
pub(crate) const ETH_P_IPV6: u16 = 0x86ddu16.to_be();
/// No protocol's number: an IPv6 packet whose header is not built yet.
const FLOW6: u16 = 1;
/// Bytes of an IPv6 header.
const IPV6_BYTES: u32 = 40;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMP: u8 = 1;
pub(crate) const ICMPV6: u8 = 58;
pub(crate) const SCTP: u8 = 132;
/// An IPv6 fragment header.
pub(crate) const FRAGMENT_HEADER: u8 = 44;
const FRAGMENT_BYTES: u32 = 8;

/// What is read of a transport header: TCP's fixed part.
const L4_BYTES: usize = 20;

struct Transport {
    sport: [u8; 2],
    dport: [u8; 2],
    flags: u8,
    header_len: u32,
    seq: u32,
    ack: u32,
    /// [`ZEROS`], or 0.
    zeros: u32,
}

#[inline(always)]
fn transport(proto: u8, l4: &[u8]) -> Transport {
    let mut t = Transport {
        sport: [0; 2],
        dport: [0; 2],
        flags: 0,
        header_len: 0,
        seq: 0,
        ack: 0,
        zeros: 0,
    };
    match proto {
        TCP => {
            t.sport = [l4[0], l4[1]];
            t.dport = [l4[2], l4[3]];
            t.seq = u32::from_be_bytes([l4[4], l4[5], l4[6], l4[7]]);
            t.ack = u32::from_be_bytes([l4[8], l4[9], l4[10], l4[11]]);
            t.header_len = u32::from(l4[12] >> 4) * 4;
            t.flags = l4[13];
        }
        UDP | SCTP => {
            t.sport = [l4[0], l4[1]];
            t.dport = [l4[2], l4[3]];
            t.header_len = 8;
            if proto == UDP {
                t.seq = u32::from_be_bytes([l4[8], l4[9], l4[10], l4[11]]);
            }
        }
        ICMP | ICMPV6 => {
            t.flags = l4[0];
            t.sport = [l4[4], l4[5]];
            t.dport = [l4[6], l4[7]];
            t.header_len = 8;
        }
        _ => {}
    }
    t
}

/// `gso_segs` of a packet that is larger than any single frame would be, else 0.
#[inline(always)]
pub(crate) fn gso_segs(skb: Ptr, len: u32) -> u16 {
    if len <= 1600 {
        return 0;
    }
    let shinfo = skb.load::<u64>(offset!(skb_head)) + u64::from(skb.load::<u32>(offset!(skb_end)));
    peek::<2>(shinfo + offset!(shinfo_gso_segs) as u64).map_or(0, u16::from_ne_bytes)
}

/// A packet's network header.
#[derive(Clone, Copy)]
pub(crate) struct Header {
    pub(crate) address: u64,
    /// 0 where it is neither IPv4 nor IPv6, [`FLOW6`] where `address` is a `struct flowi6`.
    pub(crate) protocol: u16,
    /// Bytes of the packet from there on.
    pub(crate) len: u32,
    /// Where the transport header of a [`FLOW6`] is; of others, where the data ends that lies in one
    /// piece.
    transport: u64,
}

/// Finds the packet's network header.
#[inline(always)]
pub(crate) fn header(skb: Ptr, network: Network) -> Header {
    let len = skb.load::<u32>(offset!(skb_len));
    if let Network::Flow(address) = network {
        let transport = skb.load::<u64>(offset!(skb_data));
        return Header { address, protocol: FLOW6, len: len + IPV6_BYTES, transport };
    }
    let (address, before) = match network {
        Network::Header => {
            let address = skb.load::<u64>(offset!(skb_head))
                + u64::from(skb.load::<u16>(offset!(skb_network_header)));
            (address, address.wrapping_sub(skb.load::<u64>(offset!(skb_data))) as u32)
        }
        _ => (skb.load::<u64>(offset!(skb_data)), 0),
    };
    // What precedes it is a link header, where there is one yet.
    let len = if before <= LINK_MAX { len.wrapping_sub(before) } else { len };
    let protocol = skb.load::<u16>(offset!(skb_protocol));
    let tail = skb.load::<u64>(offset!(skb_head)) + u64::from(skb.load::<u32>(offset!(skb_tail)));
    Header { address, protocol, len, transport: tail }
}

/// Bytes that a link header can have, with room for VLAN tags.
const LINK_MAX: u32 = 64;

/// Writes the packet's tuple and segment to `cells` and returns how many cells that took:
/// 0 where it is not IP. A function of its own in the programs, which all need it somewhere.
#[inline(never)]
pub(crate) fn describe(
    address: u64,
    protocol: u16,
    len: u32,
    transport: u64,
    cells: *mut Cell,
) -> u64 {
    let mut protocol = protocol;
    if protocol == 0 {
        // A packet that has just left its socket has no protocol yet.
        protocol = match peek::<1>(address) {
            Some([first]) if first >> 4 == 4 => ETH_P_IP,
            Some([first]) if first >> 4 == 6 => ETH_P_IPV6,
            _ => 0,
        };
    }
    match protocol {
        ETH_P_IP => describe_v4(address, len, transport, cells),
        ETH_P_IPV6 => describe_v6(address, len, transport, cells),
        FLOW6 => describe_flow6(address, len, transport, cells),
        _ => 0,
    }
}

/// Whether the packet that so many cells describe is a fragment: 1 if so.
#[inline(always)]
pub(crate) fn is_fragment(cells: *const Cell, described: u64) -> u32 {
    if described == 0 {
        return 0;
    }
    // SAFETY: the segment is the last of the cells that were written.
    let segment = unsafe { cells.add(if described == 2 { 1 } else { 3 }).cast::<Segment>() };
    // SAFETY: as above.
    let (payload, ack, proto) =
        unsafe { ((*segment).payload, (*segment).ack, (*cells.cast::<Tuple4>()).proto) };
    u32::from(payload & FRAGMENT != 0 || (proto != TCP && ack != 0))
}

impl Header {
    #[inline(always)]
    pub(crate) fn describe(self, cells: *mut Cell) -> u64 {
        describe(self.address, self.protocol, self.len, self.transport, cells)
    }
}

#[inline(always)]
fn describe_v4(l3: u64, len: u32, tail: u64, cells: *mut Cell) -> u64 {
    let Some(h) = peek::<{ 20 + L4_BYTES }>(l3) else { return 0 };
    let proto = h[9];
    let header_len = u32::from(h[0] & 0xf) * 4;
    let frag = u16::from_be_bytes([h[6], h[7]]);
    let first_fragment = frag & 0x1fff == 0;
    let mut t = if !first_fragment {
        transport(0, &h[20..])
    } else if header_len == 20 {
        transport(proto, &h[20..])
    } else {
        let Some(l4) = peek::<L4_BYTES>(l3 + u64::from(header_len)) else { return 0 };
        transport(proto, &l4)
    };
    // Not yet filled in where the packet has just left its socket, and 0 beyond 64 KiB.
    let total = match u16::from_be_bytes([h[2], h[3]]) {
        0 => len,
        total => u32::from(total),
    };
    if first_fragment {
        finish(&mut t, proto, l3 + u64::from(header_len), tail, total.wrapping_sub(header_len));
    }
    if proto != TCP || !first_fragment {
        t.ack = fragment_at(u32::from(frag & 0x1fff) * 8, frag & 0x2000 != 0);
    }
    let tuple = Tuple4 {
        kind: KIND_TUPLE4,
        proto,
        flags: t.flags,
        saddr: [h[12], h[13], h[14], h[15]],
        daddr: [h[16], h[17], h[18], h[19]],
        sport: t.sport,
        dport: t.dport,
    };
    let segment = Segment {
        kind: KIND_SEGMENT,
        ip_id: u16::from_be_bytes([h[4], h[5]]),
        payload: total.saturating_sub(header_len + t.header_len)
            | if first_fragment { t.zeros } else { FRAGMENT },
        seq: t.seq,
        ack: t.ack,
    };
    // SAFETY: the caller has room for CELLS_PER_EVENT cells.
    unsafe {
        cells.cast::<Tuple4>().write(tuple);
        cells.add(1).cast::<Segment>().write(segment);
    }
    2
}

/// Takes back what was read of a datagram's payload where that is not all there, and says where it was and
/// is 0: `l4` is where its header is, which has `length` bytes with its payload.
#[inline(always)]
fn finish(t: &mut Transport, proto: u8, l4: u64, tail: u64, length: u32) {
    if proto != UDP {
        return;
    }
    if length < 12 || l4 + 12 > tail {
        t.seq = 0;
    } else if t.seq == 0 {
        t.zeros = ZEROS;
    }
}

/// A fragment's place, as [`Segment::ack`] has it.
#[inline(always)]
fn fragment_at(offset: u32, more: bool) -> u32 {
    offset | if more { MORE_FRAGMENTS } else { 0 }
}

#[inline(always)]
fn describe_v6(l3: u64, len: u32, tail: u64, cells: *mut Cell) -> u64 {
    let Some(h) = peek::<8>(l3) else { return 0 };
    let Some(l4) = peek::<L4_BYTES>(l3 + u64::from(IPV6_BYTES)) else { return 0 };
    if !addresses_v6(l3 + 8, l3 + 24, cells) {
        return 0;
    }
    let length = match u16::from_be_bytes([h[4], h[5]]) {
        0 => len.saturating_sub(IPV6_BYTES),
        length => u32::from(length),
    };
    let below = l3 + u64::from(IPV6_BYTES);
    if h[6] != FRAGMENT_HEADER {
        let mut t = transport(h[6], &l4);
        finish(&mut t, h[6], below, tail, length);
        return write_v6(cells, h[6], &t, length, 0, 0);
    }
    let (proto, at) = (l4[0], u16::from_be_bytes([l4[2], l4[3]]));
    let ip_id = u16::from_be_bytes([l4[6], l4[7]]);
    let (offset, more) = (u32::from(at & 0xfff8), at & 1 != 0);
    // Only the first fragment has the transport's header, behind its own.
    let mut t = if offset == 0 {
        let Some(l4) = peek::<L4_BYTES>(below + u64::from(FRAGMENT_BYTES)) else { return 0 };
        transport(proto, &l4)
    } else {
        transport(0, &l4)
    };
    let whole = length.saturating_sub(FRAGMENT_BYTES);
    if offset == 0 {
        finish(&mut t, proto, below + u64::from(FRAGMENT_BYTES), tail, whole);
    }
    if proto != TCP || offset != 0 {
        t.ack = fragment_at(offset, more);
    }
    write_v6(cells, proto, &t, whole, ip_id, if offset == 0 { 0 } else { FRAGMENT })
}

/// A packet whose IPv6 header will be made of a flow.
#[inline(always)]
fn describe_flow6(flow: u64, len: u32, l4: u64, cells: *mut Cell) -> u64 {
    let Some(h) = peek::<L4_BYTES>(l4) else { return 0 };
    let (saddr, daddr) = (offset!(flow6_saddr), offset!(flow6_daddr));
    if !addresses_v6(flow + saddr as u64, flow + daddr as u64, cells) {
        return 0;
    }
    let proto = Ptr::new(flow, false).load::<u8>(offset!(flow6_proto));
    write_v6(cells, proto, &transport(proto, &h), len.saturating_sub(IPV6_BYTES), 0, 0)
}

/// Reads two addresses to their cells; `false` where they can't be read. Straight there: the stack has no
/// room for them.
#[inline(always)]
fn addresses_v6(saddr: u64, daddr: u64, cells: *mut Cell) -> bool {
    const BYTES: u32 = size_of::<Addr>() as u32;
    // SAFETY: the caller has room for CELLS_PER_EVENT cells.
    unsafe {
        bpf_probe_read_kernel(cells.add(1).cast(), BYTES, saddr as *const _) == 0
            && bpf_probe_read_kernel(cells.add(2).cast(), BYTES, daddr as *const _) == 0
    }
}

/// What follows the addresses. `length` is that of what follows the IPv6 header.
#[inline(always)]
fn write_v6(
    cells: *mut Cell,
    proto: u8,
    t: &Transport,
    length: u32,
    ip_id: u16,
    fragment: u32,
) -> u64 {
    let tuple = Tuple6 {
        kind: KIND_TUPLE6,
        proto,
        flags: t.flags,
        sport: t.sport,
        dport: t.dport,
        reserved: 0,
    };
    let segment = Segment {
        kind: KIND_SEGMENT,
        ip_id,
        payload: length.saturating_sub(t.header_len) | fragment | t.zeros,
        seq: t.seq,
        ack: t.ack,
    };
    // SAFETY: as above.
    unsafe {
        cells.cast::<Tuple6>().write(tuple);
        cells.add(3).cast::<Segment>().write(segment);
    }
    4
}
