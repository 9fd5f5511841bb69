//! Claims that netpath breaks, and what is seen instead. What is mended is taken off: a claim that
//! stands here and holds fails its test.

use super::claims::Wrong;

pub(crate) static KNOWN_WRONG: &[Wrong] = &[];
