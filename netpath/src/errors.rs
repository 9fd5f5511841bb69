//! How errors are told.

use std::error::Error;

/// An error with its causes, in one line. A cause that the line ends with already is left out.
pub(crate) fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let words = next.to_string();
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;
    use crate::netns::NetnsError;

    #[test]
    fn each_cause_is_told_once() {
        let source = std::io::Error::other("no such thing");
        let error = NetnsError::Open { path: "/a".into(), source };
        let within = Err::<(), _>(error).context("the lab stays down").unwrap_err();
        let text = "the lab stays down: cannot open network namespace /a: no such thing";
        assert_eq!(told(within.as_ref()), text);
    }
}
