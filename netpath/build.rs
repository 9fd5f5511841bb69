//! Finds the eBPF object for `include_bytes!`: the one that `cargo xtask build` has made, or, in the crate as it is
//! published, the one that it carries.

use std::{
    env,
    path::{Path, PathBuf},
};

fn main() {
    println!("cargo::rerun-if-env-changed=NETPATH_EBPF");
    let object = env::var_os("NETPATH_EBPF").map_or_else(own, PathBuf::from);
    println!("cargo::rerun-if-changed={}", object.display());
    assert!(
        object.is_file(),
        "the eBPF object is missing at {}: run `cargo xtask build` once, it builds it first",
        object.display()
    );
    println!("cargo::rustc-env=NETPATH_EBPF_OBJECT={}", object.display());
}

/// The object for the architecture that is built for: where a function's arguments are differs.
fn own() -> PathBuf {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let root = Path::new(&root);
    let arch = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets CARGO_CFG_TARGET_ARCH");
    if root.join("../netpath-ebpf/Cargo.toml").is_file() {
        return root.join(format!("../target/bpf/{arch}/bpfel-unknown-none/release/netpath-ebpf"));
    }
    let carried = root.join(format!("objects/netpath-ebpf.{arch}"));
    assert!(carried.is_file(), "netpath does not know where functions' arguments are on {arch}");
    carried
}
