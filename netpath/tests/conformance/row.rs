//! A row: one program over one topology, from bringing it up to the verdict.
//!
//! In: the table of programs. Out: an [`Outcome`], kept for the table; an error where it fails.

use std::env;

use netpath::kernel;

use super::{
    bars,
    outcome::{Outcome, Verdict},
    programs::{On, PROGRAMS, Program},
    stage::{Stage, StageError},
};

/// A program over one of its topologies.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) program: &'static Program,
    pub(crate) on: On,
}

/// All rows, in the table's order.
pub(crate) fn all() -> impl Iterator<Item = Row> {
    PROGRAMS.iter().flat_map(|program| program.on.iter().map(move |on| Row { program, on: *on }))
}

impl Row {
    /// As the test is called: `ping-raw::bridge-nat`, `curl-nginx::bridge-nat-6`.
    pub(crate) fn name(&self) -> String {
        format!("{}::{}", self.program.name, self.on.name())
    }
}

/// Runs a row, keeps its outcome, and says as an error why it failed.
pub(crate) fn run(row: &Row) -> Result<(), String> {
    let required = row.on.core && env::var("NETPATH_REQUIRE_KERNEL").as_deref() == Ok("1");
    let came = kernel::check_rights()
        .map_err(|why| StageError::Lacks(why.to_string()))
        .and_then(|()| carry_out(row));
    Outcome::came(row.program.name, &row.on.name(), came).told(required)
}

fn carry_out(row: &Row) -> Result<Outcome, StageError> {
    let mut stage = Stage::up(row)?;
    (row.program.serve)(&mut stage)?;
    stage.warm_up()?;
    let (said, report, seen) = stage.traced(row.program.run)?;
    let (checks, clean) = bars::judge(&said, &report, &seen, stage.topology());
    let ran = Outcome::new(row.program.name, &row.on.name(), Verdict::Passed);
    Ok(ran.with(checks, clean))
}
