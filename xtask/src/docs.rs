//! docs/: what is generated of it.

use crate::{
    ebpf,
    setup::Tools,
    shell::{cargo, check},
};

/// Writes the generated files; the test that holds them to their sources does it.
pub(crate) fn run(tools: &Tools) -> anyhow::Result<()> {
    let object = ebpf::build(tools)?;
    check(cargo().env("NETPATH_EBPF", object).env("NETPATH_WRITE_DOCS", "1").args([
        "test",
        "--release",
        "--quiet",
        "--package",
        "netpath",
        "--lib",
        "--",
        "docs::generated",
    ]))
}
