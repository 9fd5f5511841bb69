//! The priority of the calling thread.

/// The nice value of a thread that must not wait long for a CPU.
const HIGH: libc::c_int = -10;

/// A thread's priority is raised until this is dropped.
pub(crate) struct Raised {
    before: libc::c_int,
}

impl Raised {
    /// Raises the calling thread's priority; `None` where that is not allowed.
    pub(crate) fn now() -> Option<Self> {
        // SAFETY: takes no pointers; for 0 it means the calling thread.
        let before = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        set(HIGH.min(before)).then_some(Self { before })
    }

    /// For as long as the thread lives.
    pub(crate) fn for_good(self) {
        std::mem::forget(self);
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        set(self.before);
    }
}

/// Gives the calling thread, which a raised one has begun, and the programs that it starts, the priority that
/// programs have.
pub(crate) fn normal() {
    set(0);
}

fn set(nice: libc::c_int) -> bool {
    // SAFETY: as above.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_raised_is_as_before_afterwards() {
        // SAFETY: as above.
        let now = || unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        let before = now();
        let Some(raised) = Raised::now() else { return };
        assert_eq!(now(), HIGH.min(before));
        drop(raised);
        assert_eq!(now(), before);
    }
}
