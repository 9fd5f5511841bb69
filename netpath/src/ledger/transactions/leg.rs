//! A packet's way as round trips see it, and what several of them add up to: a request, a reply.
//!
//! Between a packet that was lost and the one that repeats it a timer runs: that time is nobody's, and is
//! kept apart from what packets spend on the way.

/// A packet's way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Leg {
    /// The index of its path; none where it was not seen in full.
    pub(super) path: Option<u32>,
    pub(super) events: u32,
    /// When it departed.
    pub(super) start_ns: u64,
    /// When it arrived.
    pub(super) end_ns: u64,
    /// When it lay in its reader's queue, or else when it arrived.
    pub(super) there_ns: u64,
    /// It was handed to its receiver on this machine: what repeats it was not needed.
    pub(super) received: bool,
    /// It went in parts, so that its passage can end later than others that departed after it.
    pub(super) in_parts: bool,
    /// The packets before it that it repeats, because they did not arrive.
    pub(super) again: Again,
}

/// Packets that did not arrive, and were sent again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Again {
    pub(super) count: u32,
    /// When the first of them departed.
    pub(super) first_ns: u64,
    /// What became of the last of them, as [`super::lost::Lost::place`].
    pub(super) place: Option<u32>,
}

impl Leg {
    /// When the first packet departed that carried the same.
    pub(super) fn first_ns(&self) -> u64 {
        if self.again.count > 0 { self.again.first_ns.min(self.start_ns) } else { self.start_ns }
    }
}

/// Times in which a timer ran, added up; where several ran at once it is one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timers {
    pub(super) sum_ns: i64,
    until_ns: u64,
}

impl Timers {
    pub(super) fn ran(&mut self, from_ns: u64, until_ns: u64) {
        let from_ns = from_ns.max(self.until_ns);
        if until_ns > from_ns {
            self.sum_ns += (until_ns - from_ns).cast_signed();
            self.until_ns = until_ns;
        }
    }
}

/// What was sent again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Repeated {
    /// Packets.
    pub(super) count: u32,
    /// From the first packet that had to be repeated to the one that was the last to repeat it, ns.
    pub(super) after_ns: u64,
    pub(super) place: Option<u32>,
}

impl Repeated {
    pub(super) fn add(&mut self, count: u32, after_ns: u64, place: Option<u32>) {
        self.count += count;
        self.after_ns = self.after_ns.max(after_ns);
        self.place = self.place.or(place);
    }

    pub(super) fn join(self, other: Self) -> Self {
        let mut both = self;
        both.add(other.count, other.after_ns, other.place);
        both
    }

    fn leg(&mut self, leg: &Leg) {
        if leg.again.count > 0 {
            self.add(leg.again.count, leg.start_ns - leg.first_ns(), leg.again.place);
        }
    }
}

/// What did not go as it should: few round trips have that.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trouble {
    pub(super) timers: Timers,
    pub(super) repeated: Repeated,
}

/// [`Trouble`], where there is any.
#[derive(Clone, Debug, Default)]
pub(super) struct Troubles(Option<Box<Trouble>>);

impl Troubles {
    pub(super) fn get(&self) -> Trouble {
        self.0.as_deref().copied().unwrap_or_default()
    }

    pub(super) fn put(&mut self) -> &mut Trouble {
        self.0.get_or_insert_default()
    }

    /// What a packet repeats, and the timer that ran before it.
    fn note(&mut self, leg: &Leg) {
        if leg.again.count > 0 {
            let trouble = self.put();
            trouble.timers.ran(leg.first_ns(), leg.start_ns);
            trouble.repeated.leg(leg);
        }
    }
}

/// A request: all that one side sent before the other's first byte.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    /// Of the packet that departed last.
    pub(super) path: Option<u32>,
    pub(super) events: u32,
    received: bool,
    /// A packet of it was not seen in full.
    pub(super) unsure: bool,
    pub(super) last_ns: u64,
    /// When the first packet departed.
    pub(super) first_ns: u64,
    /// When all had arrived.
    pub(super) end_ns: u64,
    pub(super) troubles: Troubles,
}

impl Ask {
    pub(super) fn of(leg: Leg) -> Self {
        let mut ask = Self {
            path: leg.path,
            events: leg.events,
            received: leg.received,
            unsure: leg.path.is_none(),
            last_ns: leg.start_ns,
            first_ns: leg.first_ns(),
            end_ns: leg.end_ns,
            troubles: Troubles::default(),
        };
        ask.troubles.note(&leg);
        ask
    }

    /// A request that repeats another one: what lies between is its sender's.
    pub(super) fn anew(leg: Leg, before: Option<&Self>) -> Self {
        let mut ask = Self::of(Leg { again: Again::default(), ..leg });
        let mut repeated = before.map_or_else(Repeated::default, |ask| ask.troubles.get().repeated);
        repeated.leg(&leg);
        if let Some(before) = before {
            repeated.add(1, leg.start_ns.saturating_sub(before.first_ns), None);
        }
        if repeated.count > 0 {
            ask.troubles.put().repeated = repeated;
        }
        ask
    }

    /// The packet that departed last is this one.
    pub(super) fn ends_with(&mut self, leg: &Leg) {
        (self.path, self.events, self.received) = (leg.path, leg.events, leg.received);
        self.last_ns = leg.start_ns;
    }

    /// Another packet of it.
    pub(super) fn join(&mut self, leg: Leg) {
        self.first_ns = self.first_ns.min(leg.first_ns());
        self.end_ns = self.end_ns.max(leg.end_ns);
        self.unsure |= leg.path.is_none();
        self.troubles.note(&leg);
        if leg.start_ns >= self.last_ns {
            self.ends_with(&leg);
        }
    }

    /// A packet that repeats one of it. Where that one was received, this one changes nothing.
    pub(super) fn repeat(&mut self, leg: Leg) {
        let before_ns = self.last_ns;
        if leg.start_ns < before_ns && self.first_ns == before_ns {
            // What was taken for the first is the copy: its passage was over sooner.
            let troubles = std::mem::take(&mut self.troubles);
            *self = Self { troubles, ..Self::of(leg) };
            self.troubles.put().repeated.add(1, before_ns - leg.start_ns, None);
            return;
        }
        let trouble = self.troubles.put();
        trouble.repeated.add(1, leg.start_ns.saturating_sub(before_ns), None);
        if self.received || leg.start_ns <= before_ns || leg.path.is_none() {
            return;
        }
        trouble.timers.ran(before_ns, leg.start_ns);
        self.end_ns = leg.end_ns;
        self.ends_with(&leg);
    }

    /// A packet that repeats one of it when its reply was on its way, or there: needless.
    pub(super) fn repeat_late(&mut self, leg: Leg) {
        let after_ns = leg.start_ns.saturating_sub(self.last_ns);
        self.troubles.put().repeated.add(1, after_ns, None);
    }
}

/// A reply: all that the other side sent then.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// Of the packet with the first byte.
    pub(super) path: Option<u32>,
    pub(super) events: u32,
    /// Events of the packet that arrived last, where it is another one.
    pub(super) last_events: u32,
    /// The first packet or the last was not seen in full.
    pub(super) unsure: bool,
    /// When the first packet departed; and when the one did that arrived, if the first was lost.
    pub(super) first_ns: u64,
    pub(super) start_ns: u64,
    /// When it arrived.
    pub(super) received_ns: u64,
    /// When the last of them had arrived, and when it lay in its reader's queue.
    pub(super) end_ns: u64,
    pub(super) there_ns: u64,
    /// After the first packet.
    pub(super) troubles: Troubles,
}

impl Answer {
    pub(super) fn of(leg: Leg) -> Self {
        let mut answer = Self {
            path: leg.path,
            events: leg.events,
            last_events: 0,
            unsure: leg.path.is_none(),
            first_ns: leg.first_ns(),
            start_ns: leg.start_ns,
            received_ns: leg.end_ns,
            end_ns: leg.end_ns,
            there_ns: leg.there_ns,
            troubles: Troubles::default(),
        };
        if leg.again.count > 0 {
            answer.troubles.put().repeated.leg(&leg);
        }
        answer
    }

    /// A reply to what may have been asked before, and was answered in vain.
    pub(super) fn anew(leg: Leg) -> Self {
        Self { first_ns: leg.start_ns, ..Self::of(leg) }
    }

    /// A later packet of it.
    pub(super) fn join(&mut self, leg: Leg) {
        if leg.again.count > 0 {
            let trouble = self.troubles.put();
            trouble.repeated.leg(&leg);
            trouble.timers.ran(leg.first_ns().max(self.received_ns), leg.start_ns);
        }
        if leg.end_ns >= self.end_ns {
            (self.end_ns, self.last_events) = (leg.end_ns, leg.events);
            self.there_ns = self.there_ns.max(leg.there_ns);
            self.unsure = self.path.is_none() || leg.path.is_none();
        }
    }

    /// A packet with what comes before all that has been seen of it.
    pub(super) fn precede(&mut self, leg: Leg) {
        let after = std::mem::replace(self, Self::of(leg));
        let before = after.troubles.get();
        if before.repeated.count > 0 {
            let trouble = self.troubles.put();
            trouble.repeated = trouble.repeated.join(before.repeated);
            trouble.timers.sum_ns += before.timers.sum_ns;
        }
        self.unsure |= after.unsure;
        if after.end_ns > self.end_ns {
            self.end_ns = after.end_ns;
            self.last_events = after.events.max(after.last_events);
        }
    }

    /// A packet that repeats one of it which was seen to arrive, or to leave.
    pub(super) fn repeat(&mut self, leg: Leg) {
        let after_ns = leg.start_ns.abs_diff(self.start_ns);
        if leg.start_ns < self.start_ns && self.last_events == 0 {
            // What was taken for the first is the copy: its passage was over sooner.
            let troubles = std::mem::take(&mut self.troubles);
            *self = Self { troubles, ..Self::of(leg) };
        }
        self.troubles.put().repeated.add(1, after_ns, None);
    }
}
