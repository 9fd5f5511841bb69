//! What rules cost: an empty table, and each rule that a packet is held against.

use super::{Experiment, Figure, ONE_WAY, TCP_RR, Variant};
use crate::lab::{
    outcome::{Fact, Outcome},
    stats::Estimate,
    topologies::{Flavour, Step, container::BRIDGE},
};

/// A variant with rules.
macro_rules! with {
    ($name:literal, $what:literal, $flavour:ident, $n:literal) => {
        Variant {
            name: $name,
            what: $what,
            topology: &BRIDGE,
            also: &[&[Step::Rules("host", Flavour::$flavour, $n)]],
            against: "none",
        }
    };
}

pub(super) const RULES: Experiment = Experiment {
    name: "rules",
    question: "What does an empty table cost, what each rule, and what a set instead?",
    variants: &[
        Variant {
            name: "none",
            what: "no table at all",
            topology: &BRIDGE,
            also: &[],
            against: "none",
        },
        with!("legacy-0", "an empty filter table of iptables-legacy", Legacy, 0),
        with!("legacy-10", "10 rules of iptables-legacy", Legacy, 10),
        with!("legacy-100", "100 rules of iptables-legacy", Legacy, 100),
        with!("legacy-1000", "1,000 rules of iptables-legacy", Legacy, 1000),
        with!("legacy-5000", "5,000 rules of iptables-legacy", Legacy, 5000),
        with!("iptables-nft-0", "empty filter chains of iptables-nft", Compat, 0),
        with!("iptables-nft-1000", "1,000 rules of iptables-nft", Compat, 1000),
        with!("iptables-nft-5000", "5,000 rules of iptables-nft", Compat, 5000),
        with!("nft-0", "an empty chain of nft", Nft, 0),
        with!("nft-100", "100 rules of nft", Nft, 100),
        with!("nft-1000", "1,000 rules of nft", Nft, 1000),
        with!("nft-5000", "5,000 rules of nft", Nft, 5000),
        with!("nft-set-5000", "one rule of nft with a set of 5,000 addresses", Set, 5000),
        with!("nft-map-5000", "one rule of nft with a map of 5,000 verdicts", Map, 5000),
    ],
    measures: &[TCP_RR, ONE_WAY],
    published: &[],
    facts,
};

/// Time of a datagram, which passes FORWARD once, by its sender's clock, ns.
fn packet_ns(outcome: &Outcome, variant: &str) -> Vec<f64> {
    let each = outcome.values(variant, ONE_WAY.key, Figure::Each.key());
    each.iter().map(|us| us * 1e3).collect()
}

fn facts(outcome: &Outcome) -> Vec<Fact> {
    let more = |variant: &str, base: &str, by: f64| {
        let (with, without) = (packet_ns(outcome, variant), packet_ns(outcome, base));
        let each: Vec<f64> = with.iter().zip(&without).map(|(w, o)| (w - o) / by).collect();
        Estimate::of(&each)
    };
    let hidden = |e: &Estimate| if e.low <= 0.0 { ": hidden by the spread" } else { "" };
    let mut facts = Vec::new();
    for (flavour, published) in [
        ("legacy", Some("26.8 ns a packet (xdp-project)".to_owned())),
        ("iptables-nft", None),
        ("nft", None),
    ] {
        if let Some(e) = more(&format!("{flavour}-0"), "none", 1.0) {
            facts.push(Fact {
                what: format!("an empty table of {flavour}"),
                here: format!(
                    "{:.0} ns a packet ({:.0} to {:.0}){}",
                    e.median,
                    e.low,
                    e.high,
                    hidden(&e)
                ),
                published: published.clone(),
            });
        }
        let many = format!("{flavour}-5000");
        if let Some(e) = more(&many, &format!("{flavour}-0"), 5000.0) {
            facts.push(Fact {
                what: format!("each rule of {flavour}, from 0 to 5,000"),
                here: format!(
                    "{:.2} ns a packet ({:.2} to {:.2}){}",
                    e.median,
                    e.low,
                    e.high,
                    hidden(&e)
                ),
                published: None,
            });
        }
    }
    for what in ["set", "map"] {
        if let Some(e) = more(&format!("nft-{what}-5000"), "nft-0", 1.0) {
            facts.push(Fact {
                what: format!("an nft {what} of 5,000 instead of as many rules"),
                here: format!(
                    "{:.0} ns a packet ({:.0} to {:.0}){}",
                    e.median,
                    e.low,
                    e.high,
                    hidden(&e)
                ),
                published: Some("maps are O(1), rules O(n) (kube-proxy)".to_owned()),
            });
        }
    }
    facts
}
