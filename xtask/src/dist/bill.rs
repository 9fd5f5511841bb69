//! What is in a release, for machines to read, and what it was built with.

use std::{fs, path::PathBuf, process::Command};

use anyhow::Context as _;
use serde_json::Value;

use super::{CARGO_CYCLONEDX, Release};
use crate::{
    arch::Arch,
    build, cross,
    setup::{self, Tools},
    shell::{check, output, root},
};

/// cargo-cyclonedx writes beside each manifest; we want one.
const BESIDE: &str = "dist.cdx";

impl Release {
    /// `netpath-VERSION-ARCH.cdx.json`: the bill of materials, in CycloneDX.
    pub(super) fn bill(&self, arch: &Arch) -> anyhow::Result<PathBuf> {
        let mut command = self.packager(&CARGO_CYCLONEDX)?;
        command.args(["cyclonedx", "--format", "json", "--spec-version", "1.5", "--quiet"]);
        command.args(["--no-build-deps", "--target", &arch.target()]);
        command.args(["--override-filename", BESIDE, "--manifest-path", "netpath/Cargo.toml"]);
        check(&mut command)?;
        let mut bill = None;
        for member in ["netpath", "netpath-common", "netpath-ebpf", "xtask"] {
            let path = root().join(member).join(format!("{BESIDE}.json"));
            if member == "netpath" {
                bill =
                    Some(fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?);
            }
            // Only some versions write those of the others.
            let _ = fs::remove_file(path);
        }
        let bill = serde_json::from_str(&bill.context("cargo-cyclonedx wrote no bill")?)?;
        let file = self.out.join(format!("netpath-{}-{}.cdx.json", self.version, arch.rust));
        fs::write(&file, serde_json::to_string_pretty(&anywhere(bill))? + "\n")?;
        Ok(file)
    }

    /// `netpath-VERSION-ARCH.provenance.txt`: what it takes to make the same bytes again.
    pub(super) fn provenance(&self, tools: &Tools, arch: &Arch) -> anyhow::Result<PathBuf> {
        let says = |program: &str, arguments: &[&str]| {
            let said = output(Command::new(program).args(arguments).current_dir(root()));
            said.unwrap_or_default().lines().next().unwrap_or("unknown").to_owned()
        };
        let mut status = Command::new("git");
        status.current_dir(root()).args(["status", "--porcelain"]);
        let changed = output(&mut status).is_some_and(|files| !files.is_empty());
        let built_with = build::environment(tools, arch)?;
        let of_kernel = setup::for_kernel(tools, arch);
        let libc = if arch.is_own() { "libc6-dev".to_owned() } else { cross::libc_package(arch) };
        let lines = [
            (
                "commit",
                says("git", &["rev-parse", "HEAD"]) + if changed { ", changed" } else { "" },
            ),
            ("SOURCE_DATE_EPOCH", self.epoch.clone()),
            ("rustc", says(&program(&built_with, "RUSTC", "rustc"), &["--version"])),
            (
                "rustc of the kernel's programs",
                says(&program(&of_kernel, "RUSTC", "rustc"), &["--version"]),
            ),
            ("bpf-linker", says(&tools.bpf_linker.to_string_lossy(), &["--version"])),
            ("compiler of C", says(&program(&built_with, "CC_", "cc"), &["--version"])),
            ("C library", says("dpkg-query", &["--show", &libc])),
        ];
        let lines = lines.map(|(what, is)| format!("{what}: {is}\n"));
        let file = self.out.join(format!("netpath-{}-{}.provenance.txt", self.version, arch.rust));
        fs::write(&file, lines.concat())?;
        Ok(file)
    }
}

/// The program that a variable of a command's environment names; of variables that begin so, any.
fn program(command: &Command, variable: &str, otherwise: &str) -> String {
    let mut named =
        command.get_envs().filter_map(|(name, value)| Some((name.to_str()?, value?.to_str()?)));
    named
        .find(|(name, _)| name.starts_with(variable))
        .map_or(otherwise, |(_, value)| value)
        .to_owned()
}

/// The bill without what differs from machine to machine: directories of whoever made it.
fn anywhere(mut bill: Value) -> Value {
    let here = format!("file://{}", root().display());
    replace(&mut bill, &here, "file:///netpath");
    bill
}

fn replace(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::String(text) => *text = text.replace(from, to),
        Value::Array(values) => values.iter_mut().for_each(|value| replace(value, from, to)),
        Value::Object(fields) => fields.values_mut().for_each(|value| replace(value, from, to)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_bill_names_no_directory_of_who_made_it() {
        let here = root();
        let of = |root: &str| json!({ "a": [{ "bom-ref": format!("path+file://{root}/netpath#0.1.0") }], "n": 1 });
        assert_eq!(anywhere(of(&here.to_string_lossy())), of("/netpath"));
    }

    #[test]
    fn a_program_is_found_in_the_environment() {
        let mut command = Command::new("cargo");
        assert_eq!(program(&command, "CC_", "cc"), "cc");
        command.env("CC_aarch64_unknown_linux_gnu", "aarch64-linux-gnu-gcc");
        assert_eq!(program(&command, "CC_", "cc"), "aarch64-linux-gnu-gcc");
    }
}
