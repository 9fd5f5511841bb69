//! The kernels that netpath is tried on, as data, and which of Debian's packages each of them is.
//!
//! To add one, add a row.

use std::cmp::Ordering;

use super::apt::{Archive, DEBIAN_12, DEBIAN_13, Suites};
use crate::arch::{AMD64, ARM64, Arch};

/// A kernel of the matrix.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// The name on the command line.
    pub(crate) name: &'static str,
    /// Whose it is, in a few words.
    pub(crate) what: &'static str,
    pub(crate) arch: &'static Arch,
    /// Whether it is a stable release's: one that the tests always run on.
    pub(crate) stable: bool,
    /// netpath's backends that must work there.
    pub(super) backends: &'static [&'static str],
    /// How the names of its packages begin; the newest of those is taken.
    pub(super) prefix: &'static str,
    /// Where they are.
    pub(super) suites: Suites,
}

/// How the names of all kernels' packages end, before the architecture: those for virtual machines.
const SUFFIX: &str = "-cloud-";
const IMAGE: &str = "linux-image-";

/// Where functions are probed through an exception.
const EXCEPTIONS: &[&str] = &["tracepoint", "kprobe"];
const TRACING: &[&str] = &["tracepoint", "fentry", "kprobe"];
const ALL_BACKENDS: &[&str] = &["tracepoint", "fentry", "kprobe", "netfilter-link"];

/// Where newer kernels than those of stable releases are.
const NEWEST: Suites = &[(Archive::Main, "trixie-backports"), (Archive::Main, "sid")];

pub(crate) const KERNELS: &[Kernel] = &[
    Kernel {
        name: "6.1",
        what: "Debian 12",
        arch: &AMD64,
        stable: true,
        backends: TRACING,
        prefix: "linux-image-6.1.",
        suites: DEBIAN_12,
    },
    Kernel {
        name: "6.12",
        what: "Debian 13",
        arch: &AMD64,
        stable: true,
        backends: ALL_BACKENDS,
        prefix: "linux-image-6.12.",
        suites: DEBIAN_13,
    },
    Kernel {
        name: "newest",
        what: "the newest that Debian has",
        arch: &AMD64,
        stable: false,
        backends: ALL_BACKENDS,
        prefix: IMAGE,
        suites: NEWEST,
    },
    Kernel {
        name: "6.1-arm64",
        what: "Debian 12 on 64-bit ARM",
        arch: &ARM64,
        stable: true,
        // Trampolines attach to functions from Linux 6.4 on there.
        backends: EXCEPTIONS,
        prefix: "linux-image-6.1.",
        suites: DEBIAN_12,
    },
    Kernel {
        name: "6.12-arm64",
        what: "Debian 13 on 64-bit ARM",
        arch: &ARM64,
        stable: true,
        backends: ALL_BACKENDS,
        prefix: "linux-image-6.12.",
        suites: DEBIAN_13,
    },
    Kernel {
        name: "newest-arm64",
        what: "the newest that Debian has, on 64-bit ARM",
        arch: &ARM64,
        stable: false,
        backends: ALL_BACKENDS,
        prefix: IMAGE,
        suites: NEWEST,
    },
];

/// Those of this machine's architecture.
pub(crate) fn own() -> Vec<&'static Kernel> {
    KERNELS.iter().filter(|kernel| kernel.arch.is_own()).collect()
}

impl Kernel {
    /// The newest of the packages that are this kernel.
    pub(super) fn newest<'a>(&self, packages: impl Iterator<Item = &'a str>) -> Option<&'a str> {
        packages
            .filter(|name| name.starts_with(self.prefix))
            // `linux-image-cloud-amd64` and the like only depend on one.
            .filter(|name| {
                self.release(name).is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit()))
            })
            .max_by(|a, b| natural(a, b))
    }

    /// The kernel's own name for its version, as `uname -r` says it, of a package.
    pub(super) fn release<'a>(&self, package: &'a str) -> Option<&'a str> {
        let of_arch =
            |r: &&str| r.strip_suffix(self.arch.debian).is_some_and(|rest| rest.ends_with(SUFFIX));
        package.strip_prefix(IMAGE).filter(of_arch)
    }
}

/// Which packages hold a kernel: the image, and what it depends on that is of the same version
/// alone. From 7.x on the image is empty, and kernel and modules are packages of their own.
pub(super) fn parts(package: &str, depends: &str) -> Vec<String> {
    let Some(release) = package.strip_prefix(IMAGE) else { return Vec::new() };
    let own = depends
        .split([',', '|'])
        .filter_map(|clause| clause.split_whitespace().next())
        .filter(|name| name.strip_suffix(release).is_some_and(|rest| rest.ends_with('-')));
    std::iter::once(package).chain(own).map(str::to_owned).collect()
}

/// Orders by the numbers in the text, and by the text between them.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    while !a.is_empty() && !b.is_empty() {
        let ((text_a, number_a, rest_a), (text_b, number_b, rest_b)) = (piece(a), piece(b));
        let order = text_a.cmp(text_b).then(number_a.cmp(&number_b));
        if order.is_ne() {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
    a.len().cmp(&b.len())
}

/// Text up to a number, the number, and the rest.
fn piece(text: &str) -> (&str, u64, &str) {
    let from = text.find(|c: char| c.is_ascii_digit()).unwrap_or(text.len());
    let (before, rest) = text.split_at(from);
    let to = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (number, rest) = rest.split_at(to);
    (before, number.parse().unwrap_or(0), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newest(kernel: &str, packages: &[&'static str]) -> Option<&'static str> {
        let kernel = KERNELS.iter().find(|k| k.name == kernel)?;
        kernel.newest(packages.iter().copied())
    }

    #[test]
    fn names_are_unique() {
        for (i, a) in KERNELS.iter().enumerate() {
            assert!(KERNELS[i + 1..].iter().all(|b| a.name != b.name));
        }
    }

    #[test]
    fn the_newest_is_found_by_number() {
        let found = newest(
            "6.1",
            &[
                "linux-image-6.1.0-9-cloud-amd64",
                "linux-image-6.1.0-40-cloud-amd64",
                "linux-image-6.1.0-41-amd64",
                "linux-image-6.1.0-41-cloud-amd64-unsigned",
                "linux-image-6.12.9+deb12-cloud-amd64",
            ],
        );
        assert_eq!(found, Some("linux-image-6.1.0-40-cloud-amd64"));
        let found = newest(
            "6.12",
            &[
                "linux-image-6.12.115+deb13-cloud-amd64",
                "linux-image-6.12.115+deb13.1-cloud-amd64",
                "linux-image-6.12.90+deb13.1-cloud-amd64",
            ],
        );
        assert_eq!(found, Some("linux-image-6.12.115+deb13.1-cloud-amd64"));
        let found = newest(
            "newest",
            &[
                "linux-image-cloud-amd64",
                "linux-image-7.3.4+deb13-cloud-amd64",
                "linux-image-7.2.13+deb14-cloud-amd64",
                "linux-image-7.3.4+deb13-rt-amd64",
            ],
        );
        assert_eq!(found, Some("linux-image-7.3.4+deb13-cloud-amd64"));
        assert_eq!(newest("newest", &["linux-image-cloud-amd64"]), None);
        let found = newest(
            "6.1-arm64",
            &["linux-image-6.1.0-9-cloud-arm64", "linux-image-6.1.0-9-cloud-amd64"],
        );
        assert_eq!(found, Some("linux-image-6.1.0-9-cloud-arm64"));
    }

    #[test]
    fn a_split_kernel_has_its_parts() {
        let depends = "dracut | initramfs-tools (>= 0.120), linux-base-7.3.4+deb13-cloud-amd64 (= \
                       7.3.4-1), linux-binary-7.3.4+deb13-cloud-amd64 (= 7.3.4-1), \
                       linux-modules-7.3.4+deb13-cloud-amd64 (= 7.3.4-1)";
        let parts = parts("linux-image-7.3.4+deb13-cloud-amd64", depends);
        assert_eq!(
            parts,
            [
                "linux-image-7.3.4+deb13-cloud-amd64",
                "linux-base-7.3.4+deb13-cloud-amd64",
                "linux-binary-7.3.4+deb13-cloud-amd64",
                "linux-modules-7.3.4+deb13-cloud-amd64",
            ]
        );
    }

    #[test]
    fn a_whole_kernel_is_one_package() {
        let name = "linux-image-6.1.0-40-cloud-amd64";
        assert_eq!(parts(name, "kmod, linux-base (>= 4.3~), initramfs-tools"), [name]);
    }
}
