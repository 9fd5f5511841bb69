//! The kernel's own counters, in words: whether netpath's counts hold against them, and which losses
//! they tell.

use super::counted;
use crate::{
    snapshot::{CounterReport, Snapshot},
    units::count,
};

/// What the row that tells of them is called.
pub(crate) const NAME: &str = "kernel's counters";

/// Counters that somebody should look at: losses, and those that contradict netpath; the latter first.
pub(crate) fn telling(s: &Snapshot) -> Vec<&CounterReport> {
    let wrong = s.counters.iter().filter(|c| c.agrees == Some(false));
    let lost = s.counters.iter().filter(|c| c.agrees != Some(false) && c.loss && c.kernel > 0);
    wrong.chain(lost).collect()
}

/// All of it in a sentence; none where there are no counters to speak of.
pub(super) fn sentence(s: &Snapshot) -> Option<String> {
    if s.counters.is_empty() {
        return None;
    }
    let compared = s.counters.iter().filter(|c| c.agrees.is_some()).count();
    let wrong = s.counters.iter().filter(|c| c.agrees == Some(false)).count();
    let mut parts = vec![match (&s.counters_not_compared, wrong) {
        (Some(why), _) => format!("not compared with netpath's: {why}"),
        (None, 0) => format!("{} compared with netpath's, all agree", count(compared as u64)),
        (None, n) => {
            format!("{} of {} contradict netpath", count(n as u64), count(compared as u64))
        }
    }];
    parts.extend(telling(s).into_iter().map(told));
    Some(parts.join("; "))
}

/// `srv UdpRcvbufErrors 37, netpath 35: IPv4 datagrams that …`.
fn told(c: &CounterReport) -> String {
    let own = match c.netpath {
        Some(own) => format!(", netpath {}", count(own)),
        None => String::new(),
    };
    let what = if c.what.is_empty() { String::new() } else { format!(" ({})", c.what) };
    format!("{} {}{own}{what}", c.full_name(), count(c.kernel))
}

/// How a counter compares, in a word.
pub(crate) fn verdict(c: &CounterReport) -> &'static str {
    match c.agrees {
        Some(true) => "agree",
        Some(false) => "disagree",
        None => "",
    }
}

/// How many are shown and how many there are.
pub(crate) fn heading(s: &Snapshot) -> String {
    format!(
        "The kernel's own counters, beside netpath's ({})",
        counted(s.counters.len() as u64, "counter")
    )
}
