//! Reading grammar texts: a cursor that knows its line and column, and the errors that name them.

use crate::GrammarError;

/// Longest grammar text that is read.
pub(super) const MAX_TEXT: usize = 4 << 20;

/// A place in a grammar text, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Place {
    pub(crate) line: usize,
    /// In characters.
    pub(crate) column: usize,
}

impl Place {
    /// The text does not parse here.
    pub(crate) fn syntax(self, message: impl Into<String>) -> GrammarError {
        GrammarError::Syntax { line: self.line, column: self.column, message: message.into() }
    }

    /// What stands here is understood, and cannot be had.
    pub(crate) fn refuse(self, construct: impl Into<String>, reason: impl Into<String>) -> GrammarError {
        GrammarError::unsupported(self.to_string(), construct, reason)
    }

    /// The place of `offset` in `source`.
    pub(crate) fn of(source: &str, offset: usize) -> Place {
        let before = source.get(..offset).unwrap_or(source);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Place { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// A position in a text.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    source: &'a str,
    at: usize,
    place: Place,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(source: &'a str) -> Result<Cursor<'a>, GrammarError> {
        if source.len() > MAX_TEXT {
            return Err(GrammarError::Limit { what: "bytes of grammar text", limit: MAX_TEXT as u64 });
        }
        Ok(Cursor { source, at: 0, place: Place { line: 1, column: 1 } })
    }

    pub(super) fn place(&self) -> Place {
        self.place
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        if c == '\n' {
            self.place = Place { line: self.place.line + 1, column: 1 };
        } else {
            self.place.column += 1;
        }
        Some(c)
    }

    /// Skips what `text` says if it comes next.
    pub(super) fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.skip(text.len());
        }
        found
    }

    /// Skips this many bytes, which end between characters.
    pub(super) fn skip(&mut self, bytes: usize) {
        let end = self.at + bytes;
        while self.at < end && self.next().is_some() {}
    }

    /// The longest run of characters that `keep` says yes to.
    pub(super) fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !keep(c)).unwrap_or(rest.len());
        self.skip(end);
        &rest[..end]
    }

    /// A whole number.
    pub(super) fn number(&mut self) -> Result<u32, GrammarError> {
        let place = self.place;
        let digits = self.take_while(|c| c.is_ascii_digit());
        if digits.is_empty() {
            return Err(place.syntax(format!("expected a number, found {}", self.found())));
        }
        digits.parse().map_err(|_| place.syntax(format!("the number {digits} is too large")))
    }

    /// What comes next, for messages.
    pub(super) fn found(&self) -> String {
        match self.peek() {
            None => "the end of the grammar".into(),
            Some('\n') => "the end of the line".into(),
            Some(c) => format!("{c:?}"),
        }
    }

    pub(super) fn expected(&self, what: &str) -> GrammarError {
        self.place.syntax(format!("expected {what}, found {}", self.found()))
    }

    /// The character that so many hex digits stand for.
    pub(super) fn hex(&mut self, digits: usize) -> Result<char, GrammarError> {
        let place = self.place;
        let text = self.rest().get(..digits).filter(|t| t.bytes().all(|b| b.is_ascii_hexdigit()));
        let text = text.ok_or_else(|| place.syntax(format!("expected {digits} hex digits")))?;
        self.skip(digits);
        let code = u32::from_str_radix(text, 16).unwrap_or(u32::MAX);
        char::from_u32(code).ok_or_else(|| place.syntax(format!("U+{text} is no character")))
    }
}
