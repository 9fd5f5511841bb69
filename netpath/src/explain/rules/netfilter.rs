//! Checks about connection tracking, NAT, rule sets and br_netfilter.

use super::super::{
    Hit,
    scene::{Scene, Tally, tally},
};
use crate::{
    facts::Conntrack,
    snapshot::{HopReport, Snapshot},
    units::{count, percent, time},
};

/// Rules in a row from which a list is long.
const LONG_LIST: usize = 20;
/// Share of a hop's packets that open a connection, from which that is the normal case.
const MANY_NEW: f64 = 0.2;
/// Share of the connection table from which it is nearly full.
const NEARLY_FULL: f64 = 0.8;
/// Rows of connection tracking and of NAT.
const CONNTRACK: &[&str] =
    &["conntrack", "conntrack.lookup", "conntrack.create", "conntrack.confirm"];
const NAT: &[&str] = &["nat", "nat.setup", "nat.unique", "nat.rewrite", "nat.copy"];

pub(super) fn bridge_netfilter(scene: &Scene) -> Option<Hit> {
    let bridged = |h: &&HopReport| h.bridged || h.hop == "bridge.netfilter";
    let first = scene.path.hops.iter().find(bridged)?;
    let netns = &first.netns;
    // Where the packet is routed here, the hooks would run once in any case.
    let routed = scene.hops(&["ip.forward", "ip.route", "route.input"]).any(|h| &h.netns == netns);
    let detour = scene.hops(&["bridge.netfilter"]);
    let cost = if routed {
        scene.cost_of(detour)
    } else {
        scene.cost_of(scene.path.hops.iter().filter(bridged))
    };
    let hooks: Vec<&str> =
        scene.path.hops.iter().filter(|h| h.bridged).filter_map(|h| h.hook.as_deref()).collect();
    let what = if routed {
        "goes through PREROUTING inside the bridge"
    } else {
        "is only bridged, yet runs through the IP hooks"
    };
    Some(
        Hit::new(cost, format!("in {netns} every packet {what}: bridge-nf-call-iptables is on"))
            .with("netns", netns.as_str())
            .with("hooks", hooks)
            .with("routed", routed),
    )
}

pub(super) fn linear_rules(scene: &Scene) -> Option<Hit> {
    scene.hops(&["rules"]).find_map(|hop| {
        let chains = scene.chains(hop);
        let rules: usize = chains.iter().map(|c| c.reach).sum();
        if rules < LONG_LIST {
            return None;
        }
        let cost = scene.cost(hop);
        let longest = chains.iter().max_by_key(|c| c.reach)?;
        let name = format!("{} {} {}", longest.family, longest.table, longest.name);
        let each = cost / rules as f64;
        Some(
            Hit::new(
                cost,
                format!(
                    "{} rules in {} of {} take {}, about {} each if all are walked",
                    count(rules as u64),
                    hop.hook.as_deref().unwrap_or_default(),
                    hop.netns,
                    time(cost),
                    time(each)
                ),
            )
            .with("chain", name)
            .with("rules", rules)
            .with("ns_per_rule", each),
        )
    })
}

pub(super) fn empty_chains(scene: &Scene) -> Option<Hit> {
    let mut cost = 0.0;
    let mut names = Vec::new();
    for hop in scene.hops(&["rules"]) {
        let chains = scene.chains(hop);
        if !chains.is_empty() && chains.iter().all(|c| c.reach == 0) {
            cost += scene.cost(hop);
            let name = |c: &&crate::facts::Chain| format!("{} {} {}", c.family, c.table, c.name);
            names.extend(chains.iter().map(name));
        }
    }
    (!names.is_empty()).then(|| {
        let text = format!("{} hold no rule and cost {} a packet", names.join(", "), time(cost));
        Hit::new(cost, text).with("chains", names)
    })
}

/// How many of these rows' packets were of new connections, and what each sort took.
fn by_state<'a>(hops: impl Iterator<Item = &'a HopReport>) -> (Tally, Tally) {
    let (mut new, mut old) = (Tally::default(), Tally::default());
    for hop in hops {
        let (known, waiting) = (tally(hop, "established"), tally(hop, "unreplied"));
        let count = known.count + waiting.count;
        let sum_ns = known.count * known.mean_ns + waiting.count * waiting.mean_ns;
        let later = Tally { count, mean_ns: sum_ns / count.max(1.0) };
        for (sum, this) in [(&mut new, tally(hop, "new")), (&mut old, later)] {
            sum.count = sum.count.max(this.count);
            sum.mean_ns += this.mean_ns;
        }
    }
    (new, old)
}

/// What new connections cost more than established ones, spread over all packets.
fn dearer(new: Tally, old: Tally) -> Option<(f64, f64)> {
    let share = new.count / (new.count + old.count);
    // What an established one would take is not known where there is none.
    let extra = if old.count > 0.0 { new.mean_ns - old.mean_ns } else { 0.0 };
    (share >= MANY_NEW && extra >= 0.0).then_some((share, extra * share))
}

/// The most packets that can have opened a connection: one of each flow. Conntrack calls all packets
/// new that nobody has answered yet, also those of a stream that goes one way.
fn openers(scene: &Scene) -> f64 {
    let Scene { snapshot, path } = scene;
    let packets = snapshot.paths.iter().filter(|p| p.direction == path.direction);
    let flows = snapshot.flows.iter().filter(|f| f.direction == path.direction);
    let later: u64 = flows.map(|f| f.packets.saturating_sub(1)).sum();
    packets.map(|p| p.packets).sum::<u64>().saturating_sub(later) as f64
}

fn first_packets(scene: &Scene, rows: &[&str], what: &str) -> Option<Hit> {
    let hops = scene.path.hops.iter().filter(|h| rows.contains(&h.hop.as_str()));
    let (new, old) = by_state(hops);
    let (share, cost) = dearer(new, old)?;
    if openers(scene) < MANY_NEW * scene.path.packets as f64 {
        return None;
    }
    let others = if old.count > 0.0 {
        format!("{} for the others", time(old.mean_ns))
    } else {
        "and there are no others to hold it against".to_owned()
    };
    Some(
        Hit::new(
            cost,
            format!(
                "{} of the packets open a connection: {what} takes {} for them, {others}",
                percent(share),
                time(new.mean_ns),
            ),
        )
        .with("new_share", share)
        .with("new_mean_ns", new.mean_ns)
        .with("established_mean_ns", old.mean_ns),
    )
}

pub(super) fn new_connections(scene: &Scene) -> Option<Hit> {
    first_packets(scene, CONNTRACK, "conntrack")
}

pub(super) fn nat_setup(scene: &Scene) -> Option<Hit> {
    first_packets(scene, NAT, "NAT")
}

pub(super) fn nat_copy(scene: &Scene) -> Option<Hit> {
    let hop = scene.hops(&["nat.copy"]).find(|h| h.count > 0)?;
    let cost = scene.cost(hop);
    let share = hop.count as f64 / scene.path.packets as f64;
    let text = format!(
        "{} of the packets have their headers copied in {}, {} each",
        percent(share),
        hop.netns,
        time(hop.times.mean_ns)
    );
    Some(Hit::new(cost, text).with("share_of_packets", share))
}

/// Namespaces that look for the packet's connection.
fn tracking<'a>(scene: &Scene<'a>) -> Vec<&'a HopReport> {
    let mut found: Vec<&HopReport> = Vec::new();
    for hop in scene.path.hops.iter().filter(|h| h.hop == "conntrack") {
        let met = |state: &str| tally(hop, state).count;
        let tracks = met("new") + met("unreplied") + met("established") > 0.0;
        if tracks && found.iter().all(|f| f.netns != hop.netns) {
            found.push(hop);
        }
    }
    found
}

pub(super) fn conntrack_unused(scene: &Scene) -> Option<Hit> {
    tracking(scene).into_iter().find_map(|hop| {
        let here = |h: &&HopReport| h.netns == hop.netns;
        let rules = scene.facts(&hop.netns)?.rules.as_ref()?;
        let nat = scene.path.hops.iter().filter(here).any(|h| NAT.contains(&h.hop.as_str()));
        if nat || rules.chains.iter().any(|c| c.rules > 0) {
            return None;
        }
        let rows = scene.path.hops.iter().filter(here);
        let cost = scene.cost_of(rows.filter(|h| CONNTRACK.contains(&h.hop.as_str())));
        let text = format!(
            "{} has neither NAT nor a rule, and tracks every packet: {} each",
            hop.netns,
            time(cost)
        );
        Some(Hit::new(cost, text).with("netns", hop.netns.as_str()))
    })
}

pub(super) fn tracked_twice(scene: &Scene) -> Option<Hit> {
    let found = tracking(scene);
    let [_, again @ ..] = &found[..] else { return None };
    if again.is_empty() {
        return None;
    }
    let names: Vec<&str> = found.iter().map(|h| h.netns.as_str()).collect();
    let cost = scene.cost_of(again.iter().copied());
    let text = format!("its connection is looked up in {}", names.join(" and in "));
    Some(Hit::new(cost, text).with("netns", names))
}

/// The first namespace whose connection table this holds for.
fn table(snapshot: &Snapshot, holds: impl Fn(&Conntrack) -> bool) -> Option<(&str, Conntrack)> {
    snapshot
        .netns_facts
        .iter()
        .find_map(|(name, f)| f.conntrack.filter(&holds).map(|c| (name.as_str(), c)))
}

/// Whether the table is nearly full, or was.
fn is_full(c: &Conntrack) -> bool {
    (c.max > 0 && c.entries as f64 >= c.max as f64 * NEARLY_FULL) || c.early_drop > 0
}

/// Packets that conntrack threw away for another reason than that their entry could not be put into
/// the table: the kernel counts those in `drop` as well.
fn dropped(c: &Conntrack) -> u64 {
    c.drop.saturating_sub(c.insert_failed)
}

pub(super) fn conntrack_full(snapshot: &Snapshot) -> Option<Hit> {
    let (netns, c) = table(snapshot, is_full)?;
    let text = format!(
        "{netns} has {} of {} entries; {} packets dropped for want of room, {} entries thrown out",
        count(c.entries),
        count(c.max),
        count(dropped(&c)),
        count(c.early_drop)
    );
    Some(
        Hit::new(0.0, text)
            .with("netns", netns)
            .with("entries", c.entries)
            .with("max", c.max)
            .with("drop", c.drop)
            .with("early_drop", c.early_drop),
    )
}

pub(super) fn conntrack_drop(snapshot: &Snapshot) -> Option<Hit> {
    let (netns, c) = table(snapshot, |c| dropped(c) > 0 && !is_full(c))?;
    let text = format!(
        "{} packets in {netns}, apart from those whose entry could not be put into the table; it has {} \
         of {} entries",
        count(dropped(&c)),
        count(c.entries),
        count(c.max)
    );
    Some(
        Hit::new(0.0, text)
            .with("netns", netns)
            .with("drop", c.drop)
            .with("insert_failed", c.insert_failed)
            .with("entries", c.entries)
            .with("max", c.max),
    )
}

pub(super) fn conntrack_chains(snapshot: &Snapshot) -> Option<Hit> {
    let (netns, c) =
        table(snapshot, |c| (c.buckets > 0 && c.entries > c.buckets) || c.chain_too_long > 0)?;
    // Each connection is in the table twice, once for each direction.
    let chain = 2.0 * c.entries as f64 / c.buckets.max(1) as f64;
    let text = format!(
        "{netns} has {} connections in {} buckets, which all namespaces share: chains of {chain:.1} or \
         more on average; {} new ones refused, their chain being too long",
        count(c.entries),
        count(c.buckets),
        count(c.chain_too_long)
    );
    Some(
        Hit::new(0.0, text)
            .with("netns", netns)
            .with("entries", c.entries)
            .with("buckets", c.buckets)
            .with("chain_mean", chain)
            .with("chain_too_long", c.chain_too_long),
    )
}

pub(super) fn conntrack_resized(snapshot: &Snapshot) -> Option<Hit> {
    let (_, c) = table(snapshot, |c| c.buckets_before > 0 && c.buckets_before != c.buckets)?;
    let text = format!(
        "from {} buckets to {}; {} lookups began again meanwhile",
        count(c.buckets_before),
        count(c.buckets),
        count(c.search_restart)
    );
    Some(
        Hit::new(0.0, text)
            .with("buckets_before", c.buckets_before)
            .with("buckets", c.buckets)
            .with("search_restart", c.search_restart),
    )
}

pub(super) fn insert_failed(snapshot: &Snapshot) -> Option<Hit> {
    let (netns, c) = table(snapshot, |c| c.insert_failed > 0)?;
    let text =
        format!("{} packets of new connections were lost in {netns}", count(c.insert_failed));
    let hit = Hit::losing(c.insert_failed, text).with("netns", netns);
    Some(hit.with("insert_failed", c.insert_failed))
}
