//! What this machine must have for a topology, found out by looking.

use std::{env, fs, path::Path};

use super::super::{
    LabError,
    topologies::{DOCKER, Need, OPEN_VSWITCH, QEMU},
};
use super::missing;

/// Whether it is here; the error says what isn't, and what would help.
pub(super) fn check(need: Need) -> Result<(), LabError> {
    match need {
        Need::FlowSteering => {
            let entries = fs::read_to_string("/proc/sys/net/core/rps_sock_flow_entries");
            let entries = entries.map_err(|_| lacks("this kernel has no RFS"))?;
            if entries.trim() == "0" {
                return Err(lacks(
                    "RFS is off: net.core.rps_sock_flow_entries is 0, and is one for the whole \
                     machine, so the lab does not set it (try sysctl -w \
                     net.core.rps_sock_flow_entries=32768)",
                ));
            }
            Ok(())
        }
        Need::OpenVswitch => {
            if !Path::new("/sys/module/openvswitch").exists() {
                return Err(lacks("this kernel has no openvswitch module loaded"));
            }
            programs(OPEN_VSWITCH, "openvswitch-switch")
        }
        Need::Docker => {
            programs(DOCKER, "docker.io")?;
            Err(lacks(
                "the lab starts no Docker daemon of its own: trace a container that runs with \
                 netpath trace --iface, and hold it against bridge-nat",
            ))
        }
        Need::Guest => {
            if !Path::new("/dev/vhost-net").exists() {
                return Err(lacks("/dev/vhost-net is not there: no vhost_net in this kernel"));
            }
            programs(QEMU, "qemu-system-x86")?;
            Err(lacks(
                "the lab has no guest of its own to start: trace the tap of one that runs with \
                 netpath trace --iface",
            ))
        }
        Need::Cpus(n) => {
            let here = std::thread::available_parallelism().map_or(1, usize::from);
            if here < n {
                return Err(lacks(&format!("it takes {n} CPUs; this machine has {here}")));
            }
            Ok(())
        }
    }
}

fn lacks(why: &str) -> LabError {
    LabError::Lacks(why.to_owned())
}

fn programs(names: &[&str], package: &'static str) -> Result<(), LabError> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<_> = env::split_paths(&path).collect();
    for name in names {
        if !dirs.iter().any(|dir| dir.join(name).is_file()) {
            return Err(missing(name, package));
        }
    }
    Ok(())
}
