//! iperf3 over TCP and UDP; socat, a line there and back on each connection.

use super::{EVERYWHERE, Program, Said, unclear};
use crate::conformance::{
    process::command,
    report::Kind,
    stage::{Port, Stage, StageError},
};

const IPERF: &[(&str, &str)] = &[("iperf3", "iperf3")];
const PORT: u16 = 5201;

pub(super) const IPERF_TCP: Program = Program {
    name: "iperf3-tcp",
    what: "iperf3, 32 MB over TCP",
    needs: IPERF,
    on: EVERYWHERE,
    serve: iperf_server,
    run: |stage| iperf(stage, &["--bytes", "32M"]).map(|_| Said::default()),
};

pub(super) const IPERF_UDP: Program = Program {
    name: "iperf3-udp",
    what: "iperf3, 20 Mbit/s over UDP for a second, in datagrams of 1,000 bytes",
    needs: IPERF,
    on: EVERYWHERE,
    serve: iperf_server,
    run: |stage| {
        let options = ["--udp", "--bitrate", "20M", "--length", "1000", "--time", "1"];
        // How many were lost it knows by their numbers, so that it misses the last ones.
        iperf(stage, &options)?;
        Ok(Said { read_at: Some(PORT), ..Said::default() })
    },
};

fn iperf_server(stage: &mut Stage) -> Result<(), StageError> {
    stage.serve(command(&["iperf3", "--server", "--one-off"]), Port::Tcp(PORT)).map(|_| ())
}

fn iperf(stage: &mut Stage, options: &[&str]) -> Result<serde_json::Value, StageError> {
    let address = stage.address();
    let words = [&["iperf3", "--json", "--client", &address], options].concat();
    let printed = stage.run(stage.topology().client, command(&words))?;
    serde_json::from_str(&printed).map_err(|_| unclear("iperf3", &printed))
}

pub(super) const SOCAT: Program = Program {
    name: "socat",
    what: "socat, 50 connections with a line there and back, to a socat that echoes",
    needs: &[("socat", "socat")],
    on: EVERYWHERE,
    serve: |stage| {
        let listen = if stage.is_v6() { "TCP6-LISTEN" } else { "TCP4-LISTEN" };
        let words = ["socat", &format!("{listen}:7000,reuseaddr,fork"), "PIPE"];
        stage.serve(command(&words), Port::Tcp(7000)).map(|_| ())
    },
    run: |stage| {
        let script = format!(
            "for i in $(seq 50); do echo a line | socat - TCP:{} || exit 1; done",
            stage.at(7000)
        );
        let printed = stage.run(stage.topology().client, command(&["sh", "-c", &script]))?;
        let echoed = printed.lines().filter(|line| *line == "a line").count() as u64;
        Ok(Said::counted(Kind::Connect, 50).and(Kind::Request, echoed, None))
    },
};
