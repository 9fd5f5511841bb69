//! Finds the eBPF object that `cargo xtask build` has made, for `include_bytes!`.

use std::{env, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-env-changed=NETPATH_EBPF");
    let object = env::var_os("NETPATH_EBPF").map_or_else(
        || {
            let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
            // Where a function's arguments are differs.
            let arch = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets CARGO_CFG_TARGET_ARCH");
            let object = format!("{arch}/bpfel-unknown-none/release/netpath-ebpf");
            PathBuf::from(root).join("../target/bpf").join(object)
        },
        PathBuf::from,
    );
    println!("cargo::rerun-if-changed={}", object.display());
    assert!(
        object.is_file(),
        "the eBPF object is missing at {}: run `cargo xtask build` once, it builds it first",
        object.display()
    );
    println!("cargo::rustc-env=NETPATH_EBPF_OBJECT={}", object.display());
}
