//! Where probed functions and tracepoints have their arguments: one read-only global.
//!
//! Positions differ between kernels and between a tracepoint and the function that stands in for
//! it. User space finds them in BTF; the verifier knows them as constants, so that a program costs
//! nothing for having had the choice.

use crate::point::{ARGS, ArgPos};

/// Rows of [`Positions`]: points by their number, then spans by their index.
pub const ROWS: usize = 128;
/// The first row of a span.
pub const SPAN_ROWS: usize = 64;

/// For a point, the positions of what its body wants, in that order. For a span: of its sk_buff,
/// its hook state, its rules.
pub type Row = [u8; ARGS];

/// What of a span stands where in its row.
pub const SPAN_SKB: usize = 0;
pub const SPAN_STATE: usize = 1;
pub const SPAN_RULES: usize = 2;

/// Positions of arguments, see [`ArgPos`].
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Positions {
    pub rows: [Row; ROWS],
}

impl Positions {
    /// Nothing is anywhere.
    pub const NONE: Self = Self { rows: [[ArgPos::NONE; ARGS]; ROWS] };

    /// As they stand in the programs' read-only data.
    pub fn bytes(&self) -> &[u8] {
        self.rows.as_flattened()
    }
}
