//! What the process must be allowed to do.

use caps::{CapSet, Capability};

use super::KernelError;

/// What netpath needs, and what for.
pub(super) const NEEDED: &[(Capability, &str)] = &[
    (Capability::CAP_BPF, "load eBPF programs"),
    (Capability::CAP_PERFMON, "read kernel memory in them"),
    (Capability::CAP_NET_ADMIN, "attach to netfilter hooks"),
    (Capability::CAP_SYS_ADMIN, "enter network namespaces"),
];

/// Refuses where a capability is missing, and names it.
pub fn check() -> Result<(), KernelError> {
    let have = caps::read(None, CapSet::Effective).unwrap_or_default();
    let missing: Vec<String> = NEEDED
        .iter()
        .filter(|(cap, _)| !have.contains(cap))
        .map(|(cap, why)| format!("{cap} (to {why})"))
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(KernelError::Permission { missing: missing.join(", ") })
    }
}
/// Takes as many open files as the process may have: a namespace that is traced has several.
pub fn allow_many_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Else there are fewer.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}
