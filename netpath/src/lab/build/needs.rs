//! What this machine must have for a topology, found out by looking.

use std::{env, fs};

use super::super::{LabError, topologies::Need};
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

/// Whether programs of the system are there.
pub(in crate::lab) fn programs(names: &[&str], package: &'static str) -> Result<(), LabError> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<_> = env::split_paths(&path).collect();
    for name in names {
        if !dirs.iter().any(|dir| dir.join(name).is_file()) {
            return Err(missing(name, package));
        }
    }
    Ok(())
}
