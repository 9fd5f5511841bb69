//! What the user asks of the kernel side.

use netpath_common::control::Inert;

use crate::backend::Backend;

/// What the user asked of the kernel side.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches of the command line")]
pub struct Options {
    /// Only these; where there are none, what serves most at least cost.
    pub backends: Vec<Backend>,
    /// Size of the ring buffer, bytes, a power of two.
    pub ring_bytes: u32,
    /// Let the programs log.
    pub log_kernel: bool,
    /// Attach everything, with programs that record nothing.
    pub inert: Option<Inert>,
    /// Measure what an event costs.
    pub calibrate: bool,
    /// Copy packets' headers, too.
    pub capture_headers: bool,
    /// Steps that a filter may have, at most: each is work for the kernel's verifier.
    pub filter_steps: u32,
    /// Probe also what no packet of the topology can pass.
    pub everything: bool,
}

/// The ring that this many CPUs fill: so long that a reader that comes every 50 ms finds room left.
fn ring_bytes(cpus: usize) -> u32 {
    const EACH: u32 = 1 << 20;
    const LEAST: u32 = 8 << 20;
    const MOST: u32 = 64 << 20;
    let wanted = u32::try_from(cpus).unwrap_or(u32::MAX).saturating_mul(EACH);
    wanted.clamp(LEAST, MOST).next_power_of_two()
}

impl Default for Options {
    fn default() -> Self {
        Self {
            backends: Vec::new(),
            ring_bytes: ring_bytes(aya::util::online_cpus().map_or(1, |cpus| cpus.len())),
            log_kernel: false,
            inert: None,
            calibrate: false,
            capture_headers: false,
            filter_steps: 0,
            everything: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_grows_with_the_cpus_that_fill_it_within_reason() {
        let sizes = [1, 2, 8, 9, 32, 64, 1000].map(|cpus| ring_bytes(cpus) >> 20);
        assert_eq!(sizes, [8, 8, 8, 16, 32, 64, 64]);
    }
}
