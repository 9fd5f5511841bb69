//! Histograms as small multiples: one per hop, all on one scale of time.

use maud::{Markup, html};

use super::{colours::of_hop, packets::short, path_title};
use crate::{
    report::words,
    snapshot::{Bucket, PathReport, Summary},
    units::{count, time},
};

pub(super) const LEGEND: &str = "One picture per hop, all with the same scale of time, on which equal \
    steps to the right multiply it. Height is the share of packets; a rare one still gets a pixel. \
    A tick marks the median, a dashed line the 99th \
    percentile.";

/// A picture's size, in its own units.
const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 60.0;

pub(super) fn render(paths: &[&PathReport]) -> Markup {
    html! { @for path in paths { (path_title(path)) (multiples(path)) } }
}

fn multiples(path: &PathReport) -> Markup {
    let scale = Scale::of(path);
    html! {
        ul.multiples {
            li {
                b { "total" }
                (picture(&scale, &path.histogram, &path.total, "total", "total"))
                (caption(&path.total))
            }
            @for hop in &path.hops {
                @let what = words::what(hop);
                li {
                    b { (what) } " " small { (hop.place()) }
                    (picture(&scale, &hop.histogram, &hop.times, &of_hop(hop), &what))
                    (caption(&hop.times))
                }
            }
        }
    }
}

fn caption(times: &Summary) -> Markup {
    let [p50, p99, max] = [times.p50_ns, times.p99_ns, times.max_ns].map(|ns| time(ns as f64));
    html! { small.figures { "p50 " (p50) " · p99 " (p99) " · max " (max) } }
}

/// From time to the picture's x: its logarithm.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    /// Whole octaves that hold all of a path's times.
    fn of(path: &PathReport) -> Self {
        let all = || path.hops.iter().flat_map(|h| &h.histogram).chain(&path.histogram);
        let low = all().map(Bucket::begin_ns).fold(f64::INFINITY, f64::min).clamp(8.0, 1e12);
        let high = all().map(|b| b.upto_ns as f64).fold(0.0, f64::max).max(low * 2.0);
        Self { low: low.log2().floor(), high: high.log2().ceil() }
    }

    fn x(&self, ns: f64) -> f64 {
        let at = (ns.max(1.0).log2() - self.low) / (self.high - self.low);
        at.clamp(0.0, 1.0) * WIDTH
    }
}

fn picture(scale: &Scale, buckets: &[Bucket], times: &Summary, colour: &str, what: &str) -> Markup {
    let most = buckets.iter().map(|b| b.count).max().unwrap_or(1).max(1) as f64;
    let decades = (1..=10)
        .map(|e| 10_f64.powi(e))
        .filter(|ns| ns.log2() > scale.low && ns.log2() < scale.high);
    html! {
        svg viewBox={ "0 -8 " (WIDTH) " " (HEIGHT + 22.0) } role="img"
            aria-label={ "distribution of " (what) } class=(colour) {
            @for ns in decades {
                @let x = scale.x(ns);
                (line("grid", x, (0.0, HEIGHT)))
                text x=(units(x)) y=(HEIGHT + 11.0) { (short(ns)) }
            }
            @for bucket in buckets { (bar(scale, bucket, most)) }
            line.base x1="0" x2=(WIDTH) y1=(HEIGHT) y2=(HEIGHT) {}
            (line("p50", scale.x(times.p50_ns as f64), (-8.0, -1.0)))
            (line("p99", scale.x(times.p99_ns as f64), (-8.0, HEIGHT)))
        }
    }
}

fn bar(scale: &Scale, bucket: &Bucket, most: f64) -> Markup {
    let (from, to) = (scale.x(bucket.begin_ns()), scale.x(bucket.upto_ns as f64 + 1.0));
    let height = (bucket.count as f64 / most * HEIGHT).max(1.0);
    html! {
        rect x=(units(from)) y=(units(HEIGHT - height)) width=(units((to - from).max(0.8)))
            height=(units(height)) {
            title { "up to " (time(bucket.upto_ns as f64)) ": " (count(bucket.count)) }
        }
    }
}

fn line(class: &str, x: f64, (from, to): (f64, f64)) -> Markup {
    html! { line class=(class) x1=(units(x)) x2=(units(x)) y1=(from) y2=(to) {} }
}

/// A length in the picture's units.
fn units(length: f64) -> String {
    format!("{length:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_begin_where_the_one_before_ends() {
        let begins: Vec<f64> = [7, 8, 15, 17, 31, 35, 1023, 1151]
            .map(|upto_ns| Bucket { upto_ns, count: 1 }.begin_ns())
            .to_vec();
        assert_eq!(begins, [7.0, 8.0, 15.0, 16.0, 30.0, 32.0, 960.0, 1024.0]);
    }
}
