//! What an event can do to a flight, and how flights end that no event ends: rules 1, 2 and 6 of
//! [`super`].

use netpath_common::point::{
    Body, GRO_RECEIVE, HOOK_SLOT, Hook, HookAux, IP6_XMIT, LATE, LOCAL_OUT, NET_DEV_START,
    NET_DEV_XMIT, NETIF_RECEIVE, SEND_BEGIN, SK_READY, SPAN_FIRST, TRANSPORT, point,
};

use super::{End, Flight, Mark};
use crate::decode::Event;

/// What an event can do to a flight.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Begins a flight for certain.
    Birth,
    /// May begin one in mid-path.
    Passage,
    /// Only belongs to one that is open.
    Follow,
    /// The last that is seen of it.
    Last,
}

pub(super) fn role(at: u16, aux: u16) -> Role {
    if at == LATE {
        return Role::Birth;
    }
    if at == HOOK_SLOT {
        let aux = HookAux::unpack(aux);
        let sent = aux.slot == 0 && aux.hook == Hook::Output as u8;
        return if sent { Role::Birth } else { Role::Passage };
    }
    match point(at).map(|p| p.body) {
        Some(Body::SendBegins | Body::Arriving | Body::LocalOut | Body::FlowOut) => Role::Birth,
        Some(Body::Sending | Body::Starting | Body::Receiving | Body::Backlogged) => Role::Passage,
        Some(Body::Copied | Body::Consumed | Body::Dropped) => Role::Last,
        _ => Role::Follow,
    }
}

/// How a flight ends that was freed after use, or fell silent, after these marks.
pub(super) fn quiet_end(marks: &[Mark]) -> End {
    // Functions that return say nothing of where the packet is.
    let Some(last) = marks.iter().rev().find(|m| m.point < SPAN_FIRST) else {
        return End::Vanished;
    };
    match last.point {
        NETIF_RECEIVE | SK_READY | TRANSPORT => End::Reached,
        HOOK_SLOT if HookAux::unpack(last.aux).hook == Hook::Input as u8 => End::Reached,
        NET_DEV_XMIT => End::Transmitted,
        GRO_RECEIVE => End::Merged,
        _ => End::Vanished,
    }
}

/// Rule 1's exceptions: the last thing that happened was a tunnel device's transmit, or the system
/// call that sends the packet; or the packet was in a tunnel, and its outer one has reached its
/// transport.
pub(super) fn goes_on(flight: Option<&mut Flight>, event: &Event) -> bool {
    let Some(flight) = flight.filter(|_| event.point != LATE) else { return false };
    let Some(last) = flight.marks.last().map(|m| m.point) else { return false };
    let arrives = point(event.point).is_some_and(|p| p.body == Body::Arriving);
    let leaves = arrives && flight.in_tunnel && quiet_end(&flight.marks) == End::Reached;
    if arrives {
        flight.in_tunnel &= !leaves;
    } else {
        flight.in_tunnel |= last == NET_DEV_START;
    }
    leaves || matches!(last, NET_DEV_START | SEND_BEGIN | LOCAL_OUT | IP6_XMIT)
}

/// Whether a flight is about to be put into another packet: a tunnel device sends it anew.
pub(super) fn enters_tunnel(flight: &Flight, events: &[Event]) -> bool {
    let last = flight.marks.last().is_some_and(|m| m.point == NET_DEV_START);
    let sent = events.first().is_some_and(|e| {
        e.point != LATE
            && role(e.point, e.aux) == Role::Birth
            && !point(e.point).is_some_and(|p| p.body == Body::Arriving)
    });
    last && sent
}
