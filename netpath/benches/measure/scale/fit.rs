//! How a cost goes with what it is measured against.

use serde::Serialize;

/// The straight line that fits best (least squares).
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Line {
    /// The cost at zero.
    pub(crate) base: f64,
    /// What one more costs.
    pub(crate) each: f64,
    /// Share of the variance that the line explains.
    pub(crate) r_squared: f64,
    /// The largest distance of a point from the line, as a share of the line.
    pub(crate) farthest: f64,
}

impl Line {
    /// Of points (x, y); NaN where they don't make a line.
    pub(crate) fn of(points: &[(f64, f64)]) -> Self {
        let n = points.len() as f64;
        let mean = |f: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(f).sum::<f64>() / n;
        let (mean_x, mean_y) = (mean(&|p| p.0), mean(&|p| p.1));
        let var_x = mean(&|p| (p.0 - mean_x).powi(2));
        let each = mean(&|p| (p.0 - mean_x) * (p.1 - mean_y)) / var_x;
        let base = mean_y - each * mean_x;
        let line = |x: f64| base + each * x;
        let rest = mean(&|p| (p.1 - line(p.0)).powi(2));
        let farthest = points.iter().map(|p| (p.1 / line(p.0) - 1.0).abs()).fold(0.0, f64::max);
        let r_squared = 1.0 - rest / mean(&|p| (p.1 - mean_y).powi(2));
        Self { base, each, r_squared, farthest }
    }
}

/// By what share the largest of these is above the smallest.
pub(crate) fn unevenness(values: impl Iterator<Item = f64> + Clone) -> f64 {
    values.clone().fold(f64::MIN, f64::max) / values.fold(f64::MAX, f64::min) - 1.0
}
