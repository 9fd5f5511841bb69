//! Claims that netpath breaks, and what is seen instead: `known_wrong.txt`, a line each with the case, the
//! claim and what is seen.
//!
//! A claim that stands there and holds fails its test. `NETPATH_CASES_ACCEPT=less` takes such lines off
//! instead; with `all`, lines are also added for what fails, which is to be looked at before it is kept.

use std::{env, fs, path::PathBuf};

use super::{claims::Claims, play::folder};

/// Between the parts of a line.
const BAR: &str = " | ";

/// How much of what is seen is kept.
const SYMPTOM_CHARS: usize = 100;

/// A claim that does not hold yet, and what is seen instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) case: String,
    pub(crate) claim: String,
    pub(crate) symptom: String,
}

impl Wrong {
    fn of_line(line: &str) -> Option<Self> {
        let mut parts = line.splitn(3, BAR).map(str::to_owned);
        Some(Self { case: parts.next()?, claim: parts.next()?, symptom: parts.next()? })
    }

    fn line(&self) -> String {
        let seen: String = self.symptom.replace('\n', " ").chars().take(SYMPTOM_CHARS).collect();
        [self.case.as_str(), &self.claim, seen.trim_end()].join(BAR)
    }
}

fn file() -> PathBuf {
    folder().join("known_wrong.txt")
}

/// The whole list.
pub(crate) fn all() -> Vec<Wrong> {
    let text = fs::read_to_string(file()).expect("the list can be read");
    text.lines().filter_map(Wrong::of_line).collect()
}

/// Holds a case's claims to the list; what is not as it says, a line each.
pub(crate) fn judge(case: &str, claims: &Claims) -> Vec<String> {
    let (own, others): (Vec<Wrong>, _) = all().into_iter().partition(|wrong| wrong.case == case);
    let accepted: Vec<Wrong> = match env::var("NETPATH_CASES_ACCEPT").as_deref() {
        Ok("less") => {
            claims.failed(case).filter(|f| own.iter().any(|w| w.claim == f.claim)).collect()
        }
        Ok("all") => claims.failed(case).collect(),
        _ => return claims.judge(&own),
    };
    let mut list: Vec<Wrong> = [others, accepted].concat();
    list.sort_by(|a, b| a.case.cmp(&b.case));
    let lines: Vec<String> = list.iter().map(|wrong| wrong.line() + "\n").collect();
    fs::write(file(), lines.concat()).expect("the list can be written");
    claims.judge(&list.into_iter().filter(|wrong| wrong.case == case).collect::<Vec<_>>())
}

#[test]
fn a_line_is_read_as_it_is_written() {
    let wrong = |symptom: &str| Wrong {
        case: "dns_5s".into(),
        claim: "7 round trips".into(),
        symptom: symptom.into(),
    };
    let line = wrong("5, not 7 | so\n").line();
    assert_eq!(line, "dns_5s | 7 round trips | 5, not 7 | so");
    assert_eq!(Wrong::of_line(&line), Some(wrong("5, not 7 | so")));
    assert_eq!(Wrong::of_line(""), None);
}
