//! Situations: where a packet can be when a probe sees it, and what may follow what.
//!
//! One table, [`SITUATIONS`]. Everything that asks what a situation means asks its row: whether the same
//! sk_buff can go on from one situation to the next (the grammar), whether a copy of it can turn up there,
//! how a packet ends that is freed or falls silent there, whether it lies in a queue, and whether the
//! situation counts for a path and its direction. A new situation is one row.
//!
//! The kernel frees many sk_buffs without a trace (TCP most of all), and the slab hands their memory out
//! again at once. So an event at a known address is the known packet's only if its situation can follow:
//! - [`Next::GoesOn`]: it does, for certain;
//! - [`Next::IfSame`]: the headers decide;
//! - [`Next::Other`]: it is another packet.

use crate::netfilter::Hook;

/// Declares [`At`] and [`SITUATIONS`] from one list.
macro_rules! situations {
    ($($name:ident { $($field:ident: $value:expr),* $(,)? })*) => {
        /// A packet's situation at a probe point.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum At { $($name,)* }

        impl At {
            pub const ALL: &[Self] = &[$(Self::$name,)*];
            pub const COUNT: usize = Self::ALL.len();
        }

        /// Every situation, in the order of [`At`].
        pub const SITUATIONS: [Situation; At::COUNT] =
            [$(Situation { $($field: $value,)* ..Situation::of(At::$name) },)*];
    };
}

/// What an event in a situation can do to a flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A packet begins here, unless the grammar and its headers say that it goes on.
    Birth,
    /// One may be met here that was not seen before.
    Passage,
    /// Only a packet that is followed is seen here.
    Follow,
    /// The last that is seen of it.
    Last,
}

/// What has become of a packet that is freed after use, or falls silent, in a situation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quiet {
    /// Its transport protocol, or its socket, has taken it.
    Reached,
    /// A device whose other end is not on this machine has it.
    Transmitted,
    /// GRO, or reassembly, has put it into another packet.
    Merged,
    /// Packets don't end there.
    Vanished,
}

/// Which way a packet passes the device of a situation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Sending,
    Receiving,
}

/// When a situation is another one's special case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The device is a bridge.
    OnBridge,
    /// The device is a bridge's port.
    OnPort,
    /// A bridge is handling the packet.
    InBridge,
}

/// A row of the table of situations.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    pub at: At,
    /// What people call it.
    pub what: &'static str,
    pub role: Role,
    /// The situations from which the same sk_buff comes here for certain.
    pub after: &'static [At],
    /// Those from which it can, and another packet at its address can as well.
    pub perhaps: &'static [At],
    /// Those in which a packet can be of which a copy, a fragment or a segment turns up here.
    pub copied: &'static [At],
    pub quiet: Quiet,
    /// The packet lies in a queue from here on, whatever function led it there.
    pub queued: bool,
    /// For how long is known by nobody: it has not vanished, however long nothing is seen of it.
    pub waits: bool,
    pub side: Option<Side>,
    /// The same of a device that shares the one below it with others (macvlan): it is passed there first.
    pub shared_side: Option<Side>,
    /// The device is one that the packet's path leads through.
    pub on_path: bool,
    /// The device's own statistics count the packet here, on this side.
    pub counted: bool,
    /// From here on a bridge handles the packet, or no bridge does.
    pub bridged: Option<bool>,
    /// The packet leaves its device here, for one in any namespace.
    pub hands_over: bool,
    /// Seen once the packet may have gone on from here: where it can't follow, it has, and this is no news.
    pub afterwards: bool,
    /// The situation that this one is a case of.
    pub case: Option<(At, When)>,
}

impl Situation {
    /// A situation that a packet is only followed to.
    const fn of(at: At) -> Self {
        Self {
            at,
            what: "",
            role: Role::Follow,
            after: &[],
            perhaps: &[],
            copied: &[],
            quiet: Quiet::Vanished,
            queued: false,
            waits: false,
            side: None,
            shared_side: None,
            on_path: false,
            counted: false,
            bridged: None,
            hands_over: false,
            afterwards: false,
            case: None,
        }
    }
}

use At::{
    BrFlood, BrForward, BrFwd, BrNf, BrPost, BrPre, BrUp, Dequeue, Direct, Enqueue, Finishing,
    Forwarding, Fwd, Gro, In, LocalOut, Lock, Locked, NeighQueue, NetifRx, Out, Outputting, Post,
    Pre, Queue, Ready, Rx, RxPort, Start, StartBridge, Transport, Xmit,
};

situations! {
    Send {
        what: "a process sends", role: Role::Birth,
    }
    LocalOut {
        what: "a local packet leaves its socket", role: Role::Birth, bridged: Some(false),
        after: &[At::Send, LocalOut], perhaps: &[Start, StartBridge, Queue, In, Post],
        copied: &[Pre, Fwd, Out, Post, BrPre, BrFwd, BrPost],
    }
    Queue {
        what: "a device's transmit side", role: Role::Passage,
        side: Some(Side::Sending), on_path: true, bridged: Some(false),
        after: &[At::Send, LocalOut, Out, Fwd, Forwarding, Pre, Outputting, Post, Finishing, NeighQueue,
            BrNf, BrPre, BrFwd, BrPost, BrForward, BrFlood, StartBridge, Start, Xmit, Queue],
        perhaps: &[Rx, RxPort, Dequeue],
        copied: &[Rx, RxPort, BrNf, BrPre, BrFwd, BrPost, BrForward, BrFlood, StartBridge, Queue,
            Start, Outputting, Post, Out, Fwd, Forwarding, Finishing, LocalOut, Pre, NetifRx, Xmit],
    }
    Lock { what: "waiting for a qdisc's lock", after: &[Queue, Locked] }
    Locked { what: "got a qdisc's lock", after: &[Lock] }
    Enqueue {
        what: "entering a qdisc", queued: true, waits: true,
        after: &[Queue, Lock, Locked, Enqueue, Dequeue, Xmit],
    }
    Dequeue {
        what: "leaving a qdisc",
        after: &[Enqueue, Dequeue, Queue, Direct, Xmit, Start],
    }
    Direct {
        what: "from the qdisc to the driver",
        after: &[Queue, Locked, Enqueue, Dequeue, Direct, Xmit],
    }
    Start {
        what: "the driver is called", role: Role::Passage, hands_over: true,
        side: Some(Side::Sending), on_path: true, counted: true,
        after: &[Queue, Locked, Enqueue, Dequeue, Direct, Xmit, Start, StartBridge],
        perhaps: &[Rx, RxPort, Out, Post, Outputting, Finishing],
        copied: &[Queue, Locked, Enqueue, Dequeue, Direct, Start, NetifRx, Xmit],
    }
    StartBridge {
        what: "a bridge's driver is called", role: Role::Passage, hands_over: true,
        side: Some(Side::Sending), on_path: true, counted: true, bridged: Some(true), case: Some((Start, When::OnBridge)),
        after: &[Queue, Locked, Enqueue, Dequeue, Direct, Start],
    }
    Xmit {
        what: "the driver returned", hands_over: true, afterwards: true, quiet: Quiet::Transmitted,
        after: &[Start, StartBridge, Queue, Enqueue, Dequeue, Direct, Xmit, NetifRx],
    }
    NetifRx {
        what: "put on a CPU's backlog", role: Role::Passage, queued: true,
        side: Some(Side::Receiving), on_path: true,
        after: &[Start, StartBridge, Xmit, Queue, Gro, Post, Outputting],
        perhaps: &[Rx, RxPort, BrUp, In, Transport, Pre],
        copied: &[Outputting, Post, Start, Xmit, Rx, RxPort, Out],
    }
    Gro {
        what: "entering GRO", role: Role::Birth, quiet: Quiet::Merged,
        side: Some(Side::Receiving), on_path: true,
        perhaps: &[Start, Xmit, In, Transport, Rx, Pre, Gro],
        copied: &[Start, Xmit],
    }
    Rx {
        what: "received by the softirq", role: Role::Passage, quiet: Quiet::Reached,
        side: Some(Side::Receiving), on_path: true, counted: true, bridged: Some(false),
        after: &[NetifRx, Gro, Rx, RxPort, BrUp, BrNf, BrPre, BrFwd, BrPost, BrFlood, Start, StartBridge, Xmit],
        perhaps: &[In, Transport, Pre],
        copied: &[Start, Xmit, Rx, RxPort, BrNf, BrPre, BrFlood, Gro, Outputting, Post],
    }
    RxPort {
        what: "received by the softirq, on a bridge's port", role: Role::Passage,
        side: Some(Side::Receiving), on_path: true, counted: true, bridged: Some(true), case: Some((Rx, When::OnPort)),
        after: &[NetifRx, Gro, Rx, Start, Xmit],
    }
    BrNf { what: "br_netfilter", after: &[RxPort, Rx] }
    BrUp { what: "the bridge hands up", after: &[RxPort, Rx, BrNf, BrPre, BrFlood] }
    BrForward {
        what: "the bridge forwards",
        after: &[RxPort, Rx, BrNf, BrPre, BrFlood, StartBridge, Start],
    }
    BrFlood { what: "the bridge floods", after: &[RxPort, Rx, BrNf, BrPre, StartBridge, Start] }
    Pre {
        what: "before PREROUTING", role: Role::Passage, quiet: Quiet::Vanished,
        shared_side: Some(Side::Receiving),
        after: &[Rx, RxPort, BrNf, Pre, Gro, NetifRx],
        copied: &[Rx, RxPort, Gro],
    }
    In {
        what: "a link in INPUT", role: Role::Passage, quiet: Quiet::Reached,
        side: Some(Side::Receiving), bridged: Some(false),
        after: &[Pre, Rx, RxPort, In, Fwd],
        copied: &[Rx, RxPort, Gro, Pre],
    }
    Fwd {
        what: "a link in FORWARD", role: Role::Passage,
        after: &[Pre, Rx, RxPort, Fwd, Forwarding, BrForward, BrNf, BrPre, BrFlood],
        copied: &[Rx, RxPort, Gro, Pre],
    }
    Out {
        what: "a link in OUTPUT", role: Role::Birth, side: Some(Side::Sending), bridged: Some(false),
        after: &[At::Send, LocalOut, Out], perhaps: &[Start, StartBridge, Queue, In, Post, Outputting],
        copied: &[Pre, Fwd, Out, Post, BrPre, BrFwd, BrPost],
    }
    Post {
        what: "a link in POSTROUTING", role: Role::Passage,
        after: &[At::Send, LocalOut, Out, Fwd, Forwarding, Pre, Outputting, Post, BrNf, BrPre, BrFwd, BrForward, StartBridge],
        perhaps: &[Rx, RxPort, In, Start],
        copied: &[Outputting, Out, Fwd, Forwarding, LocalOut, Rx, RxPort],
    }
    BrPre {
        what: "before PREROUTING, inside a bridge", role: Role::Passage, case: Some((Pre, When::InBridge)),
        after: &[RxPort, Rx, BrNf, BrPre],
        copied: &[RxPort, Rx],
    }
    BrFwd {
        what: "a link in FORWARD, inside a bridge", role: Role::Passage, case: Some((Fwd, When::InBridge)),
        after: &[RxPort, Rx, BrNf, BrPre, BrFwd, BrForward, BrFlood],
        copied: &[RxPort, Rx, BrNf, BrPre],
    }
    BrPost {
        what: "a link in POSTROUTING, inside a bridge", role: Role::Passage, case: Some((Post, When::InBridge)),
        after: &[RxPort, BrNf, BrPre, BrFwd, BrForward, BrFlood, BrPost, StartBridge],
    }
    Forwarding { what: "ip_forward", after: &[Pre, Rx, RxPort] }
    Outputting {
        what: "ip_output", after: &[At::Send, LocalOut, Out, Fwd, Forwarding, Pre, Rx, Outputting],
        perhaps: &[In, Start],
    }
    Finishing {
        what: "ip_finish_output2",
        after: &[At::Send, LocalOut, Out, Fwd, Forwarding, Pre, Rx, Outputting, Post, Finishing, NeighQueue],
        perhaps: &[In, Start],
    }
    NeighQueue {
        what: "waiting for a link address", role: Role::Passage, queued: true, waits: true,
        side: Some(Side::Sending),
        after: &[At::Send, LocalOut, Out, Fwd, Forwarding, Pre, Rx, Outputting, Post, Finishing, NeighQueue],
        copied: &[LocalOut, Out, Fwd, Forwarding, Outputting, Post, Finishing, NeighQueue],
    }
    Transport {
        what: "the transport protocol", quiet: Quiet::Reached, shared_side: Some(Side::Receiving),
        after: &[In, Pre, Rx, Gro, Transport],
    }
    Ready {
        what: "in the socket's queue", quiet: Quiet::Reached, queued: true, waits: true,
        after: &[Transport, In, Pre, Rx, Ready],
    }
    Copy {
        what: "copied to the process", role: Role::Last,
        after: &[Ready, Transport, In, Pre, Rx, Start, StartBridge, Xmit, At::Copy],
    }
    Recv { what: "the process has it", after: &[At::Copy, Ready] }
    Consume { what: "freed after use", role: Role::Last, after: At::ALL }
    // XDP throws away what it has made of a packet: a copy that nothing else is seen of. A transport frees
    // without a trace, and what is dropped at that address may never have been seen.
    Drop {
        what: "dropped", role: Role::Last,
        after: &NOT_TAKEN, perhaps: TAKEN, copied: &[Start, Xmit],
    }
    // No probe's: what freeing a packet means that has become a part of another one.
    Joined { what: "put together with others", after: At::ALL }
    LeftIdle { what: "a CPU leaves idle", after: At::ALL }
    Late { what: "found to be late", role: Role::Birth }
}

/// Where a transport protocol has the packet, or its socket.
const TAKEN: &[At] = &[In, Transport, Ready];

/// Every other situation.
const NOT_TAKEN: [At; At::COUNT - TAKEN.len()] = {
    let mut others = [At::Send; At::COUNT - TAKEN.len()];
    let (mut n, mut i) = (0, 0);
    while i < At::COUNT {
        if !among(At::ALL[i], TAKEN) {
            others[n] = At::ALL[i];
            n += 1;
        }
        i += 1;
    }
    others
};

impl At {
    /// Its row.
    #[inline]
    pub const fn row(self) -> &'static Situation {
        &SITUATIONS[self as usize]
    }

    /// What people call it.
    pub const fn name(self) -> &'static str {
        self.row().what
    }

    /// Where a link of `hook` is, outside of bridges.
    #[inline]
    pub const fn hook(hook: Hook) -> Self {
        match hook {
            Hook::Prerouting => Pre,
            Hook::Input => In,
            Hook::Forward => Fwd,
            Hook::Output => Out,
            Hook::Postrouting => Post,
        }
    }

    /// Whether links see it.
    pub fn is_in_hook(self) -> bool {
        Hook::ALL.iter().any(|hook| Self::hook(*hook) == self.general())
    }

    /// The situation that this is a case of, or itself.
    #[must_use]
    pub const fn general(self) -> Self {
        match self.row().case {
            Some((of, _)) => of,
            None => self,
        }
    }

    /// The case of this situation that holds `when` does.
    #[inline]
    pub const fn case(self, when: When) -> Option<Self> {
        CASES[self as usize][when as usize]
    }
}

/// For each situation its case under each condition.
const CASES: [[Option<At>; 3]; At::COUNT] = {
    let mut cases = [[None; 3]; At::COUNT];
    let mut i = 0;
    while i < At::COUNT {
        if let Some((of, when)) = SITUATIONS[i].case {
            cases[of as usize][when as usize] = Some(At::ALL[i]);
        }
        i += 1;
    }
    cases
};

/// What an event says of the packet that was last seen at its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The packet goes on.
    GoesOn,
    /// It does if the headers are its own.
    IfSame,
    /// This is another packet.
    Other,
}

const fn among(at: At, set: &[At]) -> bool {
    let mut i = 0;
    while i < set.len() {
        if set[i] as u8 == at as u8 {
            return true;
        }
        i += 1;
    }
    false
}

/// Whether, at the level of general situations, any case of `from` leads to any case of `to` in `lists`.
const fn leads(from: At, to: At, perhaps: bool) -> bool {
    let mut t = 0;
    while t < At::COUNT {
        if At::ALL[t].general() as u8 == to as u8 {
            let set = if perhaps { SITUATIONS[t].perhaps } else { SITUATIONS[t].after };
            let mut f = 0;
            while f < set.len() {
                if set[f].general() as u8 == from as u8 {
                    return true;
                }
                f += 1;
            }
        }
        t += 1;
    }
    false
}

/// What an event in `to` says of a packet that was in `from`, whatever the devices: both are general
/// situations, as probes see them.
pub const fn next(from: At, to: At) -> Next {
    NEXT[from as usize][to as usize]
}

const NEXT: [[Next; At::COUNT]; At::COUNT] = {
    let mut map = [[Next::Other; At::COUNT]; At::COUNT];
    let mut from = 0;
    while from < At::COUNT {
        let mut to = 0;
        while to < At::COUNT {
            let (f, t) = (At::ALL[from].general(), At::ALL[to].general());
            map[from][to] = if leads(f, t, false) {
                Next::GoesOn
            } else if leads(f, t, true) {
                Next::IfSame
            } else {
                Next::Other
            };
            to += 1;
        }
        from += 1;
    }
    map
};

/// Whether a copy, a fragment or a segment of a packet in `from` can turn up in `to`.
pub const fn copies(from: At, to: At) -> bool {
    COPIES[from as usize] >> to as u8 & 1 != 0
}

/// Whether a packet in this situation can turn up anywhere as copies, fragments or segments.
pub const fn goes_on_as_others(from: At) -> bool {
    COPIES[from as usize] != 0
}

/// For every situation, those in which copies and parts turn up, as bits.
const COPIES: [u64; At::COUNT] = {
    let mut copies = [0; At::COUNT];
    let mut from = 0;
    while from < At::COUNT {
        let mut to = 0;
        while to < At::COUNT {
            if among(At::ALL[from].general(), At::ALL[to].general().row().copied) {
                copies[from] |= 1 << to;
            }
            to += 1;
        }
        from += 1;
    }
    copies
};

/// The situations that general ones are kept in as bits of a word: bit `at as u8`.
pub const fn bits(to: At, which: Next) -> u64 {
    let mut bits = 0;
    let mut from = 0;
    while from < At::COUNT {
        if NEXT[from][to as usize] as u8 == which as u8 {
            bits |= 1 << from;
        }
        from += 1;
    }
    bits
}

/// Whether a packet that was in `from` can be in another namespace with the next event.
pub const HANDED_OVER: u64 = {
    let (mut bits, mut i) = (0, 0);
    while i < At::COUNT {
        if SITUATIONS[i].hands_over {
            bits |= 1 << At::ALL[i].general() as u8;
        }
        i += 1;
    }
    bits
};

const _: () = {
    assert!(At::COUNT <= 64);
    // The programs add a hook's number.
    let mut i = 0;
    while i < Hook::ALL.len() {
        assert!(At::hook(Hook::ALL[i]) as usize == Pre as usize + i);
        i += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_situation_has_a_name_and_stands_in_its_place() {
        for (i, row) in SITUATIONS.iter().enumerate() {
            assert_eq!(row.at as usize, i);
            assert!(!row.what.is_empty(), "{:?}", row.at);
        }
    }

    #[test]
    fn nothing_is_transmitted_after_it_was_received_by_a_socket() {
        for from in [In, Transport, Ready, At::Copy] {
            for to in [Queue, Enqueue, Dequeue, Direct, Start, Xmit, Fwd, Pre, Forwarding] {
                assert_eq!(next(from, to), Next::Other, "{from:?} {to:?}");
            }
        }
        // IPVS and tunnels send on, or receive again, what was in INPUT: the headers tell.
        assert_eq!(next(In, Out), Next::IfSame);
        assert_eq!(next(In, Gro), Next::IfSame);
    }

    #[test]
    fn cases_count_as_what_they_are_cases_of() {
        assert_eq!(next(Rx, BrNf), Next::GoesOn);
        assert_eq!(next(Pre, Queue), Next::GoesOn);
        assert_eq!(Rx.case(When::OnPort), Some(RxPort));
        assert_eq!(Post.case(When::InBridge), Some(BrPost));
        assert_eq!(Out.case(When::InBridge), None);
        assert_eq!(BrPre.general(), Pre);
    }

    #[test]
    fn what_goes_on_for_certain_is_not_asked_for() {
        for to in At::ALL {
            for from in to.row().perhaps {
                assert!(!among(*from, to.row().after), "{from:?} to {to:?}");
            }
        }
    }
}
