//! Ways to watch packets: netpath's, and those of other tools over the same tracepoints, or over
//! functions where the kernel lets them be probed.

use std::{
    env,
    ffi::OsString,
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

/// Functions that each UDP datagram of the lab passes, some of them several times.
const FUNCTIONS: [&str; 10] = [
    "__ip_local_out",
    "__dev_queue_xmit",
    "dev_hard_start_xmit",
    "enqueue_to_backlog",
    "__netif_receive_skb_one_core",
    "ip_rcv",
    "nf_hook_slow",
    "ip_forward",
    "ip_output",
    "ip_local_deliver",
];

/// A way to watch.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) key: &'static str,
    pub(crate) what: &'static str,
    pub(crate) tool: Tool,
    /// What the tool writes once it is attached, and where. Without one it gets a second.
    pub(crate) ready: Option<&'static str>,
    pub(crate) needs: Needs,
}

/// What a kernel must have for a way to be of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    Nothing,
    /// Functions that can be probed.
    Functions,
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
    /// At these functions, or at all that it finds.
    Pwru(Option<&'static [&'static str]>),
}

/// What netpath says at -v when it is attached.
const ATTACHED: &str = " attached in ";
/// What pwru says then.
const LISTENING: &str = "Listening for events";

/// Everything that netpath can see.
pub(crate) const FULL: Way = Way {
    key: "netpath",
    what: "netpath, every packet",
    tool: Tool::Netpath(""),
    ready: Some(ATTACHED),
    needs: Needs::Nothing,
};

/// What attaching alone costs: the limit of what any program at these places can reach.
pub(crate) const EMPTY: Way = Way {
    key: "netpath-inert",
    what: "netpath's probes with nothing in them",
    tool: Tool::Netpath("--inert"),
    ready: Some(ATTACHED),
    needs: Needs::Nothing,
};

/// And what asking for the time costs, without which no program can measure anything.
pub(crate) const CLOCK: Way = Way {
    key: "netpath-clock",
    what: "netpath's probes with nothing but a look at the clock in them",
    tool: Tool::Netpath("--inert=clock"),
    ready: Some(ATTACHED),
    needs: Needs::Nothing,
};

/// All ways; the first is what the others are held against.
pub(crate) const WAYS: &[Way] = &[
    Way {
        key: "untraced",
        what: "nothing attached",
        tool: Tool::Nothing,
        ready: None,
        needs: Needs::Nothing,
    },
    FULL,
    Way {
        key: "netpath-links",
        what: "netpath, every packet, by tracepoints and links alone",
        tool: Tool::Netpath("--backend tracepoint,netfilter-link"),
        ready: Some(ATTACHED),
        needs: Needs::Functions,
    },
    Way {
        key: "netpath-auto",
        what: "netpath --sample auto --budget 2%",
        tool: Tool::Netpath("--sample auto --budget 2%"),
        ready: Some(ATTACHED),
        needs: Needs::Nothing,
    },
    Way {
        key: "netpath-other",
        what: "netpath, filtering for what does not pass",
        tool: Tool::Netpath("host 203.0.113.7"),
        ready: Some(ATTACHED),
        needs: Needs::Nothing,
    },
    EMPTY,
    CLOCK,
    Way {
        key: "bpftrace-histogram",
        what: "bpftrace, in-kernel histograms, 4 tracepoints",
        tool: Tool::Bpftrace(
            "/@last[args->skbaddr]/ { @ns = hist(nsecs - @last[args->skbaddr]); } \
             CLAUSE { @last[args->skbaddr] = nsecs; }",
        ),
        ready: Some("attached"),
        needs: Needs::Nothing,
    },
    Way {
        key: "bpftrace-printf",
        what: "bpftrace, printing every event, 4 tracepoints",
        tool: Tool::Bpftrace("{ printf(\"%lx %lu\\n\", (uint64)args->skbaddr, nsecs); }"),
        ready: Some("attached"),
        needs: Needs::Nothing,
    },
    Way {
        key: "perf-record",
        what: "perf record, 4 tracepoints",
        tool: Tool::Perf,
        ready: None,
        needs: Needs::Nothing,
    },
    Way {
        key: "pwru-10",
        what: "pwru, 10 functions",
        tool: Tool::Pwru(Some(&FUNCTIONS)),
        ready: Some(LISTENING),
        needs: Needs::Functions,
    },
    Way {
        key: "pwru-all",
        what: "pwru, all functions",
        tool: Tool::Pwru(None),
        ready: Some(LISTENING),
        needs: Needs::Functions,
    },
];

/// The netpath that is measured: as cargo built it, or where the environment says it is.
pub(crate) fn netpath() -> OsString {
    const NAME: &str = "CARGO_BIN_EXE_netpath";
    env::var_os(NAME).unwrap_or_else(|| env!("CARGO_BIN_EXE_netpath").into())
}

impl Way {
    /// The tool's command, its output thrown away; `None` where there is none to run.
    pub(crate) fn command(&self, lab: &Lab) -> Option<Command> {
        let mut command = match self.tool {
            Tool::Nothing => return None,
            Tool::Netpath(arguments) => {
                let focus = lab.topology().focus;
                let mut command = Command::new(netpath());
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
            Tool::Pwru(functions) => {
                let mut command = Command::new("pwru");
                own_tracefs(&mut command);
                command.args(["--timestamp", "absolute"]);
                if let Some(names) = functions {
                    command.args(["--filter-func", &format!("^({})$", names.join("|"))]);
                }
                command
            }
        };
        command.stdin(Stdio::null());
        Some(command)
    }

    /// The program of another tool's.
    pub(crate) fn program(&self) -> Option<&'static str> {
        match self.tool {
            Tool::Nothing | Tool::Netpath(_) => None,
            Tool::Bpftrace(_) => Some("bpftrace"),
            Tool::Perf => Some("perf"),
            Tool::Pwru(_) => Some("pwru"),
        }
    }

    /// Whether the program is there.
    pub(crate) fn installed(&self) -> bool {
        let Some(program) = self.program() else { return true };
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path).any(|dir| dir.join(program).is_file())
    }

    /// Whether the tool prints a line for every event.
    pub(crate) fn prints_events(&self) -> bool {
        match self.tool {
            Tool::Nothing | Tool::Netpath(_) | Tool::Perf => false,
            Tool::Bpftrace(body) => body.contains("printf"),
            Tool::Pwru(_) => true,
        }
    }

    /// What the tool calls its version; `known` are those of packages, as `NAME=VERSION`.
    pub(crate) fn version(&self, known: &[String]) -> Option<String> {
        let Some(program) = self.program() else {
            let own = || format!("netpath {}", env!("CARGO_PKG_VERSION"));
            return matches!(self.tool, Tool::Netpath(_)).then(own);
        };
        let of = |line: &String| Some(line.strip_prefix(program)?.strip_prefix('=')?.to_owned());
        if let Some(version) = known.iter().find_map(of) {
            return Some(format!("{program} {version}"));
        }
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
