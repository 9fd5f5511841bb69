//! The container's NAT in the rule languages that there are.

use netpath::lab::{
    Lab,
    topologies::{self, Step, Topology},
};

/// A rule set, as the commands that load it in the host's namespace.
pub(crate) struct RuleSet {
    commands: &'static [&'static [&'static str]],
}

impl RuleSet {
    pub(crate) fn apply(&self, lab: &Lab) {
        for command in self.commands {
            lab.command("host", command).expect("the rules are loaded");
        }
    }
}

/// The bridge-nat topology without its rules.
pub(crate) fn bare() -> &'static Topology {
    let like = topologies::find("bridge-nat").expect("it is in the table");
    let steps = like.steps.iter().copied().flatten();
    let steps: Vec<Step> = steps.filter(|s| !matches!(s, Step::Command(..))).copied().collect();
    let steps: &'static [Step] = steps.leak();
    Box::leak(Box::new(Topology { steps: vec![steps].leak(), ..*like }))
}

/// A row of commands for iptables of a kind.
macro_rules! iptables {
    ($v4:literal, $v6:literal) => {
        RuleSet {
            commands: &[
                &[
                    $v4,
                    "-t",
                    "nat",
                    "-A",
                    "POSTROUTING",
                    "-s",
                    "172.31.0.0/24",
                    "-o",
                    "up0",
                    "-j",
                    "MASQUERADE",
                ],
                &[
                    $v6,
                    "-t",
                    "nat",
                    "-A",
                    "POSTROUTING",
                    "-s",
                    "fd31::/64",
                    "-o",
                    "up0",
                    "-j",
                    "MASQUERADE",
                ],
                &[$v4, "-A", "FORWARD", "-i", "br0", "-j", "ACCEPT"],
                &[$v6, "-A", "FORWARD", "-i", "br0", "-j", "ACCEPT"],
            ],
        }
    };
}

pub(crate) const IPTABLES_NFT: RuleSet = iptables!("iptables-nft", "ip6tables-nft");
pub(crate) const IPTABLES_LEGACY: RuleSet = iptables!("iptables-legacy", "ip6tables-legacy");
pub(crate) const NFT: RuleSet = RuleSet {
    commands: &[
        &["nft", "add", "table", "inet", "box"],
        &[
            "nft",
            "add",
            "chain",
            "inet",
            "box",
            "out",
            "{ type nat hook postrouting priority srcnat; }",
        ],
        &["nft", "add", "rule", "inet", "box", "out", "oifname", "up0", "masquerade"],
        &[
            "nft",
            "add",
            "chain",
            "inet",
            "box",
            "through",
            "{ type filter hook forward priority filter; }",
        ],
        &["nft", "add", "rule", "inet", "box", "through", "iifname", "br0", "accept"],
    ],
};
