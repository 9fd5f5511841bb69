//! Why a hop took its time: what was met there, tallied beside the times.

use netpath_common::{
    hop::{HopId, Kind},
    point::{CT_UNREPLIED, Hook, HookAux, IP_CT_NEW},
    softirq::TakenUp,
};

use super::{attribute::Cut, classify::Step};
use crate::{
    hooks::{HookKey, HookPlan},
    packet::Tuple,
};

/// Conntrack's priority in PREROUTING and OUTPUT (`NF_IP_PRI_CONNTRACK`).
const CONNTRACK: i32 = -200;

/// How often, and how long in sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub count: u64,
    pub sum_ns: i64,
}

impl Tally {
    pub(super) fn add(&mut self, ns: i64) {
        self.count += 1;
        self.sum_ns += ns;
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum_ns += other.sum_ns;
    }

    /// 0 where there are none.
    pub fn mean_ns(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum_ns as f64 / self.count as f64 }
    }
}

/// What conntrack says of a packet's connection (`enum ip_conntrack_info`), directions aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CtState {
    /// The packet opens it.
    New,
    /// Another packet has opened it, and nothing came back yet.
    Unreplied,
    Established,
    Related,
    /// Conntrack had the packet and gave it no connection: it is invalid, or a rule says `notrack`.
    Invalid,
}

impl CtState {
    pub const ALL: [Self; 5] =
        [Self::New, Self::Unreplied, Self::Established, Self::Related, Self::Invalid];

    pub const fn key(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Unreplied => "unreplied",
            Self::Established => "established",
            Self::Related => "related",
            Self::Invalid => "invalid",
        }
    }

    /// What conntrack said of a packet in this namespace, by its cookie; `None` where
    /// it was not asked, or where nothing tells.
    pub(super) fn of(steps: &[Step], cuts: &[Cut], netns: u32) -> Option<Self> {
        let here = || steps.iter().filter(|s| s.place.netns == netns);
        if let Some(ctinfo) = here().find_map(|step| step.hook?.ctinfo) {
            return Self::from_ctinfo(ctinfo);
        }
        // The hooks after conntrack's own would have a connection, if there were one.
        let tracked = cuts.iter().map(|cut| cut.key).find(|key| {
            key.place.netns == netns && key.hop.is_some_and(|hop| hop == HopId::Conntrack)
        })?;
        let after = here().filter_map(|step| step.hook).next_back()?;
        (Some(after.hook) != tracked.hook.map(|hook| hook as u8)).then_some(Self::Invalid)
    }

    /// What it last said of a packet in this namespace; invalid where its own hook has had the packet
    /// and gave it no connection.
    pub(super) fn last(steps: &[Step], netns: u32, plan: &HookPlan) -> Option<Self> {
        let here = || steps.iter().filter(|s| s.place.netns == netns);
        let hooks = || here().filter_map(|s| s.hook);
        if let Some(ctinfo) = hooks().filter_map(|hook| hook.ctinfo).next_back() {
            return Self::from_ctinfo(ctinfo);
        }
        // Whatever runs in a hook after conntrack's own function would have been told of a connection.
        let mut after = here().skip_while(|s| !s.enters(HopId::Conntrack)).skip(1);
        if after.any(|s| s.hook.is_some() && !s.enters(HopId::Conntrack)) {
            return Some(Self::Invalid);
        }
        let tracks = |link: HookAux| {
            let key = HookKey { netns, family: link.family, hook: link.hook };
            let before = link.slot.checked_sub(1)?;
            plan.between(key, before, link.slot)?.functions.iter().find(|f| f.priority == CONNTRACK)
        };
        hooks().any(|link| tracks(link).is_some()).then_some(Self::Invalid)
    }

    const fn from_ctinfo(ctinfo: u8) -> Option<Self> {
        match ctinfo {
            0 | 3 => Some(Self::Established),
            1 | 4 => Some(Self::Related),
            IP_CT_NEW => Some(Self::New),
            CT_UNREPLIED => Some(Self::Unreplied),
            _ => None,
        }
    }
}

/// What NAT has done to a packet in a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Rewritten {
    /// Its source.
    Snat,
    /// Its destination.
    Dnat,
    /// Of a reply, the destination: its connection's source had been translated.
    SnatUndone,
    /// Of a reply, the source.
    DnatUndone,
}

impl Rewritten {
    pub const ALL: [Self; 4] = [Self::Snat, Self::Dnat, Self::SnatUndone, Self::DnatUndone];

    pub const fn key(self) -> &'static str {
        match self {
            Self::Snat => "snat",
            Self::Dnat => "dnat",
            Self::SnatUndone => "snat_undone",
            Self::DnatUndone => "dnat_undone",
        }
    }

    /// What was done in this hook to a packet that had the one tuple and got the other. A hook
    /// translates either sources or destinations (`HOOK2MANIP`).
    pub(super) fn of(hook: Hook, before: &Tuple, after: &Tuple, is_reply: bool) -> Option<Self> {
        match hook {
            Hook::Postrouting | Hook::Input => {
                let changed = (before.src, before.sport) != (after.src, after.sport);
                changed.then_some(if is_reply { Self::DnatUndone } else { Self::Snat })
            }
            Hook::Prerouting | Hook::Output => {
                let changed = (before.dst, before.dport) != (after.dst, after.dport);
                changed.then_some(if is_reply { Self::SnatUndone } else { Self::Dnat })
            }
            Hook::Forward => None,
        }
    }
}

/// What packets met in a queueing discipline as they entered it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueMet {
    pub count: u64,
    /// Packets that were there before this one, summed over all.
    pub ahead_sum: u64,
    pub ahead_max: u64,
    /// Bytes in the queue, this packet's included, summed over all.
    pub bytes_sum: u64,
    /// How often the queue was empty.
    pub empty: u64,
}

/// Who took packets up from a CPU's backlog, and what was left there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BacklogMet {
    /// In line: at the end of an interrupt, or of what a task does with softirqs disabled.
    pub in_line: Tally,
    pub ksoftirqd: Tally,
    /// Those that were looked behind.
    pub looked: u64,
    /// Packets behind these, summed over all.
    pub behind_sum: u64,
    pub behind_max: u64,
}

impl BacklogMet {
    fn met(&mut self, taken_up: TakenUp, waited_ns: i64) {
        let by = if taken_up.ksoftirqd { &mut self.ksoftirqd } else { &mut self.in_line };
        by.add(waited_ns);
        if let Some(left) = taken_up.left {
            self.looked += 1;
            self.behind_sum += u64::from(left);
            self.behind_max = self.behind_max.max(left.into());
        }
    }
}

/// A row's causes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Causes {
    /// In a hook: by the connection's state, in the order of [`CtState::ALL`].
    pub states: [Tally; CtState::ALL.len()],
    /// Where NAT is: by what it did, in the order of [`Rewritten::ALL`].
    pub rewritten: [Tally; Rewritten::ALL.len()],
    /// Waits that ended on the CPU where they began.
    pub same_cpu: Tally,
    /// Waits that ended on another one.
    pub other_cpu: Tally,
    /// Waits that ended on a CPU that was idle at their beginning, and had to be woken.
    pub idle_cpu: Tally,
    /// Waits for the softirq.
    pub backlog: BacklogMet,
    pub queue: QueueMet,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    same_cpu: bool,
    /// On a CPU that was idle, and had to be woken.
    left_idle: bool,
    /// By whom, where it was for the softirq.
    taken_up: Option<TakenUp>,
}

impl Wait {
    /// Of the piece between two steps, where it is one.
    pub(super) fn of(from: &Step, to: &Step, hop: HopId) -> Option<Self> {
        let waits = hop.info().kind == Kind::Wait;
        waits.then_some(Self {
            same_cpu: from.cpu == to.cpu,
            left_idle: to.left_idle,
            taken_up: to.taken_up.filter(|_| hop == HopId::Handoff),
        })
    }
}

impl Causes {
    /// Adds another row's.
    pub(super) fn merge(&mut self, other: &Self) {
        let Self { states, rewritten, same_cpu, other_cpu, idle_cpu, backlog, queue } = other;
        self.states.iter_mut().zip(states).for_each(|(a, b)| a.merge(b));
        self.rewritten.iter_mut().zip(rewritten).for_each(|(a, b)| a.merge(b));
        self.same_cpu.merge(same_cpu);
        self.other_cpu.merge(other_cpu);
        self.idle_cpu.merge(idle_cpu);
        self.backlog.in_line.merge(&backlog.in_line);
        self.backlog.ksoftirqd.merge(&backlog.ksoftirqd);
        self.backlog.looked += backlog.looked;
        self.backlog.behind_sum += backlog.behind_sum;
        self.backlog.behind_max = self.backlog.behind_max.max(backlog.behind_max);
        self.queue.count += queue.count;
        self.queue.ahead_sum += queue.ahead_sum;
        self.queue.ahead_max = self.queue.ahead_max.max(queue.ahead_max);
        self.queue.bytes_sum += queue.bytes_sum;
        self.queue.empty += queue.empty;
    }

    pub(super) fn waited(&mut self, wait: Wait, ns: i64) {
        let tally = if wait.same_cpu { &mut self.same_cpu } else { &mut self.other_cpu };
        tally.add(ns);
        if wait.left_idle {
            self.idle_cpu.add(ns);
        }
        if let Some(taken_up) = wait.taken_up {
            self.backlog.met(taken_up, ns);
        }
    }
}

impl QueueMet {
    /// Takes what `qdisc_enqueue` wrote down: the queue's length in packets high, in bytes low. It
    /// fires after the packet has entered, so the packet itself is among them.
    pub(super) fn met(&mut self, fill: u64) {
        let (packets, bytes) = (fill >> 32, fill & u64::from(u32::MAX));
        let ahead = packets.saturating_sub(1);
        self.count += 1;
        self.ahead_sum += ahead;
        self.ahead_max = self.ahead_max.max(ahead);
        self.bytes_sum += bytes;
        self.empty += u64::from(ahead == 0);
    }
}
