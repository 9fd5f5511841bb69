//! Senders on several CPUs in front of one qdisc's lock.

use netpath::lab::{
    Lab,
    traffic::{How, Load, Traffic},
};

use super::support::{assert_sums, bridge_nat, enough, path, trace};
use crate::need_kernel;

/// Packets that found the lock of the uplink's qdisc taken, of all that entered it, with a sender on
/// each of these CPUs.
fn locked_out(lab: &Lab, cpus: &[usize]) -> (u64, u64) {
    let load = Load::UdpFlood { bytes: 64, rate: None };
    let flood = |cpu: &usize| {
        let how = How { cpus: Some((*cpu, *cpu)), ..How::default() };
        Traffic::start_as(lab, load, how).expect("the traffic flows")
    };
    let mut senders: Vec<Traffic> = cpus.iter().map(flood).collect();
    let snapshot = trace(lab, &["--for", "1500ms"]);
    for sender in &mut senders {
        sender.stop().expect("the traffic flowed");
    }
    let out = path(&snapshot, "outbound");
    assert_sums(out);
    let at_uplink = |hop: &str| out.hops.iter().find(|h| h.hop == hop && h.place() == "host/up0");
    let entered = at_uplink("qdisc.enqueue").expect("every packet enters the qdisc").count;
    let Some(lock) = at_uplink("qdisc.lock") else { return (0, entered) };
    assert_eq!(lock.kind, "wait");
    // A wait in the enqueue's place, not beside it.
    assert!(lock.count <= entered && lock.times.mean_ns > 0.0, "{lock:?}");
    (lock.count, entered)
}

#[test]
fn senders_on_two_cpus_wait_for_the_qdiscs_lock_and_one_alone_does_not() {
    need_kernel!();
    if std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() < 2) {
        println!("with one CPU nobody waits for another");
        return;
    }
    let lab = bridge_nat();
    // One that no packet bypasses, and that delays none.
    let tbf = ["tc", "qdisc", "add", "dev", "up0", "root", "tbf"];
    let fast = ["rate", "10gbit", "burst", "10mb", "limit", "10mb"];
    lab.command("host", &[&tbf[..], &fast[..]].concat()).expect("every kernel has tbf");
    let (alone, of) = locked_out(&lab, &[0]);
    println!("one sender: {alone} of {of} waited for the lock");
    let (together, of_both) = locked_out(&lab, &[0, 1]);
    println!("two senders: {together} of {of_both} waited for the lock");
    // Whoever reads the qdisc's statistics takes the lock, too: netpath itself, twice. An emulated
    // machine's CPUs take turns: they seldom meet.
    assert!(alone <= 4, "{alone} of {of}");
    assert!(together > 4 + enough(20), "{together} of {of_both}");
}
