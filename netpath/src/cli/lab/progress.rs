//! Bars on a terminal's stderr, and nothing elsewhere.

use std::{io::IsTerminal as _, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of so many steps, with what is being done.
pub(super) fn steps(n: u64) -> ProgressBar {
    bar(n, "{bar:30} {percent:>3} %  {eta:>4} left  {wide_msg}")
}

/// A bar that fills with time.
pub(super) fn of_time(time: Duration) -> ProgressBar {
    let bar = bar(millis(time), "{bar:30} {percent:>3} %  {wide_msg}");
    bar.set_message("tracing");
    bar
}

/// Shows how much of the time has passed; the bar is gone once all of it has.
pub(super) fn show(bar: &ProgressBar, passed: Duration) {
    if Some(millis(passed)) < bar.length() {
        bar.set_position(millis(passed));
    } else if !bar.is_finished() {
        bar.finish_and_clear();
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn bar(length: u64, template: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
