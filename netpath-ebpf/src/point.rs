//! What is read where packets pass. One function per [`netpath_common::point::Body`]; arguments are
//! asked for in the order of its `wants`.

use netpath_common::{end::EndArg, place::DevId};

use crate::{
    args::{Args, number, pointer, returned, skb},
    capture, locks, memory,
    recorder::{self, Known, Socket, record, record_ready},
    select, sending,
    skb::{Look, Network, Ptr, dev_id, low_half, netns_of, offset, tag},
};

#[inline(always)]
pub(crate) fn local_out<A: Args, const POINT: u16>(ctx: *const u64) {
    let skb = skb::<A>(ctx, POINT as usize);
    let Some(here) = recorder::enter_birth(skb) else { return };
    let netns = netns_of(pointer::<A>(ctx, POINT as usize, 1));
    // The device is not known yet: the namespace alone decides.
    let dev = DevId { netns, ifindex: 0 };
    let look = Look { network: Network::Header, again: false };
    record(here, skb, POINT, Known::Born(dev, look), 0, dev.to_arg());
}

#[inline(always)]
pub(crate) fn flow_out<A: Args, const POINT: u16>(ctx: *const u64) {
    let skb = skb::<A>(ctx, POINT as usize);
    let Some(here) = recorder::enter_birth(skb) else { return };
    let sk = pointer::<A>(ctx, POINT as usize, 1);
    let dev = DevId { netns: netns_of(sk.follow(offset!(sock_net))), ifindex: 0 };
    let flow = pointer::<A>(ctx, POINT as usize, 2);
    let look = Look { network: Network::Flow(flow.address()), again: false };
    record(here, skb, POINT, Known::Born(dev, look), 0, dev.to_arg());
}

#[inline(always)]
pub(crate) fn sending<A: Args, const POINT: u16>(ctx: *const u64) {
    let skb = skb::<A>(ctx, POINT as usize);
    let Some(here) = recorder::enter_birth(skb) else { return };
    let dev = dev_id(skb.follow(offset!(skb_dev)));
    let known = if select::is_on() && !select::sees_births() && recorder::netns_wanted(dev.netns) {
        // What was known of the address was another packet's.
        Known::Born(dev, Look { network: Network::Header, again: false })
    } else {
        if !here.goes_on(skb, POINT) {
            return;
        }
        // Out of the host's stack with a connection attached: NAT may have rewritten it. Here its
        // headers are whole, too.
        let tracked = skb.load::<u64>(offset!(skb_nfct)) != 0;
        let again = (tracked || capture::is_on()) && here.out_of_stack();
        Known::ByDevice(dev, Look { network: Network::Header, again })
    };
    // Once, whichever it is: as a branch each, the verifier would go through it twice.
    record(here, skb, POINT, known, 0, dev.to_arg());
}

#[inline(always)]
fn incoming(skb: Ptr, point: u16, born: bool) {
    // One that was refused may be late by now: it has waited for the softirq.
    let look_again = born || select::asks_late();
    let here = if look_again { recorder::enter_birth(skb) } else { recorder::enter(skb, point) };
    let Some(here) = here else { return };
    let device = skb.follow(offset!(skb_dev));
    let dev = dev_id(device);
    let look = Look { network: Network::Data, again: false };
    // What a virtual device's NAPI gives to GRO has come from another device of this machine.
    let known = if born && device.load::<u64>(offset!(dev_link_ops)) == 0 {
        Known::Born(dev, look)
    } else {
        Known::ByDevice(dev, look)
    };
    record(here, skb, point, known, 0, dev.to_arg());
}

#[inline(always)]
pub(crate) fn receiving<A: Args, const POINT: u16>(ctx: *const u64) {
    incoming(skb::<A>(ctx, POINT as usize), POINT, false);
}

#[inline(always)]
pub(crate) fn arriving<A: Args, const POINT: u16>(ctx: *const u64) {
    incoming(skb::<A>(ctx, POINT as usize), POINT, true);
}

#[inline(always)]
pub(crate) fn backlogged<A: Args, const POINT: u16>(ctx: *const u64) {
    let skb = skb::<A>(ctx, POINT as usize);
    let Some(here) = recorder::enter(skb, POINT) else { return };
    let dev = dev_id(skb.follow(offset!(skb_dev)));
    // A tunnel's device makes the answer to a packet that is too large for it of the packet itself, and
    // receives that.
    let again = here.is_back(dev);
    let look = Look { network: Network::Data, again };
    let cpu = number::<A>(ctx, POINT as usize, 1) as u16;
    record(here, skb, POINT, Known::ByDevice(dev, look), cpu, dev.to_arg());
}

#[inline(always)]
pub(crate) fn checked<A: Args, const POINT: u16>(ctx: *const u64) {
    met(returned::<A>(ctx, POINT as usize, 0), POINT);
}

/// What may be met here for the first time, by the skb's device; the skb may be NULL.
#[inline(always)]
fn met(skb: Ptr, point: u16) {
    if skb.is_null() {
        return;
    }
    let Some(here) = recorder::enter(skb, point) else { return };
    let dev = dev_id(skb.follow(offset!(skb_dev)));
    let look = Look { network: Network::Header, again: false };
    record(here, skb, point, Known::ByDevice(dev, look), 0, dev.to_arg());
}

#[inline(always)]
pub(crate) fn starting<A: Args, const POINT: u16>(ctx: *const u64) {
    let skb = skb::<A>(ctx, POINT as usize);
    let Some(here) = recorder::enter(skb, POINT) else { return };
    let dev = dev_id(pointer::<A>(ctx, POINT as usize, 1));
    let look = Look { network: Network::Header, again: false };
    record(here, skb, POINT, Known::ByDevice(dev, look), 0, dev.to_arg());
}

#[inline(always)]
pub(crate) fn transmitted<A: Args, const POINT: u16>(ctx: *const u64) {
    let skb = skb::<A>(ctx, POINT as usize);
    let Some(here) = recorder::enter(skb, POINT) else { return };
    // The driver may have passed the packet on: a veth's puts it on a CPU's backlog.
    if here.has_gone_on(POINT) {
        return;
    }
    let dev = dev_id(pointer::<A>(ctx, POINT as usize, 1));
    let rc = number::<A>(ctx, POINT as usize, 2) as u16;
    record(here, skb, POINT, Known::Followed, rc, dev.to_arg());
}

/// Handle (major number) of a `struct Qdisc`.
#[inline(always)]
fn handle(qdisc: Ptr) -> u16 {
    (qdisc.load::<u32>(offset!(qdisc_handle)) >> 16) as u16
}

/// Length and backlog of a `struct Qdisc`: packets high, bytes low.
#[inline(always)]
fn fill(qdisc: Ptr) -> u64 {
    let qlen = qdisc.load::<u32>(offset!(qdisc_qlen));
    let backlog = qdisc.load::<u32>(offset!(qdisc_backlog));
    (u64::from(qlen) << 32) | u64::from(backlog)
}

#[inline(always)]
pub(crate) fn enqueued<A: Args, const POINT: u16>(ctx: *const u64) {
    let skb = skb::<A>(ctx, POINT as usize);
    if skb.is_null() {
        return;
    }
    let Some(here) = recorder::enter(skb, POINT) else { return };
    let qdisc = pointer::<A>(ctx, POINT as usize, 1);
    let known = Known::Held(here.waited(skb, qdisc));
    record(here, skb, POINT, known, handle(qdisc), fill(qdisc));
}

#[inline(always)]
pub(crate) fn dequeued<A: Args, const POINT: u16>(ctx: *const u64) {
    let skb = skb::<A>(ctx, POINT as usize);
    if skb.is_null() {
        return;
    }
    let Some(here) = recorder::enter(skb, POINT) else { return };
    let qdisc = pointer::<A>(ctx, POINT as usize, 1);
    record(here, skb, POINT, Known::Followed, handle(qdisc), fill(qdisc));
}

#[inline(always)]
pub(crate) fn contended<A: Args, const POINT: u16>(ctx: *const u64) {
    let Some(cpu) = recorder::queueing() else { return };
    locks::begin(cpu, low_half(number::<A>(ctx, POINT as usize, 0)));
}

#[inline(always)]
pub(crate) fn acquired<A: Args, const POINT: u16>(_ctx: *const u64) {
    let Some(cpu) = recorder::queueing() else { return };
    locks::end(cpu);
}

#[inline(always)]
pub(crate) fn passing<A: Args, const POINT: u16>(ctx: *const u64) {
    let skb = skb::<A>(ctx, POINT as usize);
    let Some(here) = recorder::enter(skb, POINT) else { return };
    record(here, skb, POINT, Known::Followed, 0, 0);
}

#[inline(always)]
pub(crate) fn passing_on<A: Args, const POINT: u16>(ctx: *const u64) {
    let skb = skb::<A>(ctx, POINT as usize);
    let Some(here) = recorder::enter(skb, POINT) else { return };
    let dev = dev_id(skb.follow(offset!(skb_dev)));
    record(here, skb, POINT, Known::Followed, 0, dev.to_arg());
}

#[inline(always)]
pub(crate) fn destined<A: Args, const POINT: u16>(ctx: *const u64) {
    // It may be a fragment that nothing has been seen of.
    met(skb::<A>(ctx, POINT as usize), POINT);
}

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// Datagrams in a UDP socket's two queues.
#[inline(always)]
fn queued(sk: Ptr) -> u32 {
    let receive = sk.load::<u32>(offset!(sock_receive_queue));
    // Beyond struct sock, which is all that the verifier knows it to be.
    receive + sk.untyped().load::<u32>(offset!(udp_reader_queue))
}

#[inline(always)]
pub(crate) fn ready<A: Args, const POINT: u16>(ctx: *const u64) {
    const TCP: u16 = 6;
    const UDP: u16 = 17;
    /// `SOCK_RAW`.
    const RAW: u16 = 3;
    let sk = pointer::<A>(ctx, POINT as usize, 0);
    if !matches!(sk.load::<u16>(offset!(sock_family)), AF_INET | AF_INET6) {
        return;
    }
    let protocol = sk.load::<u16>(offset!(sock_protocol));
    // A raw socket's clone; the packet goes on to the protocol's own sockets.
    if matches!(protocol, TCP | UDP) && sk.load::<u16>(offset!(sock_type)) == RAW {
        return;
    }
    let kind = match protocol {
        TCP => Socket::Tcp,
        UDP => Socket::Udp(queued(sk)),
        _ => Socket::Other,
    };
    record_ready(sk, POINT, sk.load::<u16>(offset!(sock_port)), kind);
}

#[inline(always)]
pub(crate) fn received<A: Args, const POINT: u16>(ctx: *const u64) {
    const MSG_PEEK: u32 = 2;
    let sk = pointer::<A>(ctx, POINT as usize, 0);
    let bytes = number::<A>(ctx, POINT as usize, 1) as i32;
    if bytes > 0 && number::<A>(ctx, POINT as usize, 2) as u32 & MSG_PEEK == 0 {
        let aux = bytes.min(i32::from(u16::MAX)) as u16;
        let Some(here) = recorder::enter(sk, POINT) else { return };
        if record(here, sk, POINT, Known::Ended(None), aux, u64::from(tag(sk.address()))) {
            memory::received(sk.address());
        }
    }
}

/// How the headers are read of a packet whose end is seen.
const AGAIN: Look = Look { network: Network::Header, again: false };

#[inline(always)]
pub(crate) fn copied<A: Args, const POINT: u16>(ctx: *const u64) {
    let skb = skb::<A>(ctx, POINT as usize);
    let Some(here) = recorder::enter(skb, POINT) else { return };
    // SAFETY: no arguments.
    let task = unsafe { aya_ebpf::helpers::generated::bpf_get_current_pid_tgid() };
    let len = number::<A>(ctx, POINT as usize, 1).min(u64::from(u16::MAX)) as u16;
    record(here, skb, POINT, Known::Ended(Some(AGAIN)), len, task);
    recorder::freed(here, skb);
}

#[inline(always)]
pub(crate) fn consumed<A: Args, const POINT: u16>(ctx: *const u64) {
    let skb = skb::<A>(ctx, POINT as usize);
    // Also for one that was refused: its address is free from now on.
    let Some(here) = recorder::enter_birth(skb) else { return };
    record(here, skb, POINT, Known::Ended(None), 0, 0);
    recorder::freed(here, skb);
}

#[inline(always)]
pub(crate) fn dropped<A: Args, const POINT: u16>(ctx: *const u64) {
    let reason = number::<A>(ctx, POINT as usize, 1) as u32;
    let location = number::<A>(ctx, POINT as usize, 2);
    let skb = skb::<A>(ctx, POINT as usize);
    let Some(here) = recorder::enter_birth(skb) else { return };
    let arg = EndArg { location, subsystem: (reason >> 16) as u16 }.pack();
    record(here, skb, POINT, Known::Ended(Some(AGAIN)), reason as u16, arg);
    recorder::freed(here, skb);
}

#[inline(always)]
pub(crate) fn send_begins<A: Args, const POINT: u16>(ctx: *const u64) {
    let sk = pointer::<A>(ctx, POINT as usize, 0);
    if recorder::netns_wanted(netns_of(sk.follow(offset!(sock_net)))) {
        sending::begin();
    }
}

#[inline(always)]
pub(crate) fn idling<A: Args, const POINT: u16>(ctx: *const u64) {
    /// `PWR_EVENT_EXIT`; any other is the state that it goes into.
    const EXIT: u32 = u32::MAX;
    if number::<A>(ctx, POINT as usize, 0) as u32 == EXIT {
        recorder::leave_idle();
    }
}
