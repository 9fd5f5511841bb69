//! Situations from other people's bug reports, each a script in `cases/` that sets it up in network
//! namespaces of its own, sends the traffic and prints what its own programs have counted. Its header
//! has the sources and the right answer, which is what is claimed of netpath's report here.
//!
//! As root: `cargo xtask test --ignore-default-filter -E 'binary(cases)'`. `NETPATH_CASES_KEEP=DIR` keeps what each case's
//! programs printed and what netpath reported; `NETPATH_CASES_JUDGE=DIR` judges what was kept there
//! again, without playing anything.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts that scripts print are read as all their figures are"
)]

#[path = "kernel/support.rs"]
#[allow(dead_code, reason = "not all of what the kernel tests share is needed here")]
mod support;

mod kernel {
    pub(crate) use crate::support;
}

mod cases {
    mod check;
    mod claims;
    mod known_wrong;
    mod play;
    mod report;
    mod said;
    mod table;
}
