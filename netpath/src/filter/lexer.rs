//! Words and signs of a filter expression, with their positions.

use super::FilterError;

/// A word or a sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) text: String,
    /// Column of its first character, from 1.
    pub(super) column: usize,
}

/// Signs of two characters, then of one.
const SIGNS: &[&str] = &[
    "&&", "||", "==", "!=", "<=", ">=", "<<", ">>", "(", ")", "!", "=", "<", ">", "&", "|", "[",
    "]", "/", "+", "*",
];

/// Cuts an expression up. A backslash, which tcpdump wants before keywords that are meant as names,
/// is left out.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, FilterError> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut column = 1;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || matches!(c, '.' | ':' | '-' | '_');
        let len = if first.is_whitespace() || first == '\\' {
            first.len_utf8()
        } else if is_word(first) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else if let Some(sign) = SIGNS.iter().find(|s| rest.starts_with(**s)) {
            sign.len()
        } else {
            return Err(FilterError::Syntax {
                text: text.to_owned(),
                column,
                found: format!("`{first}`"),
                expected: "a word, a number or an operator".to_owned(),
            });
        };
        let (token, after) = rest.split_at(len);
        if !first.is_whitespace() && first != '\\' {
            tokens.push(Token { text: token.to_owned(), column });
        }
        column += token.chars().count();
        rest = after;
    }
    Ok(tokens)
}
