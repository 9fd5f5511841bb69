//! What the rows of the conformance need in a guest: real programs, what nginx and its like ask a machine for, and
//! the kernel's selftests where they are unpacked.
//!
//! Out: files for the guest, and where the rows find them there. Docker and PostgreSQL are machines of their own, too
//! large for an initramfs: their rows are skipped.

use std::{fs, path::Path};

use anyhow::{Context as _, bail};

use super::{Put, tests::Baggage};
use crate::{arch::Arch, conformance, setup};

/// Programs that rows call and not every guest has, and Debian's packages of them.
const PROGRAMS: &[(&str, &str)] = &[
    ("bash", "bash"),
    ("curl", "curl"),
    ("dig", "bind9-dnsutils"),
    ("dnsmasq", "dnsmasq-base"),
    ("getent", "libc-bin"),
    ("memcached", "memcached"),
    ("memcslap", "libmemcached-tools"),
    ("nc", "netcat-openbsd"),
    ("nginx", "nginx-light"),
    ("redis-benchmark", "redis-tools"),
    ("redis-check-rdb", "redis-tools"),
    ("socat", "socat"),
    ("tcpdump", "tcpdump"),
    ("traceroute", "traceroute"),
    ("wrk", "wrk"),
];

/// What programs look up: users that they become, names, types of files.
const DATA: &[&str] = &["/etc/group", "/etc/nginx", "/etc/nsswitch.conf", "/etc/passwd"];

/// Where the guest has the kernel's selftests, and where outcomes go.
const SELFTESTS: &str = "/root/selftests";
const KEPT: &str = "/out";

pub(super) fn baggage(arch: &Arch) -> anyhow::Result<Baggage> {
    if !arch.is_own() {
        bail!(
            "the rows run on kernels of this machine's architecture: they take its programs along"
        );
    }
    let mut files = Vec::new();
    for (_, found) in setup::at_hand(PROGRAMS)? {
        // Where `which` found it may be an alternative's link.
        let host = fs::canonicalize(&found).with_context(|| found.display().to_string())?;
        files.push(Put { host, guest: found });
    }
    let data = DATA.iter().filter(|path| Path::new(path).exists());
    files.extend(data.map(|path| Put { host: path.into(), guest: path.into() }));
    let mut environment = vec![format!("NETPATH_CONFORMANCE={KEPT}")];
    if let Some(source) = conformance::selftests::unpacked() {
        files.push(Put { host: source, guest: SELFTESTS.into() });
        environment.push(format!("NETPATH_SELFTESTS={SELFTESTS}"));
    }
    Ok(Baggage { environment, files })
}
