//! Tables of hexadecimal numbers with a line per CPU, as `/proc/net/softnet_stat` and
//! `/proc/net/stat/nf_conntrack` are.

/// The sum of the column at `at` over all CPUs; lines without it, or with a word there that is no
/// number, add nothing.
pub(super) fn sum<'a>(lines: impl Iterator<Item = &'a str>, at: usize) -> u64 {
    lines
        .filter_map(|line| line.split_whitespace().nth(at))
        .filter_map(|word| u64::from_str_radix(word, 16).ok())
        .sum()
}
