//! From text to a condition. Errors say what was expected, and where.

use std::str::FromStr;

use netpath_common::{
    group::{GROUPS, Group},
    hop::{HOPS, HopId},
};
use thiserror::Error;

use super::{COUNTERS, Condition, FIGURES, Figure, OPERATORS, Subject};
use crate::netns::close_names;

/// Before a group's name, where a hop may have the same.
const GROUP: &str = "group:";

/// Why a condition can't be understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{what} at character {at}{}", marked(.text, *.at))]
pub struct ConditionError {
    text: String,
    /// Counted from 1.
    at: usize,
    what: String,
}

/// The text with a mark below the place.
fn marked(text: &str, at: usize) -> String {
    format!("\n    {text}\n    {}^", " ".repeat(at.saturating_sub(1)))
}

impl FromStr for Condition {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, ConditionError> {
        let fail = |byte: usize, what: String| ConditionError {
            text: text.to_owned(),
            at: text[..byte].chars().count() + 1,
            what,
        };
        let begin = text.len() - text.trim_start().len();
        let Some(sign) = text.find(['>', '<', '=', '!']) else {
            let what = "expected >, >=, < or <= and a value, such as 'conntrack.p99 > 2us',";
            return Err(fail(text.trim_end().len(), what.to_owned()));
        };
        let (left, right) = (text[..sign].trim(), &text[sign..]);
        let Some((operator, symbol)) = OPERATORS.iter().find(|(_, s)| right.starts_with(s)) else {
            return Err(fail(sign, "expected >, >=, < or <=".to_owned()));
        };
        let (subject, figure) = subject(left).map_err(|(at, what)| fail(begin + at, what))?;
        let after = sign + symbol.len();
        let at = after + (text[after..].len() - text[after..].trim_start().len());
        let value = value(text[after..].trim(), figure).map_err(|what| fail(at, what))?;
        Ok(Self { text: text.trim().to_owned(), subject, figure, operator: *operator, value })
    }
}

/// What stands before the operator; an error's place is in bytes.
fn subject(left: &str) -> Result<(Subject, Figure), (usize, String)> {
    if left.is_empty() {
        let what = "expected a hop, a group, total, unattributed, lost, drops, incomplete, vanished \
                    or negative (`netpath hops` lists hops and groups)";
        return Err((0, what.to_owned()));
    }
    // Hops' names have dots of their own.
    let (name, figure) = match left.rsplit_once('.') {
        _ if find(left).is_some() => (left, None),
        Some((name, last)) => match FIGURES.iter().find(|(_, key)| *key == last) {
            Some((figure, _)) => (name, Some(*figure)),
            None if find(name).is_some() => {
                let all: Vec<&str> = FIGURES.iter().map(|(_, key)| *key).collect();
                let what = format!("expected one of {}, found `{last}`", all.join(", "));
                return Err((name.len() + 1, what));
            }
            None => (left, None),
        },
        None => (left, None),
    };
    let Some(subject) = find(name) else {
        let close = match name.strip_prefix(GROUP) {
            Some(name) => close_names(name, names().filter(|n| group(n).is_some()))
                .into_iter()
                .map(|n| format!("{GROUP}{n}"))
                .collect(),
            None => close_names(name, names()),
        };
        let hint = if close.is_empty() {
            "`netpath hops` lists hops and groups".to_owned()
        } else {
            format!("did you mean {}?", close.join(" or "))
        };
        return Err((0, format!("there is no hop or group `{name}` ({hint})")));
    };
    check(subject, figure, name).map_err(|what| (name.len() + 1, what))
}

/// Gives a subject its figure, if it has that one.
fn check(
    subject: Subject,
    figure: Option<Figure>,
    name: &str,
) -> Result<(Subject, Figure), String> {
    match (subject, figure) {
        (Subject::Counter(_), None | Some(Figure::Count)) => Ok((subject, Figure::Count)),
        (Subject::Counter(_), Some(_)) => {
            Err(format!("`{name}` is a number and has no figures: write `{name} > 0`"))
        }
        (_, None) => Err(format!(
            "expected a figure after `{name}`, such as {name}.mean{}",
            if subject == Subject::Unattributed { "" } else { " or .p99" }
        )),
        (Subject::Unattributed, Some(figure))
            if !matches!(figure, Figure::Mean | Figure::Share) =>
        {
            Err(format!("`{name}` has a mean and a share only: no packet's own is kept"))
        }
        (Subject::Total, Some(Figure::Share)) => {
            Err("the total's share is always 100 %".to_owned())
        }
        (_, Some(figure)) => Ok((subject, figure)),
    }
}

/// A subject by its name. Hops come first: `nat` is the hop, `group:nat` the group.
fn find(name: &str) -> Option<Subject> {
    if let Some(group) = name.strip_prefix(GROUP) {
        return self::group(group);
    }
    let hop = || HopId::from_key(name).map(Subject::Hop);
    let counter = || COUNTERS.iter().find(|(_, key)| *key == name).map(|c| Subject::Counter(c.0));
    match name {
        "total" => Some(Subject::Total),
        "unattributed" => Some(Subject::Unattributed),
        _ => hop().or_else(counter).or_else(|| group(name)),
    }
}

/// A group by its key, or by its label.
fn group(name: &str) -> Option<Subject> {
    let row = GROUPS.iter().find(|g| g.key == name || g.label == name)?;
    // No packet has a time in these: what probes take is a mean, what is unattributed the rest.
    let summed = !matches!(row.group, Group::Probe | Group::Unattributed);
    summed.then_some(Subject::Group(row.group))
}

fn names() -> impl Iterator<Item = &'static str> {
    let groups = GROUPS.iter().flat_map(|g| [g.key, g.label]).filter(|name| group(name).is_some());
    let others = ["total", "unattributed"].into_iter().chain(COUNTERS.iter().map(|c| c.1));
    HOPS.iter().map(|h| h.key).chain(groups).chain(others)
}

/// What stands after the operator.
fn value(text: &str, figure: Figure) -> Result<f64, String> {
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = (&text[..digits], text[digits..].trim());
    let expected = match figure {
        Figure::Count => "a number",
        Figure::Share => "a share, such as 5% or 0.05",
        _ => "a time with its unit, such as 500ns, 2us or 1.5ms",
    };
    let wrong = || {
        let found = if text.is_empty() { "nothing".to_owned() } else { format!("`{text}`") };
        format!("expected {expected}, found {found}")
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let factor = match (figure, unit) {
        (Figure::Count | Figure::Share, "") => 1.0,
        (Figure::Share, "%") => 0.01,
        (Figure::Count | Figure::Share, _) => return Err(wrong()),
        (_, "ns") => 1.0,
        (_, "us" | "µs" | "μs") => 1e3,
        (_, "ms") => 1e6,
        (_, "s") => 1e9,
        _ => return Err(wrong()),
    };
    Ok(number * factor)
}
