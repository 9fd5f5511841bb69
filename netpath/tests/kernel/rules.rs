//! Which rule dropped a packet, in each language of rules, however deep it stands.

use netpath::{
    lab::{
        Lab, topologies,
        traffic::{Load, Traffic},
    },
    snapshot::{DropReport, Snapshot},
};
use nix::sys::signal::Signal;

use super::{
    matrix::rule_sets::bare,
    support::{end_of, enough, signal, told, trace_on, wait_for},
};
use crate::need_kernel;

const FLOOD: Load = Load::UdpFlood { bytes: 64, rate: Some(500) };

/// FORWARD → one → two → three, which drops UDP after what does not match.
fn iptables(tool: &str) -> Vec<String> {
    let chains = ["one", "two", "three"];
    let mut commands: Vec<String> = chains.iter().map(|c| format!("{tool} -N {c}")).collect();
    commands.extend([
        format!("{tool} -A three -p tcp -j DROP"),
        format!("{tool} -A three -s 10.99.0.0/16 -p udp -j DROP"),
        format!("{tool} -A three -p udp -m udp -j DROP"),
        format!("{tool} -A two -j three"),
        format!("{tool} -A one -j two"),
        format!("{tool} -A FORWARD -i br0 -j one"),
    ]);
    commands
}

/// The same, with a verdict map in it, and nothing that counts.
fn nft() -> Vec<String> {
    [
        "nft add table inet box",
        "nft add chain inet box three",
        "nft add chain inet box two",
        "nft add chain inet box one",
        "nft add chain inet box through { type filter hook forward priority 0; }",
        "nft add rule inet box three ip saddr 10.99.0.0/16 drop",
        "nft add rule inet box three drop",
        "nft add rule inet box two meta l4proto vmap { tcp : drop, udp : goto three }",
        "nft add rule inet box one jump two",
        "nft add rule inet box through iifname br0 jump one",
    ]
    .map(str::to_owned)
    .to_vec()
}

fn load(lab: &Lab, commands: &[String]) {
    for command in commands {
        // What stands in braces is one word.
        let (words, block) = command.split_at(command.find('{').unwrap_or(command.len()));
        let words = words.split_whitespace().chain((!block.is_empty()).then_some(block));
        lab.command("host", &words.collect::<Vec<_>>()).expect("the rules are loaded");
    }
}

/// Traces packets that these rules drop; they are loaded before the trace or after it has begun.
fn traced(commands: &[String], late: bool) -> Snapshot {
    let lab = Lab::up(bare()).expect("the lab comes up");
    if !late {
        load(&lab, commands);
    }
    let mut child = trace_on(&lab, &[]);
    if late {
        load(&lab, commands);
        told(child.stderr.as_mut().expect("it was piped"), "hooks of IPv4 FORWARD in host changed");
    }
    let mut traffic = Traffic::start(&lab, FLOOD, false).expect("the traffic flows");
    wait_for("enough traffic", || traffic.count() >= enough(500));
    signal(&child, Signal::SIGINT);
    traffic.stop().expect("the traffic flowed");
    end_of(child)
}

fn first(snapshot: &Snapshot) -> &DropReport {
    let drop = snapshot.drops.first().unwrap_or_else(|| panic!("{:?}", snapshot.packets));
    assert_eq!(drop.hook.as_deref(), Some("FORWARD"), "{drop:?}");
    drop
}

/// Table, chain and rule that a drop names.
fn named(drop: &DropReport) -> [&str; 3] {
    [&drop.table, &drop.chain, &drop.rule].map(|name| name.as_deref().unwrap_or_default())
}

#[test]
fn a_rule_three_jumps_below_is_named() {
    need_kernel!();
    for tool in ["iptables-nft", "iptables-legacy"] {
        let snapshot = traced(&iptables(tool), false);
        let drop = first(&snapshot);
        assert_eq!(
            named(drop),
            ["ip filter", "three", "-A three -p udp -m udp -j DROP"],
            "{tool}: {drop:?}"
        );
    }
    let snapshot = traced(&nft(), false);
    let drop = first(&snapshot);
    let [table, chain, rule] = named(drop);
    assert_eq!((table, chain), ("inet box", "three"), "{drop:?}");
    assert!(rule.starts_with("drop # handle "), "{drop:?}");
}

#[test]
fn rules_that_come_while_tracing_are_named() {
    need_kernel!();
    let snapshot = traced(&nft(), true);
    let drop = first(&snapshot);
    assert_eq!(named(drop)[..2], ["inet box", "three"], "{drop:?}");
    let snapshot = traced(&iptables("iptables-legacy"), true);
    let drop = first(&snapshot);
    assert_eq!(named(drop)[1..], ["three", "-A three -p udp -m udp -j DROP"], "{drop:?}");
}

#[test]
fn a_policy_is_named() {
    need_kernel!();
    let commands = ["iptables-nft -A FORWARD -p tcp -j DROP", "iptables-nft -P FORWARD DROP"];
    let snapshot = traced(&commands.map(str::to_owned), false);
    let drop = first(&snapshot);
    assert_eq!(named(drop), ["ip filter", "FORWARD", "policy of ip filter FORWARD"], "{drop:?}");
}

#[test]
fn rules_that_take_turns_are_told_apart() {
    need_kernel!();
    let lab = Lab::up(topologies::find("bridge-nat").expect("it is in the table"));
    let lab = lab.expect("the lab comes up");
    let child = trace_on(&lab, &[]);
    let mut traffic = Traffic::start(&lab, FLOOD, false).expect("the traffic flows");
    for mark in ["first", "second"] {
        let words = format!("iptables-nft -I FORWARD -p udp -m comment --comment {mark} -j DROP");
        load(&lab, &[words]);
        let sent = traffic.count();
        wait_for("enough traffic", || traffic.count() >= sent + enough(1_000));
        load(&lab, &["iptables-nft -D FORWARD 1".to_owned()]);
    }
    signal(&child, Signal::SIGINT);
    traffic.stop().expect("the traffic flowed");
    let snapshot = end_of(child);
    let packets = |mark: &str| -> u64 {
        let by =
            snapshot.drops.iter().filter(|d| d.rule.as_ref().is_some_and(|r| r.contains(mark)));
        by.map(|drop| drop.count).sum()
    };
    assert!(packets("first") > 0 && packets("second") > 0, "{:?}", snapshot.drops);
}
