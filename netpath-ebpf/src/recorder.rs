//! The one recorder: decides whether a packet is wanted, and writes events into the CPU's chunk.
//!
//! **Wanted** is decided without a hash map. Where a packet begins, its device is looked up in the
//! small table [`WANTED`] that user space fills, and [`select`] asks the filter and the sampling.
//! From then on the answer is with the CPU that has the packet at hand, and, across CPUs and queues,
//! in [`memory`]. A packet that was refused costs each later program one look.
//!
//! **Writing** takes no lock: a CPU has its own chunk. A program sets `busy` before it looks at what
//! its CPU has at hand, in one step with asking for it, so that whatever interrupts it from then on,
//! an interrupt or another task, changes nothing of that. Who finds `busy` set knows of its packet
//! what [`memory`] does, and sends its event alone; see [`crate::chunk`]. What a program sees before it
//! is busy is a hint: it can spare the rest, and is looked at again.

use aya_ebpf::{
    helpers::generated::{bpf_get_current_task_btf, bpf_get_smp_processor_id, bpf_ktime_get_ns},
    macros::map,
    maps::{Array, HashMap},
};
use netpath_common::{
    control::Inert,
    netfilter::{Hook, HookAux},
    place::{Bucket, DevId, WANTED_BUCKETS, WANTED_MORE},
    point::{
        BRIDGE_FORWARD, CONSUME_SKB, HOOK_SLOT, IP_CHECKED, IP_FINISH, IP_OUTPUT, IP6_XMIT,
        KFREE_SKB, LATE, LEFT_IDLE, LOCAL_OUT, MOVED, NEIGH_QUEUE, NET_DEV_QUEUE, NET_DEV_START,
        NETIF_RECEIVE, NETIF_RX, QDISC_ENQUEUE, QDISC_LOCK, QDISC_LOCKED, ReadyArg, SEND_BEGIN,
        SPAN_FIRST, TRANSPORT, situation as point_situation,
    },
    situation::{At, HANDED_OVER, Next, bits},
    span,
    wire::{
        CELLS_PER_EVENT, CHUNK_CELLS, Cell, CpuBuffer, Event, KIND_SKB, SKB_AT_HAND, SKB_SWITCHED,
        Skb,
    },
};

use crate::{
    capture,
    chunk::{CPUS, count_lost, flush, publish, send_alone},
    locks::{self, Waited},
    memory::{self, Memory},
    order,
    select::{self, Lateness},
    sending,
    skb::{self, Look, Network, Ptr, offset},
    softirq,
};

/// The devices whose packets are wanted.
#[map]
static WANTED: Array<Bucket> = Array::with_max_entries(WANTED_BUCKETS, 0);

/// Those that find no room there.
#[map(name = "WANTED_MORE")]
static MORE: HashMap<DevId, u32> = HashMap::with_max_entries(WANTED_MORE, 0);

/// An [`Inert`] where programs are to record nothing, else 0. Set by user space before loading.
#[unsafe(no_mangle)]
static INERT: u32 = 0;

/// Whether programs do nothing: known to the verifier, which then cuts off the rest.
#[inline(always)]
pub(crate) fn inert() -> bool {
    // SAFETY: a static; the volatile read keeps the initializer from being folded in. No arguments.
    unsafe {
        let inert = (&raw const INERT).read_volatile();
        if inert == Inert::Clock as u32 {
            bpf_ktime_get_ns();
        }
        inert != 0
    }
}

/// The `wanted` of a CPU's packet at hand.
const HAND_WANTED: u8 = 1;
const HAND_REFUSED: u8 = 2;

/// In [`CpuBuffer::fragment`]: the last cells are about another packet than the one at hand.
const CELLS_ELSEWHERE: u32 = 2;

/// What describes a packet takes fewer cells than this.
const DESCRIBED_MASK: u64 = 7;
/// Cells that are kept free for an event, as the verifier reckons.
const ROOM: usize = CELLS_PER_EVENT + 3;

/// How many cells there are at least in a chunk that is full.
#[inline(always)]
fn full() -> usize {
    CHUNK_CELLS - ROOM - capture::room()
}

/// How a program knows whether the packet is wanted.
#[derive(Clone, Copy)]
pub(crate) enum Known {
    /// The packet may begin here: its device decides.
    ByDevice(DevId, Look),
    /// The packet begins here for certain.
    Born(DevId, Look),
    /// Only if it was recorded before.
    Followed,
    /// Followed, and it has waited for a lock, unless that began at 0.
    Held(Waited),
    /// Followed, and this is the last that is seen of it: its headers say whether it is the packet that
    /// was followed, where this CPU has not had it at hand.
    Ended(Option<Look>),
}

#[inline(always)]
fn device_wanted(dev: DevId) -> bool {
    let everything = select::everything();
    // A namespace is index 0 in it.
    let ifindex = dev.ifindex & everything.wrapping_sub(1);
    is_listed(DevId { ifindex, ..dev }) != (everything != 0)
}

/// Whether the table has this device.
#[inline(always)]
fn is_listed(dev: DevId) -> bool {
    let Some(bucket) = WANTED.get(dev.bucket()) else { return false };
    if bucket[0] == dev || bucket[1] == dev || bucket[2] == dev || bucket[3] == dev {
        return true;
    }
    // SAFETY: what is found is not looked at.
    bucket[3] == DevId::MORE && unsafe { MORE.get(dev) }.is_some()
}

/// The CPU that a program runs on.
#[derive(Clone, Copy)]
pub(crate) struct Here {
    cpu: *mut CpuBuffer,
    number: u32,
    /// It has this packet at hand.
    same: bool,
}

/// A program begins; `None` where it need not go on, because the packet is not wanted.
#[inline(always)]
pub(crate) fn enter(packet: Ptr, point: u16) -> Option<Here> {
    let here = enter_birth(packet)?;
    if here.goes_on(packet, point) { Some(here) } else { None }
}

/// The same where a packet is born: what was known of its address says nothing.
#[inline(always)]
pub(crate) fn enter_birth(packet: Ptr) -> Option<Here> {
    // SAFETY: no arguments.
    let number = unsafe { bpf_get_smp_processor_id() };
    let cpu = CPUS.get_ptr_mut(number)?;
    // SAFETY: this CPU's own buffer.
    let same = unsafe { at_hand_is(cpu, packet.address()) && !is_busy(cpu) };
    Some(Here { cpu, number, same })
}

/// Whether this is the packet that a CPU has at hand.
#[inline(always)]
unsafe fn at_hand_is(cpu: *const CpuBuffer, skb: u64) -> bool {
    // SAFETY: the caller's: this CPU's own buffer.
    unsafe { (&raw const (*cpu).skb).read_volatile() == skb }
}

/// Whether the program at hand has interrupted another one while that was recording.
#[inline(always)]
unsafe fn is_busy(cpu: *const CpuBuffer) -> bool {
    // SAFETY: as above.
    unsafe { (&raw const (*cpu).busy).read_volatile() != 0 }
}

/// The program is no longer busy.
#[inline(always)]
unsafe fn leave(cpu: *mut CpuBuffer) {
    // SAFETY: as above.
    unsafe { (&raw mut (*cpu).busy).write_volatile(0) };
}

/// The packet at hand is not wanted. `last` is the point that it has passed.
#[inline(always)]
unsafe fn hold_refused(cpu: *mut CpuBuffer, skb: u64, last: u16, aux: u16) {
    // SAFETY: as the caller's.
    unsafe {
        (*cpu).last_point = last;
        (*cpu).last_at = situation(last, aux);
        (*cpu).wanted = HAND_REFUSED;
        (*cpu).skb = skb;
    }
}

/// What the recorder is to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    No,
    /// It goes on where this CPU has it at hand.
    GoesOn,
    /// It goes on, and this CPU sees it for the first time, or again after others.
    TakenUp,
    /// It begins.
    Begins,
    /// It was refused, so long ago that it is taken up now; [`CpuBuffer::late_began_ns`].
    Late,
}

/// The situation of an event of `point`, as [`CpuBuffer::last_at`] keeps it. A constant but for links.
#[inline(always)]
fn situation(point: u16, aux: u16) -> u8 {
    if point == HOOK_SLOT {
        return At::Pre as u8 + HookAux::unpack(aux).hook;
    }
    match point_situation(point, 0) {
        Some(at) => at as u8,
        None => At::LeftIdle as u8,
    }
}

/// The situations from which a packet goes on, or may go on, to an event of `point`, as bits. A constant
/// but for links.
#[inline(always)]
fn before(point: u16, aux: u16, which: Next) -> u64 {
    if point == HOOK_SLOT {
        // Of OUTPUT births are asked for.
        return match Hook::from_number(HookAux::unpack(aux).hook) {
            Some(Hook::Prerouting) => bits(At::Pre, which),
            Some(Hook::Input) => bits(At::In, which),
            Some(Hook::Forward) => bits(At::Fwd, which),
            _ => bits(At::Post, which),
        };
    }
    match point_situation(point, 0) {
        Some(at) => bits(at, which),
        None => u64::MAX,
    }
}

/// What an event says of the packet that this CPU has at hand, which is followed.
#[inline(always)]
unsafe fn next(cpu: *mut CpuBuffer, point: u16, aux: u16, known: Known) -> Next {
    // Inside a function, and from link to link of one hook, nothing else can have happened.
    let within = point >= SPAN_FIRST || (point == HOOK_SLOT && matches!(known, Known::Followed));
    if within {
        return Next::GoesOn;
    }
    // SAFETY: as the caller's: this CPU's own buffer.
    let (last, netns) = unsafe { ((*cpu).last_at, (*cpu).netns) };
    let last = 1_u64 << (last & 63);
    let dev = match known {
        Known::ByDevice(dev, _) => dev,
        _ => DevId { netns, ifindex: 0 },
    };
    if before(point, aux, Next::GoesOn) & last != 0 {
        // Into another namespace leads a device that hands over; else it is looked at again.
        if dev.netns == netns || HANDED_OVER & last != 0 { Next::GoesOn } else { Next::IfSame }
    } else if before(point, aux, Next::IfSame) & last != 0 {
        // Where the namespace's INPUT is watched, what was received and has not passed it goes on.
        if point == NET_DEV_QUEUE
            && dev.netns == netns
            && select::sees_births()
            && netns_wanted(netns)
        {
            Next::GoesOn
        } else {
            Next::IfSame
        }
    } else {
        Next::Other
    }
}

/// Whether a packet is wanted. `now` is the time where it was asked for, else 0. Where the program is
/// not the busy one, the CPU has nothing at hand for it.
#[inline(always)]
unsafe fn judge(
    here: Here,
    is_own: bool,
    skb: u64,
    (point, aux): (u16, u16),
    known: Known,
    now: &mut u64,
) -> Verdict {
    let Here { cpu, same, .. } = here;
    // SAFETY: this CPU's own buffer; no arguments.
    unsafe {
        let mut followed = same && (*cpu).wanted == HAND_WANTED;
        if followed && !matches!(known, Known::Born(..)) {
            match next(cpu, point, aux, known) {
                Next::GoesOn => return Verdict::GoesOn,
                Next::IfSame => return Verdict::TakenUp,
                Next::Other => {
                    (*cpu).skb = 0;
                    memory::forget(skb);
                    followed = false;
                }
            }
        }
        match known {
            Known::Born(dev, _) => {
                // It leaves its socket, or a tunnel sends what it has wrapped up: not a new one.
                if same && matches!((*cpu).last_point, NET_DEV_START | LOCAL_OUT | IP6_XMIT) {
                    if followed {
                        return Verdict::TakenUp;
                    }
                    (*cpu).last_point = point;
                    return Verdict::No;
                }
                if device_wanted(dev) {
                    return Verdict::Begins;
                }
                if same {
                    (*cpu).skb = 0;
                }
                memory::forget(skb);
                Verdict::No
            }
            Known::ByDevice(dev, _) => {
                if !device_wanted(dev) {
                    memory::forget(skb);
                    return Verdict::No;
                }
                *now = bpf_ktime_get_ns();
                match memory::recall(skb, *now) {
                    Memory::Unknown => Verdict::Begins,
                    Memory::Followed => Verdict::TakenUp,
                    Memory::Refused(_) if !is_own => Verdict::No,
                    Memory::Refused(age_ns) => {
                        (*cpu).checked = (*cpu).checked.wrapping_add(1);
                        match select::lateness(cpu, age_ns) {
                            Lateness::Taken => {
                                (*cpu).late_began_ns = now.wrapping_sub(age_ns);
                                return Verdict::Late;
                            }
                            // It is late once: its age begins anew.
                            Lateness::Late => memory::refuse(skb, *now),
                            Lateness::InTime => {}
                        }
                        hold_refused(cpu, skb, point, aux);
                        Verdict::No
                    }
                }
            }
            Known::Followed | Known::Held(_) | Known::Ended(_) => {
                // XDP drops what it has made of a packet: user space compares the headers.
                let remade = point == KFREE_SKB && is_own && (*cpu).written == CONSUME_SKB.into();
                let known = memory::knows(skb);
                if !known && !remade {
                    return Verdict::No;
                }
                *now = bpf_ktime_get_ns();
                if !known || memory::recall(skb, *now) == Memory::Followed {
                    Verdict::TakenUp
                } else {
                    (*cpu).checked = (*cpu).checked.wrapping_add(1);
                    Verdict::No
                }
            }
        }
    }
}

/// Writes down that `packet` passes `point` now, if it is wanted; says whether it is.
#[inline(always)]
pub(crate) fn record(
    here: Here,
    packet: Ptr,
    point: u16,
    known: Known,
    aux: u16,
    arg: u64,
) -> bool {
    let Here { cpu, number, .. } = here;
    let skb = packet.address();
    // SAFETY: `cpu` is this CPU's buffer; see `busy` for programs that interrupt this one.
    unsafe {
        let mut now = 0;
        let is_own = order::set(&raw mut (*cpu).busy) == 0;
        let here = Here { same: is_own && at_hand_is(cpu, skb), ..here };
        let verdict = judge(here, is_own, skb, (point, aux), known, &mut now);
        if verdict == Verdict::No {
            if is_own {
                leave(cpu);
            }
            return false;
        }
        if !is_own {
            // Another program of this CPU was interrupted, or its task had to wait for others.
            if verdict == Verdict::Begins {
                now = bpf_ktime_get_ns();
                if select::is_on() && !select::takes_unseen(cpu) {
                    memory::refuse(skb, now);
                    return false;
                }
                memory::follow(skb, now);
            }
            let look = match known {
                Known::ByDevice(_, look) | Known::Born(_, look) | Known::Ended(Some(look)) => {
                    Some(look)
                }
                _ => None,
            };
            send_alone(cpu, number, packet, look, Event { point, aux, dt_ns: 0, arg });
            return true;
        }
        if now == 0 {
            now = bpf_ktime_get_ns();
        }
        let mut n = usize::from((&raw const (*cpu).header.cells).read_volatile());
        let mut dt = now.wrapping_sub((*cpu).header.base_ns);
        if n >= full() || dt > u64::from(u32::MAX) {
            let flushed = flush(cpu, number, n, now);
            // 0 then. The verifier must not know: it would follow a chunk's beginning apart.
            n = usize::from((&raw const (*cpu).header.cells).read_volatile());
            dt = 0;
            if !flushed || n >= full() {
                (*cpu).header.lost += 1;
                count_lost(point);
                leave(cpu);
                return true;
            }
        }
        let cells = (&raw mut (*cpu).cells).cast::<Cell>();

        // Between being queued and being taken up again, a packet can pass other CPUs, end, and
        // its address come back: what follows is a piece of its own.
        let queued = matches!((*cpu).last_point, NETIF_RX | QDISC_ENQUEUE);
        let mut verdict = verdict as u64;
        let mut fresh = verdict != Verdict::GoesOn as u64;
        let look = match known {
            Known::ByDevice(_, look) | Known::Born(_, look) if fresh || look.again => Some(look),
            Known::Ended(Some(look)) if fresh => Some(look),
            _ => None,
        };
        let elsewhere = (*cpu).fragment & CELLS_ELSEWHERE != 0;
        let has_switched = switched(cpu, point);
        if fresh
            || queued
            || elsewhere
            || has_switched != 0
            || n == 0
            || look.is_some()
            || left_idle(cpu) != 0
        {
            (*cpu).fragment &= !CELLS_ELSEWHERE;
            let head = cells.add(n).cast::<Skb>();
            n += 1;
            let at_hand = if here.same && (*cpu).skb == skb && (*cpu).wanted == HAND_WANTED {
                SKB_AT_HAND | has_switched
            } else {
                0
            };
            let mut skb_cell = Skb { kind: KIND_SKB, gso_segs: 0, len: at_hand, addr: skb };
            if let Some(look) = look {
                // Through memory, so that the verifier follows one number here and not each.
                let scratch = head.cast::<u64>();
                scratch.write_volatile(verdict);
                verdict = scratch.read_volatile();
                fresh = verdict != Verdict::GoesOn as u64;
                let header = skb::header(packet, look.network);
                scratch.write_volatile(header.describe(cells.add(n)));
                let described = scratch.read_volatile() & DESCRIBED_MASK;
                if verdict == Verdict::Begins as u64
                    && select::is_on()
                    && select::takes(cpu, cells.add(n), described, header.len) == 0
                {
                    // What was written is beyond the chunk's end, and stays there.
                    memory::refuse(skb, now);
                    hold_refused(cpu, skb, point, aux);
                    leave(cpu);
                    return false;
                }
                let at = cells.add(n);
                n += described as usize;
                skb_cell.len |= header.len;
                skb_cell.gso_segs = skb::gso_segs(packet, header.len);
                (*cpu).fragment = skb::is_fragment(at, described);
                if capture::is_on() {
                    scratch.write_volatile(capture::headers(packet, header, cells.add(n)));
                    n += (scratch.read_volatile() & capture::CELLS_MASK) as usize;
                }
            }
            head.write(skb_cell);
            if fresh {
                memory::follow(skb, now);
            }
        }
        let late = verdict == Verdict::Late as u64;
        if left_idle(cpu) != 0 || late {
            let before = earlier(cpu, cells.add(n), dt as u32, u64::from(late));
            n += before as usize & EARLIER_MASK;
        }
        if let Known::Born(_, Look { network: Network::Header | Network::Flow(_), .. }) = known
            && let Some(began) = sending::take(now)
        {
            let event = Event { point: SEND_BEGIN, aux: 0, dt_ns: dt as u32, arg: began };
            cells.add(n).cast::<Event>().write(event);
            n += 1;
        }
        if let Known::Held(Waited { began_ns, until_ns }) = known
            && began_ns != 0
        {
            for (point, arg) in [(QDISC_LOCK, began_ns), (QDISC_LOCKED, until_ns)] {
                cells.add(n).cast::<Event>().write(Event { point, aux: 0, dt_ns: dt as u32, arg });
                n += 1;
            }
        }
        // The bridge lets the host receive what it has taken up already.
        let aux = if point == NETIF_RECEIVE && (fresh || queued) {
            softirq::taken_up(number, now)
        } else {
            aux
        };
        cells.add(n).cast::<Event>().write(Event { point, aux, dt_ns: dt as u32, arg });
        n += 1;
        (*cpu).written = point.into();
        publish(cpu, number, n);

        if point == NET_DEV_QUEUE {
            locks::forget(cpu, skb);
        }
        if let Known::Ended(_) = known
            && (*cpu).skb != skb
        {
            // What this CPU has at hand stays there: a part of it was freed, or what lay in a queue.
            (*cpu).fragment |= CELLS_ELSEWHERE;
        } else {
            if point < SPAN_FIRST {
                (*cpu).last_point = if point == HOOK_SLOT {
                    HOOK_SLOT + u16::from(HookAux::unpack(aux).hook)
                } else {
                    point
                };
                (*cpu).last_at = situation(point, aux);
            }
            if let Known::ByDevice(dev, _) | Known::Born(dev, _) = known {
                (*cpu).netns = dev.netns;
            }
            (*cpu).wanted = HAND_WANTED;
            (*cpu).skb = if let Known::Ended(_) = known { 0 } else { skb };
        }
        leave(cpu);
    }
    true
}

/// What [`earlier`] writes takes fewer cells than this.
const EARLIER_MASK: usize = 3;

/// Writes what happened before the event at hand: that the CPU left idle, and when a late packet
/// began. Returns how many cells that took. A function of its own in the programs, for the stack's sake.
#[inline(never)]
fn earlier(cpu: *mut CpuBuffer, cells: *mut Cell, dt_ns: u32, late: u64) -> u64 {
    let mut n = 0;
    // SAFETY: this CPU's own buffer, which has room for two cells here.
    unsafe {
        let arg = (*cpu).left_idle_ns;
        if arg != 0 {
            (*cpu).left_idle_ns = 0;
            cells.cast::<Event>().write(Event { point: LEFT_IDLE, aux: 0, dt_ns, arg });
            n = 1;
        }
        if late != 0 {
            let arg = (*cpu).late_began_ns;
            cells.add(n).cast::<Event>().write(Event { point: LATE, aux: 0, dt_ns, arg });
            n += 1;
        }
    }
    n as u64
}

/// [`SKB_SWITCHED`] where this CPU has switched tasks since the last event. A function returns in the task
/// that called it, but for a switch in between, which the next event will tell.
#[inline(always)]
unsafe fn switched(cpu: *mut CpuBuffer, point: u16) -> u32 {
    if matches!(span::of_point(point), Some((_, true))) {
        return 0;
    }
    // SAFETY: this CPU's own buffer; no arguments.
    unsafe {
        let task = Ptr::typed(bpf_get_current_task_btf() as u64);
        let left = task.load::<u64>(offset!(task_nvcsw)) + task.load::<u64>(offset!(task_nivcsw));
        let same = (*cpu).task == task.address() && (*cpu).task_left == left;
        (*cpu).task = task.address();
        (*cpu).task_left = left;
        if same { 0 } else { SKB_SWITCHED }
    }
}

/// When this CPU left idle, if no packet has said so yet. Read anew each time: the stack has no room
/// for it.
#[inline(always)]
unsafe fn left_idle(cpu: *const CpuBuffer) -> u64 {
    // SAFETY: this CPU's own buffer.
    unsafe { (&raw const (*cpu).left_idle_ns).read_volatile() }
}

/// This CPU leaves idle: the next packet here says so.
#[inline(always)]
pub(crate) fn leave_idle() {
    // SAFETY: no arguments.
    let Some(cpu) = CPUS.get_ptr_mut(unsafe { bpf_get_smp_processor_id() }) else { return };
    // SAFETY: this CPU's own buffer, which no program of it is writing to: it was idle.
    unsafe { (*cpu).left_idle_ns = bpf_ktime_get_ns() };
}

/// The packet has been freed: whatever comes to its address next is another one.
#[inline(always)]
pub(crate) fn freed(here: Here, packet: Ptr) {
    if here.same {
        // SAFETY: this CPU's own buffer.
        unsafe { (*here.cpu).skb = 0 };
    }
    memory::forget(packet.address());
}

/// The packet that this CPU has at hand, if it is wanted, and the last point that it passed.
#[inline(always)]
fn at_hand() -> Option<(u64, u16)> {
    // SAFETY: no arguments.
    let cpu = CPUS.get_ptr_mut(unsafe { bpf_get_smp_processor_id() })?;
    // SAFETY: this CPU's own buffer.
    let (skb, wanted, last, same) = unsafe {
        let skb = (&raw const (*cpu).skb).read_volatile();
        let wanted = (&raw const (*cpu).wanted).read_volatile();
        let last = (&raw const (*cpu).last_point).read_volatile();
        // An interrupt may have come between.
        (skb, wanted, last, at_hand_is(cpu, skb) && !is_busy(cpu))
    };
    if skb != 0 && same && wanted == HAND_WANTED { Some((skb, last)) } else { None }
}

/// This CPU, where the packet that it has at hand is wanted and has just reached a device's transmit
/// side.
#[inline(always)]
pub(crate) fn queueing() -> Option<*mut CpuBuffer> {
    // SAFETY: no arguments.
    let cpu = CPUS.get_ptr_mut(unsafe { bpf_get_smp_processor_id() })?;
    // SAFETY: this CPU's own buffer.
    let (skb, wanted, last) = unsafe { ((*cpu).skb, (*cpu).wanted, (*cpu).last_point) };
    if skb != 0 && wanted == HAND_WANTED && last == NET_DEV_QUEUE { Some(cpu) } else { None }
}

/// Writes down that the packet which this CPU has at hand was put into the queue of `sk`, which
/// holds `queued` datagrams.
///
/// A socket can be woken for other reasons, and what is put into the queue can be a clone (raw sockets,
/// ping's) or be merged into what lies there (TCP). So it is looked at what lies last in the queue. For
/// TCP and UDP user space checks that `port` is the packet's; TCP's `queued` is the low half of the last
/// sk_buff's address. Other sockets' packets are the packet at hand or its clone, which is followed from
/// then on.
#[inline(always)]
pub(crate) fn record_ready(sk: Ptr, point: u16, port: u16, kind: Socket) {
    let Some((skb, last)) = at_hand() else { return };
    let received = last == NETIF_RECEIVE
        || last == IP_CHECKED
        || last == TRANSPORT
        || last == HOOK_SLOT + Hook::Prerouting as u16
        || last == HOOK_SLOT + Hook::Input as u16
        || last == point;
    if !received {
        return;
    }
    let packet = Ptr::new(skb, false);
    let tail = sk.follow(offset!(sock_receive_tail)).address();
    let (queued, mut moved) = match kind {
        Socket::Udp(queued) => (queued, 0),
        Socket::Tcp => (skb::low_half(tail), 0),
        Socket::Other if tail == skb => (0, 0),
        Socket::Other => {
            let head = |skb: u64| Ptr::new(skb, false).load::<u64>(offset!(skb_head));
            if head(tail) != head(skb) {
                return;
            }
            (0, tail)
        }
    };
    let Some(here) = enter(packet, point) else { return };
    // The chunk is a few seconds old at most, which is near enough.
    // SAFETY: this CPU's own buffer.
    let now = unsafe { (*here.cpu).header.base_ns };
    // Where packets are left out, receives are of interest only until this one has been read.
    let receives = match kind {
        Socket::Udp(queued) if select::is_on() => queued,
        _ => 0,
    };
    memory::follow_socket(sk.address(), now, receives);
    let arg = ReadyArg { sk: skb::tag(sk.address()), queued }.pack();
    if !record(here, packet, point, Known::Followed, port, arg) {
        moved = 0;
    }
    if moved != 0 {
        memory::follow(moved, now);
        record(here, packet, MOVED, Known::Followed, 0, moved);
    }
}

/// Whose queue a packet is put into.
#[derive(Clone, Copy)]
pub(crate) enum Socket {
    Tcp,
    /// With so many datagrams in the queue.
    Udp(u32),
    /// Raw sockets, ping's, and all others.
    Other,
}

impl Here {
    /// Whether it is not known already that the packet is refused: that another one has its address by
    /// now, the grammar tells.
    #[inline(always)]
    pub(crate) fn goes_on(self, packet: Ptr, point: u16) -> bool {
        if !self.same {
            return true;
        }
        // SAFETY: this CPU's own buffer.
        unsafe {
            if (*self.cpu).wanted != HAND_REFUSED {
                return true;
            }
            if point < HOOK_SLOT {
                let last = 1_u64 << ((*self.cpu).last_at & 63);
                let leads = before(point, 0, Next::GoesOn) | before(point, 0, Next::IfSame);
                if leads & last == 0 {
                    memory::forget(packet.address());
                    (*self.cpu).skb = 0;
                    return true;
                }
                (*self.cpu).last_at = situation(point, 0);
            }
            (&raw mut (*self.cpu).last_point).write_volatile(point);
            // An interrupt that came between has left another packet there, which is elsewhere.
            if !at_hand_is(self.cpu, packet.address()) {
                (&raw mut (*self.cpu).skb).write_volatile(0);
            }
            false
        }
    }

    /// Whether the last point that this packet passed, on this CPU, was `point`.
    #[inline(always)]
    pub(crate) fn last_was(self, point: u16) -> bool {
        // SAFETY: this CPU's own buffer.
        self.same && unsafe { (*self.cpu).last_point } == point
    }

    /// Whether this packet has been, on this CPU, where it can't come to `point` from.
    #[inline(always)]
    pub(crate) fn has_gone_on(self, point: u16) -> bool {
        // SAFETY: this CPU's own buffer.
        let last = 1_u64 << (unsafe { (*self.cpu).last_at } & 63);
        self.same && before(point, 0, Next::GoesOn) & last == 0
    }

    /// Whether a driver was given this packet in the namespace of the device that receives it now: another
    /// namespace's is the other end of a veth pair.
    #[inline(always)]
    pub(crate) fn is_back(self, dev: DevId) -> bool {
        // SAFETY: this CPU's own buffer.
        self.last_was(NET_DEV_START) && unsafe { (*self.cpu).netns } == dev.netns
    }

    /// What this packet has waited for the qdisc's locks.
    #[inline(always)]
    pub(crate) fn waited(self, packet: Ptr, qdisc: Ptr) -> Waited {
        locks::take(self.cpu, packet, qdisc).unwrap_or(Waited { began_ns: 0, until_ns: 0 })
    }

    /// Whether the packet was a fragment when its headers were read on this CPU.
    #[inline(always)]
    pub(crate) fn was_fragment(self) -> bool {
        // SAFETY: this CPU's own buffer.
        self.same && unsafe { (*self.cpu).fragment } & 1 != 0
    }

    /// Whether the packet has just come out of the host's IP stack, or of br_netfilter.
    #[inline(always)]
    pub(crate) fn out_of_stack(self) -> bool {
        // SAFETY: this CPU's own buffer.
        let last = unsafe { (*self.cpu).last_point };
        // A neighbour that has not been heard of for a while is asked about, and sent to at once.
        self.same
            && (last >= HOOK_SLOT
                || matches!(
                    last,
                    BRIDGE_FORWARD
                        | LOCAL_OUT
                        | IP_OUTPUT
                        | IP_FINISH
                        | NEIGH_QUEUE
                        | NETIF_RECEIVE
                ))
    }
}

/// Whether packets that begin in this namespace are wanted.
#[inline(always)]
pub(crate) fn netns_wanted(netns: u32) -> bool {
    device_wanted(DevId { netns, ifindex: 0 })
}
