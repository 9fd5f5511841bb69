//! Whether two samples differ by more than chance.

use statrs::distribution::{ContinuousCDF as _, StudentsT};

use super::Quantile;
use crate::snapshot::Bucket;

/// What is known of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) n: u64,
    pub(super) mean: f64,
    pub(super) variance: f64,
}

/// What Welch's test says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Welch {
    /// How often chance alone makes a difference this large, in either direction.
    pub(super) p_value: f64,
    /// Half the width of the interval that holds the true difference with 95 %.
    pub(super) uncertainty: f64,
}

impl Welch {
    /// Nothing to test.
    pub(super) const CERTAIN: Self = Self { p_value: 0.0, uncertainty: 0.0 };
    /// Too little to test.
    const UNKNOWN: Self = Self { p_value: 1.0, uncertainty: f64::INFINITY };
}

/// Welch's test of two means whose samples need not vary alike.
pub(super) fn welch(a: Sample, b: Sample) -> Welch {
    if a.n < 2 || b.n < 2 {
        return Welch { uncertainty: 0.0, ..Welch::UNKNOWN };
    }
    let (na, nb) = (a.n as f64, b.n as f64);
    let (va, vb) = (a.variance / na, b.variance / nb);
    let error = (va + vb).sqrt();
    if error == 0.0 {
        let p_value = if (a.mean - b.mean).abs() > 0.0 { 0.0 } else { 1.0 };
        return Welch { p_value, uncertainty: 0.0 };
    }
    let freedom = (va + vb).powi(2) / (va * va / (na - 1.0) + vb * vb / (nb - 1.0));
    let Ok(t) = StudentsT::new(0.0, 1.0, freedom) else { return Welch::UNKNOWN };
    let p_value = 2.0 * t.sf(((b.mean - a.mean) / error).abs());
    Welch { p_value, uncertainty: t.inverse_cdf(0.975) * error }
}

/// Standard deviations within which a percentile's rank lies with 99 %.
const DEVIATIONS: f64 = 2.576;

/// A percentile in both: histogram, and the value that is shown.
pub(super) fn quantile(q: f64, a: (&[Bucket], u64), b: (&[Bucket], u64)) -> Quantile {
    let changed = match (interval(a.0, q), interval(b.0, q)) {
        (Some(a), Some(b)) => a.1 < b.0 || b.1 < a.0,
        _ => false,
    };
    Quantile { a: a.1, b: b.1, changed }
}

/// Where the true percentile lies with 99 %: the ranks around it follow from the binomial
/// distribution, whatever the times' own is. `None` where there are too few.
fn interval(buckets: &[Bucket], q: f64) -> Option<(f64, f64)> {
    let n = buckets.iter().map(|b| b.count).sum::<u64>() as f64;
    let half = DEVIATIONS * (n * q * (1.0 - q)).sqrt();
    let (low, high) = (n * q - half, n * q + half + 1.0);
    if low < 1.0 || high > n {
        return None;
    }
    let holding = |rank: f64| {
        let mut sum = 0.0;
        buckets.iter().find(|b| {
            sum += b.count as f64;
            sum >= rank
        })
    };
    Some((holding(low)?.begin_ns(), holding(high)?.upto_ns as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn welch_agrees_with_published_tables() {
        // Two samples of 10 with means 10 and 11 and variance 1: t = 2.236 with 18 degrees of
        // freedom, whose two-sided p is between 0.05 (2.101) and 0.02 (2.552).
        let sample = |mean| Sample { n: 10, mean, variance: 1.0 };
        let welch = welch(sample(10.0), sample(11.0));
        assert!(welch.p_value < 0.05 && welch.p_value > 0.02, "{welch:?}");
        // 2.101 standard errors of sqrt(0.2).
        assert!((welch.uncertainty - 2.101 * 0.2_f64.sqrt()).abs() < 1e-3, "{welch:?}");
    }

    #[test]
    fn percentiles_change_where_their_intervals_lie_apart() {
        let all = |upto_ns| vec![Bucket { upto_ns, count: 1000 }];
        assert!(quantile(0.5, (&all(1023), 1000), (&all(2047), 2000)).changed);
        assert!(!quantile(0.5, (&all(1023), 1000), (&all(1023), 1001)).changed);
        // Ten packets say nothing about a 99th percentile.
        let few = |upto_ns| vec![Bucket { upto_ns, count: 10 }];
        assert!(!quantile(0.99, (&few(1023), 1000), (&few(2047), 2000)).changed);
    }
}
