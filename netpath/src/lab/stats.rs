//! What repeated runs say: medians, and how far they can be trusted.
//!
//! In: figures of interleaved runs. Out: a median with an interval that takes no distribution for
//! granted: between two of the ordered values lies the true median with a probability that follows
//! from coin tosses alone. An effect whose interval holds "none" is called hidden.

use serde::{Deserialize, Serialize};

/// A median, and the interval that holds the true one with probability [`Estimate::confidence`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub median: f64,
    pub low: f64,
    pub high: f64,
    /// 0 to 1.
    pub confidence: f64,
    pub runs: usize,
}

/// Intervals are as narrow as they can be with at least this confidence.
const CONFIDENCE: f64 = 0.9;

impl Estimate {
    /// Of some values; `None` where there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let n = sorted.len();
        let middle = sorted.get(n / 2)?;
        let median =
            if n.is_multiple_of(2) { f64::midpoint(sorted[n / 2 - 1], *middle) } else { *middle };
        let mut left_out = 0;
        while left_out + 1 < n.div_ceil(2) && holds(n, left_out + 1) >= CONFIDENCE {
            left_out += 1;
        }
        Some(Self {
            median,
            low: sorted[left_out],
            high: sorted[n - 1 - left_out],
            confidence: holds(n, left_out),
            runs: n,
        })
    }

    /// Of the quotients of runs that were made side by side.
    pub fn ratio(values: &[f64], base: &[f64]) -> Option<Self> {
        let quotients: Vec<f64> =
            values.iter().zip(base).filter(|(_, b)| **b > 0.0).map(|(v, b)| v / b).collect();
        Self::of(&quotients)
    }

    /// For a quotient: whether it is clearly not 1.
    pub fn is_clear(&self) -> bool {
        self.runs > 1 && (self.low > 1.0 || self.high < 1.0)
    }
}

/// The probability that the true median lies within `n` values less the `left_out` smallest and
/// largest: 1 − 2 P(B(n, ½) ≤ `left_out`).
fn holds(n: usize, left_out: usize) -> f64 {
    let mut ways = 1.0;
    let mut sum = 0.0;
    for k in 0..=left_out {
        sum += ways;
        ways *= (n - k) as f64 / (k + 1) as f64;
    }
    1.0 - 2.0 * sum / 2f64.powi(i32::try_from(n).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_narrows_with_the_number_of_runs() {
        let values: Vec<f64> = (1..=5).map(f64::from).collect();
        let five = Estimate::of(&values).unwrap();
        assert_eq!((five.median, five.low, five.high), (3.0, 1.0, 5.0));
        assert!((five.confidence - 0.9375).abs() < 1e-9, "{five:?}");
        let values: Vec<f64> = (1..=9).map(f64::from).collect();
        let nine = Estimate::of(&values).unwrap();
        assert_eq!((nine.median, nine.low, nine.high), (5.0, 2.0, 8.0));
        assert_eq!(Estimate::of(&[]), None);
        assert_eq!(Estimate::of(&[7.0]).map(|e| (e.median, e.confidence)), Some((7.0, 0.0)));
    }

    #[test]
    fn an_effect_that_the_spread_hides_is_not_clear() {
        let base = [10.0, 11.0, 9.0, 10.0, 10.0];
        let more = [12.0, 13.0, 11.0, 12.0, 12.0];
        assert!(Estimate::ratio(&more, &base).unwrap().is_clear());
        let same = [10.1, 10.0, 9.5, 9.0, 11.0];
        assert!(!Estimate::ratio(&same, &base).unwrap().is_clear());
    }
}
