//! The live view in a terminal: what is drawn, which keys do what, and that the terminal is given
//! back in every way that it can end.

#[path = "kernel/support.rs"]
#[allow(dead_code, reason = "not all of what the kernel tests share is needed here")]
mod support;

mod kernel {
    pub(crate) use crate::support;
}

mod live {
    pub(crate) mod pty;

    mod recorded;
    mod traced;
}
