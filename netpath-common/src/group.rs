//! Cost groups: the categories in which a bill is added up.

/// The part of the network stack that a hop's time is booked under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Group {
    Socket,
    Ip,
    Routing,
    Conntrack,
    Nat,
    Rules,
    Bridge,
    Qdisc,
    Device,
    Handoff,
    GroGso,
    Probe,
    Unattributed,
}

/// How a group is named and drawn. One row per [`Group`], in its order.
#[derive(Debug)]
pub struct GroupInfo {
    pub group: Group,
    /// The name in JSON and exports.
    pub key: &'static str,
    /// The short word in tables and on frames.
    pub label: &'static str,
    /// sRGB, chosen to differ in luminance too, so that they come apart in grey.
    pub rgb: [u8; 3],
}

/// The cost groups, in the order in which a packet meets them on its way out.
pub const GROUPS: &[GroupInfo] = &[
    GroupInfo { group: Group::Socket, key: "socket", label: "socket", rgb: [0x4c, 0x78, 0xa8] },
    GroupInfo { group: Group::Ip, key: "ip", label: "ip", rgb: [0x8f, 0xb8, 0xde] },
    GroupInfo { group: Group::Routing, key: "routing", label: "routing", rgb: [0xb6, 0xd3, 0xee] },
    GroupInfo {
        group: Group::Conntrack,
        key: "netfilter/conntrack",
        label: "conntrack",
        rgb: [0xd6, 0x5f, 0x2c],
    },
    GroupInfo { group: Group::Nat, key: "netfilter/nat", label: "nat", rgb: [0xe8, 0x8b, 0x4a] },
    GroupInfo {
        group: Group::Rules,
        key: "netfilter/rules",
        label: "rules",
        rgb: [0xf5, 0xb8, 0x7a],
    },
    GroupInfo { group: Group::Bridge, key: "bridge", label: "bridge", rgb: [0x59, 0x8c, 0x4a] },
    GroupInfo { group: Group::Qdisc, key: "qdisc", label: "qdisc", rgb: [0xb2, 0x3a, 0x48] },
    GroupInfo { group: Group::Device, key: "device", label: "device", rgb: [0x8a, 0xb8, 0x78] },
    GroupInfo { group: Group::Handoff, key: "handoff", label: "handoff", rgb: [0x9a, 0x86, 0xc0] },
    GroupInfo { group: Group::GroGso, key: "gro-gso", label: "gro/gso", rgb: [0xc3, 0xb4, 0xde] },
    GroupInfo { group: Group::Probe, key: "probe", label: "netpath", rgb: [0x70, 0x70, 0x70] },
    GroupInfo {
        group: Group::Unattributed,
        key: "unattributed",
        label: "unattributed",
        rgb: [0xc8, 0xc8, 0xc8],
    },
];

impl Group {
    pub const fn info(self) -> &'static GroupInfo {
        &GROUPS[self as usize]
    }

    pub const fn key(self) -> &'static str {
        self.info().key
    }

    pub const fn label(self) -> &'static str {
        self.info().label
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_the_enum() {
        for (i, row) in GROUPS.iter().enumerate() {
            assert_eq!(row.group as usize, i, "{}", row.key);
        }
    }
}
