//! Rules in GBNF.

use super::{Level, Named, named};
use crate::GrammarError;
use crate::builder::TokenClass;
use crate::front::rules::{Part, RuleDef};
use crate::vocab::Vocabulary;
use regex_syntax::hir::ClassUnicode;
use std::fmt::Write;

/// llama.cpp refuses repetitions beyond 2000; longer ones are written as several.
const MAX_TIMES: u32 = 1000;

pub(super) fn write(rules: &[RuleDef], vocabulary: Option<&Vocabulary>) -> Result<String, GrammarError> {
    let mut out = String::new();
    for rule in rules {
        out += &rule.name;
        out += " ::= ";
        Writer { rules, vocabulary, out: &mut out }.part(&rule.body, Level::Alt)?;
        out.push('\n');
    }
    Ok(out)
}

struct Writer<'a> {
    rules: &'a [RuleDef],
    vocabulary: Option<&'a Vocabulary>,
    out: &'a mut String,
}

impl Writer<'_> {
    fn part(&mut self, part: &Part, level: Level) -> Result<(), GrammarError> {
        match part {
            Part::Text(text) => literal(text, self.out),
            Part::Class(class) => self.class(class),
            Part::Rule(rule) => *self.out += &self.rules[*rule].name,
            Part::Token(class) => self.token(class)?,
            Part::Special(name) => match named(name, self.vocabulary)? {
                Named::Id(id) => *self.out += &format!("<[{id}]>"),
                Named::Name(name) => *self.out += &name,
                Named::Text(text) => literal(&text, self.out),
            },
            Part::Seq(parts) => self.list(parts, " ", Level::Seq, level > Level::Seq)?,
            Part::Alt(parts) if parts.is_empty() => {
                return Err(GrammarError::unsupported(
                    "",
                    "a part that accepts nothing",
                    "GBNF has no such part",
                ));
            }
            Part::Alt(parts) => self.list(parts, " | ", Level::Alt, level > Level::Alt)?,
            Part::Repeat { item, min, max } => self.repeat(item, *min, *max, level)?,
            Part::Pattern(_) | Part::Terminal(..) | Part::Built(_) => {
                return Err(GrammarError::unsupported("", "a terminal", "GBNF has rules and classes only"));
            }
        }
        Ok(())
    }

    fn list(&mut self, parts: &[Part], with: &str, inner: Level, group: bool) -> Result<(), GrammarError> {
        if group {
            self.out.push('(');
        }
        // Alternatives need no brackets around sequences; a sequence does around alternatives.
        let inner = if inner == Level::Alt { Level::Seq } else { Level::Item };
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                *self.out += with;
            }
            self.part(part, inner)?;
        }
        if group {
            self.out.push(')');
        }
        Ok(())
    }

    fn repeat(&mut self, item: &Part, min: u32, max: Option<u32>, level: Level) -> Result<(), GrammarError> {
        let long = min > MAX_TIMES || max.is_some_and(|max| max > MAX_TIMES);
        if long {
            let mut parts = Vec::new();
            let piece = |min, max| Part::Repeat { item: Box::new(item.clone()), min, max };
            let mut left = min;
            while left > 0 {
                let now = left.min(MAX_TIMES);
                parts.push(piece(now, Some(now)));
                left -= now;
            }
            match max {
                None => parts.push(piece(0, None)),
                Some(max) => {
                    let mut left = max - min;
                    while left > 0 {
                        let now = left.min(MAX_TIMES);
                        parts.push(piece(0, Some(now)));
                        left -= now;
                    }
                }
            }
            return self.list(&parts, " ", Level::Seq, level > Level::Seq);
        }
        // What is itself repeated needs brackets, or the marks would be read together.
        let group = matches!(item, Part::Repeat { .. });
        if group {
            self.out.push('(');
        }
        self.part(item, if group { Level::Alt } else { Level::Item })?;
        if group {
            self.out.push(')');
        }
        // Writing to a string cannot fail.
        let _ = match (min, max) {
            (0, None) => write!(self.out, "*"),
            (1, None) => write!(self.out, "+"),
            (0, Some(1)) => write!(self.out, "?"),
            (min, None) => write!(self.out, "{{{min},}}"),
            (min, Some(max)) if min == max => write!(self.out, "{{{min}}}"),
            (min, Some(max)) => write!(self.out, "{{{min},{max}}}"),
        };
        Ok(())
    }

    fn token(&mut self, class: &TokenClass) -> Result<(), GrammarError> {
        let mut words: Vec<String> = Vec::new();
        for range in &class.ids {
            if range.end() - range.start() > 64 {
                return Err(GrammarError::unsupported(
                    "",
                    "a range of tokens",
                    "GBNF names tokens one by one",
                ));
            }
            words.extend(range.clone().map(|id| format!("<[{id}]>")));
        }
        for name in &class.names {
            let id = self.vocabulary.and_then(|vocabulary| vocabulary.token(name));
            words.push(match id {
                Some(id) => format!("<[{id}]>"),
                None => match named(name, None)? {
                    Named::Name(name) => name,
                    _ => continue,
                },
            });
        }
        match (class.negated, &*words) {
            (true, [one]) => *self.out += &format!("!{one}"),
            (true, _) => {
                return Err(GrammarError::unsupported(
                    "",
                    "any token but several",
                    "GBNF can leave out exactly one",
                ));
            }
            (false, [one]) => *self.out += one,
            (false, words) => *self.out += &format!("({})", words.join(" | ")),
        }
        Ok(())
    }

    fn class(&mut self, class: &ClassUnicode) {
        let mut other = class.clone();
        other.negate();
        // The shorter of the two; `.` for everything.
        if other.ranges().is_empty() {
            self.out.push('.');
            return;
        }
        let negated = other.ranges().len() < class.ranges().len();
        *self.out += if negated { "[^" } else { "[" };
        for range in if negated { &other } else { class }.ranges() {
            in_class(range.start(), self.out);
            if range.end() > range.start() {
                if range.end() as u32 > range.start() as u32 + 1 {
                    self.out.push('-');
                }
                in_class(range.end(), self.out);
            }
        }
        self.out.push(']');
    }
}

fn literal(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            _ => character(c, out),
        }
    }
    out.push('"');
}

fn in_class(c: char, out: &mut String) {
    match c {
        '[' | ']' | '-' | '\\' => out.extend(['\\', c]),
        // `\^` is no escape there.
        '^' => *out += "\\x5E",
        _ => character(c, out),
    }
}

fn character(c: char, out: &mut String) {
    let code = u32::from(c);
    let shown = c.is_alphanumeric() || c.is_ascii_graphic() || c == ' ';
    // Writing to a string cannot fail.
    let _ = match c {
        '\n' => write!(out, "\\n"),
        '\r' => write!(out, "\\r"),
        '\t' => write!(out, "\\t"),
        c if shown && code < 0x2000 => write!(out, "{c}"),
        _ if code < 0x100 => write!(out, "\\x{code:02X}"),
        _ if code < 0x10000 => write!(out, "\\u{code:04X}"),
        _ => write!(out, "\\U{code:08X}"),
    };
}
