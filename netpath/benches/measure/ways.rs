//! Ways to watch packets: netpath's, and those of other tools over the same tracepoints.

use std::{
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
};

use netpath::lab::Lab;
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

/// Tracepoints that each packet of the lab passes several times; the other tools get these.
const SAME: [&str; 4] =
    ["net:net_dev_queue", "net:net_dev_start_xmit", "net:netif_rx", "net:netif_receive_skb"];

/// A way to watch.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) key: &'static str,
    pub(crate) what: &'static str,
    pub(crate) tool: Tool,
    /// What the tool writes once it is attached, and where. Without one it gets a second.
    pub(crate) ready: Option<&'static str>,
}

/// Who watches.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tool {
    Nothing,
    /// With these further arguments, divided by spaces.
    Netpath(&'static str),
    /// A clause for each of [`SAME`].
    Bpftrace(&'static str),
    Perf,
}

/// What netpath says at -v when it is attached.
const ATTACHED: &str = " attached, ";

/// Everything that netpath can see.
pub(crate) const FULL: Way = Way {
    key: "netpath",
    what: "netpath, every packet",
    tool: Tool::Netpath(""),
    ready: Some(ATTACHED),
};

/// What attaching alone costs: the limit of what any program at these places can reach.
pub(crate) const EMPTY: Way = Way {
    key: "netpath-inert",
    what: "netpath's probes with nothing in them",
    tool: Tool::Netpath("--inert"),
    ready: Some(ATTACHED),
};

/// All ways; the first is what the others are held against.
pub(crate) const WAYS: &[Way] = &[
    Way { key: "untraced", what: "nothing attached", tool: Tool::Nothing, ready: None },
    FULL,
    Way {
        key: "netpath-auto",
        what: "netpath --sample auto --budget 2%",
        tool: Tool::Netpath("--sample auto --budget 2%"),
        ready: Some(ATTACHED),
    },
    Way {
        key: "netpath-other",
        what: "netpath, filtering for what does not pass",
        tool: Tool::Netpath("host 203.0.113.7"),
        ready: Some(ATTACHED),
    },
    EMPTY,
    Way {
        key: "bpftrace-histogram",
        what: "bpftrace, in-kernel histograms, 4 tracepoints",
        tool: Tool::Bpftrace(
            "/@last[args->skbaddr]/ { @ns = hist(nsecs - @last[args->skbaddr]); } \
             CLAUSE { @last[args->skbaddr] = nsecs; }",
        ),
        ready: Some("attached"),
    },
    Way {
        key: "bpftrace-printf",
        what: "bpftrace, printing every event, 4 tracepoints",
        tool: Tool::Bpftrace("{ printf(\"%lx %lu\\n\", (uint64)args->skbaddr, nsecs); }"),
        ready: Some("attached"),
    },
    Way { key: "perf-record", what: "perf record, 4 tracepoints", tool: Tool::Perf, ready: None },
];

impl Way {
    /// The tool's command, its output thrown away; `None` where there is none to run.
    pub(crate) fn command(&self, lab: &Lab) -> Option<Command> {
        let mut command = match self.tool {
            Tool::Nothing => return None,
            Tool::Netpath(arguments) => {
                let focus = lab.topology().focus;
                let mut command = Command::new(env!("CARGO_BIN_EXE_netpath"));
                command
                    .args(["trace", "-v", "--format", "json", "--iface", focus.1, "--netns"])
                    .arg(lab.full_name(focus.0))
                    .args(arguments.split_whitespace());
                command
            }
            Tool::Bpftrace(body) => {
                let mut script = String::new();
                for tracepoint in SAME {
                    let clause = format!("tracepoint:{tracepoint}");
                    script += &format!("{clause} {}\n", body.replace("CLAUSE", &clause));
                }
                // An interval begins when all is attached.
                script += "interval:ms:50 { if (!@said) { printf(\"attached\\n\"); @said = 1; } }";
                let mut command = Command::new("bpftrace");
                own_tracefs(&mut command);
                command.args(["-e", &script]);
                command
            }
            Tool::Perf => {
                let mut command = Command::new("perf");
                own_tracefs(&mut command);
                command.args(["record", "-a", "-q", "-o", "/dev/null"]);
                for tracepoint in SAME {
                    command.args(["-e", tracepoint]);
                }
                command
            }
        };
        command.stdin(Stdio::null());
        Some(command)
    }

    /// What the tool calls its version.
    pub(crate) fn version(&self) -> Option<String> {
        let program = match self.tool {
            Tool::Nothing => return None,
            Tool::Netpath(_) => return Some(format!("netpath {}", env!("CARGO_PKG_VERSION"))),
            Tool::Bpftrace(_) => "bpftrace",
            Tool::Perf => "perf",
        };
        let output = Command::new(program).arg("--version").output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

/// Gives a command a mount namespace where tracefs is, which bpftrace and perf look into.
pub(crate) fn own_tracefs(command: &mut Command) {
    const NONE: Option<&str> = None;
    let mounts = || {
        unshare(CloneFlags::CLONE_NEWNS)?;
        mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)?;
        for (kind, at) in [("tracefs", "/sys/kernel/tracing"), ("debugfs", "/sys/kernel/debug")] {
            // It may be there already.
            let _ = mount(Some(kind), at, Some(kind), MsFlags::empty(), NONE);
        }
        Ok(())
    };
    // SAFETY: three system calls, with nothing allocated: paths this short stay on the stack.
    unsafe { command.pre_exec(mounts) };
}
