//! Records on the wire between the programs and user space.
//!
//! Each CPU appends 16-byte [`Cell`]s to a chunk of its own and sends the chunk through the ring
//! buffer when it is full. A [`Cell`] is an event or, where its `point` is one of the `KIND_*`
//! values, something that belongs to the events around it:
//!
//! ```text
//! Chunk   := ChunkHeader Cell*
//! Cell    := Skb                     from here on, events are about this sk_buff
//!          | Tuple4 | Tuple6 Addr Addr   the packet's addresses as they are now
//!          | Segment                 its transport header's numbers
//!          | Bytes [u8; 16]*         its headers themselves, where they are captured
//!          | Event                   a timestamp at a probe point
//! ```
//!
//! All integers are in the machine's byte order; addresses and ports are as on the wire.

/// Changes whenever anything in this module does.
pub const ABI: u16 = 4;
/// What was written since this one can be read: 2 has brought [`KIND_BYTES`] and [`CHUNK_GAP`], 3 what
/// tells datagrams and fragments apart in [`Segment`], 4 [`ZEROS`] and [`SKB_SWITCHED`]; with 3, a CPU's chunks
/// come in the order of their `seq`, also without cells where events were lost.
pub const ABI_OLDEST: u16 = 1;

/// Cells that a chunk holds at most.
pub const CHUNK_CELLS: usize = 128;
/// The most cells one event can need: skb, IPv6 tuple (3), segment, idle, send begin or late, event.
pub const CELLS_PER_EVENT: usize = 8;

/// Marks a cell that says which sk_buff the following events are about.
pub const KIND_SKB: u16 = 0xff00;
/// Marks an IPv4 tuple.
pub const KIND_TUPLE4: u16 = 0xff01;
/// Marks an IPv6 tuple; two cells with the source and destination address follow.
pub const KIND_TUPLE6: u16 = 0xff02;
/// Marks the transport header's numbers.
pub const KIND_SEGMENT: u16 = 0xff03;
/// Marks a packet's headers as they are; cells with their bytes follow.
pub const KIND_BYTES: u16 = 0xff04;
/// Cells from here on are not events.
pub const KIND_FIRST: u16 = 0xff00;

/// Head of a chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ChunkHeader {
    /// `CLOCK_MONOTONIC` in ns; the cells' `dt_ns` count from here.
    pub base_ns: u64,
    /// Counts this CPU's chunks, so that a gap shows.
    pub seq: u32,
    /// Events that this CPU has lost so far, all of them after the last one in its chunk.
    pub lost: u32,
    pub cpu: u16,
    /// Cells that follow.
    pub cells: u16,
    pub abi: u16,
    /// [`CHUNK_ALONE`], [`CHUNK_GAP`], [`CHUNK_MISSED`] or 0.
    pub flags: u16,
    /// Of a [`CHUNK_GAP`] or [`CHUNK_MISSED`], when it ends. Of a CPU's own chunk, events that programs lost which
    /// interrupted another one there, so far; when, is not known.
    pub reserved: u64,
}

/// The chunk holds a single event of a program that interrupted another one on its CPU; it has no
/// place in the CPU's `seq`.
pub const CHUNK_ALONE: u16 = 1;
/// The chunk holds no events: from its `base_ns` until `reserved`, ns too, nothing was recorded, and
/// what was under way then can't be followed across. Made by user space.
pub const CHUNK_GAP: u16 = 2;
/// The chunk holds no events: from its `base_ns` until `reserved`, ns too, the kernel passed over probes,
/// because an interrupt came to them while they were running. Made by user space.
pub const CHUNK_MISSED: u16 = 4;

/// An event: a packet passed a probe point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Event {
    /// Which probe point; see [`crate::point`].
    pub point: u16,
    /// Small argument; its meaning is the point's.
    pub aux: u16,
    /// Nanoseconds since the chunk's `base_ns`.
    pub dt_ns: u32,
    /// Argument; its meaning is the point's, most often a [`crate::place::DevId`].
    pub arg: u64,
}

/// Says which sk_buff the following events are about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Skb {
    pub kind: u16,
    /// `skb_shinfo->gso_segs` where the packet was looked into, else 0.
    pub gso_segs: u16,
    /// Where the packet was looked into, its bytes from the network header on, else 0; with
    /// [`SKB_AT_HAND`] and [`SKB_SWITCHED`].
    pub len: u32,
    /// The sk_buff's address.
    pub addr: u64,
}

/// In [`Skb::len`]: the CPU has had this sk_buff at hand without a break, and where it was not looked
/// into, what comes next can follow what it was seen in last.
pub const SKB_AT_HAND: u32 = 1 << 31;
/// In [`Skb::len`]: the CPU that has it at hand has switched tasks meanwhile.
pub const SKB_SWITCHED: u32 = 1 << 30;

/// IPv4 addresses and ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Tuple4 {
    pub kind: u16,
    /// IP protocol number.
    pub proto: u8,
    /// TCP flags, or the ICMP type.
    pub flags: u8,
    pub saddr: [u8; 4],
    pub daddr: [u8; 4],
    /// Source port, or the ICMP id; big endian.
    pub sport: [u8; 2],
    /// Destination port, or the ICMP sequence number; big endian.
    pub dport: [u8; 2],
}

/// IPv6 ports; the addresses follow in two [`Addr`] cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Tuple6 {
    pub kind: u16,
    pub proto: u8,
    pub flags: u8,
    pub sport: [u8; 2],
    pub dport: [u8; 2],
    pub reserved: u64,
}

/// An IPv6 address.
pub type Addr = [u8; 16];

/// Numbers from the transport header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Segment {
    pub kind: u16,
    /// IPv4 identification; the low half of an IPv6 fragment's, else 0 for IPv6.
    pub ip_id: u16,
    /// Bytes after the transport header, by the packet's own length fields; with [`FRAGMENT`] and [`ZEROS`].
    pub payload: u32,
    /// TCP sequence number, host byte order. Of a UDP datagram the first four bytes of its payload, as
    /// one would read them, or 0 where they can't be read: see [`ZEROS`].
    pub seq: u32,
    /// TCP acknowledgment number, host byte order. Of other packets that are fragments: where its data
    /// begins in the whole packet's, bytes, with [`MORE_FRAGMENTS`].
    pub ack: u32,
}

/// In [`Segment::ack`] of a fragment: another one follows it.
pub const MORE_FRAGMENTS: u32 = 1 << 31;

/// The packet's headers follow, byte by byte, in whole cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Bytes {
    pub kind: u16,
    /// Of the bytes, those of the link header; the network header follows it.
    pub link: u8,
    /// How many bytes there are, [`BYTES_MAX`] at most.
    pub bytes: u8,
    pub reserved: [u32; 3],
}

/// Bytes of a packet's headers that are captured at most.
pub const BYTES_MAX: u8 = 127;
/// The most cells that they take: [`Bytes`] and what follows.
pub const BYTES_CELLS: usize = 1 + (BYTES_MAX as usize).div_ceil(16);

/// How many cells belong to this one and follow it.
#[inline]
pub fn following(cell: &[u8; 16]) -> usize {
    match u16::from_ne_bytes([cell[0], cell[1]]) {
        KIND_TUPLE6 => 2,
        KIND_BYTES => usize::from(cell[3]).div_ceil(16),
        _ => 0,
    }
}

/// In [`Segment::payload`]: the transport header is in another fragment.
pub const FRAGMENT: u32 = 1 << 31;
/// In [`Segment::payload`]: the first four bytes of the datagram's payload were read, and are 0.
pub const ZEROS: u32 = 1 << 30;

/// Any 16 bytes of a chunk.
pub type Cell = [u8; 16];

/// One CPU's chunk and what its programs remember between events. Lives in an mmap-able array,
/// so that user space can read a chunk that is not yet full without disturbing the CPU.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct CpuBuffer {
    /// Not 0 while a program of this CPU is writing here: who finds it set has interrupted that one,
    /// and neither believes nor changes what stands below.
    pub busy: u64,
    /// The last point of `skb`, spans aside.
    pub last_point: u16,
    /// Whether `skb` is wanted: 1, or 2 where it was refused.
    pub wanted: u8,
    /// The general situation, [`crate::situation::At`], that `skb` was last seen in.
    pub last_at: u8,
    /// The namespace of the device that `skb` was last seen at.
    pub netns: u32,
    /// Bit 0: `skb` was a fragment when its headers were read. Bit 1: the last cells are about another.
    pub fragment: u32,
    /// The point of the last event here, whichever packet it was about.
    pub written: u32,
    /// The sk_buff that the last event was about; 0 when it has ended.
    pub skb: u64,
    /// Packets that began here while a filter or sampling was on.
    pub begun: u64,
    /// Of these, those that match the filter, or may after NAT.
    pub seen: u64,
    /// Of these, how many were recorded.
    pub taken: u64,
    /// Packets that were not to be recorded, and were found here to be late.
    pub late: u64,
    /// Of these, how many were recorded from then on.
    pub late_taken: u64,
    /// How often the time was asked for, and the table, of packets that were not to be recorded.
    pub checked: u64,
    /// When this CPU last left idle, ns; 0 once that is written down.
    pub left_idle_ns: u64,
    /// When the late packet that is being recorded was refused, ns.
    pub late_began_ns: u64,
    /// What `skb` waited for on its way into a qdisc.
    pub locks: Locks,
    /// The task that the last event was written in, as its address.
    pub task: u64,
    /// How often that task had left its CPU by then.
    pub task_left: u64,
    /// What is written most begins a cache line.
    pub padding: [u64; 4],
    pub header: ChunkHeader,
    pub cells: [Cell; CHUNK_CELLS],
}

/// The locks that a CPU had to wait for since a packet reached a device's transmit side.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Locks {
    /// The packet.
    pub skb: u64,
    /// Waits that have ended.
    pub count: u32,
    /// Waits that have not: an interrupt can come to one, and wait itself.
    pub depth: u32,
    pub waits: [LockWait; LOCK_WAITS],
}

/// One wait.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct LockWait {
    pub began_ns: u64,
    pub waited_ns: u32,
    /// The low half of the lock's address.
    pub lock: u32,
}

/// Waits that are kept for a packet: two locks of a qdisc, and what interrupts wait for meanwhile.
pub const LOCK_WAITS: usize = 4;

/// The most bytes that a chunk takes.
pub const CHUNK_BYTES: usize = size_of::<ChunkHeader>() + CHUNK_CELLS * size_of::<Cell>();

const _: () = {
    assert!(size_of::<ChunkHeader>() == 32);
    assert!(size_of::<Event>() == 16 && align_of::<Event>() == 8);
    assert!(size_of::<Skb>() == 16);
    assert!(size_of::<Tuple4>() == 16);
    assert!(size_of::<Tuple6>() == 16);
    assert!(size_of::<Segment>() == 16);
    assert!(size_of::<Bytes>() == 16 && core::mem::offset_of!(Bytes, bytes) == 3);
    assert!(core::mem::offset_of!(Event, arg) == 8);
    assert!(core::mem::offset_of!(Skb, addr) == 8);
    assert!(size_of::<LockWait>() == 16 && size_of::<Locks>() == 80);
    assert!(core::mem::offset_of!(CpuBuffer, header) == 224);
    assert!(core::mem::offset_of!(CpuBuffer, cells) == 256);
    // No two CPUs share a cache line.
    assert!(size_of::<CpuBuffer>().is_multiple_of(64));
    assert!(size_of::<CpuBuffer>() == 256 + CHUNK_CELLS * 16);
};
