//! What each mark of a flight means, given the topology.

use netpath_common::{
    hop::At,
    place::DevId,
    point::{
        CONSUME_SKB, HOOK_SLOT, Hook, HookAux, KFREE_SKB, NAPI_GRO_RECEIVE_ENTRY, NET_DEV_QUEUE,
        NET_DEV_START_XMIT, NET_DEV_XMIT, NETIF_RECEIVE_SKB, NETIF_RX, QDISC_DEQUEUE,
        QDISC_ENQUEUE, SK_DATA_READY, SKB_COPY_DATAGRAM_IOVEC, SOCK_RECV_LENGTH,
    },
};

use crate::{
    flight::{Flight, Mark},
    topo::{Place, Topology},
};

/// A mark with its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) at_ns: u64,
    pub(super) at: At,
    /// The device, or the one that was passed last where the point names none.
    pub(super) place: Place,
    /// For a link: which.
    pub(super) hook: Option<HookAux>,
    pub(super) cpu: u16,
}

/// Fills `steps` from the flight's marks; marks of unknown points are left out.
pub(super) fn classify(flight: &Flight, topology: &Topology, steps: &mut Vec<Step>) {
    steps.clear();
    let mut place = Place::default();
    let mut bridged = false;
    for mark in &flight.marks {
        let hook = (mark.point == HOOK_SLOT).then(|| HookAux::unpack(mark.aux));
        if names_device(mark.point) {
            place = DevId::from_arg(mark.arg).into();
        }
        let device = topology.device(place);
        let Some(at) = situation(mark, hook, device, bridged) else { continue };
        match at {
            At::RxPort | At::StartBridge => bridged = true,
            At::Rx | At::Queue | At::In | At::Out => bridged = false,
            _ => {}
        }
        steps.push(Step { at_ns: mark.at_ns, at, place, hook, cpu: mark.cpu });
    }
}

/// Whether the event's argument is a device.
fn names_device(point: u16) -> bool {
    matches!(
        point,
        NET_DEV_QUEUE
            | NET_DEV_START_XMIT
            | NET_DEV_XMIT
            | NETIF_RX
            | NAPI_GRO_RECEIVE_ENTRY
            | NETIF_RECEIVE_SKB
            | HOOK_SLOT
    )
}

fn situation(
    mark: &Mark,
    hook: Option<HookAux>,
    device: Option<&crate::topo::Device>,
    bridged: bool,
) -> Option<At> {
    Some(match mark.point {
        NET_DEV_QUEUE => At::Queue,
        QDISC_ENQUEUE => At::Enqueue,
        QDISC_DEQUEUE => At::Dequeue,
        NET_DEV_START_XMIT if device.is_some_and(|d| d.kind == "bridge") => At::StartBridge,
        NET_DEV_START_XMIT => At::Start,
        NET_DEV_XMIT => At::Xmit,
        NETIF_RX => At::NetifRx,
        NAPI_GRO_RECEIVE_ENTRY => At::Gro,
        NETIF_RECEIVE_SKB if device.is_some_and(|d| d.bridge_port) => At::RxPort,
        NETIF_RECEIVE_SKB => At::Rx,
        SK_DATA_READY => At::Ready,
        SOCK_RECV_LENGTH => At::Recv,
        SKB_COPY_DATAGRAM_IOVEC => At::Copy,
        CONSUME_SKB => At::Consume,
        KFREE_SKB => At::Drop,
        HOOK_SLOT => At::hook(Hook::from_number(hook?.hook)?, bridged),
        _ => return None,
    })
}
