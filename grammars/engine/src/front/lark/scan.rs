//! The words of a Lark grammar.

use crate::GrammarError;
use crate::front::text::{Cursor, Place};
use serde_json::Value;

/// A word.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Word {
    /// The name of a rule, without the marks in front that only shape trees.
    Rule(String),
    /// The name of a terminal.
    Terminal(String),
    /// A string, and whether letter case is ignored.
    Text(String, bool),
    /// A regular expression and its flags.
    Regex(String, String),
    /// `<…>`, with its brackets.
    Token(String),
    /// `@name`.
    Reference(String),
    Number(i64),
    /// `%json`, `%regex` or `%llguidance`, and the JSON behind it.
    Json(&'static str, Value),
    /// Another word that begins with `%`.
    Directive(String),
    /// Punctuation.
    Mark(&'static str),
    Newline,
    End,
}

impl Word {
    /// For messages.
    pub(super) fn shown(&self) -> String {
        match self {
            Word::Rule(name) | Word::Terminal(name) => format!("`{name}`"),
            Word::Text(text, _) => format!("{text:?}"),
            Word::Regex(source, _) => format!("/{source}/"),
            Word::Token(name) => format!("`{name}`"),
            Word::Reference(name) => format!("`@{name}`"),
            Word::Number(number) => number.to_string(),
            Word::Json(name, _) => format!("`{name}`"),
            Word::Directive(name) => format!("`{name}`"),
            Word::Mark(mark) => format!("`{mark}`"),
            Word::Newline => "the end of the line".into(),
            Word::End => "the end of the grammar".into(),
        }
    }
}

/// Splits a grammar into words. The last one is [`Word::End`].
pub(super) fn scan(source: &str) -> Result<Vec<(Word, Place)>, GrammarError> {
    let mut cursor = Cursor::new(source)?;
    let mut words: Vec<(Word, Place)> = Vec::new();
    loop {
        cursor.take_while(|c| c == ' ' || c == '\t' || c == '\r');
        let place = cursor.place();
        let rest = cursor.rest();
        if rest.starts_with('#') || rest.starts_with("//") {
            cursor.take_while(|c| c != '\n');
            continue;
        }
        let Some(first) = cursor.peek() else {
            words.push((Word::End, place));
            return Ok(words);
        };
        let word = match first {
            '\n' => {
                cursor.take_while(char::is_whitespace);
                if matches!(words.last(), None | Some((Word::Newline, _))) {
                    continue;
                }
                Word::Newline
            }
            '"' => text(&mut cursor)?,
            '/' => regex(&mut cursor)?,
            '<' => {
                let name = cursor.take_while(|c| c != '>' && !c.is_whitespace());
                if name.len() < 2 || name[1..].contains('<') || !cursor.eat(">") {
                    return Err(place.syntax("a special token is written `<name>` or `<[id]>`"));
                }
                Word::Token(format!("{name}>"))
            }
            '@' => {
                cursor.next();
                Word::Reference(cursor.take_while(is_name).to_owned())
            }
            '%' => directive(&mut cursor)?,
            '0'..='9' | '+' | '-' if first.is_ascii_digit() || digit_follows(rest) => number(&mut cursor)?,
            c if c.is_ascii_alphabetic() || c == '_' => name(&mut cursor)?,
            // In front of a rule's name at the start of a line these shape trees; behind an item `?` makes it optional.
            '!' | '?' if matches!(words.last(), None | Some((Word::Newline, _))) => {
                cursor.take_while(|c| c == '!' || c == '?');
                name(&mut cursor)?
            }
            _ => {
                const MARKS: [&str; 19] = [
                    "->", "..", "::", ":", ",", ".", "(", ")", "{", "}", "[", "]", "~", "|", "&", "=", "+",
                    "*", "?",
                ];
                let mark = MARKS.into_iter().find(|mark| cursor.eat(mark));
                Word::Mark(mark.ok_or_else(|| place.syntax(format!("{first:?} means nothing here")))?)
            }
        };
        words.push((word, place));
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

fn digit_follows(rest: &str) -> bool {
    rest[1..].starts_with(|c: char| c.is_ascii_digit())
}

fn name(cursor: &mut Cursor<'_>) -> Result<Word, GrammarError> {
    let place = cursor.place();
    let name = cursor.take_while(is_name);
    let letters = name.trim_start_matches('_');
    // A lone `_` stands for a parameter, which the parser refuses.
    if letters.is_empty()
        || letters.starts_with(|c: char| c.is_ascii_lowercase())
            && !letters.contains(|c: char| c.is_ascii_uppercase())
    {
        Ok(Word::Rule(name.to_owned()))
    } else if letters.starts_with(|c: char| c.is_ascii_uppercase())
        && !letters.contains(|c: char| c.is_ascii_lowercase())
    {
        Ok(Word::Terminal(name.to_owned()))
    } else {
        Err(place.syntax(format!("`{name}` is neither a rule (lower case) nor a terminal (upper case)")))
    }
}

fn number(cursor: &mut Cursor<'_>) -> Result<Word, GrammarError> {
    let place = cursor.place();
    let negative = cursor.eat("-");
    cursor.eat("+");
    let digits = cursor.take_while(|c| c.is_ascii_digit());
    let value: i64 = digits.parse().map_err(|_| place.syntax(format!("the number {digits} is too large")))?;
    // `~0..2` is a range; `0.7` is a fraction, which only attributes have.
    if cursor.rest().starts_with('.') && !cursor.rest().starts_with("..") {
        cursor.next();
        cursor.take_while(|c| c.is_ascii_digit());
    }
    Ok(Word::Number(if negative { -value } else { value }))
}

fn text(cursor: &mut Cursor<'_>) -> Result<Word, GrammarError> {
    let place = cursor.place();
    cursor.next();
    let mut text = String::new();
    loop {
        let at = cursor.place();
        match cursor.next() {
            None | Some('\n') => return Err(place.syntax("the string has no closing quote")),
            Some('"') => break,
            Some('\\') => match cursor.next() {
                Some(c @ ('"' | '\\' | '/')) => text.push(c),
                Some('b') => text.push('\u{8}'),
                Some('f') => text.push('\u{c}'),
                Some('n') => text.push('\n'),
                Some('r') => text.push('\r'),
                Some('t') => text.push('\t'),
                Some('x') => text.push(cursor.hex(2)?),
                Some('u') => text.push(unit(cursor)?),
                _ => return Err(at.syntax("strings take the escapes of JSON, and \\xXX")),
            },
            Some(c) => text.push(c),
        }
    }
    let ignore_case = cursor.rest().starts_with('i') && !cursor.rest()[1..].starts_with(is_name);
    if ignore_case {
        cursor.next();
    }
    Ok(Word::Text(text, ignore_case))
}

/// What follows `\u`: a character, or the first half of a pair.
fn unit(cursor: &mut Cursor<'_>) -> Result<char, GrammarError> {
    let place = cursor.place();
    let high = cursor.rest().get(..4).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    match high {
        Some(high @ 0xd800..=0xdbff) => {
            cursor.skip(4);
            let low = cursor.rest().strip_prefix("\\u").and_then(|rest| rest.get(..4));
            let low = low.and_then(|digits| u32::from_str_radix(digits, 16).ok());
            let low = low.filter(|low| (0xdc00..=0xdfff).contains(low));
            let low = low.ok_or_else(|| place.syntax("half a surrogate pair is no character"))?;
            cursor.skip(6);
            let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            char::from_u32(code).ok_or_else(|| place.syntax("this is no character"))
        }
        _ => cursor.hex(4),
    }
}

fn regex(cursor: &mut Cursor<'_>) -> Result<Word, GrammarError> {
    let place = cursor.place();
    cursor.next();
    let mut source = String::new();
    loop {
        match cursor.next() {
            None | Some('\n') => return Err(place.syntax("the regular expression has no closing slash")),
            Some('/') => break,
            Some('\\') => {
                source.push('\\');
                match cursor.next() {
                    None | Some('\n') => {
                        return Err(place.syntax("the regular expression has no closing slash"));
                    }
                    Some(c) => source.push(c),
                }
            }
            Some(c) => source.push(c),
        }
    }
    let flags = cursor.take_while(|c| "imslux".contains(c));
    Ok(Word::Regex(source, flags.to_owned()))
}

fn directive(cursor: &mut Cursor<'_>) -> Result<Word, GrammarError> {
    let place = cursor.place();
    cursor.next();
    let name = cursor.take_while(|c| c.is_ascii_alphabetic());
    for known in ["%json", "%regex", "%llguidance"] {
        if known[1..] == *name {
            let place = cursor.place();
            let mut values = serde_json::Deserializer::from_str(cursor.rest()).into_iter::<Value>();
            let value = match values.next() {
                Some(Ok(value)) => value,
                Some(Err(error)) => return Err(place.syntax(format!("behind `{known}`: {error}"))),
                None => return Err(place.syntax(format!("`{known}` needs JSON behind it"))),
            };
            let bytes = values.byte_offset();
            cursor.skip(bytes);
            return Ok(Word::Json(known, value));
        }
    }
    if name.is_empty() {
        return Err(place.syntax("a directive is `%` and a name"));
    }
    Ok(Word::Directive(format!("%{name}")))
}
