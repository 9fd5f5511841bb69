//! What is probed, and where: the tables' points and spans, as this kernel has them.
//!
//! What is probed comes from the tables; where its arguments stand, and in which module it is, from
//! BTF. What is in no BTF, or what no packet of the path can pass, is absent with the reason.

use std::collections::BTreeMap;

use netpath_common::{
    args::{Positions, Row, SPAN_ROWS},
    point::{POINTS, Point, point, told_by},
    span::{SPANS, SpanRow},
};

use super::{
    btf::{Found, KernelBtf},
    choice::Choice,
    needs::Lacking,
    symbols::Symbols,
    way::Way,
};

/// Parameters that a trampoline can pass on where Linux is older than 6.6.
const TRAMPOLINE_ARGS: usize = 6;

/// What a probe serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    Point(u16),
    Span(usize),
}

impl What {
    /// The programs that serve it, and whether they do so where a function returns. An exit comes
    /// before its entry: that without the other would look like a function that never returns.
    pub(super) fn programs(self, way: Way) -> Vec<(String, bool)> {
        match (self, way) {
            (Self::Point(n), Way::Tracepoint) => vec![(format!("tp_{n}"), false)],
            (Self::Point(n), way) => {
                let kind = if way == Way::Fentry { "fe" } else { "kp" };
                let on_return = point(n).is_some_and(|p| p.body.on_return());
                vec![(format!("{kind}_{n}"), on_return)]
            }
            (Self::Span(i), Way::Fentry) => {
                vec![(format!("sx_{i}"), true), (format!("se_{i}"), false)]
            }
            (Self::Span(i), _) => vec![(format!("kx_{i}"), true), (format!("ke_{i}"), false)],
        }
    }
}

/// A tracepoint or function to probe, and which programs are for it.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) found: Found,
    pub(super) what: What,
    pub(super) way: Way,
}

/// All targets, in the order in which they are attached, and why the rest is absent.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) targets: Vec<Target>,
    pub(super) absent: BTreeMap<What, String>,
    /// Where their arguments stand; must be known before anything is loaded.
    pub(super) positions: Positions,
}

impl Plan {
    pub(super) fn new(
        btf: &KernelBtf,
        choice: &Choice,
        lacking: &Lacking,
        symbols: &Symbols,
    ) -> Self {
        let mut this =
            Self { targets: Vec::new(), absent: BTreeMap::new(), positions: Positions::NONE };
        for point in POINTS {
            this.point(point, btf, choice, lacking);
        }
        for (index, span) in SPANS.iter().enumerate() {
            this.span(index, span, btf, choice, lacking, symbols);
        }
        this
    }

    fn point(&mut self, point: &Point, btf: &KernelBtf, choice: &Choice, lacking: &Lacking) {
        let what = What::Point(point.point);
        let row = usize::from(point.point);
        if let Some(by) = told_by(point.point)
            && !self.targets.iter().any(|target| target.what == What::Point(by))
        {
            self.absent.insert(what, "what would write it down is not probed".to_owned());
            return;
        }
        if let Some(name) = point.tracepoint.filter(|_| choice.by_tracepoint(point)) {
            if let Some(why) = lacking.for_tracepoint(name) {
                self.absent.insert(what, why.to_owned());
                return;
            }
            match btf.tracepoint(name, point.body) {
                Ok(found) => return self.add(what, Ok((found, Way::Tracepoint)), row),
                // A function may do in its place.
                Err(why) => {
                    self.absent.insert(what, format!("tracepoint {name}: {why}"));
                }
            }
        }
        let Some(way) = choice.typed else { return };
        for names in point.functions {
            let found = match lacking.for_function(names) {
                Some(why) => Err(why.to_owned()),
                None => btf.function(names, point.body).and_then(|found| {
                    let way = if way == Way::Fentry && found.arity > TRAMPOLINE_ARGS {
                        choice.by_symbol(btf)?
                    } else {
                        way
                    };
                    Ok((found, way))
                }),
            };
            self.add(what, found, row);
        }
    }

    fn span(
        &mut self,
        index: usize,
        span: &SpanRow,
        btf: &KernelBtf,
        choice: &Choice,
        lacking: &Lacking,
        symbols: &Symbols,
    ) {
        let Some(way) = choice.typed else { return };
        for names in span.span.functions {
            let found = match lacking.for_function(names) {
                Some(why) => Err(why.to_owned()),
                None => btf.span(names, span.span.note).map(|found| (found, way)).or_else(|why| {
                    // Its packet is that of the function around it: no arguments are needed.
                    let found =
                        symbols.of_functions(names, |m| btf.has_yet_to_read(m)).ok_or(why)?;
                    Ok((found, choice.by_symbol(btf)?))
                }),
            };
            self.add(What::Span(index), found, SPAN_ROWS + index);
        }
    }

    fn add(&mut self, what: What, found: Result<(Found, Way), String>, row: usize) {
        let row: &mut Row = &mut self.positions.rows[row];
        let refused = match found {
            // All functions of a row share its programs, and with them the positions.
            Ok((found, way)) if *row == Positions::NONE.rows[0] || *row == found.row => {
                *row = found.row;
                self.targets.push(Target { found, what, way });
                return;
            }
            Ok((found, _)) => format!("{} has its arguments elsewhere than its like", found.name),
            Err(why) => why,
        };
        self.absent.entry(what).or_insert(refused);
    }
}
