//! What each mark of a flight means, given the devices.

use netpath_common::{
    hop::{At, HopId, Note, edges},
    netfilter::HookAux,
    place::DevId,
    point::{HOOK_SLOT, NET_DEV_XMIT, NETIF_RECEIVE, point, situation},
    situation::When,
    softirq::TakenUp,
    span::{SPANS, of_point},
};

use super::devices::{Devices, Traits};
use crate::{
    flight::{End, Flight, Mark},
    topo::Place,
};

/// A mark with its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) at_ns: u64,
    pub(super) cpu: u16,
    /// The CPU has left idle since the step before.
    pub(super) left_idle: bool,
    /// The CPU had something else at hand since the step before.
    pub(super) resumed: bool,
    pub(super) what: What,
    /// The device, or the one that was passed last where the mark names none.
    pub(super) place: Place,
    /// The hook of a link, or of a function that runs in one.
    pub(super) hook: Option<HookAux>,
    /// Who took the packet up from a CPU's backlog, where that is told.
    pub(super) taken_up: Option<TakenUp>,
    /// The event's argument, as [`netpath_common::point::Body`] has it.
    pub(super) arg: u64,
}

/// What a mark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The packet is in a situation.
    At(At),
    /// A function of this hop was entered; its span's index.
    Enter(HopId, usize),
    /// It was left.
    Exit(usize),
    /// A wait of this hop begins, within whatever the packet is in.
    Wait(HopId),
    /// It is over.
    Waited,
}

impl Step {
    /// Whether a function of this hop is entered.
    pub(super) fn enters(&self, hop: HopId) -> bool {
        matches!(self.what, What::Enter(of, _) if of == hop)
    }

    /// The situation, where it is one.
    pub(super) fn at(&self) -> Option<At> {
        match self.what {
            What::At(at) => Some(at),
            What::Enter(..) | What::Exit(_) | What::Wait(_) | What::Waited => None,
        }
    }
}

impl Step {
    /// Whether the packet now lies in a queue: it is in none of the functions any more that led it
    /// there, though they have yet to return.
    pub(super) fn is_queued(&self) -> bool {
        self.at().is_some_and(|at| at.row().queued)
    }
}

/// The hop of the time between these two, which interrupt others.
const LOCK: Option<HopId> = edges()[At::Lock as usize][At::Locked as usize];

/// Fills `steps` from the flight's marks; marks of unknown points are left out.
pub(super) fn classify(flight: &Flight, devices: &Devices, steps: &mut Vec<Step>) {
    steps.clear();
    let (mut place, mut device) = (Place::default(), Traits::default());
    let mut bridged = false;
    for mark in &flight.marks {
        let (what, hook) = if let Some((index, exit)) = of_point(mark.point) {
            let row = SPANS[index];
            let hook = (!exit && row.span.note != Note::None && mark.aux != HookAux::NOWHERE)
                .then(|| HookAux::unpack(mark.aux));
            if exit { (What::Exit(index), None) } else { (What::Enter(row.hop, index), hook) }
        } else {
            let hook = (mark.point == HOOK_SLOT).then(|| HookAux::unpack(mark.aux));
            if mark.point == NET_DEV_XMIT && !returns_last(steps, mark) {
                continue;
            }
            if names_device(mark.point) {
                let named = DevId::from_arg(mark.arg).into();
                // Older recordings name none at some points.
                if named != place && named != Place::default() {
                    (place, device) = (named, devices.get(named));
                }
            }
            let Some(at) = situation(mark.point, mark.aux) else { continue };
            let at = special(at, &device, bridged);
            bridged = at.row().bridged.unwrap_or(bridged);
            let what = match (at, LOCK) {
                (At::Lock, Some(hop)) => What::Wait(hop),
                (At::Locked, Some(_)) => What::Waited,
                _ => What::At(at),
            };
            (what, hook)
        };
        let Mark { at_ns, cpu, left_idle, resumed, arg, aux, point } = *mark;
        let taken_up = if point == NETIF_RECEIVE { TakenUp::unpack(aux) } else { None };
        steps.push(Step { at_ns, cpu, left_idle, resumed, what, place, hook, taken_up, arg });
    }
    if flight.end == End::Merged
        && let Some(Step { what: What::At(at @ (At::Consume | At::Drop)), .. }) = steps.last_mut()
    {
        *at = At::Joined;
    }
    // What comes before the first place happens there too: the system call that sends.
    let first = steps.iter().map(|s| s.place).find(|p| *p != Place::default());
    for step in steps.iter_mut().take_while(|s| s.place == Place::default()) {
        step.place = first.unwrap_or_default();
    }
}

/// Whether a driver that returns is the one that was called last. One that has called another
/// (a bridge its port's) or has put the packet on a backlog (veth) says nothing of where it is.
fn returns_last(steps: &[Step], mark: &Mark) -> bool {
    let called = steps.iter().rev().find_map(|step| Some((step.at()?, step.place)));
    let device = Place::from(DevId::from_arg(mark.arg));
    matches!(called, Some((At::Start | At::StartBridge, place)) if place == device)
}

/// Whether the event's argument is a device.
pub(super) fn names_device(number: u16) -> bool {
    number == HOOK_SLOT || point(number).is_some_and(|p| p.body.names_device())
}

/// The case of a general situation that holds on this device.
fn special(at: At, device: &Traits, bridged: bool) -> At {
    [(When::OnBridge, device.bridge), (When::OnPort, device.bridge_port), (When::InBridge, bridged)]
        .into_iter()
        .filter(|(_, holds)| *holds)
        .find_map(|(when, _)| at.case(when))
        .unwrap_or(at)
}
