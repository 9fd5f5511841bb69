//! What is claimed of a report, one sentence each, and what came of it.
//!
//! A claim that netpath is known to break stands in [`super::known_wrong`] with the symptom. It is
//! expected to fail, so that the list says it when it no longer does.

use std::fmt::Debug;

use super::known_wrong::Wrong;

#[derive(Default)]
pub(crate) struct Claims {
    /// Each sentence, and what was found where it does not hold.
    told: Vec<(String, Result<(), String>)>,
}

#[expect(clippy::needless_pass_by_value, reason = "most are made for the claim")]
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

    /// Those that do not hold.
    pub(crate) fn failed<'a>(&'a self, case: &'a str) -> impl Iterator<Item = Wrong> + 'a {
        self.told.iter().filter_map(move |(claim, came)| {
            let symptom = came.as_ref().err()?.clone();
            Some(Wrong { case: case.to_owned(), claim: claim.clone(), symptom })
        })
    }

    /// What is not as the list of a case's wrong claims says, a line each.
    pub(crate) fn judge(&self, wrong: &[Wrong]) -> Vec<String> {
        let known = |claim: &str| wrong.iter().find(|w| w.claim == *claim);
        let mut bad = Vec::new();
        for (claim, came) in &self.told {
            match (came, known(claim)) {
                (Err(seen), None) => bad.push(format!("wrong: {claim}: {seen}")),
                (Ok(()), Some(Wrong { symptom, .. })) => {
                    bad.push(format!("right now, so take it off the list: {claim} ({symptom})"));
                }
                _ => {}
            }
        }
        let made = |wrong: &&Wrong| self.told.iter().any(|(claim, _)| *claim == wrong.claim);
        let gone = wrong.iter().filter(|wrong| !made(wrong));
        bad.extend(
            gone.map(|wrong| format!("the list has a claim that is not made: {}", wrong.claim)),
        );
        bad
    }
}

#[test]
fn what_is_known_to_be_wrong_must_be() {
    let mut claims = Claims::default();
    claims.equal("one", 1, 1);
    claims.equal("two", 1, 2);
    let wrong = |claim: &str| Wrong {
        case: String::new(),
        claim: claim.to_owned(),
        symptom: "it is one".to_owned(),
    };
    assert_eq!(claims.judge(&[wrong("two")]), Vec::<String>::new());
    assert_eq!(claims.judge(&[]), ["wrong: two: 1, not 2"]);
    let judged = claims.judge(&[wrong("one"), wrong("two"), wrong("three")]);
    assert_eq!(judged.len(), 2);
    assert!(judged[0].starts_with("right now") && judged[1].ends_with("three"), "{judged:?}");
}
