//! What a script's own programs have printed: their counts and clocks.

pub(crate) struct Said(pub(crate) String);

impl Said {
    /// The numbers in the first line that holds this text, after it.
    pub(crate) fn after(&self, text: &str) -> Vec<f64> {
        self.lines(text).next().unwrap_or_default()
    }

    /// The numbers after this text in its line, each time that it was said: two programs that print at once
    /// can share a line.
    pub(crate) fn lines<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Vec<f64>> + 'a {
        self.0.lines().flat_map(move |line| line.split(text).skip(1).map(numbers))
    }

    /// The first number after this text, in whole.
    pub(crate) fn count(&self, text: &str) -> u64 {
        let first = self.after(text).first().copied();
        let first = first.unwrap_or_else(|| panic!("the script did not say {text:?}: {}", self.0));
        whole(first)
    }

    /// The number before this text, in the first line that holds it.
    pub(crate) fn before(&self, text: &str) -> u64 {
        let found = self.0.lines().find_map(|line| numbers(line.split_once(text)?.0).pop());
        whole(found.unwrap_or_else(|| panic!("the script did not say {text:?}: {}", self.0)))
    }

    /// How many round trips this program says that it has done, each time that it ran.
    pub(crate) fn done(&self, program: &str) -> u64 {
        self.of(program, " round trips", "")
    }

    /// How many it says are lost.
    pub(crate) fn lost(&self, program: &str) -> u64 {
        self.of(program, "", "lost ")
    }

    /// Sum over the lines of a program, of the number between these texts.
    fn of(&self, program: &str, before: &str, after: &str) -> u64 {
        let program = format!("{program}: ");
        let lines = self.0.lines().filter_map(|line| line.strip_prefix(&program));
        let texts = lines.filter_map(|line| {
            let line = if after.is_empty() { line } else { line.split_once(after)?.1 };
            if before.is_empty() { Some(line) } else { Some(line.split_once(before)?.0) }
        });
        texts.filter_map(|text| numbers(text).first().copied().map(whole)).sum()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of packets are small and not negative"
)]
fn whole(number: f64) -> u64 {
    number.round() as u64
}

fn numbers(text: &str) -> Vec<f64> {
    text.split(|c: char| !(c.is_ascii_digit() || c == '.'))
        .filter_map(|word| word.trim_end_matches('.').parse().ok())
        .collect()
}

#[test]
fn numbers_are_found_beside_a_text() {
    let said = Said(
        "x\nudp-rr: 20 round trips, min 0.187 ms, lost 3\nudp-rr: 4: timed out after 201 ms\n\
         udp-rr: none, lost 2\nudp-rr: 5 round trips\n"
            .into(),
    );
    assert_eq!(said.after("trips, "), [0.187, 3.0]);
    assert_eq!((said.done("udp-rr"), said.lost("udp-rr")), (25, 5));
    assert_eq!((said.before(" round"), said.count("min")), (20, 0));
}
