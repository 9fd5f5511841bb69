//! Which hops the matrix's traffic must pass: all, but for those that are named here.

/// Hops that the traffic need not pass, and why.
const NOT_PASSED: &[(&str, &str)] = &[
    ("nat.copy", "only where another holds the packet's headers while NAT rewrites them"),
    ("nat.unique", "the compiler puts it into its callers"),
    ("hook.other", "no other hooks are registered"),
    ("ip.copy", "only where another holds the packet's headers"),
    ("ip.neighbour.wait", "link addresses are known before the trace begins"),
    ("bridge.netfilter", "br_netfilter is not loaded"),
    ("bridge.flood", "the bridge has learned its ports"),
    ("qdisc.lock", "one CPU waits for no other"),
    ("handoff.tap", "no tap is on the way"),
    ("handoff.device", "no device of the way has a queue of its own"),
    ("handoff.interrupted", "nothing else comes between"),
    ("rules.queue", "no rule queues to user space"),
    ("tc.redirect", "no filter redirects"),
    ("ip.reassembly", "no packet is cut into fragments"),
    ("gso.segment", "no packet is larger than a frame"),
    ("gro", "only devices that poll have it"),
];

/// Hops that need a queue that doesn't let packets pass at once.
const QUEUE: &[&str] = &["qdisc.enqueue", "qdisc.wait", "qdisc.send"];
/// Hops that a queue of the sort leaves no chance to.
const NO_QUEUE: &[&str] = &["qdisc.bypass"];

pub(super) fn must_be_passed(hop: &str, queue: bool) -> bool {
    if NOT_PASSED.iter().any(|(other, _)| *other == hop) || NO_QUEUE.contains(&hop) {
        return false;
    }
    queue || !QUEUE.contains(&hop)
}
