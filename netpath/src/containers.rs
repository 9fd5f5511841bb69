//! Whose namespace it is: the container that a process in it belongs to.
//!
//! No runtime's socket is asked. A process' cgroup tells the container's id and its runtime, and
//! Docker keeps the container's name in a file beside its configuration.

use std::{collections::BTreeMap, fs, path::Path};

use crate::netns;

/// Where Docker keeps a folder per container, named by the id.
const DOCKER: &str = "/var/lib/docker/containers";

/// How runtimes mark a container's cgroup: what stands before the id, and the runtime's name.
const MARKS: &[(&str, &str)] = &[
    ("docker-", "docker"),
    ("/docker/", "docker"),
    ("libpod-", "podman"),
    ("cri-containerd-", "containerd"),
    ("crio-", "cri-o"),
    ("/lxc.payload.", "lxc"),
    ("machine-", "machine"),
];

/// Digits of an id that are shown.
const SHORT: usize = 12;

/// By the inode of a network namespace: the container that lives there, such as `docker:web`, or
/// the process that was there first, such as `pid 812 (nginx)`. The initial namespace, and
/// namespaces without processes, have none.
pub fn find(inodes: &[u64]) -> BTreeMap<u64, String> {
    let mut first: BTreeMap<u64, u32> = BTreeMap::new();
    let mut found: BTreeMap<u64, String> = BTreeMap::new();
    for (pid, inode) in netns::inhabitants() {
        if pid == std::process::id() || !inodes.contains(&inode) {
            continue;
        }
        let smallest = first.entry(inode).or_insert(pid);
        *smallest = pid.min(*smallest);
        if !found.contains_key(&inode)
            && let Ok(cgroup) = fs::read_to_string(format!("/proc/{pid}/cgroup"))
            && let Some((runtime, id)) = container(&cgroup)
        {
            found.insert(inode, format!("{runtime}:{}", name(runtime, id)));
        }
    }
    for (inode, pid) in first {
        let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        found.entry(inode).or_insert_with(|| format!("pid {pid} ({})", comm.trim()));
    }
    found
}

/// Runtime and id, from a process' `/proc/PID/cgroup`.
fn container(cgroup: &str) -> Option<(&'static str, &str)> {
    cgroup.lines().find_map(|line| {
        MARKS.iter().find_map(|(mark, runtime)| {
            let rest = line.split_once(mark)?.1;
            let id = rest.split(['.', '/']).next()?;
            (!id.is_empty()).then_some((*runtime, id))
        })
    })
}

fn name(runtime: &str, id: &str) -> String {
    let known = if runtime == "docker" { docker_name(id) } else { None };
    known.unwrap_or_else(|| id.chars().take(SHORT).collect())
}

fn docker_name(id: &str) -> Option<String> {
    let path = Path::new(DOCKER).join(id).join("config.v2.json");
    let config: serde_json::Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    Some(config["Name"].as_str()?.trim_start_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroups_tell_runtime_and_id() {
        let id = "4e5c5ce0a1b2c3d4";
        for (line, runtime) in [
            (format!("0::/system.slice/docker-{id}.scope"), "docker"),
            (format!("12:cpu:/docker/{id}\n"), "docker"),
            (format!("0::/machine.slice/libpod-{id}.scope/container"), "podman"),
            (format!("0::/kubepods.slice/pod1/cri-containerd-{id}.scope"), "containerd"),
        ] {
            assert_eq!(container(&line), Some((runtime, id)), "{line}");
        }
        assert_eq!(container("0::/user.slice/session-1.scope"), None);
    }
}
