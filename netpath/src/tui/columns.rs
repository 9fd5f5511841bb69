//! The breakdown's columns: one table, from which the panel, sorting and help derive.

use std::cmp::Ordering;

use super::rows::Row;
use crate::{
    snapshot::Summary,
    units::{count, micros, percent},
};

/// A row of [`COLUMNS`].
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    /// In help.
    pub(crate) what: &'static str,
    pub(crate) width: Width,
    /// The narrower the panel, the fewer: columns with higher numbers go first.
    pub(crate) rank: u8,
    pub(crate) cell: fn(&Row) -> String,
    /// What rows are sorted by, largest first; `None`: not a figure.
    pub(crate) value: Option<fn(&Row) -> f64>,
}

/// How wide a column is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    /// Text, at the left: as wide as it needs, between these.
    Text(u16, u16),
    /// Figures, at the right.
    Figure(u16),
    /// The bar: what is left.
    Rest(u16),
}

fn time(row: &Row, of: fn(&Summary) -> u64) -> String {
    row.times.map_or_else(String::new, |t| micros(of(&t) as f64))
}

fn value(row: &Row, of: fn(&Summary) -> u64) -> f64 {
    row.times.map_or(-1.0, |t| of(&t) as f64)
}

/// The columns, from left to right.
pub(crate) const COLUMNS: &[Column] = &[
    Column {
        title: "what",
        what: "the hop: cost group and name; ░ before it: waiting",
        width: Width::Text(12, 24),
        rank: 0,
        cell: |r| r.what.clone(),
        value: None,
    },
    Column {
        title: "where",
        what: "its network namespace, with its device or netfilter hook",
        width: Width::Text(10, 24),
        rank: 1,
        cell: |r| r.place.clone(),
        value: None,
    },
    Column {
        title: "packets",
        what: "packets that met it",
        width: Width::Figure(11),
        rank: 9,
        cell: |r| count(r.count),
        value: Some(|r| r.count as f64),
    },
    Column {
        title: "mean",
        what: "mean of the packets that met it, µs",
        width: Width::Figure(6),
        rank: 5,
        cell: |r| micros(r.mean_ns),
        value: Some(|r| r.mean_ns),
    },
    Column {
        title: "p50",
        what: "half of them took no longer, µs",
        width: Width::Figure(6),
        rank: 0,
        cell: |r| time(r, |t| t.p50_ns),
        value: Some(|r| value(r, |t| t.p50_ns)),
    },
    Column {
        title: "p90",
        what: "90 % of them took no longer, µs",
        width: Width::Figure(6),
        rank: 7,
        cell: |r| time(r, |t| t.p90_ns),
        value: Some(|r| value(r, |t| t.p90_ns)),
    },
    Column {
        title: "p99",
        what: "99 % of them took no longer, µs",
        width: Width::Figure(6),
        rank: 0,
        cell: |r| time(r, |t| t.p99_ns),
        value: Some(|r| value(r, |t| t.p99_ns)),
    },
    Column {
        title: "p99.9",
        what: "99.9 % of them took no longer, µs",
        width: Width::Figure(6),
        rank: 8,
        cell: |r| time(r, |t| t.p999_ns),
        value: Some(|r| value(r, |t| t.p999_ns)),
    },
    Column {
        title: "max",
        what: "the slowest of them, µs",
        width: Width::Figure(7),
        rank: 6,
        cell: |r| time(r, |t| t.max_ns),
        value: Some(|r| value(r, |t| t.max_ns)),
    },
    Column {
        title: "share",
        what: "of the mean packet's time on this path",
        width: Width::Figure(6),
        rank: 2,
        cell: |r| percent(r.share()),
        value: Some(Row::share),
    },
    Column {
        title: "",
        what: "the share as a bar: █ work, ░ waiting; the longest fills the column",
        width: Width::Rest(8),
        rank: 3,
        cell: |_| String::new(),
        value: None,
    },
];

/// The column to sort by after `now`; `None` is the packet's order.
pub(crate) fn next_sort(now: Option<usize>) -> Option<usize> {
    // The share first: it is what most come for.
    let mut order: Vec<usize> =
        (0..COLUMNS.len()).filter(|i| COLUMNS[*i].value.is_some()).collect();
    order.sort_by_key(|i| COLUMNS[*i].title != "share");
    match now {
        None => order.first().copied(),
        Some(now) => order.iter().skip_while(|i| **i != now).nth(1).copied(),
    }
}

/// Whether `a` stands before `b`, sorted by a column.
pub(crate) fn compare(column: usize, a: &Row, b: &Row) -> Ordering {
    let Some(value) = COLUMNS.get(column).and_then(|c| c.value) else { return Ordering::Equal };
    value(b).total_cmp(&value(a))
}

/// Which columns fit into `width`, and how wide each is. `texts` are the widths that the text
/// columns need.
pub(crate) fn fit(width: u16, texts: &[u16]) -> Vec<(usize, u16)> {
    let mut need = texts.iter();
    let mut columns: Vec<(usize, u16)> = COLUMNS
        .iter()
        .enumerate()
        .map(|(i, c)| match c.width {
            Width::Text(min, max) => (i, need.next().map_or(min, |n| (*n).clamp(min, max))),
            Width::Figure(w) | Width::Rest(w) => (i, w),
        })
        .collect();
    let total = |columns: &[(usize, u16)]| columns.iter().map(|(_, w)| w + 1).sum::<u16>();
    while total(&columns) > width {
        let worst = columns.iter().enumerate().max_by_key(|(_, (i, _))| COLUMNS[*i].rank);
        match worst {
            Some((at, (i, _))) if COLUMNS[*i].rank > 3 => {
                columns.remove(at);
            }
            _ => break,
        }
    }
    // Then text gives way, down to its least; then the bar and what follows it in rank.
    for at in (0..columns.len()).rev() {
        let over = total(&columns).saturating_sub(width);
        if let Width::Text(min, _) = COLUMNS[columns[at].0].width {
            columns[at].1 = columns[at].1.saturating_sub(over).max(min);
        }
    }
    while total(&columns) > width && columns.len() > 1 {
        let worst = columns.iter().enumerate().max_by_key(|(_, (i, _))| COLUMNS[*i].rank);
        let at = worst.map_or(columns.len() - 1, |(at, _)| at);
        columns.remove(at);
    }
    let left = width.saturating_sub(total(&columns));
    if let Some((_, w)) =
        columns.iter_mut().find(|(i, _)| matches!(COLUMNS[*i].width, Width::Rest(_)))
    {
        *w += left;
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fit_and_the_least_needed_go_first() {
        for width in 10..200 {
            let columns = fit(width, &[18, 20]);
            assert!(columns.iter().map(|(_, w)| w + 1).sum::<u16>() <= width.max(13), "{width}");
        }
        let titles = |width: u16| {
            fit(width, &[18, 20]).iter().map(|(i, _)| COLUMNS[*i].title).collect::<Vec<_>>()
        };
        assert_eq!(titles(78), ["what", "where", "mean", "p50", "p99", "share", ""]);
        assert_eq!(titles(200).len(), COLUMNS.len());
    }

    #[test]
    fn sorting_goes_round() {
        let mut seen = vec![None];
        let mut now = next_sort(None);
        while now.is_some() {
            seen.push(now);
            now = next_sort(now);
        }
        assert_eq!(seen.len(), 1 + COLUMNS.iter().filter(|c| c.value.is_some()).count());
    }
}
