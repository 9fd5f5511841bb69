//! Spans: functions whose entry and exit are probed, numbered in the order of the hop table.

use crate::{
    hop::{HOPS, HopId, Measure, Span},
    point::SPAN_FIRST,
};

/// A span with its hop.
#[derive(Clone, Copy, Debug)]
pub struct SpanRow {
    pub hop: HopId,
    pub span: &'static Span,
}

const fn count() -> usize {
    let (mut n, mut h) = (0, 0);
    while h < HOPS.len() {
        let mut m = 0;
        while m < HOPS[h].measures.len() {
            if let Measure::Span(_) = &HOPS[h].measures[m] {
                n += 1;
            }
            m += 1;
        }
        h += 1;
    }
    n
}

/// Every span of the hop table, in its order.
pub const SPANS: [SpanRow; count()] = {
    let mut rows = [None; count()];
    let (mut n, mut h) = (0, 0);
    while h < HOPS.len() {
        let mut m = 0;
        while m < HOPS[h].measures.len() {
            if let Measure::Span(span) = &HOPS[h].measures[m] {
                rows[n] = Some(SpanRow { hop: HOPS[h].id, span });
                n += 1;
            }
            m += 1;
        }
        h += 1;
    }
    let mut out = [SpanRow { hop: HopId::SocketSend, span: first(&rows) }; count()];
    let mut i = 0;
    while i < out.len() {
        if let Some(row) = rows[i] {
            out[i] = row;
        }
        i += 1;
    }
    out
};

const fn first(rows: &[Option<SpanRow>]) -> &'static Span {
    match rows[0] {
        Some(row) => row.span,
        None => panic!("the hop table has no span"),
    }
}

/// The `point` of a span's entry.
#[expect(clippy::cast_possible_truncation, reason = "the table is small")]
pub const fn entry(index: usize) -> u16 {
    SPAN_FIRST + 2 * index as u16
}

/// Which span a `point` belongs to, and whether it is its exit.
#[inline]
pub const fn of_point(point: u16) -> Option<(usize, bool)> {
    if point < SPAN_FIRST {
        return None;
    }
    let index = ((point - SPAN_FIRST) / 2) as usize;
    if index < SPANS.len() { Some((index, (point - SPAN_FIRST) % 2 == 1)) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::point::POINTS_MAX;

    #[test]
    fn numbers_lead_back_to_their_spans() {
        for i in 0..SPANS.len() {
            assert_eq!(of_point(entry(i)), Some((i, false)));
            assert_eq!(of_point(entry(i) + 1), Some((i, true)));
        }
        assert!(usize::from(entry(SPANS.len())) <= POINTS_MAX);
        assert_eq!(of_point(entry(SPANS.len())), None);
        assert_eq!(of_point(1), None);
    }

    #[test]
    fn spans_belong_to_the_hops_that_have_them() {
        for row in SPANS {
            assert!(row.hop.info().measures.iter().any(|m| matches!(m, Measure::Span(_))));
            assert!(!row.span.functions.is_empty());
        }
    }
}
