//! Times of one kind, added up: exact sum, and a histogram for percentiles.

use std::borrow::Cow;

use hdrhistogram::Histogram;

/// Significant decimal digits of the percentiles.
const DIGITS: u8 = 2;

/// A distribution of times in ns.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// Of many.
    histogram: Option<Box<Histogram<u32>>>,
    /// As long as there are few, they are these: a histogram takes kilobytes, and most rows of most paths see few
    /// packets.
    few: Vec<u64>,
    count: u64,
    sum_ns: i128,
    sum_squares: f64,
    max_ns: i64,
}

/// Times that are kept as they are.
const FEW: usize = 32;

fn histogram() -> Histogram<u32> {
    let mut histogram = Histogram::new(DIGITS).expect("2 is a valid number of digits");
    histogram.auto(true);
    histogram
}

impl Times {
    /// Adds a time. A negative one counts in the sum as it is, and in the histogram as 0.
    pub fn add(&mut self, ns: i64) {
        self.count += 1;
        self.sum_ns += i128::from(ns);
        self.sum_squares += (ns as f64) * (ns as f64);
        self.max_ns = self.max_ns.max(ns);
        self.record(u64::try_from(ns).unwrap_or(0));
    }

    fn record(&mut self, ns: u64) {
        if self.histogram.is_none() && self.few.len() < FEW {
            return self.few.push(ns);
        }
        // It grows as needed; the one failure left is a count over u32, where the value stays out.
        let _ = self.many().record(ns);
    }

    /// The histogram, with all that were few.
    fn many(&mut self) -> &mut Histogram<u32> {
        let few = std::mem::take(&mut self.few);
        let histogram = self.histogram.get_or_insert_with(|| Box::new(histogram()));
        for ns in few {
            let _ = histogram.record(ns);
        }
        histogram
    }

    /// The distribution, however it is kept; `None` where there is nothing.
    fn distribution(&self) -> Option<Cow<'_, Histogram<u32>>> {
        if let Some(histogram) = &self.histogram {
            return Some(Cow::Borrowed(histogram));
        }
        let mut of_few = (!self.few.is_empty()).then(histogram)?;
        self.few.iter().for_each(|ns| {
            let _ = of_few.record(*ns);
        });
        Some(Cow::Owned(of_few))
    }

    /// Adds all of another's times.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum_ns += other.sum_ns;
        self.sum_squares += other.sum_squares;
        self.max_ns = self.max_ns.max(other.max_ns);
        if let Some(times) = &other.histogram {
            // It grows as needed, as in `add`.
            let _ = self.many().add(&**times);
        }
        other.few.iter().for_each(|ns| self.record(*ns));
    }

    /// Forgets all times, and keeps the memory.
    pub fn clear(&mut self) {
        if let Some(histogram) = &mut self.histogram {
            histogram.reset();
        }
        self.few.clear();
        (self.count, self.sum_ns, self.sum_squares, self.max_ns) = (0, 0, 0.0, 0);
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn sum_ns(&self) -> i128 {
        self.sum_ns
    }

    /// 0 where there are none.
    pub fn mean_ns(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum_ns as f64 / self.count as f64 }
    }

    /// Standard deviation of the single times, ns.
    pub fn stddev_ns(&self) -> f64 {
        if self.count < 2 {
            return 0.0;
        }
        let n = self.count as f64;
        ((self.sum_squares / n - self.mean_ns().powi(2)).max(0.0) * n / (n - 1.0)).sqrt()
    }

    /// The time that a share of all (0 to 1) does not exceed, to two digits, ns.
    pub fn quantile_ns(&self, share: f64) -> u64 {
        self.distribution().map_or(0, |h| h.value_at_quantile(share)).min(self.max_ns())
    }

    pub fn max_ns(&self) -> u64 {
        u64::try_from(self.max_ns).unwrap_or(0)
    }

    /// The distribution for a picture: upper end in ns, and how many; [`PER_OCTAVE`] buckets double
    /// the time, and empty ones are left out.
    pub fn buckets(&self) -> Vec<(u64, u64)> {
        let mut buckets: Vec<(u64, u64)> = Vec::new();
        let Some(distribution) = self.distribution() else { return buckets };
        for value in distribution.iter_recorded() {
            let upto = bucket_end(value.value_iterated_to());
            let here = u64::from(value.count_at_value());
            match buckets.last_mut() {
                Some((end, count)) if *end == upto => *count += here,
                _ => buckets.push((upto, here)),
            }
        }
        buckets
    }
}

/// Buckets of a picture that double the time.
const PER_OCTAVE: u64 = 8;

/// The upper end of the bucket that a time falls into, ns.
fn bucket_end(ns: u64) -> u64 {
    if ns < PER_OCTAVE {
        return ns;
    }
    let step = (1_u64 << ns.ilog2()) / PER_OCTAVE;
    (ns / step + 1).saturating_mul(step) - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn buckets_hold_all_in_ascending_order(all in prop::collection::vec(0_i64..10_000_000, 0..200)) {
            let mut times = Times::default();
            for ns in &all {
                times.add(*ns);
            }
            let buckets = times.buckets();
            prop_assert_eq!(buckets.iter().map(|b| b.1).sum::<u64>(), all.len() as u64);
            prop_assert!(buckets.windows(2).all(|w| w[0].0 < w[1].0));
        }

        #[test]
        fn a_bucket_ends_at_or_above_its_times(ns in 0_u64..1 << 50) {
            prop_assert!(bucket_end(ns) >= ns && bucket_end(ns) <= ns + ns / PER_OCTAVE + 1);
        }
    }
}
