//! Rules in Lark.

use super::{Level, Named, named};
use crate::GrammarError;
use crate::builder::TokenClass;
use crate::front::rules::{Part, RuleDef};
use crate::vocab::Vocabulary;
use regex_syntax::hir::ClassUnicode;
use rustc_hash::FxHashMap;
use std::fmt::Write;

/// Writes rules with long terminals if that engine's lexer reads them alike, else with a terminal per character.
pub(super) fn write(rules: &[RuleDef], vocabulary: Option<&Vocabulary>) -> Result<String, GrammarError> {
    let mut last = None;
    for terminals in [Terminals::Long, Terminals::Characters] {
        let source = Writer::write(rules, vocabulary, terminals)?;
        // The reader of this notation knows where a lexer would cut a text otherwise.
        match crate::front::lark::needs_no_lexer(&source) {
            Ok(true) => return Ok(source),
            Ok(false) => {}
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| {
        GrammarError::unsupported("", "the grammar", "that engine's lexer would cut its texts in another way")
    }))
}

#[derive(Clone, Copy, PartialEq)]
enum Terminals {
    Long,
    Characters,
}

struct Writer<'a> {
    rules: &'a [RuleDef],
    vocabulary: Option<&'a Vocabulary>,
    terminals: Terminals,
    /// Named terminals: their expressions.
    named: FxHashMap<String, String>,
    order: Vec<(String, String)>,
    out: String,
}

/// Escapes what means something in a regular expression between slashes.
fn in_regex(c: char, in_class: bool, out: &mut String) {
    let special = if in_class { "[]\\^-&~/" } else { "()[]{}|*+?.^$\\/#&~-" };
    let code = u32::from(c);
    // Writing to a string cannot fail.
    let _ = match c {
        '\n' => write!(out, "\\n"),
        '\r' => write!(out, "\\r"),
        '\t' => write!(out, "\\t"),
        c if special.contains(c) => write!(out, "\\{c}"),
        c if c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric() && code < 0x2000 => write!(out, "{c}"),
        _ => write!(out, "\\u{{{code:X}}}"),
    };
}

fn class(class: &ClassUnicode, out: &mut String) {
    let mut other = class.clone();
    other.negate();
    if other.ranges().is_empty() {
        *out += "(?s:.)";
        return;
    }
    let negated = other.ranges().len() < class.ranges().len();
    *out += if negated { "[^" } else { "[" };
    for range in if negated { &other } else { class }.ranges() {
        in_regex(range.start(), true, out);
        if range.end() > range.start() {
            if range.end() as u32 > range.start() as u32 + 1 {
                out.push('-');
            }
            in_regex(range.end(), true, out);
        }
    }
    out.push(']');
}

/// A part without rules and tokens as a regular expression.
fn regex(part: &Part, level: Level, out: &mut String) {
    match part {
        Part::Text(text) => {
            let group = level == Level::Item && text.chars().count() != 1;
            *out += if group { "(?:" } else { "" };
            text.chars().for_each(|c| in_regex(c, false, out));
            *out += if group { ")" } else { "" };
        }
        Part::Class(set) => class(set, out),
        Part::Seq(parts) => {
            *out += if level > Level::Seq { "(?:" } else { "" };
            parts.iter().for_each(|part| regex(part, Level::Seq, out));
            *out += if level > Level::Seq { ")" } else { "" };
        }
        Part::Alt(parts) => {
            *out += if level > Level::Alt { "(?:" } else { "" };
            for (index, part) in parts.iter().enumerate() {
                *out += if index > 0 { "|" } else { "" };
                regex(part, Level::Seq, out);
            }
            *out += if level > Level::Alt { ")" } else { "" };
        }
        Part::Repeat { item, min, max } => {
            let group = matches!(**item, Part::Repeat { .. });
            *out += if group { "(?:" } else { "" };
            regex(item, if group { Level::Alt } else { Level::Item }, out);
            *out += if group { ")" } else { "" };
            times(*min, *max, out);
        }
        _ => {}
    }
}

fn times(min: u32, max: Option<u32>, out: &mut String) {
    // Writing to a string cannot fail.
    let _ = match (min, max) {
        (0, None) => write!(out, "*"),
        (1, None) => write!(out, "+"),
        (0, Some(1)) => write!(out, "?"),
        (min, None) => write!(out, "{{{min},}}"),
        (min, Some(max)) if min == max => write!(out, "{{{min}}}"),
        (min, Some(max)) => write!(out, "{{{min},{max}}}"),
    };
}

/// Whether a part is made of characters only, and of more than words.
fn is_regular(part: &Part) -> bool {
    match part {
        Part::Text(_) | Part::Class(_) => true,
        Part::Seq(parts) | Part::Alt(parts) => !parts.is_empty() && parts.iter().all(is_regular),
        Part::Repeat { item, .. } => is_regular(item),
        _ => false,
    }
}

fn has_class(part: &Part) -> bool {
    matches!(part, Part::Class(_)) || part.inner().iter().any(has_class)
}

impl Writer<'_> {
    fn write(
        rules: &[RuleDef],
        vocabulary: Option<&Vocabulary>,
        terminals: Terminals,
    ) -> Result<String, GrammarError> {
        let mut writer = Writer {
            rules,
            vocabulary,
            terminals,
            named: FxHashMap::default(),
            order: Vec::new(),
            out: String::new(),
        };
        for (index, rule) in rules.iter().enumerate() {
            writer.out += if index == 0 { "start" } else { &rule.name };
            writer.out += ": ";
            writer.part(&rule.body, Level::Alt)?;
            writer.out.push('\n');
        }
        for (name, expression) in &writer.order {
            writer.out += &format!("{name}: /{expression}/\n");
        }
        Ok(writer.out)
    }

    fn part(&mut self, part: &Part, level: Level) -> Result<(), GrammarError> {
        let long = self.terminals == Terminals::Long;
        if long && !matches!(part, Part::Text(_)) && is_regular(part) && has_class(part) {
            let mut expression = String::new();
            regex(part, Level::Alt, &mut expression);
            let name = self.terminal(expression);
            self.out += &name;
            return Ok(());
        }
        match part {
            Part::Text(text) if long || text.chars().count() < 2 => literal(text, &mut self.out),
            Part::Text(text) => {
                let parts: Vec<Part> = text.chars().map(|c| Part::Text(c.into())).collect();
                self.list(&parts, " ", Level::Seq, level > Level::Seq)?;
            }
            Part::Class(set) => {
                let mut expression = String::new();
                class(set, &mut expression);
                let name = self.terminal(expression);
                self.out += &name;
            }
            Part::Rule(0) => self.out += "start",
            Part::Rule(rule) => self.out += &self.rules[*rule].name,
            Part::Token(class) => self.token(class)?,
            Part::Special(name) => match named(name, self.vocabulary)? {
                Named::Id(id) => self.out += &format!("<[{id}]>"),
                Named::Name(name) => self.out += &name,
                Named::Text(text) => self.part(&Part::Text(text), level)?,
            },
            Part::Seq(parts) => self.list(parts, " ", Level::Seq, level > Level::Seq)?,
            Part::Alt(parts) if parts.is_empty() => {
                return Err(GrammarError::unsupported(
                    "",
                    "a part that accepts nothing",
                    "Lark has no such part",
                ));
            }
            Part::Alt(parts) => self.list(parts, " | ", Level::Alt, level > Level::Alt)?,
            Part::Repeat { item, min, max } => {
                let group = matches!(**item, Part::Repeat { .. });
                self.out += if group { "(" } else { "" };
                self.part(item, if group { Level::Alt } else { Level::Item })?;
                self.out += if group { ")" } else { "" };
                times(*min, *max, &mut self.out);
            }
            Part::Pattern(_) | Part::Terminal(..) | Part::Built(_) => {
                return Err(GrammarError::unsupported("", "a terminal", "it has no expression"));
            }
        }
        Ok(())
    }

    fn list(&mut self, parts: &[Part], with: &str, inner: Level, group: bool) -> Result<(), GrammarError> {
        self.out += if group { "(" } else { "" };
        let inner = if inner == Level::Alt { Level::Seq } else { Level::Item };
        for (index, part) in parts.iter().enumerate() {
            self.out += if index > 0 { with } else { "" };
            self.part(part, inner)?;
        }
        self.out += if group { ")" } else { "" };
        Ok(())
    }

    fn terminal(&mut self, expression: String) -> String {
        if let Some(name) = self.named.get(&expression) {
            return name.clone();
        }
        let name = format!("T{}", self.order.len() + 1);
        self.named.insert(expression.clone(), name.clone());
        self.order.push((name.clone(), expression));
        name
    }

    fn token(&mut self, class: &TokenClass) -> Result<(), GrammarError> {
        let mut ids: Vec<String> = Vec::new();
        for range in &class.ids {
            ids.push(match (range.start(), range.end()) {
                (start, end) if start == end => start.to_string(),
                (start, end) => format!("{start}-{end}"),
            });
        }
        let mut names = Vec::new();
        for name in &class.names {
            match self.vocabulary.and_then(|vocabulary| vocabulary.token(name)) {
                Some(id) => ids.push(id.to_string()),
                None => match named(name, None)? {
                    Named::Name(name) => names.push(name),
                    _ => continue,
                },
            }
        }
        if class.negated {
            if !names.is_empty() {
                return Err(GrammarError::unsupported(
                    "",
                    format!("any token but {}", names.join(", ")),
                    "Lark leaves tokens out by id; give a vocabulary",
                ));
            }
            // The end of the output is never one of the others.
            ids.extend(self.vocabulary.into_iter().flat_map(|v| v.eos()).map(u32::to_string));
            self.out += &if ids.is_empty() { "<[*]>".to_owned() } else { format!("<[^{}]>", ids.join(",")) };
            return Ok(());
        }
        if !ids.is_empty() {
            names.push(format!("<[{}]>", ids.join(",")));
        }
        self.out += &match &*names {
            [one] => one.clone(),
            names => format!("({})", names.join(" | ")),
        };
        Ok(())
    }
}

/// A string, with the escapes of JSON.
fn literal(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        // Writing to a string cannot fail.
        let _ = match c {
            '"' | '\\' => write!(out, "\\{c}"),
            '\n' => write!(out, "\\n"),
            '\r' => write!(out, "\\r"),
            '\t' => write!(out, "\\t"),
            c if u32::from(c) < 0x20 || c == '\u{7f}' => write!(out, "\\u{:04x}", u32::from(c)),
            c => write!(out, "{c}"),
        };
    }
    out.push('"');
}
