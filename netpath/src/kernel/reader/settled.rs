//! Up to when everything has been read: the watermark.
//!
//! A program takes the time while its CPU's buffer says that it is busy. So what a CPU recorded before
//! the clock was read is all there once its buffer was seen idle after that, and the chunks before the
//! one at hand have arrived. Where it is not, because a task or a virtual machine's CPU has to wait in
//! the midst of an event, the watermark waits too, up to [`HELD_NS`].

/// How far back the watermark stays behind all the same, ns: some events are written down later than
/// they happened.
const LAG_NS: u64 = 2_000_000;
/// For how long one CPU can hold back the watermark, ns.
const HELD_NS: u64 = 1_000_000_000;

/// One CPU.
#[derive(Clone, Copy, Debug, Default)]
struct Cpu {
    /// It was seen idle in this poll.
    is_quiet: bool,
    /// Up to here everything was given, ns.
    until_ns: u64,
}

/// All CPUs.
#[derive(Debug)]
pub(super) struct Settled {
    cpus: Vec<Cpu>,
    watermark_ns: u64,
}

impl Settled {
    pub(super) fn new(cpus: usize) -> Self {
        Self { cpus: vec![Cpu::default(); cpus], watermark_ns: 0 }
    }

    /// A CPU is looked at.
    pub(super) fn looks(&mut self, cpu: usize, is_quiet: bool) {
        self.cpus[cpu].is_quiet = is_quiet;
    }

    /// What the CPU has written was given, all of it or not; the clock was read before it was looked at.
    pub(super) fn given(&mut self, cpu: usize, all: bool, now_ns: u64) {
        let cpu = &mut self.cpus[cpu];
        if all && cpu.is_quiet {
            cpu.until_ns = now_ns;
        }
    }

    /// All that happened before has been given, ns. It never goes back.
    pub(super) fn watermark_ns(&mut self, now_ns: u64) -> u64 {
        let settled = self.cpus.iter().map(|cpu| cpu.until_ns).min().unwrap_or(now_ns);
        let settled = settled.max(now_ns.saturating_sub(HELD_NS)).saturating_sub(LAG_NS);
        self.watermark_ns = self.watermark_ns.max(settled);
        self.watermark_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// A poll at `now_ms`, in which these CPUs are quiet, and have given all.
    fn poll(settled: &mut Settled, now_ms: u64, cpus: [(bool, bool); 2]) -> u64 {
        for (cpu, (is_quiet, _)) in cpus.into_iter().enumerate() {
            settled.looks(cpu, is_quiet);
        }
        for (cpu, (_, all)) in cpus.into_iter().enumerate() {
            settled.given(cpu, all, now_ms * MS);
        }
        settled.watermark_ns(now_ms * MS) / MS
    }

    #[test]
    fn the_watermark_waits_for_a_cpu_that_is_in_the_midst_of_an_event() {
        let mut settled = Settled::new(2);
        let good = (true, true);
        assert_eq!(poll(&mut settled, 10_000, [good, good]), 9_998);
        // Descheduled while it was writing.
        assert_eq!(poll(&mut settled, 10_050, [good, (false, true)]), 9_998);
        assert_eq!(poll(&mut settled, 10_100, [good, (false, true)]), 9_998);
        assert_eq!(poll(&mut settled, 10_150, [good, good]), 10_148);
        // Its chunks are in the ring yet.
        assert_eq!(poll(&mut settled, 10_200, [(true, false), good]), 10_148);
        assert_eq!(poll(&mut settled, 10_250, [good, good]), 10_248);
    }

    #[test]
    fn it_does_not_wait_for_ever_and_never_goes_back() {
        let mut settled = Settled::new(2);
        let (good, stuck) = ((true, true), (false, true));
        assert_eq!(poll(&mut settled, 10_000, [good, good]), 9_998);
        assert_eq!(poll(&mut settled, 13_000, [good, stuck]), 11_998);
        assert_eq!(poll(&mut settled, 13_000, [stuck, stuck]), 11_998);
        assert_eq!(poll(&mut settled, 12_000, [good, good]), 11_998);
    }
}
