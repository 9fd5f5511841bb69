//! Everything that netpath's developers and packagers run, as one command: `cargo xtask`.
//!
//! - [`arch`]: the architectures that it is built for;
//! - [`setup`]: what is needed beside a Rust toolchain, found or installed;
//! - [`cross`]: what is needed for another architecture;
//! - [`ebpf`]: the programs for the kernel, built for bpfel-unknown-none;
//! - [`build`], [`demo`], [`test`], [`lint`]: what their names say;
//! - [`dist`], [`package`]: what is handed out, and the crates;
//! - [`metadata`]: the graph of dependencies;
//! - [`conformance`]: real programs beside netpath;
//! - [`bench`]: what netpath costs, beside other tools;
//! - [`screenshot`]: the README's picture of the live view;
//! - [`vm`]: other kernels, in QEMU; the guest of the lab.

mod arch;
mod bench;
mod build;
mod conformance;
mod cross;
mod dist;
mod docs;
mod ebpf;
mod lint;
mod metadata;
mod package;
mod screenshot;
mod setup;
mod shell;
mod shots;
mod test;
mod vm;

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser, Subcommand};

/// Sets up, builds, shows and tests netpath.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Find what is needed; as root on Debian or Ubuntu, install what is missing.
    Setup,
    /// Build target/release/netpath, with the eBPF object inside.
    Build {
        /// Build for machines of this architecture, this one's or another, so that it needs no
        /// library there.
        #[arg(long, value_name = "ARCH", value_parser = arch::named())]
        arch: Option<&'static arch::Arch>,
    },
    /// Make what is handed out, in target/packages: static binaries, .deb, .rpm, what is in them, checksums.
    Dist(dist::Args),
    /// Make the crates for a registry, in target/package; netpath's carries the kernel's programs.
    Package,
    /// Trace a container's NAT path in network namespaces of its own. Needs root.
    Demo {
        /// Passed on to `netpath lab run`: --for, --format, -o.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Make docs/live.svg anew, from a trace of the lab. Needs root.
    Screenshot,
    /// Run all tests, here and on other kernels. Those that attach to this kernel need root.
    Test(test::Args),
    /// Run real programs over the lab's topologies, hold netpath against what they and the kernel
    /// counted, and write docs/conformance.md. Needs root.
    Conformance(conformance::Args),
    /// Write what is generated of docs/: hops, command line, man pages, completions, schema.
    Docs,
    /// Try the HTML report in a browser, and take pictures of it into target/shots.
    Shots {
        /// A page. Default: of the tests' recording.
        page: Option<std::path::PathBuf>,
    },
    /// Measure what netpath costs, beside other tools. Needs root, and a quiet machine.
    Bench(bench::Args),
    /// Check formatting and run clippy.
    Lint,
    /// Run the kernel tests, or a command, on another kernel: one of Debian's, in QEMU without KVM.
    Vm(vm::Args),
    /// Make the guest that `netpath lab` starts for its experiment virtio: target/guest.
    Guest(vm::lab_guest::Args),
}

fn main() -> ExitCode {
    let result = match Args::parse().command {
        Command::Setup => setup::run().map(|_| ExitCode::SUCCESS),
        Command::Build { arch } => setup::run()
            .and_then(|tools| match arch {
                Some(arch) => build::run_static(&tools, arch),
                None => build::run(&tools),
            })
            .map(|binary| {
                println!("{}", binary.display());
                ExitCode::SUCCESS
            }),
        Command::Demo { arguments } => demo(&arguments),
        Command::Screenshot => {
            setup::run().and_then(|tools| screenshot::run(&tools)).map(|()| ExitCode::SUCCESS)
        }
        Command::Dist(args) => setup::run().and_then(|tools| dist::run(&tools, &args)).map(|dir| {
            println!("{}", dir.display());
            ExitCode::SUCCESS
        }),
        Command::Package => {
            setup::run().and_then(|tools| package::run(&tools)).map(|()| ExitCode::SUCCESS)
        }
        Command::Test(args) => setup::run().and_then(|tools| test::run(&tools, &args)),
        Command::Conformance(args) => {
            setup::run().and_then(|tools| conformance::run(&tools, &args))
        }
        Command::Docs => {
            setup::run().and_then(|tools| docs::run(&tools)).map(|()| ExitCode::SUCCESS)
        }
        Command::Shots { page } => setup::run()
            .and_then(|tools| shots::run(&tools, page.as_deref()))
            .map(|()| ExitCode::SUCCESS),
        Command::Bench(args) => setup::run().and_then(|tools| bench::run(&tools, &args)),
        Command::Lint => {
            setup::run().and_then(|tools| lint::run(&tools)).map(|()| ExitCode::SUCCESS)
        }
        Command::Guest(args) => {
            setup::run().and_then(|tools| vm::lab_guest::command(&tools, &args)).map(|dir| {
                println!("{}", dir.display());
                ExitCode::SUCCESS
            })
        }
        Command::Vm(args) => setup::run().and_then(|tools| vm::command(&tools, &args)),
    };
    result.unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}

/// `netpath lab run bridge-nat`, built first.
fn demo(arguments: &[OsString]) -> anyhow::Result<ExitCode> {
    let tools = setup::run()?;
    let binary = build::run(&tools)?;
    let status = std::process::Command::new(&binary)
        .args(["lab", "run", "bridge-nat"])
        .args(arguments)
        .status()?;
    let code = status.code().and_then(|c| u8::try_from(c).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}
