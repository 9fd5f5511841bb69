//! A lab's report as text, at most 100 columns wide.

use std::fmt::Write as _;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Row, Table, presets};

use super::{
    super::outcome::{FigureOutcome, MeasureOutcome, Outcome, Report},
    digits, ratio, why,
};
use crate::lab::experiments::Figure;

/// Columns.
const WIDTH: usize = 100;

/// The whole report.
pub fn render(report: &Report) -> String {
    let mut out = head(report);
    for outcome in &report.experiments {
        let _ = write!(out, "\n{}", experiment(outcome));
    }
    let _ = write!(out, "\n{}", foot(report));
    out
}

fn head(r: &Report) -> String {
    let cpus = r.cpus.map_or_else(
        || "the scheduler chose the CPUs".to_owned(),
        |(c, s)| {
            if c == s {
                format!("clients and servers on CPU {c}")
            } else {
                format!("clients and servers on CPU {s}; where apart, clients on CPU {c}")
            }
        },
    );
    let m = &r.machine;
    wrap(
        &format!(
            "netpath {} lab · Linux {} · {} × {} · {} · {} runs of {} ms each, in turns",
            r.version, m.kernel, m.cpus, m.cpu, cpus, r.runs, r.run_ms
        ),
        0,
    )
}

fn foot(r: &Report) -> String {
    let mut text = String::new();
    let ratios = || {
        let figures = r.experiments.iter().flat_map(|e| &e.variants).flat_map(|v| &v.figures);
        figures.filter_map(|f| f.ratio)
    };
    let runs = || ratios().map(|e| e.runs);
    if let Some(most) = ratios().max_by_key(|e| e.runs) {
        text += &format!(
            "Medians; in brackets what holds the true one with {:.0} %{}. Ratios are of runs side by \
             side; ≈ 1: the spread hides whether there is a difference. Ratios travel between \
             machines, absolute values don't.",
            most.confidence * 100.0,
            if runs().any(|n| n < most.runs) { ", less where runs are missing" } else { "" },
        );
    }
    if let Some(given_up) = &r.given_up {
        text += &format!(" {given_up}.");
    }
    if !r.complete {
        text += " Interrupted: not all was measured that was asked for.";
    }
    wrap(text.trim(), 0)
}

/// One experiment.
pub fn experiment(o: &Outcome) -> String {
    let mut out = format!("{}: {}\n", o.name, o.question);
    let ran = o.variants.iter().any(|v| v.not_run.is_none());
    for measure in o.measures.iter().filter(|_| ran) {
        for figure in figures_of(o, &measure.key) {
            let _ = write!(out, "\n{}", table(o, measure, figure));
        }
    }
    let explained: Vec<_> =
        o.variants.iter().filter_map(|v| Some((v, v.difference.as_ref()?))).collect();
    if let Some(first) = o.measures.first().filter(|_| !explained.is_empty()) {
        let _ = writeln!(out, "\n  Why, by netpath ({}):", first.what);
        for (v, d) in explained {
            out += &wrap(&format!("{} against {}: {}", v.name, v.against, why(d)), 4);
        }
    }
    if !o.facts.is_empty() {
        out += "\n  From these:\n";
    }
    for fact in &o.facts {
        let published =
            fact.published.as_ref().map_or_else(String::new, |p| format!("; published: {p}"));
        out += &wrap(&format!("{}: {}{published}", fact.what, fact.here), 4);
    }
    for v in &o.variants {
        for note in &v.notes {
            out += &wrap(&format!("{}: {note}", v.name), 2);
        }
    }
    let not_run: Vec<_> =
        o.variants.iter().filter_map(|v| Some((v, v.not_run.as_ref()?))).collect();
    if !not_run.is_empty() {
        out += "\n  Not run:\n";
    }
    for (v, why) in not_run {
        out += &wrap(&format!("{} ({}): {why}", v.name, v.what), 4);
    }
    let mut failed: Vec<String> = Vec::new();
    for v in &o.variants {
        for f in &v.figures {
            let Some(why) = &f.failed else { continue };
            let line = wrap(&format!("{} of {}: {why}", f.measure, v.name), 4);
            if !failed.contains(&line) {
                failed.push(line);
            }
        }
    }
    if !failed.is_empty() {
        out += "\n  Runs that failed, and are left out:\n";
    }
    out + &failed.concat()
}

/// The figures that a measure has, in their order.
pub(super) fn figures_of<'a>(o: &'a Outcome, measure: &str) -> Vec<&'a FigureOutcome> {
    let variant = o.variants.iter().find(|v| v.figures.iter().any(|f| f.measure == measure));
    variant.map_or_else(Vec::new, |v| v.figures.iter().filter(|f| f.measure == measure).collect())
}

/// What a figure is called.
pub(super) fn name_of(key: &str) -> &'static str {
    Figure::ALL.iter().find(|f| f.key() == key).map_or("", |f| f.what())
}

fn table(o: &Outcome, measure: &MeasureOutcome, figure: &FigureOutcome) -> String {
    let mut out =
        wrap(&format!("{}: {}, {}", measure.what, name_of(&figure.figure), figure.unit), 2);
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(row(["", "median", "spread", "ratio", "published"].map(str::to_owned)));
    for v in &o.variants {
        let Some(f) = v.figure(&measure.key, &figure.figure) else { continue };
        let (median, spread) = f.estimate.map_or_else(
            || ("failed".to_owned(), String::new()),
            |e| (digits(e.median), format!("{}–{}", digits(e.low), digits(e.high))),
        );
        let against = f.ratio.as_ref().map_or_else(String::new, |e| {
            let text = ratio(e);
            if o.variants.first().is_some_and(|first| first.name == v.against) {
                text
            } else {
                format!("{text} of {}", v.against)
            }
        });
        let published = f
            .published
            .as_ref()
            .map_or_else(String::new, |p| format!("{} {}", digits(p.ratio), p.source));
        table.add_row(row([v.name.clone(), median, spread, against, published]));
    }
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((if i == 0 { 4 } else { 0 }, 2));
    }
    out += &table.trim_fmt();
    out.push('\n');
    out
}

fn row(cells: [String; 5]) -> Row {
    let cells = cells.into_iter().enumerate().map(|(i, text)| {
        let right = i == 1;
        let align = if right { CellAlignment::Right } else { CellAlignment::Left };
        Cell::new(text).set_alignment(align)
    });
    Row::from(cells.collect::<Vec<_>>())
}

/// Breaks lines between words; the first line is indented by `indent`, the others by two more.
fn wrap(text: &str, indent: usize) -> String {
    let mut out = String::new();
    let mut line = " ".repeat(indent);
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            out += &line;
            out.push('\n');
            line = " ".repeat(indent + 2);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line += word;
        empty = false;
    }
    out += &line;
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words() {
        let text = wrap(&"word ".repeat(40), 4);
        assert!(text.lines().all(|l| l.chars().count() <= WIDTH), "{text}");
        assert_eq!(text.split_whitespace().count(), 40);
    }

    #[test]
    fn what_was_not_run_has_a_reason_and_no_number() {
        let text = render(&super::super::tests::nothing_run());
        assert!(text.contains("Not run:") && text.contains("interrupted"), "{text}");
        assert!(!text.contains("median"), "{text}");
    }
}
