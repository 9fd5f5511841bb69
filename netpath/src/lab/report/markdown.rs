//! What others have published beside what was found here, as a table in Markdown: what the README
//! shows is chosen from these rows.

use std::fmt::Write as _;

use super::{
    super::outcome::{FigureOutcome, Outcome, Report, VariantOutcome},
    digits, named, ratio, signed,
    text::name_of,
    too_few,
};

/// The whole table, and what was not run.
pub fn render(report: &Report) -> String {
    let m = &report.machine;
    let mut out = format!(
        "From netpath {}, Linux {}, {} × {}, {} runs of {} ms each, {}, {:.0} s in all{}.{}\n\n\
         | | published | here | netpath's reason |\n| --- | --- | --- | --- |\n",
        report.version,
        m.kernel,
        m.cpus,
        m.cpu,
        report.runs,
        report.run_ms,
        report.started,
        report.took_s,
        if report.complete { "" } else { "; interrupted" },
        report.given_up.as_ref().map_or_else(String::new, |text| format!(" {text}.")),
    );
    for o in &report.experiments {
        for v in &o.variants {
            for f in &v.figures {
                out += &figure(o, v, f).unwrap_or_default();
            }
        }
        for f in &o.facts {
            let Some(published) = &f.published else { continue };
            row(&mut out, [&f.what, published, &f.here, ""]);
        }
    }
    let mut not_run = String::new();
    for o in &report.experiments {
        for v in &o.variants {
            let Some(why) = &v.not_run else { continue };
            let _ = writeln!(not_run, "- {}/{}: {why}", o.name, v.name);
        }
    }
    if !not_run.is_empty() {
        let _ = write!(out, "\nNot run:\n\n{not_run}");
    }
    out
}

/// A row for a figure that others have published; none where it could not be measured here.
fn figure(o: &Outcome, v: &VariantOutcome, f: &FigureOutcome) -> Option<String> {
    let (published, here) = (f.published.as_ref()?, f.ratio.as_ref()?);
    let measure = o.measures.iter().find(|m| m.key == f.measure)?;
    let what =
        format!("{}, {}: {} against {}", measure.what, name_of(&f.figure), v.name, v.against);
    let said = format!("{} ({}: {})", digits(published.ratio), published.source, published.said);
    // The ledger is of the first measure alone.
    let first = o.measures.first().is_some_and(|first| first.key == f.measure);
    let why = v.difference.as_ref().filter(|_| first).map_or_else(String::new, |d| {
        if !d.explains() {
            return too_few(d);
        }
        let (parts, _) = named(d);
        let parts: Vec<String> =
            parts.iter().map(|p| format!("{} {}", p.label, signed(p.more_ns))).collect();
        format!("of {}: {}", signed(d.traced_ns), parts.join(", "))
    });
    let mut out = String::new();
    row(&mut out, [&what, &said, &ratio(here), &why]);
    Some(out)
}

fn row(out: &mut String, cells: [&str; 4]) {
    let cells = cells.map(|cell| cell.replace('|', "\\|"));
    let _ = writeln!(out, "| {} |", cells.join(" | "));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_run_is_listed_with_its_reason_and_is_no_row() {
        let text = render(&super::super::tests::nothing_run());
        assert!(text.contains("- compare/bridge-nat: interrupted"), "{text}");
        assert_eq!(text.lines().filter(|l| l.starts_with("| ")).count(), 2, "{text}");
    }

    #[test]
    fn a_cell_cannot_end_its_column() {
        let mut out = String::new();
        row(&mut out, ["a|b", "", "", ""]);
        assert_eq!(out, "| a\\|b |  |  |  |\n");
    }
}
