//! What became of packets that the kernel threw away, by the table in [`netpath_common::end`].
//!
//! In: a flight that ended so, its steps, the session's names of reasons and functions. Out: the key
//! that it is counted under, with its sort; an example of each; how many ended how, on each path.

use std::net::IpAddr;

use netpath_common::{
    end::{self, EndArg, Kind, Layer, Row, Sort, Whose},
    group::Group,
    point::KFREE_SKB,
};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use super::{
    causes::CtState,
    classify::Step,
    devices::Devices,
    drops::{self, DropKey},
    flows::Flows,
};
use crate::{
    flight::{End, Flight},
    hooks::HookPlan,
    packet::{ICMP, ICMPV6, TCP, Tuple},
    session::{FunctionRange, Session},
    topo::Topology,
};

/// How many packets ended in which sort, of those that the kernel threw away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Sorts {
    /// Somebody wanted it, and it did not get there.
    pub lost: u64,
    /// A rule, a policy, a program, or that nobody listens.
    pub refused: u64,
    /// Multicast that nobody listens to, frames for other hosts.
    pub not_for_us: u64,
    /// By its receiver: unread at close, duplicate, out of the window.
    pub discarded: u64,
    /// It did what it was for.
    pub consumed: u64,
}

impl Sorts {
    pub fn get(&self, sort: Sort) -> u64 {
        match sort {
            Sort::Lost => self.lost,
            Sort::Refused => self.refused,
            Sort::NotForUs => self.not_for_us,
            Sort::Discarded => self.discarded,
            Sort::Consumed => self.consumed,
        }
    }

    pub(super) fn count(&mut self, sort: Sort) {
        *match sort {
            Sort::Lost => &mut self.lost,
            Sort::Refused => &mut self.refused,
            Sort::NotForUs => &mut self.not_for_us,
            Sort::Discarded => &mut self.discarded,
            Sort::Consumed => &mut self.consumed,
        } += 1;
    }
}

/// Packets that ended in one way at one place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    pub count: u64,
    /// The first of them.
    pub example: Option<Example>,
    /// When the last of them ended, on the events' clock, ns.
    pub(super) last_ns: u64,
}

/// A packet that was thrown away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Example {
    pub before: Option<Tuple>,
    /// After NAT, where that changed it.
    pub after: Option<Tuple>,
    /// What conntrack said of it last, in the last namespace on its way that tracks connections.
    pub state: Option<CtState>,
    /// It was a reply to conntrack.
    pub is_reply: bool,
    /// TCP's flags, of TCP; of ICMP its type.
    pub flags: u8,
}

pub(super) fn example(flight: &Flight, steps: &[Step], hooks: &HookPlan) -> Example {
    let headers = flight.headers.unwrap_or_default();
    let mut way = steps.iter().rev().map(|step| step.place.netns).filter(|netns| *netns != 0);
    Example {
        before: headers.tuple,
        after: flight.translated,
        state: way.find_map(|netns| CtState::last(steps, netns, hooks)),
        is_reply: super::path::is_reply(flight) == Some(true),
        flags: headers.flags,
    }
}

/// How many packets of a path ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathEnds([u64; ARRIVALS + Sort::COUNT]);

/// Ways to arrive.
const ARRIVALS: usize = 4;

impl PathEnds {
    pub(super) fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(mine, more)| *mine += more);
    }

    /// The place of a way to arrive.
    pub(super) const fn arrived(end: End) -> usize {
        match end {
            End::Delivered => 0,
            End::Transmitted => 2,
            End::Merged => 3,
            _ => 1,
        }
    }

    /// The place of a sort.
    pub(super) const fn ended(sort: Sort) -> usize {
        ARRIVALS + sort as usize
    }

    pub(super) fn count(&mut self, place: usize) {
        self.0[place] += 1;
    }

    /// How many of each, by name; those that there are.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let arrivals = ["delivered", "reached", "transmitted", "merged"].into_iter();
        let names = arrivals.chain(Sort::ALL.iter().map(|sort| sort.key()));
        names.zip(self.0).filter(|(_, n)| *n > 0)
    }
}

/// What the session's kernel calls reasons and functions, as rows of the table.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// By number; `None` for a reason that says nothing.
    reasons: FxHashMap<u32, Option<&'static Row>>,
    functions: Vec<(FunctionRange, &'static Row)>,
    /// Broadcast addresses of the path's networks.
    broadcast: FxHashSet<IpAddr>,
}

impl Ends {
    pub(super) fn of(session: &Session) -> Self {
        let row = |(number, name): (&u16, &String)| (u32::from(*number), end::reason(name));
        let functions = session.freeing.iter();
        Self {
            reasons: session.drop_reasons.iter().map(row).collect(),
            functions: functions
                .filter_map(|range| Some((range.clone(), end::function(&range.name)?)))
                .collect(),
            broadcast: broadcast(&session.topology),
        }
    }

    /// Under which key a flight is counted that was thrown away; or `lost` in this way, which its end
    /// does not say.
    pub(super) fn key(
        &self,
        flight: &Flight,
        steps: &[Step],
        (hooks, devices): (&HookPlan, &Devices),
        flows: &Flows,
        lost: Option<&'static Row>,
    ) -> DropKey {
        let reason = match flight.end {
            End::Dropped { reason } => reason,
            _ => 0,
        };
        let arg = flight.marks.last().filter(|m| m.point == KFREE_SKB).map_or(0, |m| m.arg);
        let EndArg { location, subsystem } = EndArg::unpack(arg);
        let reason = u32::from(reason) | u32::from(subsystem) << 16;
        let drops::Where { place, after, within } = drops::whereabouts(steps, hooks);
        let layer = after.map_or(Layer::Ip, Layer::of);
        let group = within.map(|within| within.hop.info().group);
        let tracking = matches!(group, Some(Group::Conntrack | Group::Nat));
        let kind = self.kind(flight, tracking, flows);
        let known = lost.or_else(|| self.reasons.get(&reason).copied().flatten());
        let open = known.is_none_or(Row::leaves_open);
        let function = if open { self.function(location) } else { None };
        let row = end::row(known, function, layer);
        let location = if known.is_none() { location } else { 0 };
        // What a driver was given is dropped by a program where it arrives.
        let arrives = row.whose == Whose::Program && after.is_some_and(|at| at.row().hands_over);
        let place = devices.get(place).other_end.filter(|_| arrives).unwrap_or(place);
        let sort = row.sort(kind, layer);
        DropKey { sort, reason, location, row: row.name, place, after, within, before: false }
    }

    /// The row of the function that an address lies in. It is where a call returns to.
    fn function(&self, location: u64) -> Option<&'static Row> {
        let after = self.functions.partition_point(|(range, _)| range.from < location);
        let (range, row) = self.functions.get(after.checked_sub(1)?)?;
        (location <= range.to).then_some(*row)
    }

    fn kind(&self, flight: &Flight, tracking: bool, flows: &Flows) -> Kind {
        let headers = flight.headers.unwrap_or_default();
        let Some(tuple) = flight.translated.or(headers.tuple) else { return Kind::default() };
        let icmp = matches!(tuple.proto, ICMP | ICMPV6);
        Kind {
            to_many: self.is_to_many(tuple.dst),
            tcp: tuple.proto == TCP && !headers.fragment,
            flags: if tuple.proto == TCP { headers.flags } else { 0 },
            has_data: headers.payload > 0,
            icmp,
            answers: icmp && answers(tuple.proto, headers.flags),
            tracking,
            // Its receiver has sent from where it goes to: there was a socket.
            over: tuple.proto == TCP && flows.knows(&tuple.reversed()),
        }
    }

    /// Whether an address is that of many: multicast, or a network's broadcast.
    pub(super) fn is_to_many(&self, to: IpAddr) -> bool {
        let all = match to {
            IpAddr::V4(to) => to.is_broadcast(),
            IpAddr::V6(_) => false,
        };
        all || to.is_multicast() || self.broadcast.contains(&to)
    }
}

/// Whether an ICMP message of this type answers another packet.
fn answers(proto: u8, kind: u8) -> bool {
    if proto == ICMP {
        // Replies to echo, time stamp, information and mask; and errors.
        matches!(kind, 0 | 3..=5 | 11 | 12 | 14 | 16 | 18)
    } else {
        kind < 128 || kind == 129
    }
}

/// The broadcast addresses of all networks that devices are in.
fn broadcast(topology: &Topology) -> FxHashSet<IpAddr> {
    let addresses = topology.devices().flat_map(|(_, device)| &device.addresses);
    let last = |&(address, prefix): &(IpAddr, u8)| match address {
        IpAddr::V4(address) if prefix < 31 => {
            Some(IpAddr::from((address.to_bits() | u32::MAX >> prefix).to_be_bytes()))
        }
        _ => None,
    };
    addresses.filter_map(last).collect()
}

#[cfg(test)]
mod tests;
