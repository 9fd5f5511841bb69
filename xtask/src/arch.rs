//! The architectures that netpath is built for, as data: what Rust, Debian and QEMU call each.
//!
//! In: an architecture's name, or nothing for this machine's. Out: its row. To add one, add a row here
//! and its registers to netpath-ebpf/src/args.rs.

use anyhow::Context as _;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser as _};

/// One architecture.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arch {
    /// Rust's name, which the kernel's programs are built for, too (`bpf_target_arch`), and GNU's.
    pub(crate) rust: &'static str,
    /// Debian's name.
    pub(crate) debian: &'static str,
    /// The program that loads a program's libraries, and where programs look for it.
    pub(crate) loader: &'static str,
    /// Whether linkers can write what is relocated by the program's own address alone in less than an eighth
    /// of the bytes.
    pub(crate) packs_relocations: bool,
    pub(crate) emulator: Emulator,
}

/// QEMU for an architecture.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Emulator {
    /// The program, and Debian's package of it.
    pub(crate) program: &'static str,
    pub(crate) package: &'static str,
    /// The machine and its CPU.
    pub(crate) machine: &'static [&'static str],
    /// The first serial port, as the kernel calls it.
    pub(crate) console: &'static str,
}

pub(crate) static AMD64: Arch = Arch {
    rust: "x86_64",
    debian: "amd64",
    loader: "/lib64/ld-linux-x86-64.so.2",
    packs_relocations: true,
    emulator: Emulator {
        program: "qemu-system-x86_64",
        package: "qemu-system-x86",
        machine: &["-machine", "q35", "-cpu", "max"],
        console: "ttyS0",
    },
};

pub(crate) static ARM64: Arch = Arch {
    rust: "aarch64",
    debian: "arm64",
    loader: "/lib/ld-linux-aarch64.so.1",
    // GNU's in Debian 12 can't.
    packs_relocations: false,
    emulator: Emulator {
        program: "qemu-system-aarch64",
        package: "qemu-system-arm",
        // Authenticating pointers as the architecture does it is what emulation would spend its time on.
        machine: &["-machine", "virt,gic-version=3", "-cpu", "max,pauth-impdef=on"],
        console: "ttyAMA0",
    },
};

static ARCHS: &[&Arch] = &[&AMD64, &ARM64];

/// All of them.
pub(crate) fn all() -> &'static [&'static Arch] {
    ARCHS
}

impl Arch {
    /// This machine's.
    pub(crate) fn own() -> anyhow::Result<&'static Self> {
        find(std::env::consts::ARCH)
    }

    pub(crate) fn is_own(&self) -> bool {
        self.rust == std::env::consts::ARCH
    }

    /// Rust's target.
    pub(crate) fn target(&self) -> String {
        format!("{}-unknown-linux-gnu", self.rust)
    }

    /// GNU's name of a system of it: in the names of directories and of compilers.
    pub(crate) fn triplet(&self) -> String {
        format!("{}-linux-gnu", self.rust)
    }
}

/// Reads an architecture's name: Rust's or Debian's.
pub(crate) fn named() -> impl clap::builder::TypedValueParser<Value = &'static Arch> {
    let names = ARCHS.iter().map(|arch| PossibleValue::new(arch.rust).alias(arch.debian));
    PossibleValuesParser::new(names).try_map(|name| {
        let row = ARCHS.iter().copied().find(|arch| arch.rust == name || arch.debian == name);
        row.ok_or("it is not in the list")
    })
}

/// The row of Rust's name.
fn find(rust: &str) -> anyhow::Result<&'static Arch> {
    ARCHS.iter().copied().find(|arch| arch.rust == rust).with_context(|| {
        let known: Vec<&str> = ARCHS.iter().map(|arch| arch.rust).collect();
        format!(
            "netpath does not know where functions' arguments are on {rust}, only on {}; add \
             {rust}'s registers to netpath-ebpf/src/args.rs and a row to xtask/src/arch.rs",
            known.join(" and ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for (i, a) in ARCHS.iter().enumerate() {
            assert!(ARCHS[i + 1..].iter().all(|b| a.rust != b.rust && a.debian != b.debian));
        }
    }

    #[test]
    fn an_unknown_one_is_refused_by_name() {
        assert_eq!(find("aarch64").map(|arch| arch.debian).ok(), Some("arm64"));
        let refused = find("riscv64").err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refused.contains("riscv64") && refused.contains("x86_64 and aarch64"), "{refused}");
    }
}
