//! The netpath binary, with the eBPF object inside.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};

use crate::{
    arch::Arch,
    cross, ebpf,
    setup::Tools,
    shell::{cargo, check, root, target},
};

/// Builds target/release/netpath.
pub(crate) fn run(tools: &Tools) -> anyhow::Result<PathBuf> {
    let object = ebpf::build(tools)?;
    check(cargo().env("NETPATH_EBPF", object).args([
        "build",
        "--release",
        "--package",
        "netpath",
    ]))?;
    Ok(target().join("release/netpath"))
}

/// Builds a netpath that needs no library, for any machine of an architecture.
pub(crate) fn run_static(tools: &Tools, arch: &Arch) -> anyhow::Result<PathBuf> {
    check(for_any_machine(tools, arch, "")?.args([
        "build",
        "--release",
        "--quiet",
        "--package",
        "netpath",
    ]))?;
    Ok(static_netpath(arch))
}

/// Builds a netpath to hand out: as [`run_static`] does, smaller, and the same bytes wherever the sources
/// and cargo's files lie.
pub(crate) fn run_dist(tools: &Tools, arch: &Arch) -> anyhow::Result<PathBuf> {
    let mut command = environment(tools, arch)?;
    check(command.args(["build", "--profile", "dist", "--quiet", "--package", "netpath"]))?;
    Ok(target().join(arch.target()).join("dist/netpath"))
}

/// What [`run_dist`] builds in.
pub(crate) fn environment(tools: &Tools, arch: &Arch) -> anyhow::Result<Command> {
    // Panics' messages name no path of the machine that builds.
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo"))).unwrap_or_default();
    let (root, home) = (root(), home.display().to_string());
    let mut more = format!(
        " --remap-path-prefix={home}=/cargo --remap-path-prefix={}=/netpath",
        root.display()
    );
    if arch.packs_relocations {
        more += " -Clink-arg=-Wl,-z,pack-relative-relocs";
    }
    let mut command = for_any_machine(tools, arch, &more)?;
    command.env("CARGO_INCREMENTAL", "0");
    Ok(command)
}

/// Builds a suite of netpath's tests, and with it netpath, so that they need no library. Returns the
/// tests.
pub(crate) fn static_tests(tools: &Tools, arch: &Arch, suite: &str) -> anyhow::Result<PathBuf> {
    let mut command = for_any_machine(tools, arch, "")?;
    command.args(["test", "--no-run", "--release", "--quiet", "--package", "netpath"]).args([
        "--test",
        suite,
        "--message-format",
        "json-render-diagnostics",
    ]);
    executable(&mut command, suite)
}

/// Runs cargo, and finds in its messages what it has built of this name.
pub(crate) fn executable(command: &mut Command, name: &str) -> anyhow::Result<PathBuf> {
    command.stderr(Stdio::inherit());
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", output.status);
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let found = messages.lines().find_map(|message| executable_of(message, name));
    found.with_context(|| format!("{command:?} has built no {name}"))
}

/// Builds the benchmark, and with it netpath, so that they need no library. Returns the benchmark.
pub(crate) fn static_bench(tools: &Tools, arch: &Arch) -> anyhow::Result<PathBuf> {
    let mut command = for_any_machine(tools, arch, "")?;
    command
        .args(["bench", "--no-run", "--quiet", "--package", "netpath", "--bench", "measure"])
        .args(["--message-format", "json-render-diagnostics"]);
    executable(&mut command, "measure")
}

/// Where [`run_static`] and [`static_tests`] leave netpath: beside what is built for this machine
/// alone, not in its place.
pub(crate) fn static_netpath(arch: &Arch) -> PathBuf {
    target().join(arch.target()).join("release/netpath")
}

/// Prepares a cargo that builds what needs no library, with the kernel's programs for this
/// architecture; `more` goes to rustc.
fn for_any_machine(tools: &Tools, arch: &Arch, more: &str) -> anyhow::Result<Command> {
    let target = arch.target();
    // Only for what is built: build scripts and macros are for the machine that builds.
    let setting = |name: &str| {
        let target = target.to_uppercase().replace('-', "_");
        format!("CARGO_TARGET_{target}_{name}")
    };
    let mut flags = format!("-C target-feature=+crt-static{more}");
    let mut command = cargo();
    if !arch.is_own() {
        let cross = cross::prepare(arch)?;
        let compiler = format!("CC_{}", target.replace('-', "_"));
        command.env(setting("LINKER"), &cross.gcc).env(compiler, &cross.gcc);
        if let Some(debian) = cross.debian {
            command.env("RUSTC", debian.rustc);
            flags += &format!(" --sysroot={}", debian.sysroot.display());
        }
    }
    command
        .env("NETPATH_EBPF", ebpf::build_for(tools, arch)?)
        .env(setting("RUSTFLAGS"), flags)
        // They would take the place of those above.
        .env_remove("RUSTFLAGS")
        .env("CARGO_BUILD_TARGET", target);
    Ok(command)
}

/// Reads one of cargo's messages: the executable of the tests or the benchmark of this name, where
/// it is about them.
fn executable_of(message: &str, name: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let target = &message["target"];
    let sort = target["kind"][0] == "bench" || message["profile"]["test"] == true;
    let own = target["name"] == name && sort;
    own.then(|| message["executable"].as_str().map(PathBuf::from)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_built_is_found_among_cargos_messages() {
        let other = r#"{"reason":"compiler-artifact","target":{"name":"netpath"},"profile":{"test":false},"executable":"/t/netpath"}"#;
        let own = r#"{"reason":"compiler-artifact","target":{"name":"kernel"},"profile":{"test":true},"executable":"/t/kernel-1"}"#;
        let bench = r#"{"reason":"compiler-artifact","target":{"kind":["bench"],"name":"measure"},"profile":{"test":false},"executable":"/t/measure-1"}"#;
        assert_eq!(executable_of(other, "netpath"), None);
        assert_eq!(executable_of("no JSON", "kernel"), None);
        assert_eq!(executable_of(own, "kernel"), Some(PathBuf::from("/t/kernel-1")));
        assert_eq!(executable_of(own, "measure"), None);
        assert_eq!(executable_of(bench, "measure"), Some(PathBuf::from("/t/measure-1")));
    }
}
