//! What netpath needs beside a Rust toolchain: found, or installed.
//!
//! Building needs a `core` for bpfel-unknown-none and bpf-linker; demo and tests need ip, nft and
//! iptables. As root on Debian or Ubuntu what is missing is installed; elsewhere the command that
//! would is printed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

use crate::{
    arch::Arch,
    shell::{cargo, check, output, target, which},
};

/// Where a `core` for the kernel's programs comes from.
#[derive(Clone, Debug)]
pub(crate) enum Core {
    /// Built from rustup's rust-src, by this toolchain.
    RustSrc { toolchain: String },
    /// Ready-made, with Debian's compiler.
    Debian,
}

/// What was found.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    pub(crate) core: Core,
    pub(crate) bpf_linker: PathBuf,
}

/// Debian's compiler with a `core` for the kernel's programs, and the LLVM that it is built with.
pub(crate) const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CORE: &str = "/usr/lib/rustlib/bpfel-unknown-none/lib";
const DEBIAN_CORE_PACKAGES: &[&str] = &["rustc-web", "libstd-rust-web-dev-bpf"];
const LLVM: &str = "/usr/lib/llvm-22";
const LLVM_PACKAGES: &[&str] = &["llvm-22-dev", "libpolly-22-dev"];
const BPF_LINKER: Crate = Crate { name: "bpf-linker", version: "0.13.0", takes: "about a minute" };

/// A program that crates.io has.
pub(crate) struct Crate {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// How long it takes to build.
    pub(crate) takes: &'static str,
}

/// Programs that demo and tests run, and Debian's packages of them.
const PROGRAMS: &[(&str, &str)] = &[
    ("ip", "iproute2"),
    ("tc", "iproute2"),
    ("nft", "nftables"),
    ("iptables", "iptables"),
    ("tcpdump", "tcpdump"),
];

pub(crate) fn run() -> anyhow::Result<Tools> {
    let mut packages = missing(PROGRAMS.iter().copied());
    let rust_src = rust_src();
    let bpf_linker = bpf_linker();
    if rust_src.is_none() {
        if !Path::new(DEBIAN_CORE).is_dir() {
            packages.extend(DEBIAN_CORE_PACKAGES);
        }
        if bpf_linker.is_none() && !Path::new(LLVM).join("bin/llvm-config").exists() {
            packages.extend(LLVM_PACKAGES);
        }
    }
    install(packages)?;
    let core = match rust_src {
        Some(toolchain) => Core::RustSrc { toolchain },
        None => Core::Debian,
    };
    let bpf_linker = match bpf_linker {
        Some(found) => found,
        None => install_bpf_linker(&core)?,
    };
    Ok(Tools { core, bpf_linker })
}

/// A nightly of rustup's that has rust-src.
fn rust_src() -> Option<String> {
    let toolchain = "nightly";
    let sysroot =
        output(Command::new("rustup").args(["run", toolchain, "rustc", "--print", "sysroot"]))?;
    let library = Path::new(&sysroot).join("lib/rustlib/src/rust/library/core/src/lib.rs");
    library.is_file().then(|| toolchain.to_owned())
}

/// Our own, or the one in PATH.
fn bpf_linker() -> Option<PathBuf> {
    let own = BPF_LINKER.path();
    if own.is_file() { Some(own) } else { which("bpf-linker") }
}

fn is_debian() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .any(|ids| ids.trim_matches('"').split(' ').any(|id| id == "debian" || id == "ubuntu"))
}

fn is_root() -> bool {
    output(Command::new("id").arg("-u")).as_deref() == Some("0")
}

/// Packages of the programs that are not there.
fn missing<'a>(programs: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<&'a str> {
    programs.filter(|(program, _)| which(program).is_none()).map(|(_, package)| package).collect()
}

/// Finds programs, or files by their whole path, each with Debian's package of it, or installs them.
pub(crate) fn require<'a>(
    programs: impl Iterator<Item = (&'a str, &'a str)>,
) -> anyhow::Result<()> {
    install(missing(programs))
}

/// Where programs are, each with Debian's package of it; those that are missing are installed.
pub(crate) fn at_hand<'a>(
    programs: &[(&'a str, &'a str)],
) -> anyhow::Result<Vec<(&'a str, PathBuf)>> {
    require(programs.iter().copied())?;
    let found = |(program, _): &(&'a str, &str)| {
        let path = which(program).with_context(|| format!("{program} is not installed"))?;
        Ok((*program, path))
    };
    programs.iter().map(found).collect()
}

/// Installs Debian's packages, or says how to.
fn install(mut packages: Vec<&str>) -> anyhow::Result<()> {
    packages.sort_unstable();
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    let words = format!("apt-get install --yes --no-install-recommends {}", packages.join(" "));
    if !is_debian() {
        bail!(
            "netpath needs programs that are not here; on Debian or Ubuntu: `{words}`. Elsewhere, \
             the Rust nightly's rust-src (`rustup toolchain install nightly --component rust-src`) \
             and the packages of ip, nft and iptables do"
        );
    }
    if !is_root() {
        bail!("netpath needs packages that are not installed; run `sudo {words}` and try again");
    }
    eprintln!("xtask: {words}");
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(arguments)
            .args(["--quiet", "--quiet"]);
        command.stdout(std::io::stderr());
        check(&mut command)
    };
    apt(&["update"])?;
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(packages);
    apt(&arguments)
}

/// Builds bpf-linker into target/tools.
fn install_bpf_linker(core: &Core) -> anyhow::Result<PathBuf> {
    let mut command = BPF_LINKER.install();
    if let Core::Debian = core {
        command
            .args(["--no-default-features", "--features", "llvm-22"])
            .env("LLVM_SYS_221_PREFIX", LLVM)
            .env("RUSTFLAGS", format!("-L {LLVM}/lib"))
            .env("PATH", prefixed_path());
    }
    BPF_LINKER.built_by(&mut command)
}

impl Crate {
    /// Where it is, in this version; built into target/tools unless it is there.
    pub(crate) fn find(&self) -> anyhow::Result<PathBuf> {
        let installed = fs::read_to_string(target().join("tools/.crates.toml")).unwrap_or_default();
        if self.is_in(&installed) && self.path().is_file() {
            return Ok(self.path());
        }
        self.built_by(&mut self.install())
    }

    /// Whether cargo's list of what it has installed has it.
    fn is_in(&self, list: &str) -> bool {
        let start = format!("\"{} {} ", self.name, self.version);
        list.lines().any(|line| line.starts_with(&start))
    }

    fn path(&self) -> PathBuf {
        target().join("tools/bin").join(self.name)
    }

    /// Prepares a cargo that builds it.
    fn install(&self) -> Command {
        let mut command = cargo();
        command.args(["install", self.name, "--version", self.version, "--locked", "--quiet"]);
        let tools = target().join("tools");
        command.arg("--root").arg(&tools).arg("--target-dir").arg(tools.join("build"));
        command
    }

    fn built_by(&self, command: &mut Command) -> anyhow::Result<PathBuf> {
        let Self { name, version, takes } = self;
        eprintln!("xtask: installing {name} {version} into target/tools ({takes})");
        check(command)?;
        // What building it took is not needed any more, and is large.
        let _ = fs::remove_dir_all(target().join("tools/build"));
        Ok(self.path())
    }
}

fn prefixed_path() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{LLVM}/bin:{path}")
}

/// Prepares a cargo that builds for a kernel of this architecture: where a function's arguments are is
/// compiled in.
pub(crate) fn for_kernel(tools: &Tools, arch: &Arch) -> Command {
    let mut command = cargo();
    // Only for its own target: build scripts are for the host.
    let flags = format!("--cfg=bpf_target_arch=\"{}\" -Ctarget-cpu=v3", arch.rust);
    command
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &tools.bpf_linker)
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_RUSTFLAGS", flags)
        .env("RUSTC_BOOTSTRAP", "1")
        // Incremental code takes more stack than the kernel lets programs have.
        .env("CARGO_INCREMENTAL", "0")
        .env_remove("RUSTFLAGS");
    match &tools.core {
        Core::Debian => {
            command.env("RUSTC", DEBIAN_RUSTC);
        }
        Core::RustSrc { toolchain } => {
            let rustc =
                output(Command::new("rustup").args(["which", "--toolchain", toolchain, "rustc"]));
            command.env("RUSTC", rustc.unwrap_or_else(|| "rustc".to_owned()));
            command.args(["-Z", "build-std=core"]);
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_found_in_cargos_list_in_its_version_only() {
        let list = "[v1]\n\"bpf-linker 0.13.0 (registry+https://index)\" = [\"bpf-linker\"]\n";
        assert!(BPF_LINKER.is_in(list));
        assert!(!Crate { version: "0.13", ..BPF_LINKER }.is_in(list));
        assert!(!Crate { name: "linker", ..BPF_LINKER }.is_in(list));
    }
}
