//! The rules, one table. Each check stands with its kin.

mod handoff;
mod netfilter;
mod qdisc;
mod run;
mod stack;

use netpath_common::group::Group;

use super::{Check, Rule};

/// All rules. The order is that of docs/findings.md.
pub const RULES: &[Rule] = &[
    Rule {
        id: "bridge-netfilter",
        title: "bridged packets run through iptables",
        group: Group::Bridge,
        advice: "if nothing has to filter bridged traffic: sysctl net.bridge.bridge-nf-call-iptables=0 (and -ip6tables); Docker and kube-proxy in iptables mode need it",
        check: Check::Path(netfilter::bridge_netfilter),
    },
    Rule {
        id: "linear-rules",
        title: "a long list of rules is walked for every packet",
        group: Group::Rules,
        advice: "accept established connections first (-m conntrack --ctstate ESTABLISHED), or replace the list by an nft set or map, whose lookup does not grow with its size",
        check: Check::Path(netfilter::linear_rules),
    },
    Rule {
        id: "empty-chains",
        title: "chains without rules are walked",
        group: Group::Rules,
        advice: "delete tables that hold no rules: nft delete table …, or unload iptable_filter, iptable_mangle and so on",
        check: Check::Path(netfilter::empty_chains),
    },
    Rule {
        id: "new-connections",
        title: "many packets open a connection, and conntrack makes an entry for each",
        group: Group::Conntrack,
        advice: "keep connections open, or lift the traffic from tracking where NAT does not need it: nft … notrack, iptables -t raw -j CT --notrack",
        check: Check::Path(netfilter::new_connections),
    },
    Rule {
        id: "nat-setup",
        title: "NAT chooses addresses for many new connections",
        group: Group::Nat,
        advice: "keep connections open: only a connection's first packet pays; with many connections to one address widen the port range (ip_local_port_range, --to-ports) or add source addresses",
        check: Check::Path(netfilter::nat_setup),
    },
    Rule {
        id: "nat-copy",
        title: "NAT copies headers before it can write to them",
        group: Group::Nat,
        advice: "headers are shared with a clone: a packet socket (tcpdump, a DHCP client) or TCP's retransmit queue; stop what captures on this path and look again",
        check: Check::Path(netfilter::nat_copy),
    },
    Rule {
        id: "conntrack-unused",
        title: "connections are tracked that nobody asks about",
        group: Group::Conntrack,
        advice: "find what registered the hooks (a rule with -m conntrack or ct state, NAT in the namespace), delete it, or lift the traffic with notrack",
        check: Check::Path(netfilter::conntrack_unused),
    },
    Rule {
        id: "tracked-twice",
        title: "the same packet is tracked in several namespaces",
        group: Group::Conntrack,
        advice: "track once, where NAT is: notrack in the other namespaces, or no rules there that need conntrack",
        check: Check::Path(netfilter::tracked_twice),
    },
    Rule {
        id: "conntrack-full",
        title: "the connection table is nearly full",
        group: Group::Conntrack,
        advice: "raise net.netfilter.nf_conntrack_max (and nf_conntrack_buckets with it), or shorten the timeouts of what fills it",
        check: Check::Run(netfilter::conntrack_full),
    },
    Rule {
        id: "conntrack-chains",
        title: "the connection table's chains are long",
        group: Group::Conntrack,
        advice: "raise net.netfilter.nf_conntrack_buckets to the number of entries or more",
        check: Check::Run(netfilter::conntrack_chains),
    },
    Rule {
        id: "conntrack-resized",
        title: "the connection table was resized while tracing",
        group: Group::Conntrack,
        advice: "every entry was put into another bucket, and nobody could add one meanwhile: figures of that moment are not the usual ones; find who writes net.netfilter.nf_conntrack_buckets",
        check: Check::Run(netfilter::conntrack_resized),
    },
    Rule {
        id: "conntrack-insert-failed",
        title: "new connections could not be entered into the table",
        group: Group::Conntrack,
        advice: "two packets of one new connection raced (DNS over UDP: use one request at a time, or TCP), or NAT ran out of ports for one address",
        check: Check::Run(netfilter::insert_failed),
    },
    Rule {
        id: "qdisc-queue",
        title: "packets queue in a qdisc",
        group: Group::Qdisc,
        advice: "the device or the link behind it is slower than its senders: pace them, or give latency its own band (fq_codel, fq, prio) instead of one queue for all",
        check: Check::Path(qdisc::queue),
    },
    Rule {
        id: "qdisc-shaped",
        title: "a shaper holds packets back",
        group: Group::Qdisc,
        advice: "the rate or delay is configured: tc qdisc show dev …; raise it, or let the shaped traffic wait in a queue of its own (fq_codel below it)",
        check: Check::Path(qdisc::shaped),
    },
    Rule {
        id: "qdisc-on-veth",
        title: "a veth has a qdisc",
        group: Group::Qdisc,
        advice: "a veth needs no queue, its other end takes packets at once: tc qdisc replace dev … root noqueue, unless it is there to shape",
        check: Check::Path(qdisc::on_veth),
    },
    Rule {
        id: "qdisc-lock",
        title: "senders contend for the qdisc's lock",
        group: Group::Qdisc,
        advice: "spread senders over several transmit queues (mq, XPS), or use a qdisc without a global lock (noqueue on virtual devices, fq under mq)",
        check: Check::Path(qdisc::lock),
    },
    Rule {
        id: "qdisc-drops",
        title: "a qdisc drops packets",
        group: Group::Qdisc,
        advice: "its limit was reached, or its queue management asks senders to slow down: tc -s qdisc show dev …",
        check: Check::Run(qdisc::drops),
    },
    Rule {
        id: "hand-offs",
        title: "the packet changes context on the way",
        group: Group::Handoff,
        advice: "each veth pair puts the packet on a CPU's backlog and a softirq takes it up again: fewer pairs (macvlan, ipvlan, host network) mean fewer of them, and eBPF's redirect_peer avoids the one into the container",
        check: Check::Path(handoff::handoffs),
    },
    Rule {
        id: "other-cpu",
        title: "packets are handed to another CPU",
        group: Group::Handoff,
        advice: "RPS or the reader's placement moves them: it spreads load, and costs an interrupt and cold caches; for latency keep them on one CPU (rps_cpus 0, or RFS)",
        check: Check::Path(handoff::other_cpu),
    },
    Rule {
        id: "softirq-late",
        title: "the softirq comes late",
        group: Group::Handoff,
        advice: "it ran out of budget or yielded to ksoftirqd: look at /proc/net/softnet_stat, net.core.netdev_budget_usecs, and what else runs on that CPU",
        check: Check::Path(handoff::softirq_late),
    },
    Rule {
        id: "backlog-drops",
        title: "a CPU's backlog was full",
        group: Group::Handoff,
        advice: "raise net.core.netdev_max_backlog, or spread the packets over more CPUs (RPS)",
        check: Check::Run(handoff::backlog_drops),
    },
    Rule {
        id: "reader-wake-up",
        title: "the reader has to be woken",
        group: Group::Socket,
        advice: "a sleeping process costs the scheduler, and an idle CPU its way out of sleep. A reader on another CPU: busy polling (SO_BUSY_POLL, net.core.busy_read), a shallower idle state, or a reader that is never idle; one on the CPU that brings the packets: a CPU of its own, and a look at who else runs there",
        check: Check::Path(handoff::reader_wake_up),
    },
    Rule {
        id: "slow-tail",
        title: "a few packets are far slower than the rest",
        group: Group::Unattributed,
        advice: "look at that hop's slowest packet (the report shows one): a CPU that was taken away, a queue that filled, or a lock",
        check: Check::Path(stack::slow_tail),
    },
    Rule {
        id: "software-segmentation",
        title: "segments are cut in software",
        group: Group::GroGso,
        advice: "the device can't take large segments: ethtool -K … tso on gso on on the devices of the path, and on the bridge's ports",
        check: Check::Path(stack::software_segmentation),
    },
    Rule {
        id: "header-copies",
        title: "headers are copied to make room",
        group: Group::Ip,
        advice: "a device on the path needs more headroom than the sender left (tunnels, vlan): same needed_headroom on the container's device, or a smaller encapsulation",
        check: Check::Path(stack::header_copies),
    },
    Rule {
        id: "neighbour-wait",
        title: "packets wait for a link address",
        group: Group::Ip,
        advice: "ARP or neighbour discovery was not answered yet: longer gc_stale_time, a permanent entry, or look at why the answer is late",
        check: Check::Path(stack::neighbour_wait),
    },
    Rule {
        id: "bridge-flood",
        title: "the bridge floods frames to all ports",
        group: Group::Bridge,
        advice: "it has not learned the address: ageing time too short, learning off, or a host that never sends; bridge fdb show",
        check: Check::Path(stack::bridge_flood),
    },
    Rule {
        id: "drops",
        title: "packets are dropped",
        group: Group::Unattributed,
        advice: "the reason is the kernel's (enum skb_drop_reason); the place is where the packet was seen last",
        check: Check::Run(run::drops),
    },
    Rule {
        id: "probe-cost",
        title: "netpath itself is a large part of the time",
        group: Group::Probe,
        advice: "read the compensated figures; fewer packets (--sample) cost the machine less, not the packet that is recorded",
        check: Check::Path(run::probe_cost),
    },
    Rule {
        id: "incomplete",
        title: "events were lost",
        group: Group::Probe,
        advice: "what is shown is of complete packets only: sample (--sample auto) or filter, so that the reader keeps up",
        check: Check::Run(run::incomplete),
    },
    Rule {
        id: "clock",
        title: "the machine's clock is slow to read",
        group: Group::Probe,
        advice: "every probe reads it: see /sys/devices/system/clocksource/clocksource0/available_clocksource for tsc",
        check: Check::Run(run::clock),
    },
    Rule {
        id: "governor",
        title: "the CPU's frequency is not held",
        group: Group::Probe,
        advice: "figures move with the frequency: cpupower frequency-set -g performance, at least while measuring",
        check: Check::Run(run::governor),
    },
];
