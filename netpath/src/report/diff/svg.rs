//! A differential flame graph: as wide as B's mean packet, red where B takes longer than A, blue where
//! it takes less. What only A has is not in it.

use std::io::Write;

use crate::{
    report::{
        ReportError,
        stack::{self, Line},
        svg,
    },
    snapshot::PathReport,
};

pub(super) fn write(
    pairs: &[(&PathReport, &PathReport)],
    out: &mut dyn Write,
) -> Result<(), ReportError> {
    let lines: Vec<String> = pairs.iter().flat_map(|(a, b)| both(a, b)).collect();
    if lines.is_empty() {
        return Err(ReportError::Empty);
    }
    let mut options = svg::options();
    "What changed from A to B".clone_into(&mut options.title);
    options.subtitle =
        Some("width: a mean packet in B; red takes longer than in A, blue less".to_owned());
    svg::draw(&mut options, lines.into_iter(), out)
}

/// Lines with two weights: A's and B's.
fn both(a: &PathReport, b: &PathReport) -> Vec<String> {
    let before = stack::path_lines(a, 1.0);
    // Paths may have other names; what is inside is compared.
    let same = |line: &Line, other: &Line| line.names[1..] == other.names[1..];
    stack::path_lines(b, 1.0)
        .iter()
        .map(|line| {
            let was = before.iter().find(|other| same(line, other)).map_or(0, |l| l.ns);
            format!("{} {was} {}", line.names.join(";"), line.ns)
        })
        .collect()
}
