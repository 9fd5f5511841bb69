//! What softirqs could not do in time, all CPUs together (`/proc/net/softnet_stat`).

use std::fs;

use serde::{Deserialize, Serialize};

use super::per_cpu;

/// Counts since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Softnet {
    pub processed: u64,
    /// Packets dropped because a CPU's backlog was full (`net.core.netdev_max_backlog`).
    pub dropped: u64,
    /// How often a softirq ran out of budget or time with packets left.
    pub squeezed: u64,
}

pub(super) fn read() -> Softnet {
    parse(&fs::read_to_string("/proc/net/softnet_stat").unwrap_or_default())
}

fn parse(text: &str) -> Softnet {
    let column = |at| per_cpu::sum(text.lines(), at);
    Softnet { processed: column(0), dropped: column(1), squeezed: column(2) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_hexadecimal_and_summed() {
        let text = "0000000a 00000001 00000002 0\n00000006 00000000 00000001 0\n";
        assert_eq!(parse(text), Softnet { processed: 16, dropped: 1, squeezed: 3 });
    }
}
