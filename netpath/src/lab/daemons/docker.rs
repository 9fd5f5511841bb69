//! Docker with a containerd of its own, and one container on docker0. The container is the real
//! thing, with Docker's veth, bridge and rules; nothing runs in it but a program that waits. Its
//! traffic is the lab's, from threads in its network namespace, as everywhere.

use std::fmt::Write as _;

use super::{Daemons, Makes};
use crate::lab::LabError;

pub(in crate::lab) const DOCKER: Daemons = Daemons {
    name: "Docker",
    script: SCRIPT,
    arguments: || arguments(&[]),
    programs: &["dockerd", "docker", "containerd", "runc", "iptables", "tar"],
    package: "docker.io",
    makes: Some(Makes::Netns("client")),
};

/// The container serves, and its ports are published. A server in it that asks for any port gets one of
/// these.
pub(in crate::lab) const DOCKER_PUBLISHED: Daemons = Daemons {
    arguments: || {
        arguments(&[
            "--publish=8080-8081:8080-8081/tcp",
            "--publish=8080-8081:8080-8081/udp",
            "--sysctl=net.ipv4.ip_local_port_range=8080 8081",
        ])
    },
    makes: Some(Makes::Netns("server")),
    ..DOCKER
};

/// What the script is given after the run's id: the container's program, and options of `docker run`.
fn arguments(options: &[&str]) -> Result<Vec<String>, LabError> {
    let program = printf(&waiting_program()?);
    Ok(std::iter::once(program).chain(options.iter().map(|&option| option.to_owned())).collect())
}

/// What is one for the whole machine is kept from Docker: modules, sysctls of the kernel's,
/// AppArmor's profiles. Control groups can't be: they are named for the run.
const SCRIPT: &str = r#"
mount --bind /proc/sys/kernel /proc/sys/kernel; mount -o remount,bind,ro /proc/sys/kernel
cat >containerd.toml <<END
version = 2
root = "/run/lab/containerd"
state = "/run/lab/containerd-state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "/run/lab/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
path = "/run/lab/opt"
END
export container=netpath DOCKER_IGNORE_BR_NETFILTER_ERROR=1 HOME=/run/lab
export DOCKER_HOST=unix:///run/lab/docker.sock DOCKER_CONFIG=/run/lab/config
setpriv --bounding-set=-sys_module containerd --config containerd.toml >containerd.log 2>&1 &
await [ -S containerd.sock ]
echo '{}' >daemon.json
setpriv --bounding-set=-sys_module dockerd --config-file=/run/lab/daemon.json \
    --containerd=/run/lab/containerd.sock --data-root=/run/lab/data --exec-root=/run/docker \
    --host=$DOCKER_HOST --pidfile=/run/lab/docker.pid --storage-driver=vfs \
    --exec-opt=native.cgroupdriver=cgroupfs --cgroup-parent=/netpath-$id \
    --bip=172.31.0.1/24 >dockerd.log 2>&1 &
await docker version
mkdir root; printf "$1" >root/wait; chmod 755 root/wait; shift
tar -C root -c wait | docker import - netpath-lab >/dev/null
name=$(docker run --detach --network=bridge "$@" netpath-lab /wait)
echo "netpath-made $(docker inspect --format='{{.NetworkSettings.SandboxKey}}' $name)"
ip=$(docker inspect --format='{{.NetworkSettings.Networks.bridge.IPAddress}}' $name)
version=$(docker version --format='Docker {{.Server.Version}}')
echo "netpath-note $version, started for this run alone; the container is at $ip"
"#;

/// A program for the container, which has no files of any other's: it waits to be ended.
fn waiting_program() -> Result<Vec<u8>, LabError> {
    /// `again: pause(); goto again`
    const X86_64: &[u8] = &[0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7];
    const MACHINE_X86_64: u16 = 62;
    if cfg!(target_arch = "x86_64") {
        Ok(elf(MACHINE_X86_64, X86_64))
    } else {
        Err(LabError::Lacks("the program that waits in the container is for x86-64".to_owned()))
    }
}

/// A static ELF file: one segment, and nothing but code in it.
fn elf(machine: u16, code: &[u8]) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADER: u16 = 64;
    const SEGMENT: u16 = 56;
    let start = u64::from(HEADER + SEGMENT);
    let len = start + code.len() as u64;
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    let mut put = |bytes: &[u8]| file.extend_from_slice(bytes);
    // ET_EXEC, the machine, EV_CURRENT; the entry, where the segments' table is, no sections.
    put(&2u16.to_le_bytes());
    put(&machine.to_le_bytes());
    put(&1u32.to_le_bytes());
    for long in [BASE + start, u64::from(HEADER), 0] {
        put(&long.to_le_bytes());
    }
    put(&0u32.to_le_bytes());
    for half in [HEADER, SEGMENT, 1, 0, 0, 0] {
        put(&half.to_le_bytes());
    }
    // PT_LOAD, PF_R | PF_X: the whole file.
    for word in [1u32, 5] {
        put(&word.to_le_bytes());
    }
    for long in [0, BASE, BASE, len, len, 0x1000] {
        put(&long.to_le_bytes());
    }
    put(code);
    file
}

/// Bytes as the shell's printf takes them.
fn printf(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "\\{byte:03o}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

    use super::*;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_program_runs_until_it_is_ended() {
        let path = std::env::temp_dir().join(format!("netpath-wait-{}", std::process::id()));
        let text = printf(&waiting_program().unwrap());
        let made = Command::new("sh")
            .args(["-c", "printf \"$1\" >\"$2\"", "sh", &text])
            .arg(&path)
            .status()
            .unwrap();
        assert!(made.success());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let mut child = Command::new(&path).spawn().expect("the kernel takes it");
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().code(), None, "ended by the signal, not by itself");
        fs::remove_file(&path).unwrap();
    }
}
