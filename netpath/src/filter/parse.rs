//! The grammar: terms joined by `and` and `or`, which bind alike and from left to right, as in
//! pcap-filter(7).

use super::{
    FilterError,
    expr::Expr,
    lexer::{Token, tokens},
    primitive::Qualifiers,
};

/// How deep parentheses and negations can lie in each other.
const DEPTH: usize = 100;

/// Words that are never names or addresses.
const RESERVED: &[&str] = &["and", "or", "not"];

/// Reads an expression; `None` where it is empty.
pub(super) fn parse(text: &str) -> Result<Option<Expr>, FilterError> {
    let tokens = tokens(text)?;
    if tokens.is_empty() {
        return Ok(None);
    }
    let mut parser = Parser { text, tokens, at: 0, last: None, depth: 0 };
    let tree = parser.expression()?;
    if parser.at < parser.tokens.len() {
        return Err(parser.unexpected("`and`, `or` or the end"));
    }
    Ok(Some(tree))
}

/// What is being read.
pub(super) struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Token>,
    at: usize,
    /// The qualifiers of the last primitive: `port 80 or 443` uses them again.
    pub(super) last: Option<Qualifiers>,
    pub(super) depth: usize,
}

impl Parser<'_> {
    fn expression(&mut self) -> Result<Expr, FilterError> {
        let mut tree = self.term()?;
        loop {
            if self.accept(&["and", "&&"]) {
                tree = tree.and(self.term()?);
            } else if self.accept(&["or", "||"]) {
                tree = tree.or(self.term()?);
            } else {
                return Ok(tree);
            }
        }
    }

    fn term(&mut self) -> Result<Expr, FilterError> {
        self.nest()?;
        let tree = if self.accept(&["not", "!"]) {
            self.term()?.negated()
        } else if let Some(relation) = self.relation()? {
            relation
        } else if self.accept(&["("]) {
            let inner = self.expression()?;
            self.expect(")", "`and`, `or` or `)`")?;
            inner
        } else {
            self.primitive()?
        };
        self.depth -= 1;
        Ok(tree)
    }

    /// Goes one level deeper; back again with `depth`.
    pub(super) fn nest(&mut self) -> Result<(), FilterError> {
        self.depth += 1;
        if self.depth > DEPTH { Err(self.unexpected("less nesting")) } else { Ok(()) }
    }

    /// Where the parser stands, to come back to.
    pub(super) fn mark(&self) -> usize {
        self.at
    }

    pub(super) fn back_to(&mut self, mark: usize) {
        self.at = mark;
    }

    /// The next token.
    pub(super) fn peek(&self) -> Option<&str> {
        self.tokens.get(self.at).map(|t| t.text.as_str())
    }

    /// The one after it.
    pub(super) fn peek_second(&self) -> Option<&str> {
        self.tokens.get(self.at + 1).map(|t| t.text.as_str())
    }

    /// Takes the next token where it is one of these, and says whether it was.
    pub(super) fn accept(&mut self, any: &[&str]) -> bool {
        let found = self.peek().is_some_and(|t| any.contains(&t));
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, sign: &str, expected: &str) -> Result<(), FilterError> {
        if self.accept(&[sign]) { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    /// Takes a word that is neither a sign nor reserved.
    pub(super) fn word(&mut self, expected: &str) -> Result<String, FilterError> {
        match self.peek() {
            Some(text)
                if text.starts_with(|c: char| c.is_alphanumeric() || c == ':')
                    && !RESERVED.contains(&text) =>
            {
                let text = text.to_owned();
                self.at += 1;
                Ok(text)
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    /// An error about the next token.
    pub(super) fn unexpected(&self, expected: &str) -> FilterError {
        let (found, column) = match self.tokens.get(self.at) {
            Some(token) => (format!("`{}`", token.text), token.column),
            None => ("the end".to_owned(), self.text.chars().count() + 1),
        };
        FilterError::Syntax {
            text: self.text.to_owned(),
            column,
            found,
            expected: expected.to_owned(),
        }
    }

    /// An error about the token just taken.
    pub(super) fn bad(&mut self, expected: &str) -> FilterError {
        self.at = self.at.saturating_sub(1);
        self.unexpected(expected)
    }
}
