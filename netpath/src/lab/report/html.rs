//! A lab's report as one HTML file that needs nothing else: for each experiment its figures as
//! bars with their spread, the published ratio beside the one here, and what makes the difference.

use std::fmt::Write as _;

use netpath_common::group::GROUPS;

use super::{
    super::{
        difference::Difference,
        outcome::{FigureOutcome, MeasureOutcome, Outcome, Report, VariantOutcome},
    },
    digits, named, ratio, signed,
    text::{figures_of, name_of},
    too_few,
};

/// The whole page.
pub fn render(report: &Report) -> String {
    let m = &report.machine;
    let cpus = report.cpus.map_or_else(
        || "the scheduler chose the CPUs".to_owned(),
        |(c, s)| format!("clients and servers on CPU {s}; where apart, clients on CPU {c}"),
    );
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>netpath lab</title>\n<style>{STYLE}</style>\n\
         <h1>Published, and here</h1>\n<p class=\"lead\">{}</p>\n",
        lead(report)
    );
    let _ = writeln!(
        out,
        "<p class=\"machine\">netpath {} · Linux {} · {} × {} · governor {} · {cpus} · {} runs of \
         {} ms each, in turns · {}</p>",
        escape(&report.version),
        escape(&m.kernel),
        m.cpus,
        escape(&m.cpu),
        escape(&m.governor),
        report.runs,
        report.run_ms,
        escape(&report.started),
    );
    out += "<nav>";
    for o in &report.experiments {
        let name = escape(&o.name);
        let _ = write!(out, "<a href=\"#{name}\">{name}</a> ");
    }
    out += "</nav>\n";
    for o in &report.experiments {
        out += &experiment(o);
    }
    out + HOW
}

fn lead(report: &Report) -> String {
    let ratios: Vec<_> = report
        .experiments
        .iter()
        .flat_map(|o| &o.variants)
        .flat_map(|v| &v.figures)
        .filter_map(|f| Some((f.published.as_ref()?, f.ratio?)))
        .collect();
    let variants = || report.experiments.iter().flat_map(|o| &o.variants);
    let not_run = variants().filter(|v| v.not_run.is_some()).count();
    format!(
        "{} ways of connecting containers, measured in turns on this machine in {:.0} s; {} could \
         not be run here. {} published ratios stand beside the ones found here.{}{}",
        variants().count() - not_run,
        report.took_s,
        not_run,
        ratios.len(),
        report.given_up.as_ref().map_or_else(String::new, |text| format!(" {}.", escape(text))),
        if report.complete { "" } else { " <b>Interrupted: not all was measured.</b>" },
    )
}

fn experiment(o: &Outcome) -> String {
    let name = escape(&o.name);
    let mut out =
        format!("<section id=\"{name}\">\n<h2>{name}</h2>\n<p>{}</p>\n", escape(&o.question));
    for measure in &o.measures {
        for figure in figures_of(o, &measure.key) {
            out += &figure_table(o, measure, figure);
        }
    }
    let explained: Vec<(&VariantOutcome, &Difference)> =
        o.variants.iter().filter_map(|v| Some((v, v.difference.as_ref()?))).collect();
    if !explained.is_empty() {
        out += &differences(&explained);
    }
    if !o.facts.is_empty() {
        out += "<h3>What follows</h3>\n<table class=\"facts\">\n";
        for f in &o.facts {
            let _ = writeln!(
                out,
                "<tr><td>{}<td class=\"n\">{}<td class=\"pub\">{}",
                escape(&f.what),
                escape(&f.here),
                escape(f.published.as_deref().unwrap_or("")),
            );
        }
        out += "</table>\n";
    }
    for v in &o.variants {
        for note in &v.notes {
            let _ = writeln!(out, "<p><b>{}</b>: {}", escape(&v.name), escape(note));
        }
    }
    let mut missing = String::new();
    for v in &o.variants {
        if let Some(why) = &v.not_run {
            let _ = writeln!(
                missing,
                "<li><b>{}</b>, {}: {}",
                escape(&v.name),
                escape(&v.what),
                escape(why)
            );
        }
    }
    if !missing.is_empty() {
        let _ = writeln!(out, "<h3>Not run here</h3>\n<ul>\n{missing}</ul>");
    }
    out + "</section>\n"
}

/// How much longer than the longest median a spread can be drawn.
const HEADROOM: f64 = 1.25;

fn figure_table(o: &Outcome, measure: &MeasureOutcome, figure: &FigureOutcome) -> String {
    let of = |v: &VariantOutcome| v.figure(&measure.key, &figure.figure).cloned();
    let most = HEADROOM
        * o.variants.iter().filter_map(|v| Some(of(v)?.estimate?.median)).fold(0.0, f64::max);
    let mut out = format!(
        "<h3>{} <small>{}, {}</small></h3>\n<table class=\"figures\">\n<tr><th><th><th class=\"n\">median\
         <th>spread<th>ratio here<th>published\n",
        escape(&measure.what),
        escape(name_of(&figure.figure)),
        escape(&figure.unit)
    );
    for v in &o.variants {
        let Some(f) = of(v) else { continue };
        let Some(e) = f.estimate else {
            let _ = writeln!(
                out,
                "<tr><td>{}<td colspan=\"5\">failed: {}",
                escape(&v.name),
                escape(f.failed.as_deref().unwrap_or("no value"))
            );
            continue;
        };
        let percent = |x: f64| if most > 0.0 { (x / most * 100.0).min(100.0) } else { 0.0 };
        let class = match &f.ratio {
            Some(r) if !r.is_clear() => " class=\"hidden\"",
            _ => "",
        };
        let against = f.ratio.as_ref().map_or_else(String::new, |r| {
            format!("{} <small>of {}</small>", escape(&ratio(r)), escape(&v.against))
        });
        let published = f.published.as_ref().map_or_else(String::new, |p| {
            format!(
                "<span title=\"{}\"><b>{}</b> <small>{}</small></span>",
                escape(&p.said),
                digits(p.ratio),
                escape(&p.source)
            )
        });
        let _ = writeln!(
            out,
            "<tr{class}><td title=\"{}\">{}<td class=\"bar\"><i style=\"width:{:.1}%\"></i>\
             <u style=\"left:{:.1}%;width:{:.1}%\"></u><td class=\"n\">{}<td class=\"s\">{}–{}\
             <td>{against}<td class=\"pub\">{published}",
            escape(&v.what),
            escape(&v.name),
            percent(e.median),
            percent(e.low),
            percent(e.high) - percent(e.low),
            digits(e.median),
            digits(e.low),
            digits(e.high),
        );
    }
    out + "</table>\n"
}

/// A ledger for each variant: rows that sum to the difference.
fn differences(explained: &[(&VariantOutcome, &Difference)]) -> String {
    let most = explained
        .iter()
        .filter(|(_, d)| d.explains())
        .flat_map(|(_, d)| &d.rows)
        .map(|r| r.more_ns.abs())
        .fold(0.0, f64::max);
    let mut out = "<h3>Why <small>netpath's ledger of the difference, from a traced run of \
                   each</small></h3>\n<table class=\"why\">\n"
        .to_owned();
    for (v, d) in explained {
        if !d.explains() {
            let _ = writeln!(
                out,
                "<tr class=\"head\"><td><b>{}</b> <small>against {}</small><td colspan=\"2\">{} a {} \
                 by its own clock; {}",
                escape(&v.name),
                escape(&v.against),
                signed(d.measured_ns),
                escape(&d.per),
                escape(&too_few(d)),
            );
            continue;
        }
        let trust = if d.complete_share < 0.99 {
            format!(
                "; only {} of the packets were followed to their end",
                crate::units::percent(d.complete_share)
            )
        } else {
            String::new()
        };
        let _ = writeln!(
            out,
            "<tr class=\"head\"><td><b>{}</b> <small>against {}</small><td colspan=\"2\">{} a {} by \
             its own clock, {} traced{trust}",
            escape(&v.name),
            escape(&v.against),
            signed(d.measured_ns),
            escape(&d.per),
            signed(d.traced_ns),
        );
        let (parts, rest) = named(d);
        let others = (rest.abs() >= 1.0).then_some(("all else", "unattributed", "span", rest));
        let rows = parts
            .iter()
            .map(|r| (r.label.as_str(), r.group.as_str(), r.kind.as_str(), r.more_ns))
            .chain(others);
        for (label, group, kind, more_ns) in rows {
            let width = if most > 0.0 { more_ns.abs() / most * 50.0 } else { 0.0 };
            let left = if more_ns < 0.0 { 50.0 - width } else { 50.0 };
            let _ = writeln!(
                out,
                "<tr><td>{}<td class=\"mid\"><i class=\"{kind}\" \
                 style=\"left:{left:.1}%;width:{width:.1}%;--c:{}\"></i><td class=\"n\">{}",
                escape(label),
                colour(group),
                signed(more_ns)
            );
        }
    }
    out + "</table>\n"
}

/// The colour of a cost group.
fn colour(group: &str) -> String {
    let grey = [0xc5, 0xcc, 0xd3];
    let [r, g, b] = GROUPS.iter().find(|g| g.key == group).map_or(grey, |g| g.rgb);
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// Text as HTML has it.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const STYLE: &str = include_str!("lab.css");

const HOW: &str = "<section><h2>How far to trust this</h2>\n<p>Every figure is a median of runs \
made without tracing, in turns, so that what else the machine did fell on all alike. The spread is \
the interval that holds the true median with the stated number of runs, taking no distribution for \
granted; ratios are of runs made side by side. Where the interval of a ratio holds 1, the row is \
grey and says ≈ 1: the spread hides whether there is a difference.</p>\n<p>The ledgers come from one \
more run of each, with tracing, and are of medians of each hop; what netpath's own probes cost is \
taken out. Where what was traced is far from what was measured, the machine was busier in one of \
the two. Client, host and server share \
this machine's CPUs and caches, and no wire and no network card is in between. So ratios between \
ways are what can be held against published ones; absolute values can't.</p></section>\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escape("<a & \"b\">"), "&lt;a &amp; &quot;b&quot;&gt;");
    }

    #[test]
    fn a_page_names_what_was_not_run() {
        let page = render(&super::super::tests::nothing_run());
        assert!(page.contains("Not run here") && page.contains("interrupted"), "{page}");
    }
}
