//! The tree of a filter, and the program that it becomes.

use netpath_common::filter::{ACCEPT, Field, Op, Program, REFUSE, STEPS, Step};

use super::FilterError;

/// A condition on a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expr {
    /// On every packet, or on none.
    Always(bool),
    Test {
        field: Field,
        op: Op,
        mask: u32,
        value: u32,
    },
    Not(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
}

impl Expr {
    pub(super) fn equal(field: Field, value: u32) -> Self {
        Self::masked(field, u32::MAX, value)
    }

    pub(super) fn masked(field: Field, mask: u32, value: u32) -> Self {
        Self::Test { field, op: Op::Equal, mask, value }
    }

    /// `field & mask >= value`
    pub(super) fn at_least(field: Field, mask: u32, value: u32) -> Self {
        Self::Test { field, op: Op::AtLeast, mask, value }
    }

    pub(super) fn negated(self) -> Self {
        Self::Not(Box::new(self))
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self::And(Box::new(self), Box::new(other))
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self::Or(Box::new(self), Box::new(other))
    }
}

/// Where a test leads, while the program is built from its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Accept,
    Refuse,
    /// A step, counted from the end.
    Back(usize),
}

#[derive(PartialEq, Eq)]
struct Node {
    field: Field,
    op: Op,
    mask: u32,
    value: u32,
    yes: Target,
    no: Target,
}

/// Makes the program of a tree.
pub(super) fn lower(tree: &Expr) -> Result<Program, FilterError> {
    let mut nodes = Vec::new();
    let entry = match place(tree, Target::Accept, Target::Refuse, &mut nodes) {
        Target::Accept => return Ok(Program::ALL),
        // Nothing matches: a test that never holds.
        Target::Refuse => {
            let never = Expr::masked(Field::Version, 0, 1);
            place(&never, Target::Accept, Target::Refuse, &mut nodes)
        }
        entry @ Target::Back(_) => entry,
    };
    // What comes before the entry is not reached.
    if let Target::Back(entry) = entry {
        nodes.truncate(entry + 1);
    }
    if nodes.len() > STEPS {
        return Err(FilterError::TooLong { steps: nodes.len() });
    }
    let last = nodes.len() - 1;
    let mut program = Program::ALL;
    program.len = u32::try_from(nodes.len()).unwrap_or(0);
    for (step, node) in program.steps.iter_mut().zip(nodes.iter().rev()) {
        let to = |target| match target {
            Target::Accept => ACCEPT,
            Target::Refuse => REFUSE,
            Target::Back(at) => u8::try_from(last - at).unwrap_or(REFUSE),
        };
        *step = Step {
            field: node.field as u8,
            op: node.op as u8,
            yes: to(node.yes),
            no: to(node.no),
            mask: node.mask,
            value: node.value,
        };
    }
    Ok(program)
}

/// Puts the steps of `tree` before those that are there, and says where it begins.
fn place(tree: &Expr, yes: Target, no: Target, nodes: &mut Vec<Node>) -> Target {
    match tree {
        Expr::Always(true) => yes,
        Expr::Always(false) => no,
        Expr::Not(inner) => place(inner, no, yes, nodes),
        Expr::And(first, second) => {
            let second = place(second, yes, no, nodes);
            place(first, second, no, nodes)
        }
        Expr::Or(first, second) => {
            let second = place(second, yes, no, nodes);
            place(first, yes, second, nodes)
        }
        // Whatever it finds, it leads to the same.
        Expr::Test { .. } if yes == no => yes,
        Expr::Test { field, op, mask, value } => {
            let node = Node { field: *field, op: *op, mask: *mask, value: *value, yes, no };
            let at = nodes.iter().position(|n| *n == node).unwrap_or_else(|| {
                nodes.push(node);
                nodes.len() - 1
            });
            Target::Back(at)
        }
    }
}
