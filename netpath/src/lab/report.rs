//! How a lab's report is written: [`text`] for terminals and tickets, [`html`] for everybody,
//! [`markdown`] for documents, JSON as the values serialise.

pub mod html;
pub mod markdown;
pub mod text;

use super::{
    difference::{Difference, Part},
    stats::Estimate,
};

/// Parts of a difference that are named; the others are summed.
const PARTS_NAMED: usize = 5;
/// Parts below this share of the difference are not named.
const PART_SHARE: f64 = 0.04;

/// Three significant digits.
fn digits(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        "0".to_owned()
    } else if size < 10.0 {
        format!("{value:.2}")
    } else if size < 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

/// `1.08 (1.06–1.10)`; `≈ 1` where the spread hides whether there is a difference at all.
fn ratio(e: &Estimate) -> String {
    if e.runs < 2 {
        return format!("{} in one run", digits(e.median));
    }
    let range = format!("({}–{})", digits(e.low), digits(e.high));
    if e.is_clear() { format!("{} {range}", digits(e.median)) } else { format!("≈ 1 {range}") }
}

/// A signed time with its unit.
fn signed(ns: f64) -> String {
    let sign = if ns < 0.0 { "−" } else { "+" };
    format!("{sign}{}", crate::units::time(ns.abs()))
}

/// The parts of a difference that matter, and what the others sum to.
fn named(d: &Difference) -> (Vec<Part>, f64) {
    let floor = d.traced_ns.abs() * PART_SHARE;
    let mut named = d.parts();
    named.truncate(PARTS_NAMED);
    named.retain(|p| p.more_ns.abs() >= floor);
    let rest = d.traced_ns - named.iter().map(|p| p.more_ns).sum::<f64>();
    (named, rest)
}

/// What makes up a difference, in one sentence.
fn why(d: &Difference) -> String {
    if !d.explains() {
        return format!("{} a {} by its own clock; {}", signed(d.measured_ns), d.per, too_few(d));
    }
    let (parts, rest) = named(d);
    let mut words: Vec<String> =
        parts.iter().map(|p| format!("{} {}", p.label, signed(p.more_ns))).collect();
    if rest.abs() >= 1.0 {
        words.push(format!("all else {}", signed(rest)));
    }
    let mut text = format!(
        "{} a {} by its own clock, {} traced: {}",
        signed(d.measured_ns),
        d.per,
        signed(d.traced_ns),
        words.join(" · ")
    );
    if d.complete_share < 0.99 {
        let share = crate::units::percent(d.complete_share);
        text += &format!(" (only {share} of the packets were followed to their end)");
    }
    text
}

/// Why nothing is said of the hops.
fn too_few(d: &Difference) -> String {
    let share = crate::units::percent(d.complete_share);
    format!("netpath followed only {share} of the packets to their end, too few to say why")
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::super::{
        bench::{self, Settings, Watcher},
        outcome::Report,
        pace::Pace,
        plan::Plan,
    };
    use super::*;

    /// A report of an experiment that nothing of could be run.
    pub(crate) fn nothing_run() -> Report {
        struct Stopped;
        impl Watcher for Stopped {
            fn step(&mut self, _: &str) {}
            fn stop(&self) -> bool {
                true
            }
        }
        let settings = Settings {
            runs: 3,
            run: Duration::from_millis(1),
            warm_up: Duration::ZERO,
            traced: None,
            cpus: None,
        };
        let plan = Plan::compare("bridge", "bridge-nat").unwrap();
        let trace = |_: &_, _| unreachable!("nothing is up");
        let mut report = Report::new(3, settings.run, None);
        let mut pace = Pace::new(None, 0, Duration::ZERO);
        report.experiments.push(bench::run(&plan, &settings, &mut pace, &trace, &mut Stopped));
        report
    }

    #[test]
    fn hops_explain_nothing_where_half_of_the_packets_were_not_followed() {
        let row = crate::lab::difference::Row {
            hop: "bridge".to_owned(),
            group: "bridge".to_owned(),
            label: "bridge forwarding".to_owned(),
            kind: "span".to_owned(),
            ns: 900.0,
            more_ns: 900.0,
            times: 1.0,
            more_times: 1.0,
        };
        let mut d = Difference {
            per: "round trip".to_owned(),
            measured_ns: 1e3,
            traced_ns: 900.0,
            rows: vec![row],
            total_ns: 900.0,
            packets: 10,
            complete_share: 1.0,
            lost_events: 0,
        };
        assert!(why(&d).contains("bridge +900 ns"), "{}", why(&d));
        d.complete_share = 0.5;
        assert!(why(&d).contains("50 %") && !why(&d).contains("bridge"), "{}", why(&d));
    }

    #[test]
    fn a_hidden_effect_is_called_one() {
        let hidden = Estimate::ratio(&[1.0, 1.2, 0.9], &[1.0, 1.0, 1.0]).unwrap();
        assert_eq!(ratio(&hidden), "≈ 1 (0.90–1.20)");
        let once = Estimate::ratio(&[4.4], &[1.0]).unwrap();
        assert_eq!(ratio(&once), "4.40 in one run");
        let clear = Estimate::ratio(&[1.5, 1.6, 1.4], &[1.0, 1.0, 1.0]).unwrap();
        assert_eq!(ratio(&clear), "1.50 (1.40–1.60)");
    }
}
