//! Times and shares as text.

/// A time in µs with three significant digits, no unit: `0.41`, `6.1`, `21`, `1200`.
pub fn micros(ns: f64) -> String {
    let us = ns / 1000.0;
    if us.abs() < 0.0005 { "0".to_owned() } else { three_digits(us) }
}

/// A difference in µs with its sign: `+0.41`, `−6.10`, `±0`.
pub fn signed_micros(ns: f64) -> String {
    let text = micros(ns.abs());
    match () {
        () if text == "0" => "±0".to_owned(),
        () if ns < 0.0 => format!("−{text}"),
        () => format!("+{text}"),
    }
}

/// Three significant digits, as far as there are that many before the point.
fn three_digits(value: f64) -> String {
    const LIMITS: [f64; 3] = [99.95, 9.995, 0.0995];
    let digits = LIMITS.iter().filter(|limit| value.abs() < **limit).count();
    format!("{value:.digits$}")
}

/// A time with its unit: `410 ns`, `6.10 µs`, `1.20 ms`, `3.00 s`.
pub fn time(ns: f64) -> String {
    let magnitude = ns.abs();
    let (value, unit) = if magnitude < 999.5 {
        return format!("{ns:.0} ns");
    } else if magnitude < 999_500.0 {
        (ns / 1e3, "µs")
    } else if magnitude < 999_500_000.0 {
        (ns / 1e6, "ms")
    } else {
        (ns / 1e9, "s")
    };
    format!("{} {unit}", three_digits(value))
}

/// A share of 1 as a percentage: `7 %`, `0.4 %`.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent == 0.0 {
        "0 %".to_owned()
    } else if percent.abs() < 0.05 {
        "<0.1 %".to_owned()
    } else if percent.abs() < 9.95 && percent.fract().abs() > 0.05 {
        format!("{percent:.1} %")
    } else {
        format!("{percent:.0} %")
    }
}

/// A number with thin groups of three: `9 624`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(c);
    }
    out
}

/// A bar of `width` cells at most for a share of 1, in eighths of a cell: solid, or light for
/// waiting.
pub fn bar(share: f64, width: usize, light: bool) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let cells = (share.clamp(0.0, 1.0) * width as f64).max(0.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and the width"
    )]
    let whole = cells as usize;
    if light {
        let n = if cells >= 0.25 { whole.max(1) } else { 0 };
        return "░".repeat(n);
    }
    let mut out = "█".repeat(whole);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 8")]
    let eighth = (cells.fract() * 8.0) as usize;
    if eighth > 0 {
        out.push(EIGHTHS[eighth]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_at_every_size() {
        let texts: Vec<_> =
            [0.0, 7.0, 410.0, 6_104.0, 21_430.0, 1_200_000.0].map(micros).into_iter().collect();
        assert_eq!(texts, ["0", "0.007", "0.41", "6.10", "21.4", "1200"]);
        let texts: Vec<_> = [410.0, 6_104.0, 999_700.0, 3e9].map(time).into_iter().collect();
        assert_eq!(texts, ["410 ns", "6.10 µs", "1.00 ms", "3.00 s"]);
    }

    #[test]
    fn differences_have_a_sign() {
        assert_eq!([410.0, -6_104.0, 0.2].map(signed_micros), ["+0.41", "−6.10", "±0"]);
    }

    #[test]
    fn shares_and_counts() {
        assert_eq!(
            [0.0, 0.0001, 0.004, 0.07, 0.255].map(percent),
            ["0 %", "<0.1 %", "0.4 %", "7 %", "26 %"]
        );
        assert_eq!([0, 999, 1000, 9_624_000].map(count), ["0", "999", "1 000", "9 624 000"]);
    }

    #[test]
    fn bars_grow_by_eighths_and_waits_are_light() {
        assert_eq!(bar(0.5, 4, false), "██");
        assert_eq!(bar(0.03, 4, false), "");
        assert_eq!(bar(0.1, 4, false), "▍");
        assert_eq!(bar(0.5, 4, true), "░░");
    }
}
