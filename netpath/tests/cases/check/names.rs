//! Names that change, and names that are hard to say.

use serde_json::Value;

use super::{Claims, Report, only};
use crate::{
    cases::{
        play::Script,
        report::{count, has, says},
        said::Said,
    },
    need_kernel,
    support::{emulated, run},
};

pub(crate) fn rename_move(c: &mut Claims, r: &Report, said: &Said) {
    let done: f64 = said.after("by second:").iter().sum();
    // Those under way while the pair is made anew or moved are in neither figure.
    let trips = r.trip_count(&[("protocol", "udp")]) as f64;
    c.between("round trips", trips, done - 8.0, done);
    let asked = |t: &Value| t["name"].as_str().is_some_and(|name| name.starts_with("b26-cli/"));
    let turned: u64 = r.trips(&[]).filter(|t| !asked(t)).map(count).sum();
    c.equal("it is cli that asks", turned, 0);
    let there = r.trips(&[]).filter(|t| says(t, "name", "b26-other/v0")).map(count).sum::<u64>();
    c.holds("the namespace that v0 moved to has its name", there > 50, there);
    let notes = r.notes();
    c.holds("the rename is said", notes.contains("calibfeed0"), &notes);
    // 3 s of the script; attaching comes before, and the server's start.
    c.holds("that it is gone is said", notes.contains("went away"), &notes);
    let twice = notes.matches("v0").count() >= 3;
    c.holds("and that there is a new one, and that it moved", twice, &notes);
    let nameless: Vec<_> = r.paths().filter(|p| says(p, "name", "netns#")).collect();
    c.holds("no namespace is a number", nameless.is_empty(), nameless.len());
    c.holds("facts are read to the end", has(&r.0["netns_facts"]["b26-cli"], &[]), ());
    // On either end, while the other one is moved, or is down to be renamed.
    let meanwhile = if emulated() { 8 } else { 2 };
    only(c, r, (r.dropped(&[("dev", "v0")]) + r.dropped(&[("dev", "eth0")])).min(meanwhile));
}

/// Names as people paste them, and names that break pages: `netpath topo` takes them or says why not.
#[test]
fn names() {
    need_kernel!();
    let script = Script::of("28-names.sh");
    assert_eq!(script.run("up").code, Some(0));
    let topo = |netns: &str, iface: &str| {
        let iface = format!("--iface={iface}");
        let output = run(&["topo", "--netns", netns, &iface]);
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).expect("it is text"))
    };
    let plain = topo("b28-host", "v0");
    assert_eq!(plain.0, Some(0), "{}", plain.1);
    assert_eq!(topo("/run/netns/b28-host", "v0"), plain, "by path as by name");
    assert_eq!(topo("b28-host", "v0@if2"), plain, "as `ip link` prints it");
    let alt = topo("b28-host", "a-very-long-alternative-name-of-the-veth");
    assert_eq!(alt, plain, "by its other name");
    let odd = topo("b28-host", "q\"<b>&'");
    assert!(odd.0 == Some(0) && odd.1.contains("a\"<i>b"), "{}", odd.1);
    for name in ["-x", "12", "$HOME", "größe-ü", "net;x", "a\\\\b`c"] {
        let (code, text) = topo("b28-host", name);
        assert!(code == Some(0) && text.contains(name), "{name}: {text}");
    }
    for name in ["v0 ", "", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
        let (code, text) = topo("b28-host", name);
        assert!(code == Some(2) || code == Some(1), "{name:?}: {code:?} {text}");
        assert!(!text.is_empty(), "{name:?} is explained");
    }
}
