//! Whether an event is about the packet that was last seen at its address: rules 1 to 3 of [`super`].
//!
//! In: an open flight, an event at its address, the headers where they were read with it. Out: what
//! becomes of the flight.

use netpath_common::{
    hop::Note,
    netfilter::{Hook, HookAux},
    place::DevId,
    point::{HOOK_SLOT, LATE, SEND_BEGIN, is_told_later, point, situation},
    situation::{At, HANDED_OVER, Next, Quiet, Role, Side, next},
    span::{SPANS, of_point},
    wire::MORE_FRAGMENTS,
};

use super::{AT_HAND_NS, End, Flight, Mark};
use crate::{
    decode::Event,
    packet::{Headers, TCP},
};

/// What an event says of the flight that is open at its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes on.
    GoesOn,
    /// It goes on, and nothing shows that it is not another packet that does.
    Perhaps,
    /// It goes on inside another packet: a tunnel's device sends it.
    Wrapped,
    /// It has come out of the tunnel.
    Unwrapped,
    /// It is over: its device has made the answer out of it that it is too large for it (a tunnel's, for a
    /// bridge: `skb_tunnel_check_pmtu`), and the event is that one's.
    TurnedBack,
    /// It has gone on, and the event says nothing more of it.
    GoneOn,
    /// It is over: the event is another packet's.
    Over,
}

/// What an event can do to a flight.
pub(super) fn role(number: u16, aux: u16) -> Role {
    role_of(situation(number, aux), number, aux)
}

#[inline]
fn role_of(at: Option<At>, number: u16, aux: u16) -> Role {
    if number == HOOK_SLOT {
        let link = HookAux::unpack(aux);
        // Only the first link of a hook is asked what it knows of the packet.
        return match at {
            Some(at) if link.slot == 0 || link.hook != Hook::Output as u8 => at.row().role,
            _ => Role::Passage,
        };
    }
    at.map_or(Role::Follow, |at| at.row().role)
}

/// The namespace that an event of this point with this argument names.
pub(super) fn namespace(number: u16, arg: u64) -> Option<u32> {
    let named = number == HOOK_SLOT || point(number).is_some_and(|p| p.body.names_device());
    let netns = DevId::from_arg(arg).netns;
    (named && netns != 0).then_some(netns)
}

/// How the recorder came to give an event to the flight's address.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    /// It has looked at the event already, and let the packet go on.
    pub(super) judged: bool,
    /// The CPU has had the packet at hand since the event before.
    pub(super) at_hand: bool,
}

/// An event, and what the tables say of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sighting<'a> {
    pub(super) event: &'a Event,
    /// The general situation that the packet is in.
    pub(super) at: Option<At>,
    pub(super) role: Role,
    /// The namespace that it names.
    pub(super) netns: Option<u32>,
}

impl<'a> Sighting<'a> {
    #[inline]
    pub(super) fn of(event: &'a Event) -> Self {
        let Event { point, aux, arg, .. } = *event;
        let at = situation(point, aux);
        Self { event, at, role: role_of(at, point, aux), netns: namespace(point, arg) }
    }

    /// Whether packets begin with such an event, unless they are known to go on.
    fn births(&self) -> bool {
        self.role == Role::Birth
    }
}

/// What `seen` says of `flight`, whose headers were read with it, or not.
pub(super) fn fate(
    flight: &Flight,
    seen: &Sighting<'_>,
    headers: Option<&Headers>,
    asked: Asked,
) -> Fate {
    let Sighting { event, at, .. } = *seen;
    if event.point == LATE {
        return Fate::Over;
    }
    let Asked { judged, at_hand } = asked;
    let is_no_news = |at: At| at.row().afterwards && next_of(flight, at) == Next::Other;
    if at.is_some_and(is_no_news) {
        return Fate::GoneOn;
    }
    let grammar = if strays(flight, event, judged) { Next::Other } else { grammar(flight, seen) };
    if is_refragmented(flight, at) {
        return Fate::Over;
    }
    // Its transport frees without a trace: what is thrown away there later and is no IP packet is another.
    let no_ip = |h: &Headers| h.tuple.is_none();
    if at == Some(At::Drop)
        && headers.is_some_and(no_ip)
        && !flight.known.as_ref().is_some_and(no_ip)
        && is_taken(flight)
    {
        return Fate::Over;
    }
    let Some(headers) = headers.filter(|h| h.tuple.is_some()) else {
        let handed_over = flight.at.is_some_and(|last| last.general() == At::Start);
        return match grammar {
            Next::GoesOn => Fate::GoesOn,
            Next::IfSame if judged => Fate::GoesOn,
            Next::IfSame if seen.births() && !handed_over => Fate::Over,
            Next::IfSame => Fate::Perhaps,
            Next::Other => Fate::Over,
        };
    };
    let sends = matches!(at, Some(At::Out | At::LocalOut));
    if sends && flight.at.is_some_and(|last| last.general() == At::Start) {
        // A tunnel's device, or a packet that went on unseen and whose memory was used again.
        let same = flight.known.as_ref().is_none_or(|known| known.same_packet(headers));
        return if same { Fate::GoesOn } else { Fate::Wrapped };
    }
    let Some(known) = &flight.known else { return after_grammar(grammar) };
    // gro_cells_receive gives what is no clone to GRO, and the others to netif_rx.
    let received = matches!(at, Some(At::Gro | At::NetifRx | At::Rx));
    if flight.in_tunnel && received && own(flight, headers) {
        return Fate::Unwrapped;
    }
    if !known.same_packet(headers) {
        if at_hand && is_back(flight, seen) {
            return Fate::TurnedBack;
        }
        // Out of the stack, on the same CPU.
        let renumbered = at_hand && at == Some(At::Queue) && known.is_renumbered(headers);
        let changed = renumbered || known.is_cut_again(headers);
        return if grammar == Next::GoesOn && changed { Fate::GoesOn } else { Fate::Over };
    }
    match grammar {
        Next::GoesOn => Fate::GoesOn,
        Next::IfSame
            if headers.are_telling()
                || is_sent_on(flight, seen)
                || is_dropped_by_transport(at, flight)
                || (at_hand && is_handed_on(flight, seen)) =>
        {
            Fate::GoesOn
        }
        Next::IfSame => Fate::Perhaps,
        // A mark between is missing.
        Next::Other if !seen.births() && headers.are_telling() && !is_taken(flight) => Fate::GoesOn,
        Next::Other => Fate::Over,
    }
}

/// Whether a function that works on any sk_buff (`pskb_expand_head` trims netlink's too) was entered for
/// the address of a packet that its transport took some time ago: TCP frees without a trace. Functions
/// that hooks call are different: nfnetlink_queue lets a packet go on inside one.
fn strays(flight: &Flight, event: &Event, judged: bool) -> bool {
    let outside =
        of_point(event.point).is_some_and(|(span, _)| SPANS[span].span.note == Note::None);
    let at_hand = judged && event.at_ns.saturating_sub(flight.last_ns()) < AT_HAND_NS;
    outside && !at_hand && is_taken(flight)
}

/// Whether its transport has it, or its reader.
fn is_taken(flight: &Flight) -> bool {
    flight.at.is_some_and(|at| {
        matches!(at.row().role, Role::Last) || (at.row().quiet == Quiet::Reached && at != At::Rx)
    })
}

/// What the table of situations says of a flight and an event in `at`, devices aside.
fn next_of(flight: &Flight, at: At) -> Next {
    flight.at.map_or(Next::Other, |last| next(last, at))
}

fn after_grammar(grammar: Next) -> Fate {
    match grammar {
        Next::GoesOn => Fate::GoesOn,
        Next::IfSame => Fate::Perhaps,
        Next::Other => Fate::Over,
    }
}

/// Whether these are the headers of the packet itself, whatever it was wrapped in.
fn own(flight: &Flight, headers: &Headers) -> bool {
    flight.headers.as_ref().is_some_and(|own| own.same_packet(headers))
}

/// Whether a device received it on the spot that it was given to: what it sends, it receives itself.
fn is_back(flight: &Flight, seen: &Sighting<'_>) -> bool {
    let device = DevId::from_arg(seen.event.arg);
    // Functions that the driver has called (`pskb_expand_head`) name none.
    let given = |marks: &[Mark]| {
        let given = marks.iter().rfind(|mark| situation(mark.point, mark.aux).is_some())?;
        Some(DevId::from_arg(given.arg))
    };
    seen.at == Some(At::NetifRx)
        && flight.at.is_some_and(|last| last.general() == At::Start)
        && given(&flight.marks) == Some(device)
}

/// Whether it goes on for certain but for the namespace: a device that others share gives them what is
/// theirs without a probe point (macvlan), while the CPU has it at hand.
fn is_handed_on(flight: &Flight, seen: &Sighting<'_>) -> bool {
    let goes_on = |at: At| next_of(flight, at) == Next::GoesOn;
    seen.at.is_some_and(goes_on) && is_elsewhere(flight, seen)
}

/// Whether a transport that has it drops what has its headers. Another packet that has them would have been
/// seen to arrive.
fn is_dropped_by_transport(at: Option<At>, flight: &Flight) -> bool {
    at == Some(At::Drop) && is_taken(flight)
}

/// Whether a namespace sends what it has just received: with the headers of what it received, from the same
/// sender to the same receiver, it sends nothing but that.
fn is_sent_on(flight: &Flight, seen: &Sighting<'_>) -> bool {
    let received = flight.at.is_some_and(|last| last.general() == At::Rx);
    let sent = |at: At| at == At::Post || at.row().side == Some(Side::Sending);
    received && seen.at.is_some_and(sent) && !is_elsewhere(flight, seen)
}

/// Whether the event is in another namespace than the flight was seen in last.
fn is_elsewhere(flight: &Flight, seen: &Sighting<'_>) -> bool {
    seen.netns.is_some_and(|netns| flight.netns != 0 && netns != flight.netns)
}

/// What the table of situations says.
fn grammar(flight: &Flight, seen: &Sighting<'_>) -> Next {
    let event = seen.event;
    let (Some(last), Some(at)) = (flight.at, seen.at) else {
        return if seen.births() { Next::Other } else { Next::GoesOn };
    };
    // Written down with another event, which has been asked or will be.
    if is_told_later(event.point) && event.point != SEND_BEGIN {
        return Next::GoesOn;
    }
    if event.point == HOOK_SLOT && HookAux::unpack(event.aux).slot > 0 {
        return if last == at { Next::GoesOn } else { next(last, at) };
    }
    let next = if at == At::Out && last == At::Out { Next::IfSame } else { next(last, at) };
    // Into another namespace, though what it was seen in last leads into none.
    if is_elsewhere(flight, seen) && HANDED_OVER >> last.general() as u8 & 1 == 0 {
        match next {
            Next::GoesOn => return Next::IfSame,
            // IPVS sends on from INPUT, and so on, in its own.
            Next::IfSame if seen.births() => return Next::Other,
            _ => {}
        }
    }
    // A copy to a process has payload; what carries none is never read.
    let empty =
        |h: &Headers| h.payload == 0 && !h.is_fragment() && h.tuple.is_some_and(|t| t.proto == TCP);
    if at == At::Copy && !flight.in_tunnel && flight.known.as_ref().is_some_and(empty) {
        return Next::Other;
    }
    next
}

/// Whether a fragment that was put into a whole packet, whose sk_buff is another one's, is sent again as a
/// part of that one.
fn is_refragmented(flight: &Flight, at: Option<At>) -> bool {
    at == Some(At::Queue)
        && flight.put_together
        && flight.at.is_some_and(is_before_rules)
        && flight.known.as_ref().is_some_and(Headers::is_fragment)
}

/// How a flight ends that was freed after use, or fell silent.
pub(super) fn quiet_end(flight: &Flight) -> End {
    let Some(at) = flight.at else { return End::Vanished };
    let fragment = flight.known.as_ref().is_some_and(Headers::is_fragment);
    if is_in_reassembly(flight) || (fragment && is_before_rules(at)) {
        return End::Merged;
    }
    match at.row().quiet {
        Quiet::Reached => End::Reached,
        Quiet::Transmitted => End::Transmitted,
        Quiet::Merged => End::Merged,
        Quiet::Vanished => End::Vanished,
    }
}

/// Whether connection tracking puts fragments together there: in PREROUTING, a bridge's as well, of which where only
/// functions are probed its beginning is seen.
fn is_before_rules(at: At) -> bool {
    matches!(at, At::Pre | At::BrNf)
}

/// Whether a fragment waits for others, as far as was seen: a timer throws it away if they don't come.
pub(super) fn awaits_parts(flight: &Flight) -> bool {
    is_in_reassembly(flight) && !flight.put_together
}

/// Whether a fragment waits for others, or has been put into the packet that they make. The last one goes
/// on as that packet.
pub(super) fn is_in_reassembly(flight: &Flight) -> bool {
    let part = |h: &Headers| h.is_fragment() && h.fragment_at & MORE_FRAGMENTS != 0;
    let waits = |at: At| is_before_rules(at) || matches!(at, At::In | At::Rx);
    flight.known.as_ref().is_some_and(part) && flight.at.is_some_and(waits)
}
