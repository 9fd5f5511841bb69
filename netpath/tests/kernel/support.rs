//! What the kernel tests share.

use std::{
    ffi::OsString,
    io::{BufRead as _, BufReader, Read},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use netpath::{
    kernel,
    lab::{
        Lab, LabError, experiments, topologies,
        traffic::{Load, Traffic},
    },
    netns::Netns,
    snapshot::{PathReport, Snapshot},
};
use nix::{
    fcntl::{FcntlArg, fcntl},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Whether the kernel tests can run here; says why not.
pub(crate) fn can_run() -> bool {
    match kernel::check_rights() {
        Ok(()) => true,
        Err(why) => {
            assert!(
                std::env::var("NETPATH_REQUIRE_KERNEL").as_deref() != Ok("1"),
                "the kernel tests must run here, but {why}"
            );
            println!("SKIP {why}");
            false
        }
    }
}

/// Returns from the test where it can't run.
#[macro_export]
macro_rules! need_kernel {
    () => {
        if !$crate::kernel::support::can_run() {
            return;
        }
    };
}

/// Whether the machine is emulated, and then slow, with one CPU.
pub(crate) fn emulated() -> bool {
    std::env::var_os("NETPATH_EMULATED").is_some()
}

/// How many packets or the like to wait for, of as many as a machine carries in a second or so: an
/// emulated one carries a small part of that.
pub(crate) fn enough(count: u64) -> u64 {
    if emulated() { count / 10 } else { count }
}

/// The container behind MASQUERADE.
pub(crate) fn bridge_nat() -> Lab {
    Lab::up(topologies::find("bridge-nat").expect("it is in the table")).expect("the lab comes up")
}

/// Where netpath is: as cargo has built it, or where the environment says, for tests that were
/// carried to another machine.
pub(crate) fn program() -> OsString {
    std::env::var_os("CARGO_BIN_EXE_netpath")
        .unwrap_or_else(|| env!("CARGO_BIN_EXE_netpath").into())
}

/// Brings a setting up; `None`, with a word, where this machine lacks what it takes.
pub(crate) fn up(name: &str) -> Option<Lab> {
    let setting = experiments::setting(name).expect("it is in the table");
    match Lab::up_with(setting.topology, setting.also) {
        Ok(lab) => Some(lab),
        Err(why @ (LabError::Lacks(_) | LabError::MissingTool { .. })) => {
            println!("SKIP {name}: {why}");
            None
        }
        Err(error) => panic!("{name}: {error}"),
    }
}

/// `netpath` as built.
pub(crate) fn netpath(arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs netpath to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    netpath(arguments).output().expect("netpath can be run")
}

/// Traces the lab's interface; extra arguments follow.
pub(crate) fn trace(lab: &Lab, arguments: &[&str]) -> Snapshot {
    let focus = lab.topology().focus;
    let netns = lab.full_name(focus.0);
    let mut all = vec!["trace", "--iface", focus.1, "--netns", &netns, "--format", "json"];
    all.extend(arguments);
    let output = run(&all);
    assert!(
        output.status.success(),
        "{:?}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("a report")
}

/// A trace of the lab's interface that goes on until it is stopped, or has lasted for as long as the
/// arguments say, and that has attached. Nothing hinders it in that: with packets passing all the while,
/// a machine of one CPU takes a hundred times as long.
pub(crate) fn trace_on(lab: &Lab, arguments: &[&str]) -> Child {
    let focus = lab.topology().focus;
    let netns = lab.full_name(focus.0);
    let mut all = vec!["trace", "--iface", focus.1, "--netns", &netns, "--json"];
    all.extend(arguments);
    attached(&all)
}

/// netpath with these arguments, once it has attached.
pub(crate) fn attached(arguments: &[&str]) -> Child {
    let mut child = netpath(&["-v"])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("netpath can be run");
    // The report fits, so that netpath comes to its end also while only what it says is read.
    let stdout = child.stdout.as_ref().expect("it was piped");
    fcntl(stdout, FcntlArg::F_SETPIPE_SZ(1 << 20)).expect("a pipe can be made larger");
    let mut lines = BufReader::new(child.stderr.as_mut().expect("it was piped")).lines();
    let mut said = Vec::new();
    while !said.last().is_some_and(|line: &String| line.contains("attached")) {
        let line = lines.next().and_then(Result::ok);
        said.push(line.unwrap_or_else(|| panic!("it never attached: {said:?}")));
    }
    child
}

/// Traces loads that begin once netpath is attached, until each has done so much.
pub(crate) fn traced(
    lab: &Lab,
    loads: &[Load],
    v6: bool,
    enough: u64,
    arguments: &[&str],
) -> Snapshot {
    let start = || -> Vec<Traffic> {
        let start = |load: &Load| Traffic::start(lab, *load, v6).expect("the traffic flows");
        loads.iter().map(start).collect()
    };
    let stop = |traffic: Vec<Traffic>| {
        for mut load in traffic {
            load.stop().expect("the traffic flowed");
        }
    };
    // The bridge learns its ports, and everybody his neighbours.
    stop(start());
    let child = trace_on(lab, arguments);
    let traffic = start();
    wait_for("enough traffic", || traffic.iter().all(|load| load.count() >= enough));
    signal(&child, Signal::SIGINT);
    // Before netpath is waited for: where all share one CPU, the kernel can take minutes to let go of
    // a process's entry in /proc while others keep that CPU busy.
    stop(traffic);
    end_of(child)
}

pub(crate) fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).expect("a pid")), signal).expect("it is ours");
}

/// The path with most packets in a direction.
pub(crate) fn path<'a>(snapshot: &'a Snapshot, direction: &str) -> &'a PathReport {
    snapshot
        .paths
        .iter()
        .filter(|p| p.direction == direction)
        .max_by_key(|p| p.packets)
        .unwrap_or_else(|| panic!("no {direction} path in {snapshot:#?}"))
}

/// Hops and what is unattributed sum to the total, and little is unattributed.
pub(crate) fn assert_sums(path: &PathReport) {
    let hops: f64 =
        path.hops.iter().map(|h| h.times.mean_ns * h.count as f64 / path.packets as f64).sum();
    let sum = hops + path.unattributed_ns;
    let total = path.total.mean_ns;
    assert!((sum - total).abs() <= total * 0.01, "{}: {sum} of {total}", path.name);
    assert!(
        path.unattributed_ns <= total * 0.05,
        "{}: {} of {total} ns in no hop: {:#?}",
        path.name,
        path.unattributed_ns,
        path.hops.iter().map(|h| (&h.hop, h.place(), h.count, h.times.mean_ns)).collect::<Vec<_>>()
    );
}

/// A process in a network namespace of its own, with an interface on the lab's bridge.
pub(crate) struct Neighbour {
    process: Child,
    pub(crate) address: String,
}

impl Neighbour {
    /// The `n`th of this lab.
    pub(crate) fn start(lab: &Lab, n: u8) -> Self {
        let process = Command::new("unshare")
            .args(["--net", "--", "sh", "-c", "echo ready; exec sleep 1000"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare is in util-linux");
        let mut this = Self { process, address: format!("172.31.0.{}", 100 + n) };
        let mut ready = [0; 6];
        this.process.stdout.as_mut().unwrap().read_exact(&mut ready).expect("it starts");
        let (end, pid) = (format!("c{n}"), this.pid().to_string());
        let host = |words: &[&str]| lab.command("host", words).unwrap();
        host(&["ip", "link", "add", &end, "type", "veth", "peer", "eth0", "netns", &pid]);
        host(&["ip", "link", "set", &end, "up", "master", "br0"]);
        let inside = |words: &[&str]| {
            let ip = || Command::new("ip").args(words).output().expect("ip can be run");
            let output = this.netns().run(ip).unwrap();
            assert!(output.status.success(), "{words:?}: {output:?}");
        };
        inside(&["address", "add", &format!("{}/24", this.address), "dev", "eth0"]);
        inside(&["link", "set", "eth0", "up"]);
        inside(&["route", "add", "default", "via", "172.31.0.1"]);
        this
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn netns(&self) -> Netns {
        let path = format!("/proc/{}/ns/net", self.pid());
        Netns::open(Path::new(&path), None).expect("it is there")
    }

    pub(crate) fn end(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.end();
    }
}

/// netpath's programs that are loaded in this kernel.
pub(crate) fn loaded() -> Vec<String> {
    const KINDS: [&str; 8] = ["tp", "fe", "kp", "se", "sx", "ke", "kx", "hook_slot"];
    let numbered = |name: &str| {
        name.rsplit_once('_')
            .is_some_and(|(kind, n)| KINDS.contains(&kind) && n.parse::<u8>().is_ok())
    };
    aya::programs::loaded_programs()
        .flatten()
        .filter_map(|p| p.name_as_str().map(str::to_owned))
        .filter(|name| numbered(name))
        .collect()
}

/// Reads what netpath says until it has said this; says what it was.
pub(crate) fn told(stderr: &mut impl Read, what: &str) -> String {
    let mut told = String::new();
    let mut byte = [0];
    while !(told.contains(what) && told.ends_with('\n')) {
        let read = stderr.read(&mut byte).expect("it can be read");
        assert!(read > 0, "it ended without a word of {what}: {told}");
        told.push(char::from(byte[0]));
    }
    told
}

/// The report of a netpath that has been told to end.
pub(crate) fn end_of(mut child: Child) -> Snapshot {
    let mut text = String::new();
    child.stdout.as_mut().expect("it was piped").read_to_string(&mut text).expect("it is text");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    serde_json::from_str(&text).expect("a report")
}

/// Waits until `done`, three minutes at most: emulated machines are slow, and have one CPU, which is
/// others' between two looks.
pub(crate) fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(3);
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
