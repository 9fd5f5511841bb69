//! iperf3 and nuttcp in the place of our own bulk transfer: for those who want a figure that they
//! know. What they say of themselves is what is reported.

use std::{
    fs, io,
    net::{SocketAddr, TcpListener},
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    sync::mpsc::Sender,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

use super::{Client, PATIENCE_START, Stop};
use crate::lab::{LabError, build};

/// A program that measures throughput.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tool {
    Iperf3,
    Nuttcp,
}

/// How often it is looked whether to stop.
const PAUSE: Duration = Duration::from_millis(10);
/// A time that is never reached, seconds: they are interrupted, and say what there was until then.
const LONG: &str = "86400";
/// nuttcp's data has a port of its own.
const NUTTCP_DATA: &str = "5101";

impl Tool {
    /// The program, and Debian's package of it.
    pub fn program(self) -> &'static str {
        match self {
            Self::Iperf3 => "iperf3",
            Self::Nuttcp => "nuttcp",
        }
    }

    /// Whether it is there.
    pub(super) fn check(self) -> Result<(), LabError> {
        let program = self.program();
        // Debian's packages have their names.
        build::programs(&[program], program).map_err(|_| LabError::MissingTool {
            program: program.to_owned(),
            package: program,
            costs: vec![format!("--load {program}")],
        })
    }

    fn server(self, port: u16) -> Command {
        let port = port.to_string();
        match self {
            Self::Iperf3 => command("iperf3", &["--server", "--port", &port]),
            Self::Nuttcp => command("nuttcp", &["-S", "--nofork", "-P", &port]),
        }
    }

    fn client(self, to: SocketAddr) -> Command {
        let (ip, port) = (to.ip().to_string(), to.port().to_string());
        match self {
            Self::Iperf3 => {
                let words = ["--client", &ip, "--port", &port, "--time", LONG, "--json"];
                command("iperf3", &words)
            }
            Self::Nuttcp => {
                let words = ["-fparse", "-P", &port, "-p", NUTTCP_DATA, "-T", LONG, &ip];
                command("nuttcp", &words)
            }
        }
    }

    /// Bytes that were sent, and in what time.
    fn read(self, text: &str) -> Option<(u64, Duration)> {
        match self {
            Self::Iperf3 => {
                let value: serde_json::Value = serde_json::from_str(text).ok()?;
                let sent = &value["end"]["sum_sent"];
                let seconds = sent["seconds"].as_f64().filter(|s| *s > 0.0)?;
                Some((sent["bytes"].as_u64()?, Duration::from_secs_f64(seconds)))
            }
            Self::Nuttcp => {
                let field = |name: &str| -> Option<f64> {
                    let words = text.split_whitespace();
                    words
                        .filter_map(|w| w.split_once('='))
                        .find(|(n, _)| *n == name)?
                        .1
                        .parse()
                        .ok()
                };
                let seconds = field("real_seconds").filter(|s| *s > 0.0)?;
                let bytes = field("megabytes")? * f64::from(1 << 20);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a positive number of bytes"
                )]
                Some((bytes as u64, Duration::from_secs_f64(seconds)))
            }
        }
    }
}

fn command(program: &str, words: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Ctrl-C is for netpath, which ends them in its turn.
    command.process_group(0);
    // SAFETY: prctl is async-signal-safe. They do not outlive a lab that is killed.
    unsafe {
        command.pre_exec(|| {
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
            Ok(())
        });
    }
    command
}

/// Serves until it is time to stop. What a server says goes nowhere.
pub(super) fn serve(tool: Tool, listening: &Sender<u16>, stop: &Stop) -> io::Result<()> {
    let port = TcpListener::bind("0.0.0.0:0")?.local_addr()?.port();
    let mut command = tool.server(port);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let since = Instant::now();
    let mut told = false;
    let ended = loop {
        if !told && listens(port) {
            told = listening.send(port).is_ok();
        }
        if stop.requested() || (!told && since.elapsed() > PATIENCE_START) {
            break None;
        }
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        thread::sleep(PAUSE);
    };
    let _ = child.kill();
    child.wait()?;
    match ended {
        Some(status) => Err(io::Error::other(format!("{} ended: {status}", tool.program()))),
        None => Ok(()),
    }
}

/// Whether somebody listens at a TCP port of the calling thread's namespace.
fn listens(port: u16) -> bool {
    let address = format!(":{port:04X}");
    ["tcp", "tcp6"].iter().any(|table| {
        let text = fs::read_to_string(format!("/proc/thread-self/net/{table}")).unwrap_or_default();
        text.lines().any(|line| {
            let mut words = line.split_whitespace().skip(1);
            words.next().is_some_and(|own| own.ends_with(&address)) && words.nth(1) == Some("0A")
        })
    })
}

/// Sends until it is time to stop, and reads what the program says of it.
pub(super) fn send(tool: Tool, to: SocketAddr, client: &mut Client) -> io::Result<()> {
    let mut child = tool.client(to).spawn()?;
    client.sent(0);
    while client.goes_on() && child.try_wait()?.is_none() {
        thread::sleep(PAUSE);
    }
    let text = interrupt(child)?;
    let name = tool.program();
    let Some((bytes, time)) = tool.read(&text) else {
        let said: Vec<&str> = text.split_whitespace().collect();
        return Err(io::Error::other(format!("{name} said no result: {}", said.join(" "))));
    };
    client.counted.count = 0;
    client.counted.bytes = bytes;
    client.counted.took = Some(time);
    Ok(())
}

/// Asks it to end, and returns all that it has said.
fn interrupt(mut child: Child) -> io::Result<String> {
    let pid = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    let _ = kill(pid, Signal::SIGINT);
    let since = Instant::now();
    while child.try_wait()?.is_none() {
        if since.elapsed() > PATIENCE_START {
            child.kill()?;
        }
        thread::sleep(PAUSE);
    }
    let output = child.wait_with_output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_they_say_when_they_are_interrupted_is_read() {
        let said = r#"{"end":{"sum_sent":{"seconds":1.5,"bytes":3000,"sender":true},
            "sum_received":{"seconds":1.5,"bytes":0}},
            "error":"interrupt - the client has terminated"}"#;
        let took = Duration::from_millis(1500);
        assert_eq!(Tool::Iperf3.read(said), Some((3000, took)));
        assert_eq!(Tool::Iperf3.read(r#"{"error":"unable to connect"}"#), None);
        let said = "\n*** transfer interrupted ***\nmegabytes=2.0000 real_seconds=1.50 \
                    rate_Mbps=11.2 tx_cpu=10 rx_cpu=35 retrans=0 rtt_ms=0.24\n";
        assert_eq!(Tool::Nuttcp.read(said), Some((2 << 20, took)));
        assert_eq!(Tool::Nuttcp.read("nuttcp-t: Error: Connection refused"), None);
    }
}
