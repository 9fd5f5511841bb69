//! What is read from each tracepoint's arguments. One function per [`netpath_common::point::Body`].

use netpath_common::point::{HOOK_SLOT, NAPI_GRO_RECEIVE_ENTRY, NET_DEV_QUEUE, NETIF_RX};

use crate::{
    recorder::{Known, Look, last_was, record, record_ready},
    skb::{Btf, Network, dev_id, offset, peek},
};

/// The `n`th argument of a tracepoint.
#[inline(always)]
fn arg(ctx: *const u64, n: usize) -> u64 {
    // SAFETY: a BTF tracepoint's context is an array of its arguments; the verifier checks `n`.
    unsafe { ctx.add(n).read() }
}

#[inline(always)]
pub(crate) fn sending<const POINT: u16>(ctx: *const u64) {
    let skb = Btf::new(arg(ctx, 0));
    let dev = dev_id(skb.follow(offset!(skb_dev)));
    // Out of netfilter with a connection attached: NAT may have rewritten it.
    let again = POINT == NET_DEV_QUEUE
        && skb.load::<u64>(offset!(skb_nfct)) != 0
        && last_was(skb, HOOK_SLOT);
    let look = Look { network: Network::Header, again };
    record(skb, POINT, Known::ByDevice(dev, look), 0, dev.to_arg());
}

#[inline(always)]
pub(crate) fn receiving<const POINT: u16>(ctx: *const u64) {
    let skb = Btf::new(arg(ctx, 0));
    let dev = dev_id(skb.follow(offset!(skb_dev)));
    let look = Look { network: Network::Data, again: false };
    let known = if POINT == NAPI_GRO_RECEIVE_ENTRY {
        Known::Born(dev, look)
    } else {
        Known::ByDevice(dev, look)
    };
    record(skb, POINT, known, 0, dev.to_arg());
}

#[inline(always)]
pub(crate) fn starting<const POINT: u16>(ctx: *const u64) {
    let skb = Btf::new(arg(ctx, 0));
    let dev = dev_id(Btf::new(arg(ctx, 1)));
    let look = Look { network: Network::Header, again: false };
    record(skb, POINT, Known::ByDevice(dev, look), 0, dev.to_arg());
}

#[inline(always)]
pub(crate) fn transmitted<const POINT: u16>(ctx: *const u64) {
    let skb = Btf::new(arg(ctx, 0));
    // A veth's driver has put the packet on a CPU's backlog by now: it is no longer the driver's.
    if last_was(skb, NETIF_RX) {
        return;
    }
    let dev = dev_id(Btf::new(arg(ctx, 2)));
    record(skb, POINT, Known::Followed, arg(ctx, 1) as u16, dev.to_arg());
}

/// Handle (major number) of a `struct Qdisc`.
#[inline(always)]
fn handle(qdisc: Btf) -> u16 {
    (qdisc.load::<u32>(offset!(qdisc_handle)) >> 16) as u16
}

/// Length and backlog of a `struct Qdisc`: packets high, bytes low.
#[inline(always)]
fn fill(qdisc: Btf) -> u64 {
    let qlen = qdisc.load::<u32>(offset!(qdisc_qlen));
    let backlog = qdisc.load::<u32>(offset!(qdisc_backlog));
    (u64::from(qlen) << 32) | u64::from(backlog)
}

#[inline(always)]
pub(crate) fn enqueued<const POINT: u16>(ctx: *const u64) {
    let qdisc = Btf::new(arg(ctx, 0));
    record(Btf::new(arg(ctx, 2)), POINT, Known::Followed, handle(qdisc), fill(qdisc));
}

#[inline(always)]
pub(crate) fn dequeued<const POINT: u16>(ctx: *const u64) {
    let skb = Btf::new(arg(ctx, 3));
    if skb.is_null() {
        return;
    }
    let qdisc = Btf::new(arg(ctx, 0));
    record(skb, POINT, Known::Followed, handle(qdisc), fill(qdisc));
}

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

#[inline(always)]
fn is_inet(sk: Btf) -> bool {
    matches!(sk.load::<u16>(offset!(sock_family)), AF_INET | AF_INET6)
}

/// Datagrams in a UDP socket's two queues; 0 for other sockets.
#[inline(always)]
fn queued(sk: Btf) -> u32 {
    const UDP: u16 = 17;
    if sk.load::<u16>(offset!(sock_protocol)) != UDP {
        return 0;
    }
    let receive = sk.load::<u32>(offset!(sock_receive_queue));
    let reader = peek::<4>(sk.address() + offset!(udp_reader_queue) as u64);
    receive + reader.map_or(0, u32::from_ne_bytes)
}

#[inline(always)]
pub(crate) fn ready<const POINT: u16>(ctx: *const u64) {
    let sk = Btf::new(arg(ctx, 0));
    if is_inet(sk) {
        record_ready(sk, POINT, sk.load::<u16>(offset!(sock_port)), || queued(sk));
    }
}

#[inline(always)]
pub(crate) fn received<const POINT: u16>(ctx: *const u64) {
    const MSG_PEEK: u32 = 2;
    let sk = Btf::new(arg(ctx, 0));
    let bytes = arg(ctx, 1) as i32;
    if bytes > 0 && arg(ctx, 2) as u32 & MSG_PEEK == 0 {
        let aux = bytes.min(i32::from(u16::MAX)) as u16;
        record(sk, POINT, Known::Ended, aux, sk.address());
    }
}

#[inline(always)]
pub(crate) fn copied<const POINT: u16>(ctx: *const u64) {
    // SAFETY: no arguments.
    let task = unsafe { aya_ebpf::helpers::generated::bpf_get_current_pid_tgid() };
    let len = arg(ctx, 1).min(u64::from(u16::MAX)) as u16;
    record(Btf::new(arg(ctx, 0)), POINT, Known::Ended, len, task);
}

#[inline(always)]
pub(crate) fn consumed<const POINT: u16>(ctx: *const u64) {
    record(Btf::new(arg(ctx, 0)), POINT, Known::Ended, 0, 0);
}

#[inline(always)]
pub(crate) fn dropped<const POINT: u16>(ctx: *const u64) {
    record(Btf::new(arg(ctx, 0)), POINT, Known::Ended, arg(ctx, 2) as u16, arg(ctx, 1));
}
