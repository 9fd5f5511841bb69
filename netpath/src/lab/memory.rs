//! How much memory the kernel takes for its objects.

use std::fs;

use btf_rs::{Backend, Btf, Type};

/// The size of a struct of the kernel or of one of its modules, bytes; `None` where BTF knows none.
pub(super) fn struct_size(name: &str) -> Option<usize> {
    const VMLINUX: &str = "/sys/kernel/btf/vmlinux";
    let base = Btf::from_file_with_backend(VMLINUX, Backend::Mmap)
        .or_else(|_| Btf::from_file_with_backend(VMLINUX, Backend::Cache))
        .ok()?;
    let of = |btf: &Btf| {
        btf.resolve_types_by_name(name).ok()?.into_iter().find_map(|t| match t {
            Type::Struct(s) => Some(s.size()),
            _ => None,
        })
    };
    of(&base).or_else(|| {
        fs::read_dir("/sys/kernel/btf")
            .ok()?
            .flatten()
            .map(|e| e.path())
            .find_map(|path| of(&Btf::from_split_file(path, &base).ok()?))
    })
}

/// The bytes that a slab takes for one object, with what it is padded to.
pub(super) fn slab_object(slab: &str) -> Option<usize> {
    let text = fs::read_to_string("/proc/slabinfo").ok()?;
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(slab))?;
    line.split_whitespace().nth(3)?.parse().ok()
}
