//! What a guest's console says of faults and of its end.

/// How the kernel begins to speak of a fault, or of something that should not be.
const FAULTS: &[&str] = &[
    "BUG:",
    "Kernel panic",
    "Oops:",
    "Internal error:",
    "WARNING: CPU",
    "general protection fault",
    "kernel BUG at",
    "Unable to handle",
    "Attempted to kill init",
    "self-detected stall",
    "detected stalls",
    "blocked for more than",
];

/// Lines to show at most: a fault's first ones, or the console's last ones.
const LINES: usize = 120;
const LAST_LINES: usize = 25;

/// The first fault and what follows it.
pub(super) fn fault(console: &str) -> Option<String> {
    let lines = lines(console);
    let first = lines.iter().position(|line| FAULTS.iter().any(|f| line.contains(f)))?;
    Some(lines[first..(first + LINES).min(lines.len())].join("\n"))
}

/// The last lines.
pub(super) fn tail(console: &str) -> String {
    let lines = lines(console);
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

fn lines(console: &str) -> Vec<&str> {
    console.lines().map(|line| line.trim_end_matches('\r')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_shown_from_its_first_line() {
        let console =
            "[1.0] fine\r\n[2.0] BUG: kernel NULL pointer\r\n[2.1] RIP\r\n[2.2] Kernel panic\r\n";
        let expected = "[2.0] BUG: kernel NULL pointer\n[2.1] RIP\n[2.2] Kernel panic";
        assert_eq!(fault(console).as_deref(), Some(expected));
        assert_eq!(fault("[1.0] fine"), None);
    }

    #[test]
    fn the_end_is_a_few_lines() {
        let lines: Vec<String> = (0..100).map(|n| format!("line {n}")).collect();
        let words = tail(&lines.join("\n"));
        assert!(words.starts_with("line 75\n") && words.ends_with("line 99"));
        assert_eq!(tail(""), "");
    }
}
