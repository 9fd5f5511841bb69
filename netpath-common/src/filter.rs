//! A packet filter as both sides run it: a short program of tests over what is known of a packet.
//!
//! User space compiles tcpdump's language to a [`Program`]; the kernel runs it where a packet
//! begins, user space runs the same code over finished flights. So both agree by construction.
//!
//! A test jumps forward only, and what a field means is fixed here, next to who fills it in.

#![allow(
    clippy::inline_always,
    reason = "in the kernel a call costs, and the verifier bounds its depth"
)]

/// What a test looks at. Each is a word of [`Facts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Field {
    /// 4, 6, or 0 where the packet is not IP.
    Version,
    /// IP protocol number.
    Proto,
    /// TCP flags, or the ICMP type.
    Flags,
    /// Bytes of the frame, with [`LINK_HEADER`] for its link header.
    Len,
    Sport,
    Dport,
    /// 1 where the transport header is in another fragment.
    Fragment,
    /// An IPv4 address, or the first quarter of an IPv6 one; host byte order, as all words.
    Src0,
    Src1,
    Src2,
    Src3,
    Dst0,
    Dst1,
    Dst2,
    Dst3,
}

/// Words of [`Facts`]: a power of two, so that a mask bounds an index.
pub const FACTS: usize = 16;

/// The link header that tcpdump counts on Ethernet, veth and bridges.
pub const LINK_HEADER: u32 = 14;

/// What is known of a packet, by [`Field`].
pub type Facts = [u32; FACTS];

/// Entries of [`Program::steps`]: as many as a byte can name, so that one needs no check.
pub const ENTRIES: usize = 256;

/// How a test compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Op {
    /// `field & mask == value`
    Equal,
    /// `field & mask >= value`
    AtLeast,
}

/// A test, and where to go on. Bytes instead of enums: it is a global of the programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Step {
    pub field: u8,
    pub op: u8,
    /// The next step where the test holds, or [`ACCEPT`] or [`REFUSE`].
    pub yes: u8,
    /// And where it doesn't.
    pub no: u8,
    pub mask: u32,
    pub value: u32,
}

/// The packet matches.
pub const ACCEPT: u8 = 254;
/// It doesn't.
pub const REFUSE: u8 = 255;

/// Steps of a program at most.
pub const STEPS: usize = 192;

/// A compiled filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Program {
    /// Steps in use; 0 where every packet matches.
    pub len: u32,
    pub steps: [Step; ENTRIES],
}

impl Step {
    const NONE: Self = Self { field: 0, op: 0, yes: REFUSE, no: REFUSE, mask: 0, value: 0 };

    /// Whether the test holds.
    #[inline(always)]
    pub fn holds(&self, facts: &Facts) -> bool {
        let word = facts[self.field as usize & (FACTS - 1)] & self.mask;
        if self.op == Op::Equal as u8 { word == self.value } else { word >= self.value }
    }
}

impl Program {
    /// Every packet matches.
    pub const ALL: Self = Self { len: 0, steps: [Step::NONE; ENTRIES] };

    /// Whether a packet matches.
    pub fn matches(&self, facts: &Facts) -> bool {
        self.walk(|step| Some(step.holds(facts)))
    }

    /// Whether a packet can match of which the fields in `unknown` can be anything.
    pub fn may_match(&self, facts: &Facts, unknown: &[Field]) -> bool {
        self.walk(|step| {
            let open = unknown.iter().any(|f| *f as u8 == step.field);
            if open { None } else { Some(step.holds(facts)) }
        })
    }

    /// Whether any way through the steps leads to [`ACCEPT`]; `None` goes both ways.
    fn walk(&self, holds: impl Fn(&Step) -> Option<bool>) -> bool {
        let len = (self.len as usize).min(STEPS);
        if len == 0 {
            return true;
        }
        // Jumps go forward: from the last step back, each is known when it is asked for.
        let mut leads = [false; STEPS];
        let mut at = len;
        while at > 0 {
            at -= 1;
            let step = &self.steps[at];
            let to = |next: u8| match next {
                ACCEPT => true,
                REFUSE => false,
                next => (next as usize) < len && next as usize > at && leads[next as usize],
            };
            leads[at] = match holds(step) {
                Some(true) => to(step.yes),
                Some(false) => to(step.no),
                None => to(step.yes) || to(step.no),
            };
        }
        leads[0]
    }
}

/// Slots of the table of flows that nobody wants; a power of two.
pub const FLOW_SLOTS: u32 = 1 << 16;

/// Where a flow stands in that table, and what stands there for it, never 0.
#[inline(always)]
pub fn flow(facts: &Facts) -> (u32, u32) {
    let mut hash = 0x811c_9dc5_u32;
    let mut check = 0x9e37_79b9_u32;
    let fields = [
        Field::Proto as usize,
        Field::Src0 as usize,
        Field::Src1 as usize,
        Field::Src2 as usize,
        Field::Src3 as usize,
        Field::Dst0 as usize,
        Field::Dst1 as usize,
        Field::Dst2 as usize,
        Field::Dst3 as usize,
    ];
    let ports = (facts[Field::Sport as usize] << 16) | facts[Field::Dport as usize];
    let mut i = 0;
    while i < fields.len() {
        hash = (hash ^ facts[fields[i]]).wrapping_mul(0x0100_0193);
        check = (check.rotate_left(5) ^ facts[fields[i]]).wrapping_mul(0x85eb_ca6b);
        i += 1;
    }
    hash = (hash ^ ports).wrapping_mul(0x0100_0193);
    check = (check.rotate_left(5) ^ ports).wrapping_mul(0x85eb_ca6b);
    hash ^= hash >> 15;
    check ^= check >> 13;
    (hash.wrapping_mul(0x2c1b_3c6d) >> 16, check | 1)
}

/// A number for sampling that both directions of a connection share, also where NAT changes its
/// addresses but keeps its ports, as MASQUERADE does where it can.
#[inline(always)]
pub fn conversation(facts: &Facts) -> u32 {
    let (a, b) = (facts[Field::Sport as usize], facts[Field::Dport as usize]);
    let mut hash = facts[Field::Proto as usize].wrapping_mul(0x9e37_79b9);
    hash ^= if a < b { (a << 16) | b } else { (b << 16) | a };
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x7feb_352d);
    hash = (hash ^ (hash >> 15)).wrapping_mul(0x846c_a68b);
    hash ^ (hash >> 16)
}

const _: () = {
    assert!(size_of::<Step>() == 12);
    assert!(size_of::<Program>() == 4 + ENTRIES * 12);
    assert!((Field::Dst3 as usize) < FACTS);
    assert!(STEPS <= ACCEPT as usize);
};

#[cfg(test)]
mod tests {
    use super::*;

    fn equal(field: Field, value: u32, yes: u8, no: u8) -> Step {
        Step { field: field as u8, op: Op::Equal as u8, yes, no, mask: u32::MAX, value }
    }

    fn program(steps: &[Step]) -> Program {
        let mut program = Program::ALL;
        program.len = u32::try_from(steps.len()).unwrap();
        program.steps[..steps.len()].copy_from_slice(steps);
        program
    }

    #[test]
    fn steps_lead_to_an_answer() {
        let p = program(&[
            equal(Field::Proto, 17, 1, REFUSE),
            equal(Field::Dport, 53, ACCEPT, 2),
            equal(Field::Sport, 53, ACCEPT, REFUSE),
        ]);
        let mut facts = [0; FACTS];
        assert!(Program::ALL.matches(&facts) && !p.matches(&facts));
        facts[Field::Proto as usize] = 17;
        facts[Field::Sport as usize] = 53;
        assert!(p.matches(&facts));
        facts[Field::Sport as usize] = 54;
        assert!(!p.matches(&facts) && p.may_match(&facts, &[Field::Dport]));
        assert!(!p.may_match(&facts, &[Field::Len]));
    }

    #[test]
    fn a_jump_backwards_leads_nowhere() {
        let p = program(&[equal(Field::Proto, 0, 1, 1), equal(Field::Proto, 0, 0, 0)]);
        assert!(!p.matches(&[0; FACTS]));
    }

    #[test]
    fn both_directions_are_one_conversation_and_two_flows() {
        let mut there = [0; FACTS];
        there[Field::Proto as usize] = 6;
        there[Field::Sport as usize] = 40000;
        there[Field::Dport as usize] = 80;
        there[Field::Src0 as usize] = 1;
        there[Field::Dst0 as usize] = 2;
        let mut back = there;
        back.swap(Field::Sport as usize, Field::Dport as usize);
        back.swap(Field::Src0 as usize, Field::Dst0 as usize);
        assert_eq!(conversation(&there), conversation(&back));
        assert!(flow(&there) != flow(&back));
        let (slot, check) = flow(&there);
        assert!(slot < FLOW_SLOTS && check != 0);
    }
}
