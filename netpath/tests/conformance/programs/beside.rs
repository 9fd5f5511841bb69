//! With a tcpdump in each namespace, which takes a copy of every packet.

use super::{CONTAINER, DNAT, MACVLAN, On, Program, VXLAN, ping, web};
use crate::conformance::{
    process::command,
    stage::{Stage, StageError},
};

const TCPDUMP: (&str, &str) = ("tcpdump", "tcpdump");
const ON: &[On] = &[CONTAINER.core(), DNAT, VXLAN, MACVLAN];

pub(super) const PING_TCPDUMP: Program = Program {
    name: "ping-tcpdump",
    what: "ping-raw with a tcpdump on all devices of each namespace",
    needs: &[TCPDUMP],
    on: ON,
    serve: |stage| {
        (ping::RAW.serve)(stage)?;
        tcpdump_everywhere(stage)
    },
    run: ping::RAW.run,
};

pub(super) const CURL_TCPDUMP: Program = Program {
    name: "curl-tcpdump",
    what: "curl-nginx with a tcpdump on all devices of each namespace",
    needs: &[("curl", "curl"), ("nginx", "nginx-light"), TCPDUMP],
    on: ON,
    serve: |stage| {
        web::nginx(stage)?;
        tcpdump_everywhere(stage)
    },
    run: web::CURL_NGINX.run,
};

fn tcpdump_everywhere(stage: &mut Stage) -> Result<(), StageError> {
    for host in stage.topology().hosts {
        let index =
            stage.start(host, command(&["tcpdump", "-n", "-i", "any", "-w", "/dev/null"]))?;
        stage.says(index, "listening on")?;
    }
    Ok(())
}
