//! Finds the eBPF object that `cargo xtask build` has made, for `include_bytes!`.

use std::{env, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-env-changed=NETPATH_EBPF");
    let object = env::var_os("NETPATH_EBPF").map_or_else(
        || {
            let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
            PathBuf::from(root).join("../target/bpf/bpfel-unknown-none/release/netpath-ebpf")
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
