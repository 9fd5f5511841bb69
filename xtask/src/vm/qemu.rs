//! QEMU, without KVM: one machine, its console and its ports, each a file on this side.

use std::{
    fs::File,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::Context as _;

use super::{Guest, Image};
use crate::shell::output;

/// A port of the machine's, with the name that the guest finds it by.
#[derive(Clone, Copy, Debug)]
pub(super) enum Port {
    /// What the guest's first process reports: `booted VERSION`, `exit STATUS`.
    Control,
    Stdout,
    Stderr,
    /// What the command left in /out, as a tar.
    Out,
}

impl Port {
    const ALL: [Self; 4] = [Self::Control, Self::Stdout, Self::Stderr, Self::Out];

    const fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Out => "out",
        }
    }

    /// Where what it carries arrives.
    pub(super) fn file(self, dir: &Path) -> PathBuf {
        dir.join(self.name())
    }
}

/// The guest's console.
pub(super) fn console(dir: &Path) -> PathBuf {
    dir.join("console")
}

/// What QEMU itself complains of.
pub(super) fn complaints(dir: &Path) -> PathBuf {
    dir.join("qemu")
}

/// A fault is the end, and the end is not followed by another start. Warnings are shown. An emulated CPU
/// has nothing to protect from speculation, and what waits for RCU need not wait longer than it must.
const COMMAND_LINE: &str =
    "panic=-1 oops=panic loglevel=5 mitigations=off rcupdate.rcu_expedited=1";

/// Memory beside the initramfs, MiB. The initramfs is there twice: as it came, and unpacked.
const MEMORY_MIB: u64 = 1024;

/// Starts a machine that has its files in `dir`.
pub(super) fn start(
    image: &Image,
    guest: &Guest,
    initramfs: &Path,
    dir: &Path,
) -> anyhow::Result<Child> {
    let memory = MEMORY_MIB + 2 * initramfs.metadata()?.len().div_ceil(1 << 20);
    let emulator = &image.arch.emulator;
    let version = output(Command::new(emulator.program).arg("--version")).unwrap_or_default();
    let accelerator = format!("tcg,thread={}", threads(&version));
    let console_at = format!("console={}", emulator.console);
    let own = guest.boot.iter().map(String::as_str);
    let command_line = [&*console_at, COMMAND_LINE].into_iter().chain(own);
    let command_line = command_line.collect::<Vec<_>>().join(" ");
    let mut command = Command::new(emulator.program);
    command
        .args(["-accel", &accelerator])
        .args(emulator.machine)
        .args(["-smp", &guest.cpus.to_string()])
        .args(["-m", &format!("{memory}M")])
        .args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"])
        .args(["-append", &command_line])
        .arg("-kernel")
        .arg(&image.kernel_file)
        .arg("-initrd")
        .arg(initramfs)
        .args(["-serial", &format!("file:{}", option(&console(dir)))])
        .args(["-device", "virtio-serial-pci"]);
    for port in Port::ALL {
        let (name, file) = (port.name(), port.file(dir));
        File::create(&file).with_context(|| format!("cannot write {}", file.display()))?;
        command
            .args(["-chardev", &format!("file,id={name},path={}", option(&file))])
            .args(["-device", &format!("virtserialport,chardev={name},name={name}")]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(complaints(dir))?);
    // Ctrl-C is ours to hear.
    command.process_group(0);
    // SAFETY: prctl is async-signal-safe. A machine does not outlive us, however we end.
    unsafe {
        command.pre_exec(|| {
            nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
            Ok(())
        });
    }
    command.spawn().with_context(|| format!("cannot run {}", emulator.program))
}

/// One thread for each of the guest's CPUs, where that works. Before QEMU 8.1, a CPU can run code
/// that another one has since patched. Kernels patch their code while it runs, whenever a probe is
/// attached: now and then such a guest dies of an int3 that is no longer there.
fn threads(version: &str) -> &'static str {
    let number = version.split_once("version ").map_or("", |(_, rest)| rest);
    let mut parts =
        number.split(|c: char| !c.is_ascii_digit()).map_while(|n| n.parse::<u32>().ok());
    let (major, minor) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if (major, minor) >= (8, 1) { "multi" } else { "single" }
}

/// A path as part of an option: QEMU takes a doubled comma for one.
fn option(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_versions_run_one_cpu_at_a_time() {
        assert_eq!(threads("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\n"), "single");
        assert_eq!(threads("QEMU emulator version 8.0.5"), "single");
        assert_eq!(threads("QEMU emulator version 8.1.0"), "multi");
        assert_eq!(threads("QEMU emulator version 10.0.2 (Debian)"), "multi");
        assert_eq!(threads("something else"), "single");
    }

    #[test]
    fn commas_in_paths_are_doubled() {
        assert_eq!(option(Path::new("/a,b/c")), "/a,,b/c");
    }
}
