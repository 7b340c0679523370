//! JSON text, taken apart and written in other notations, without touching numbers or the order of keys.

use toolglot_format::{Keys, Notation, Strings};

use super::Page;
use crate::parser::{Json, Met, escape};

/// Whether the text is one JSON value.
pub(super) fn is_json(text: &str) -> bool {
    let mut json = Json::new();
    let (used, met) = json.run(text.as_bytes());
    json.valid
        && match met {
            Met::End | Met::EndBefore => text[used..].trim().is_empty(),
            Met::More => json.complete(),
            _ => false,
        }
}

/// Why a value cannot be written in a notation.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unwritable {
    /// A key that cannot stand without quotes.
    Key(String),
    /// A string that holds this literal, below this outermost key.
    Marker(String, String),
}

/// Writes a JSON value in a notation, without touching numbers or the order of keys. The text must be JSON.
/// Marked strings must not hold any of `forbidden`.
pub(super) fn write(
    text: &str,
    notation: &Notation,
    forbidden: &[&str],
    out: &mut Page,
) -> Result<(), Unwritable> {
    let (mut rest, mut depth, mut outermost) = (text, 0u32, String::new());
    while let Some(c) = rest.chars().next() {
        let mut used = c.len_utf8();
        match c {
            ' ' | '\n' | '\r' | '\t' => {}
            ',' => out.text(&notation.item),
            ':' => out.text(&notation.key),
            '{' | '[' | '}' | ']' => {
                depth = if matches!(c, '{' | '[') { depth + 1 } else { depth.saturating_sub(1) };
                out.text(&rest[..1]);
            }
            '"' => {
                used = end_of_value(rest).unwrap_or(rest.len());
                let string = &rest[..used];
                let is_key = rest[used..].trim_start().starts_with(':');
                if is_key && depth == 1 {
                    outermost = decoded(string);
                }
                if is_key && notation.keys == Keys::Bare {
                    let key = decoded(string);
                    if !Notation::is_bare_key(&key) {
                        return Err(Unwritable::Key(key));
                    }
                    out.text(&key);
                } else {
                    write_string(string, notation, forbidden, out)
                        .map_err(|marker| Unwritable::Marker(outermost.clone(), marker))?;
                }
            }
            _ => {
                let end = |c: char| matches!(c, ',' | ':' | '}' | ']') || c.is_ascii_whitespace();
                used = rest.find(end).unwrap_or(rest.len());
                let [yes, no, null] = notation.words.all();
                out.text(match &rest[..used] {
                    "true" => yes,
                    "false" => no,
                    "null" => null,
                    number => number,
                });
            }
        }
        rest = &rest[used..];
    }
    Ok(())
}

/// A JSON string with its quotes, in a notation; gives back the literal that it must not hold.
fn write_string(string: &str, notation: &Notation, forbidden: &[&str], out: &mut Page) -> Result<(), String> {
    match &notation.strings {
        Strings::Json => out.text(string),
        Strings::Python => out.text(&python_string(&decoded(string))),
        Strings::Marked(marker) => {
            let text = decoded(string);
            let mut all = marker.spellings().chain(forbidden.iter().copied());
            // One that begins inside the string and ends in the closing marker is found too early, too.
            if let Some(found) = all.find(|found| ends_early(&text, found, &marker.text)) {
                return Err(found.to_owned());
            }
            out.lit(marker);
            out.text(&text);
            out.lit(marker);
        }
    }
    Ok(())
}

/// Whether the literal is found in the text in front of the marker that closes it.
fn ends_early(text: &str, literal: &str, marker: &str) -> bool {
    format!("{text}{marker}").find(literal).is_some_and(|at| at < text.len())
}

/// A string as Python's `repr` quotes it, in the escapes that JSON has, too.
pub(super) fn python_string(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '"' if quote != '"' => out.push(c),
            '\'' if quote == '\'' => out += "\\'",
            '"' | '\\' | '\0'..' ' => out += escape(c as u8),
            _ => out.push(c),
        }
    }
    out.push(quote);
    out
}

fn decoded(string: &str) -> String {
    serde_json::from_str(string).unwrap_or_default()
}

/// The members of an object: decoded keys and the text of their values. `None` when the text is no object.
pub(super) fn members(text: &str) -> Option<Vec<(String, &str)>> {
    let parts = parts(text, b'{')?;
    let split = |part| {
        let colon = end_of_value(part)?;
        let key = serde_json::from_str(part[..colon].trim()).ok()?;
        Some((key, part[colon..].trim_start().strip_prefix(':')?.trim()))
    };
    parts.into_iter().map(split).collect()
}

/// The elements of an array. `None` when the text is none.
pub(super) fn elements(text: &str) -> Option<Vec<&str>> {
    Some(parts(text, b'[')?.into_iter().map(str::trim).collect())
}

/// What stands between the commas of an object or array.
fn parts(text: &str, open: u8) -> Option<Vec<&str>> {
    let text = text.trim();
    if !is_json(text) || text.as_bytes().first() != Some(&open) {
        return None;
    }
    let inner = &text[1..text.len() - 1];
    let (mut out, mut from, mut depth) = (Vec::new(), 0, 0u32);
    let (mut in_text, mut escaped) = (false, false);
    for (at, c) in inner.char_indices() {
        if in_text {
            (in_text, escaped) = (escaped || c != '"', !escaped && c == '\\');
            continue;
        }
        match c {
            '"' => in_text = true,
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            ',' if depth == 0 => {
                out.push(&inner[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    if !inner[from..].trim().is_empty() {
        out.push(&inner[from..]);
    }
    Some(out)
}

/// Where the string at the front ends.
fn end_of_value(text: &str) -> Option<usize> {
    let mut json = Json::new();
    match json.run(text.as_bytes()) {
        (used, Met::End) => Some(used),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::to_text;

    #[test]
    fn spaces_anew_and_keeps_the_rest() {
        let text = r#"{"a" :1e3,"b":[1.10 , "x, y: \"z\\"], "a":{}}"#;
        let written = |text: &str, notation: &Notation| {
            let mut page = Page::default();
            write(text, notation, &["<end>"], &mut page).map(|()| to_text(&page.parts))
        };
        assert_eq!(
            written(text, &Notation::default()).unwrap(),
            r#"{"a": 1e3, "b": [1.10, "x, y: \"z\\"], "a": {}}"#
        );
        assert_eq!(
            written(text, &Notation::compact()).unwrap(),
            r#"{"a":1e3,"b":[1.10,"x, y: \"z\\"],"a":{}}"#
        );
        let values = r#"{"it's": ["it's", "\"", "'\"\n", true, null], "n": 1.0}"#;
        assert_eq!(
            written(values, &Notation::python()).unwrap(),
            r#"{"it's": ["it's", '"', '\'"\n', True, None], 'n': 1.0}"#
        );
        let marked = Strings::Marked(toolglot_format::Lit::text("<|"));
        let marked = Notation { keys: Keys::Bare, strings: marked, ..Notation::compact() };
        assert_eq!(written(r#"{"a b": [" \"x\n", false]}"#, &marked).unwrap(), "{a b:[<| \"x\n<|,false]}");
        assert_eq!(written(r#"{"a:": 1}"#, &marked), Err(Unwritable::Key("a:".into())));
        for held in ["<|", "<end>"] {
            let error = Unwritable::Marker("k".into(), held.into());
            assert_eq!(written(&format!("{{\"k\": [\"{held}\"]}}"), &marked), Err(error));
        }
        assert!(
            ends_early("a<", "<<|", "<|") && !ends_early("a", "<|", "<|") && ends_early("é<", "<<", "<|")
        );
        let members = members(text).unwrap();
        assert_eq!(members[1], ("b".to_owned(), r#"[1.10 , "x, y: \"z\\"]"#));
    }
}
