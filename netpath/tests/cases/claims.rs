//! What is claimed of a report, one sentence each, and what came of it.
//!
//! A claim that netpath is known to break is named in the table with the symptom. It is expected to
//! fail, so that the table says it when it no longer does.

use std::fmt::Debug;

/// A claim that does not hold yet, and what is seen instead.
pub(crate) type Wrong = (&'static str, &'static str);

#[derive(Default)]
pub(crate) struct Claims {
    /// Each sentence, and what was found where it does not hold.
    told: Vec<(String, Result<(), String>)>,
}

impl Claims {
    pub(crate) fn holds(&mut self, claim: &str, holds: bool, seen: impl Debug) {
        let came = if holds { Ok(()) } else { Err(format!("{seen:?}")) };
        self.told.push((claim.to_owned(), came));
    }

    pub(crate) fn equal<T: Debug + PartialEq>(&mut self, claim: &str, seen: T, right: T) {
        let holds = seen == right;
        self.holds(claim, holds, format_args!("{seen:?}, not {right:?}"));
    }

    pub(crate) fn between<T: Debug + PartialOrd>(&mut self, claim: &str, seen: T, low: T, high: T) {
        let holds = low <= seen && seen <= high;
        self.holds(claim, holds, format_args!("{seen:?}, not {low:?} to {high:?}"));
    }

    /// What is not as the table says, a line each.
    pub(crate) fn judge(&self, wrong: &[Wrong]) -> Vec<String> {
        let known = |claim: &str| wrong.iter().find(|(c, _)| *c == claim);
        let mut bad: Vec<String> = self
            .told
            .iter()
            .filter_map(|(claim, came)| match (came, known(claim)) {
                (Err(seen), None) => Some(format!("wrong: {claim}: {seen}")),
                (Ok(()), Some((_, symptom))) => {
                    Some(format!("right now, so take it off the table: {claim} ({symptom})"))
                }
                _ => None,
            })
            .collect();
        let missing = wrong.iter().filter(|(c, _)| !self.told.iter().any(|(claim, _)| claim == c));
        bad.extend(
            missing.map(|(claim, _)| format!("the table knows a claim that is not made: {claim}")),
        );
        bad
    }
}

#[test]
fn what_is_known_to_be_wrong_must_be() {
    let mut claims = Claims::default();
    claims.equal("one", 1, 1);
    claims.equal("two", 1, 2);
    assert_eq!(claims.judge(&[("two", "it is one")]), Vec::<String>::new());
    assert_eq!(claims.judge(&[]), ["wrong: two: 1, not 2"]);
    let judged = claims.judge(&[("one", "was two"), ("two", "it is one"), ("three", "")]);
    assert_eq!(judged.len(), 2);
    assert!(judged[0].starts_with("right now") && judged[1].ends_with("three"), "{judged:?}");
}
