//! GBNF, the grammar notation of llama.cpp.
//!
//! What is read: `name ::= …` rules from `root`; `"…"` literals and `[…]` classes with ranges, `^` and the escapes
//! `\n \r \t \\ \" \[ \] \- \xXX \uXXXX \UXXXXXXXX`; `.` for any character; groups, `|`, `* + ? {m} {m,} {m,n}`; `#`
//! comments; tokens by id `<[1000]>` or by name `<think>`, each also as "any token but" with `!` in front. A rule goes
//! on over line ends inside groups and behind `::=` and `|`. Left recursion, which llama.cpp refuses, is rewritten.

use super::rules::{MAX_NESTING, Names, Part, Rules};
use super::text::Cursor;
use crate::GrammarError;
use crate::builder::TokenClass;
use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

/// Greatest bound of a repetition.
const MAX_TIMES: u32 = 100_000;

/// Reads a grammar whose first rule is `root`.
pub(crate) fn parse(source: &str, root: &str) -> Result<Rules, GrammarError> {
    let mut reader = Reader { cursor: Cursor::new(source)?, names: Names::default() };
    reader.space(true);
    while reader.cursor.peek().is_some() {
        reader.rule()?;
        reader.space(true);
    }
    reader.names.finish(root)
}

struct Reader<'a> {
    cursor: Cursor<'a>,
    names: Names,
}

fn is_name(c: char) -> bool {
    // The underscore is not in llama.cpp's notation, but in that of every other engine that reads it.
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

impl Reader<'_> {
    /// Skips blanks and comments, line ends too where a rule may go on behind them.
    fn space(&mut self, lines: bool) {
        loop {
            self.cursor.take_while(|c| c == ' ' || c == '\t' || lines && (c == '\n' || c == '\r'));
            if self.cursor.peek() != Some('#') {
                return;
            }
            self.cursor.take_while(|c| c != '\n' && c != '\r');
        }
    }

    fn rule(&mut self) -> Result<(), GrammarError> {
        let place = self.cursor.place();
        let name = self.cursor.take_while(is_name);
        if name.is_empty() {
            return Err(self.cursor.expected("the name of a rule"));
        }
        self.space(false);
        if !self.cursor.eat("::=") {
            return Err(self.cursor.expected("`::=`"));
        }
        self.space(true);
        let body = self.alternatives(0)?;
        if !matches!(self.cursor.peek(), None | Some('\n' | '\r')) {
            return Err(self.cursor.expected("the end of the rule"));
        }
        self.names.define(name, place, body)
    }

    fn alternatives(&mut self, depth: usize) -> Result<Part, GrammarError> {
        if depth > MAX_NESTING {
            return Err(self
                .cursor
                .place()
                .syntax(format!("groups are nested more than {MAX_NESTING} deep")));
        }
        let mut parts = vec![self.sequence(depth)?];
        while self.cursor.eat("|") {
            self.space(true);
            parts.push(self.sequence(depth)?);
        }
        Ok(Part::alt(parts))
    }

    fn sequence(&mut self, depth: usize) -> Result<Part, GrammarError> {
        let mut parts: Vec<Part> = Vec::new();
        loop {
            let place = self.cursor.place();
            let item = match self.cursor.peek() {
                Some('"') => self.literal()?,
                Some('[') => self.class()?,
                Some('.') => {
                    self.cursor.next();
                    Part::Class(any_char())
                }
                Some('(') => {
                    self.cursor.next();
                    self.space(true);
                    let inner = self.alternatives(depth + 1)?;
                    if !self.cursor.eat(")") {
                        return Err(self.cursor.expected("`)`"));
                    }
                    inner
                }
                Some('<' | '!') => self.token()?,
                Some(c) if is_name(c) => {
                    let name = self.cursor.take_while(is_name);
                    Part::Rule(self.names.refer(name, place)?)
                }
                Some('*' | '+' | '?' | '{') => {
                    return Err(place.syntax("a repetition has to stand behind what it repeats"));
                }
                _ => return Ok(Part::seq(parts)),
            };
            self.space(depth > 0);
            parts.push(self.repeated(item, depth)?);
            self.names.count(1)?;
        }
    }

    fn repeated(&mut self, mut item: Part, depth: usize) -> Result<Part, GrammarError> {
        let mut stacked = 0;
        loop {
            let place = self.cursor.place();
            let (min, max) = match self.cursor.peek() {
                Some('*') => (0, None),
                Some('+') => (1, None),
                Some('?') => (0, Some(1)),
                Some('{') => {
                    self.cursor.next();
                    self.space(depth > 0);
                    let min = if self.cursor.peek() == Some(',') { 0 } else { self.cursor.number()? };
                    self.space(depth > 0);
                    let max = if self.cursor.eat(",") {
                        self.space(depth > 0);
                        let bounded = self.cursor.peek() != Some('}');
                        bounded.then(|| self.cursor.number()).transpose()?
                    } else {
                        Some(min)
                    };
                    self.space(depth > 0);
                    if self.cursor.peek() != Some('}') {
                        return Err(self.cursor.expected("`}`"));
                    }
                    (min, max)
                }
                _ => return Ok(item),
            };
            self.cursor.next();
            if max.is_some_and(|max| max < min) {
                return Err(place.syntax("the upper bound of the repetition is below the lower one"));
            }
            if max.unwrap_or(min) > MAX_TIMES {
                return Err(place.syntax(format!("repetitions beyond {MAX_TIMES} are not read")));
            }
            stacked += 1;
            if stacked > MAX_NESTING {
                return Err(place.syntax(format!("more than {MAX_NESTING} repetitions of one part")));
            }
            item = item.repeat(min, max);
            self.space(depth > 0);
        }
    }

    fn literal(&mut self) -> Result<Part, GrammarError> {
        let place = self.cursor.place();
        self.cursor.next();
        let mut text = String::new();
        while !self.cursor.eat("\"") {
            match self.cursor.peek() {
                None => return Err(place.syntax("the literal has no closing quote")),
                Some(_) => text.push(self.character()?),
            }
        }
        Ok(Part::Text(text))
    }

    fn class(&mut self) -> Result<Part, GrammarError> {
        let place = self.cursor.place();
        self.cursor.next();
        let negated = self.cursor.eat("^");
        let mut class = ClassUnicode::empty();
        while !self.cursor.eat("]") {
            if self.cursor.peek().is_none() {
                return Err(place.syntax("the class has no closing bracket"));
            }
            let at = self.cursor.place();
            let first = self.character()?;
            let mut last = first;
            if self.cursor.rest().starts_with('-') && !self.cursor.rest().starts_with("-]") {
                self.cursor.next();
                if self.cursor.peek().is_none() {
                    return Err(place.syntax("the class has no closing bracket"));
                }
                last = self.character()?;
                if last < first {
                    return Err(at.syntax(format!("the range {first:?} to {last:?} is upside down")));
                }
            }
            class.push(ClassUnicodeRange::new(first, last));
        }
        if negated {
            class.negate();
        }
        if class.ranges().is_empty() {
            return Err(place.syntax("no character is in this class"));
        }
        Ok(Part::Class(class))
    }

    /// One character of a literal or class.
    fn character(&mut self) -> Result<char, GrammarError> {
        let place = self.cursor.place();
        match self.cursor.next() {
            Some('\\') => match self.cursor.next() {
                Some('x') => self.cursor.hex(2),
                Some('u') => self.cursor.hex(4),
                Some('U') => self.cursor.hex(8),
                Some('t') => Ok('\t'),
                Some('r') => Ok('\r'),
                Some('n') => Ok('\n'),
                Some(c @ ('\\' | '"' | '[' | ']' | '-')) => Ok(c),
                Some(c) => Err(place.syntax(format!("unknown escape `\\{c}`"))),
                None => Err(place.syntax("the grammar ends inside an escape")),
            },
            Some(c) => Ok(c),
            None => Err(self.cursor.expected("a character")),
        }
    }

    fn token(&mut self) -> Result<Part, GrammarError> {
        let place = self.cursor.place();
        let negated = self.cursor.eat("!");
        let mut class = TokenClass { negated, ..TokenClass::default() };
        if self.cursor.eat("<[") {
            let id = self.cursor.number()?;
            if !self.cursor.eat("]>") {
                return Err(self.cursor.expected("`]>`"));
            }
            class.ids.push(id..=id);
        } else if self.cursor.peek() == Some('<') {
            let name = self.cursor.take_while(|c| c != '>' && c != '\n');
            if !self.cursor.eat(">") || name.len() < 2 {
                return Err(place.syntax("a token is written `<[id]>` or `<name>`"));
            }
            class.names.push(format!("{name}>"));
        } else {
            return Err(self.cursor.expected("a token behind `!`"));
        }
        Ok(Part::Token(class))
    }
}

/// Every character.
pub(super) fn any_char() -> ClassUnicode {
    ClassUnicode::new([ClassUnicodeRange::new('\0', char::MAX)])
}
